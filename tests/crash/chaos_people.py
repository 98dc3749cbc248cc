"""What people and timers do in a random schedule, each act on the schedule that it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.domain.actions import Action
from shared.domain.asks import Ask, MigrateAsk, RenewalAsk, UpgradeAsk
from shared.domain.operation import LegStatus
from shared.usecases.app import App
from shared.usecases.converge_now import converge_now
from shared.usecases.dead_letters import sweep
from shared.usecases.findings import Decision, accept, correct
from shared.usecases.reconciling import start
from shared.usecases.sync import sync_customer
from shared.usecases.undo import UndoRequest, undo
from shared.usecases.wake import wake
from tests.crash.bulk_stories import bulk_of, item
from tests.crash.chaos_beginnings import pricing_of
from tests.crash.conversion_stories import wish_of
from tests.crash.scenarios import map_to, reprice
from tests.world.conversions import LEGACY_OFFER, LEGACY_TARGET, TARGET
from tests.world.world import CUSTOMER, line_id

if TYPE_CHECKING:
    from tests.crash.chaos import Chaos

SYNCED = LegStatus.SYNCED


def request(chaos: Chaos) -> None:
    """Somebody asks for a change, sometimes twice at the same moment."""
    subscription = chaos.subscription()
    actions = [Action.CHANGE_QUANTITY] * 4 + [Action.SUSPEND, Action.REACTIVATE] * 2
    if not chaos.allowed.by_rule_at_last:
        actions.append(Action.CANCEL)
    action = chaos.chance.choice(actions)
    quantity = None
    if action is Action.CHANGE_QUANTITY:
        quantity = chaos.new_quantity() if chaos.chance.random() < 0.5 else chaos.chance.randint(1, 60)
    _ask(chaos, subscription, action, quantity=quantity)


def convert(chaos: Chaos) -> None:
    """Somebody upgrades all seats or some, also into another subscription, or migrates a legacy subscription."""
    chance, world = chaos.chance, chaos.world
    subscription = chaos.subscription()
    resources = world.partner_center.resources(CUSTOMER)
    is_legacy = resources[subscription]["offerId"] in {LEGACY_OFFER, LEGACY_TARGET}
    world.transitions.fails = chance.random() < 0.2
    world.transitions.seconds = chance.choice([0.0, 300.0, 4000.0])
    world.migrations.outcomes = ["failed_active"] if chance.random() < 0.2 else []
    if is_legacy and chance.random() < 0.6:
        _ask(chaos, subscription, Action.MIGRATE, MigrateAsk())
        return
    some = chance.randint(1, 5) if chance.random() < 0.5 and not is_legacy else None
    joinable = [one for one, other in resources.items() if other["offerId"] == TARGET and one != subscription]
    into = joinable[0] if joinable and chance.random() < 0.5 and not is_legacy else None
    target = LEGACY_TARGET if is_legacy else TARGET
    _ask(chaos, subscription, Action.UPGRADE, UpgradeAsk(target, quantity=some, to_subscription=into))


def renewal(chaos: Chaos) -> None:
    """Somebody says what shall be at the renewal; nothing of it is billed now."""
    number = chaos.chance.randint(1, 60)
    _ask(chaos, chaos.subscription(), Action.SCHEDULE_RENEWAL, RenewalAsk(quantity=number))


def take_back(chaos: Chaos) -> None:
    """Somebody undoes what was pushed and verified."""
    pushed = [one for one in chaos.world.operations() if one.legs and {leg.status for leg in one.legs} == {SYNCED}]
    if pushed:
        address, key = chaos.chance.choice(pushed).address, chaos.new_key()
        request = UndoRequest(address, "ops", key, f"undo/{address}", "", confirmed=True, reason="a mistake")
        chaos.spawn(f"undo {address.subscription[-2:]}#{address.sequence}", lambda app: undo(app, request))


def reconcile(chaos: Chaos) -> None:
    """Somebody has all lines compared, and corrects what is found on one of them or takes it for right."""
    line, key = line_id(chaos.chance.randint(1, chaos.size.lines)), chaos.new_key()
    follows = chaos.chance.random() < 0.3
    how = accept if chaos.allowed.accepts and chaos.chance.random() < 0.5 else correct

    async def decide(app: App) -> None:
        await start(app, "ops")
        await wake(app)
        found = await app.desk.finding(CUSTOMER, line)
        if found is not None:
            seen = Decision(CUSTOMER, line, found.reading, "ops", key, "decide", "", "looked", microsoft=follows)
            await how(app, seen)

    chaos.spawn(f"reconcile, {how.__name__} line {line}", decide)


def _ask(
    chaos: Chaos, subscription: str, action: Action, wanted: Ask | None = None, *, quantity: int | None = None
) -> None:
    asked = wish_of(subscription, action, wanted, quantity=quantity, key=chaos.new_key())
    what = f"{action} {subscription[-3:]} {quantity or wanted or ''}"
    chaos.spawn(what, asked)
    if chaos.chance.random() < 0.2:
        chaos.spawn(f"again {what}", asked)


def bulk(chaos: Chaos) -> None:
    """Somebody asks for several changes at once."""
    wishes = []
    for _ in range(chaos.chance.randint(1, 4)):
        number = chaos.chance.randint(1, chaos.size.subscriptions)
        wishes.append(item(number, Action.CHANGE_QUANTITY, chaos.new_quantity()))
    asked = bulk_of(*wishes, key=chaos.new_key())
    chaos.spawn(f"bulk of {len(wishes)}", asked)
    if chaos.chance.random() < 0.2:
        chaos.spawn("the same bulk again", asked)


def deliver(chaos: Chaos) -> None:
    """A host gets the next message."""
    host = chaos.host()
    message = chaos.world.broker.receive(host.name, newest_first=chaos.chance.random() < 0.3)
    if message is not None:
        chaos.note(f"{host.name} receives {message.message_id[-12:]} ({message.sequence_number}/{message.count})")
        chaos.start(chaos.world.deliver_one(host, message))


def resend_a_dead_copy(chaos: Chaos) -> None:
    """Somebody takes whatever lies in the dead-letter queue and sends it again with a standard tool."""
    bodies = chaos.world.broker.dead_bodies()
    if bodies:
        body = chaos.chance.choice(bodies)
        name = f"tool-{chaos.new_key()}"
        chaos.spawn("sends a dead copy again", lambda app: app.queue.send(name, body))


def wake_up(chaos: Chaos) -> None:
    """A timer."""
    chaos.spawn("wake", wake)


def autotask_sync(chaos: Chaos) -> None:
    """Somebody has the lines of a subscription looked at."""
    subscription = chaos.subscription()
    chaos.spawn("autotask sync", lambda app: converge_now(app, CUSTOMER, subscription, "ops"))


def move(chaos: Chaos) -> None:
    """Somebody maps a subscription to another line."""
    number, line = chaos.chance.choice(chaos.numbers), chaos.chance.randint(1, chaos.size.lines)
    chaos.spawn(f"map {number} to {line}", map_to(number, line, chaos.chance.choice([None, "push"])))


def bill_at_another_price(chaos: Chaos) -> None:
    """Somebody gives a subscription another price."""
    number, pricing = chaos.chance.randint(1, chaos.size.subscriptions), pricing_of(chaos.chance)
    chaos.spawn(f"reprice {number} {pricing.price}", reprice(number, pricing, key=chaos.new_key()))


def sync(chaos: Chaos) -> None:
    """The customer is read."""
    chaos.spawn("sync", lambda app: sync_customer(app, CUSTOMER))


def tidy(chaos: Chaos) -> None:
    """The dead-letter queue is swept."""
    chaos.spawn("sweep", sweep)


Act = tuple[int, Callable[["Chaos"], None]]


def acts(chaos: Chaos) -> list[Act]:
    """What happens how often in a schedule of its kind."""
    found: list[Act] = [
        (20, request),
        (30, deliver),
        (15, wake_up),
        (4, sync),
        (2, tidy),
        (2, resend_a_dead_copy),
        (3, autotask_sync),
        (4, bulk),
        (5, bill_at_another_price),
        (8 if chaos.allowed.by_hand else 2, reconcile),
    ]
    kinds: list[tuple[bool, Act]] = [
        (chaos.allowed.moves, (8, move)),
        (chaos.allowed.converts, (12, convert)),
        (chaos.allowed.undoes, (8, take_back)),
        (chaos.allowed.renews, (4, renewal)),
    ]
    return found + [act for happens, act in kinds if happens]
