"""One random schedule: several hosts work on several subscriptions while everything goes wrong that can go wrong.

All chance comes from one seed. When the schedule is over the faults end, the world comes to rest, and people decide
about what is dead; then the bill must be right.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.domain.actions import Action
from shared.domain.billing import DecreaseFrom, Policy, StartFrom, SuspendBilling
from shared.domain.errors import CspError, RetryLater
from shared.domain.operation import Address
from shared.domain.planning import DriftPolicy
from shared.domain.pricing import PriceSource, Pricing
from shared.domain.timeline import Timeline, first_difference
from shared.usecases.app import App
from shared.usecases.converge_now import converge_now
from shared.usecases.dead_letters import resubmit, sweep
from shared.usecases.sync import sync_customer
from shared.usecases.wake import wake
from tests.crash.bulk_stories import bulk_of, item
from tests.crash.scenarios import ask, change, map_to, reprice
from tests.world import autotask, partner_center
from tests.world.autotask import Adjusted, AdjustFault
from tests.world.checks import CONTRACT_WINDOW, lines
from tests.world.partner_center import ChangeFault
from tests.world.steps import Side, Steps
from tests.world.world import CUSTOMER, Process, World, line_id, subscription_id

_HOSTS = 2
_DECISIONS = 12  # rounds of re-submitting until nothing is dead

# Everything must have taken effect, and show, within the settling times of `tests.world.world.times`.
_LATE_AUTOTASK, _LAG, _LATE_MICROSOFT, _WORKING = 600, 200, 55, 1500


@dataclass(frozen=True)
class Size:
    """How much happens in a schedule, and to how many subscriptions on how many lines."""

    acts: int
    subscriptions: int
    lines: int


LONG = Size(acts=60, subscriptions=3, lines=5)
SHORT = Size(acts=7, subscriptions=1, lines=2)


class Chaos:
    """The schedule of one seed on a world of its own."""

    def __init__(self, seed: int, size: Size = LONG) -> None:
        self.size = size
        self._chance = random.Random(seed)  # noqa: S311 - a schedule to be replayed is no secret
        random.seed(seed)  # the jitter of the back-off is replayed too
        self.world = World()
        self.log: list[str] = []
        self.unexpected: list[str] = []
        self._hosts: list[Process] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_quantity = 100
        self._key = 0
        self.by_hand = self._chance.random() < 0.4
        self.moves = not self.by_hand and self._chance.random() < 0.6  # nobody looks at a line that was given up
        self._danger = self._chance.choice([0.0, 0.005, 0.02])
        self.policies: dict[int, Policy] = {}

    async def run(self) -> None:
        await self._prepare()
        self.world.disturb = self._disturb
        self.world.autotask.on_effect = self._check_effect
        for _ in range(self.size.acts):
            self._act()
            for _ in range(self._chance.randrange(40)):
                await asyncio.sleep(0)
        await self._calm()
        await self._decide()

    async def _prepare(self) -> None:
        chance, habits = self._chance, self.world.autotask.habits
        habits.same_date_refused = chance.random() < 0.5
        habits.omitted, habits.reach = chance.choice(["keep", "list"]), chance.choice(["next", "onwards"])
        habits.shows_costs, habits.thirtieths = chance.random() < 0.7, chance.random() < 0.3
        habits.posted = chance.choice(["prorate", "reject"])
        for number in range(1, self.size.subscriptions + 1):
            self.world.subscribe(number, 10 * number)
            self.world.add_line(number, 10 * number)
            policy, pricing = self._policy(), None
            if policy.suspend is SuspendBilling.PRICE_ZERO or chance.random() < 0.4:
                pricing = self._pricing()
            self.policies[number] = policy
            await ask(self.world, map_to(number, number, "adopt", policy=policy, pricing=pricing))
        for number in range(self.size.subscriptions + 1, self.size.lines + 1):
            self.world.add_line(number, 0)
        await ask(self.world, lambda app: sync_customer(app, CUSTOMER))

    def _policy(self) -> Policy:
        """A policy by chance, half of the time the default."""
        chance = self._chance
        if chance.random() < 0.5:
            return Policy()
        starts, decreases = list(StartFrom), [DecreaseFrom.BUSINESS_DATE, DecreaseFrom.NEXT_PERIOD]
        return Policy(
            suspend=chance.choice(list(SuspendBilling)),
            suspend_from=chance.choice(starts),
            increase_from=chance.choice(starts),
            decrease_in_window_from=chance.choice(decreases),
            decrease_outside_from=chance.choice(decreases),
            price_from=chance.choice(starts),
            cost_from=chance.choice(starts),
            prorate=chance.random() < 0.5,
            drift=DriftPolicy.OVERWRITE if self.by_hand and chance.random() < 0.5 else DriftPolicy.REVIEW,
        )

    def _pricing(self) -> Pricing:
        price, cost = (Decimal(self._chance.randint(0, 3000)) / 100 for _ in range(2))
        return Pricing(PriceSource.FIXED, price, cost if self._chance.random() < 0.7 else None)

    # What happens

    def _act(self) -> None:
        acts: list[tuple[int, Callable[[], None]]] = [
            (20, self._request),
            (30, self._deliver),
            (15, self._wake),
            (15, self._time_passes),
            (12, self._vendor_fault),
            (4, self._broker_fault),
            (3, self._somebody_at_microsoft),
            (4, lambda: self._spawn("sync", lambda app: sync_customer(app, CUSTOMER))),
            (2, lambda: self._spawn("sweep", sweep)),
            (2, self._resend_a_dead_copy),
            (3, self._autotask_sync),
            (3, self._edit_by_hand),
            (4, self._move),
            (4, self._bulk),
            (5, self._reprice),
            (2, self._post),
        ]
        weights = [weight for weight, _ in acts]
        self._chance.choices([act for _, act in acts], weights)[0]()

    def _request(self) -> None:
        number = self._chance.randint(1, self.size.subscriptions)
        actions = [Action.CHANGE_QUANTITY] * 4 + [Action.SUSPEND, Action.REACTIVATE] * 2
        if not self.by_hand:
            actions.append(Action.CANCEL)
        action = self._chance.choice(actions)
        quantity = None
        if action is Action.CHANGE_QUANTITY:
            self._next_quantity += 1
            quantity = self._next_quantity if self._chance.random() < 0.5 else self._chance.randint(1, 60)
        self._key += 1
        request = change(number, action, quantity=quantity, key=f"key-{self._key}")
        self._spawn(f"{action} {number} {quantity or ''}", request)
        if self._chance.random() < 0.2:
            self._spawn(f"again {action} {number}", request)

    def _bulk(self) -> None:
        wishes = []
        for _ in range(self._chance.randint(1, 4)):
            self._next_quantity += 1
            number = self._chance.randint(1, self.size.subscriptions)
            wishes.append(item(number, Action.CHANGE_QUANTITY, self._next_quantity))
        self._key += 1
        request = bulk_of(*wishes, key=f"key-{self._key}")
        self._spawn(f"bulk of {len(wishes)}", request)
        if self._chance.random() < 0.2:
            self._spawn("the same bulk again", request)

    def _deliver(self) -> None:
        host = self._host()
        message = self.world.broker.receive(host.name, newest_first=self._chance.random() < 0.3)
        if message is not None:
            self._note(f"{host.name} receives {message.message_id[-12:]} ({message.sequence_number}/{message.count})")
            self._start(self.world.deliver_one(host, message))

    def _resend_a_dead_copy(self) -> None:
        """Somebody takes whatever lies in the dead-letter queue and sends it again with a standard tool."""
        bodies = self.world.broker.dead_bodies()
        if bodies:
            body = self._chance.choice(bodies)
            self._spawn("sends a dead copy again", lambda app: app.queue.send(f"tool-{self._key}", body))

    def _wake(self) -> None:
        self._spawn("wake", wake)

    def _autotask_sync(self) -> None:
        subscription = subscription_id(self._chance.randint(1, self.size.subscriptions))
        self._spawn("autotask sync", lambda app: converge_now(app, CUSTOMER, subscription, "ops"))

    def _time_passes(self) -> None:
        moment = self.world.next_moment()
        if moment is not None and self._chance.random() < 0.6:
            span = max(moment - self.world.clock.now(), timedelta())
        else:
            span = timedelta(seconds=self._chance.choice([1, 20, 60, 200, 1000, 30_000]))
        self._note(f"{span} passes")
        self.world.clock.advance(span)

    def _vendor_fault(self) -> None:
        world, chance = self.world, self._chance
        until = world.clock.now() + timedelta(seconds=chance.choice([10, 100, 1000]))
        adjust = chance.choice(list(AdjustFault))
        patch = chance.choice(list(ChangeFault))
        late = _WORKING if patch is ChangeFault.WORKING else _LATE_MICROSOFT
        match chance.randrange(7):
            case 6:
                world.autotask.used = 1 if world.autotask.used > 1 else 9000
                self._note(f"{world.autotask.used} requests of the hour are used")
            case 0 | 1:
                world.autotask.faults.append(autotask.Fault(adjust, chance.randint(1, _LATE_AUTOTASK)))
                self._note(f"next adjustment: {world.autotask.faults[-1]}")
            case 2 | 3:
                world.partner_center.faults.append(partner_center.Fault(patch, chance.randint(1, late)))
                self._note(f"next change: {world.partner_center.faults[-1]}")
            case 4:
                world.autotask.away_until = until
                self._note(f"Autotask is away until {until}")
            case 5:
                world.partner_center.away_until = until
                self._note(f"Partner Center is away until {until}")
        if not self.by_hand and chance.random() < 0.2:  # a lagging reading hides what somebody did by hand
            world.autotask.lag = timedelta(seconds=chance.choice([0, 5, _LAG]))

    def _broker_fault(self) -> None:
        broker = self.world.broker
        match self._chance.randrange(4):
            case 0:
                broker.forget()
            case 1:
                broker.away = not broker.away
            case 2:
                broker.copies = 3 - broker.copies
            case 3:
                broker.lost_completions = 1 - broker.lost_completions
        self._note(f"broker: away {broker.away}, copies {broker.copies}, lost {broker.lost_completions}")

    def _somebody_at_microsoft(self) -> None:
        subscription = subscription_id(self._chance.randint(1, self.size.subscriptions))
        if self.world.partner_center.known(CUSTOMER, subscription).status == "active":
            self._next_quantity += 1
            self.world.partner_center.edit(CUSTOMER, subscription, quantity=self._next_quantity)
            self._note(f"at Microsoft {subscription[-2:]} := {self._next_quantity}")

    def _move(self) -> None:
        if self.moves:
            number, line = self._chance.randint(1, self.size.subscriptions), self._chance.randint(1, self.size.lines)
            self._spawn(f"map {number} to {line}", map_to(number, line, self._chance.choice([None, "push"])))

    def _reprice(self) -> None:
        self._key += 1
        number, pricing = self._chance.randint(1, self.size.subscriptions), self._pricing()
        self._spawn(f"reprice {number} {pricing.price}", reprice(number, pricing, key=f"key-{self._key}"))

    def _post(self) -> None:
        line, day = line_id(self._chance.randint(1, self.size.subscriptions)), self.world.clock.now().date()
        self.world.autotask.post_through(line, day)
        self._note(f"posted: line {line} through {day}")

    def _edit_by_hand(self) -> None:
        if self.by_hand:
            line = line_id(self._chance.randint(1, self.size.subscriptions))
            day, price = self.world.clock.now().date() + timedelta(days=self._chance.randint(-5, 40)), None
            if self._chance.random() < 0.3:  # a price of a part of a period only cannot be told from another
                day, price = day.replace(day=1), Decimal(self._chance.randint(0, 3000)) / 100
            self.world.autotask.hand_edit(line, day, self._chance.randint(0, 3), price=price)
            self._note(f"by hand: line {line} from {day}, price {price}")

    # What goes wrong inside a process

    async def _disturb(self, steps: Steps, label: str, side: Side) -> None:
        self.world.clock.advance(timedelta(microseconds=self._chance.randint(1, 20_000)))
        for _ in range(self._chance.randrange(3)):
            await asyncio.sleep(0)
        if self._chance.random() >= self._danger:
            return
        match self._chance.randrange(4):
            case 0:
                self._note(f"{steps.name} is killed {side} {label}")
                steps.die()
                self.world.broker.holder_died(steps.name)
            case 1 | 2:
                span = timedelta(seconds=self._chance.choice([1, 40, 150, 1000]))
                self._note(f"{steps.name} freezes for {span} {side} {label}")
                self.world.broker.holder_died(steps.name)
                await self.world.clock.until(self.world.clock.now() + span)
            case 3 if label.startswith("tables."):
                self._note(f"{steps.name} gets no answer {side} {label}")
                raise RetryLater("table storage does not answer")

    def _check_effect(self, adjusted: Adjusted, before: Timeline) -> None:
        """Each POST was announced by an intent, meets the timeline that it was planned on, and is under a lease."""
        lease = next(row for row in self.world.tables.rows("coordination") if row.partition == "lease")
        if adjusted.deadline is None or datetime.fromisoformat(str(lease.values["expires"])) < adjusted.deadline:
            self.unexpected.append(f"{adjusted} without a lease that outlives it")
        line = next(line for line in lines(self.world) if line.line == adjusted.line)
        intent = line.intent
        announced = intent is not None and (intent.adjustment, intent.send_by) == (
            adjusted.sent,
            adjusted.deadline,
        )
        if not announced:
            self.unexpected.append(f"{adjusted} without its intent")
        elif intent is not None and not self.by_hand and _differ(intent.before, before):
            self.unexpected.append(f"{adjusted} planned on {intent.before}, met {before}")

    # How it ends

    async def _calm(self) -> None:
        world = self.world
        self._note("faults are over")
        self._danger = 0
        world.autotask.faults.clear()
        world.partner_center.faults.clear()
        world.autotask.away_until = world.partner_center.away_until = None
        world.autotask.lag, world.autotask.used = timedelta(), 1
        world.broker.away, world.broker.copies, world.broker.lost_completions = False, 1, 0
        while self._tasks:
            moment = world.clock.next_waking()
            if moment is not None:
                world.clock.advance(max(moment - world.clock.now(), timedelta()))
            await asyncio.wait(self._tasks, timeout=0)
        for host in self._hosts:
            world.bury(host)
        await world.run_until_quiet()
        world.clock.advance(timedelta(minutes=5))
        await ask(world, lambda app: sync_customer(app, CUSTOMER))

    async def _decide(self) -> None:
        """People look at what is dead and let it be pushed, over a hand edit too; then a last change by the rules."""
        await self._resubmit_all()
        if self.by_hand:
            self.world.clock.advance(timedelta(days=1))
            for number in range(1, self.size.subscriptions + 1):
                known = self.world.partner_center.known(CUSTOMER, subscription_id(number))
                last = Action.REACTIVATE if known.status == "suspended" else Action.CHANGE_QUANTITY
                quantity = 90 if last is Action.CHANGE_QUANTITY else None
                await ask(self.world, change(number, last, quantity=quantity, key="last"))
            await self._resubmit_all()

    async def _resubmit_all(self) -> None:
        for _ in range(_DECISIONS):
            dead = [operation.address for operation in self.world.operations() if operation.dead]
            if not dead:
                return
            for address in dead:
                self._note(f"re-submit {address.subscription[-2:]}#{address.sequence}")
                await ask(self.world, _overwrite(address))

    # The machinery

    def _spawn(self, what: str, job: Callable[[App], Awaitable[Any]]) -> None:
        host = self._host()
        self._note(f"{host.name} {what}")
        self._start(self._guarded(host, what, job))

    async def _guarded(self, host: Process, what: str, job: Callable[[App], Awaitable[Any]]) -> None:
        try:
            await self.world.run(host, job)
        except CspError as error:
            self._note(f"{host.name} {what}: {type(error).__name__} {error}")
        except Exception as error:  # noqa: BLE001 - whatever else comes out of a use case is a finding
            self.unexpected.append(f"{what}: {error!r}")

    def _start(self, job: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _host(self) -> Process:
        self._hosts = [host for host in self._hosts if not host.steps.dead]
        while len(self._hosts) < _HOSTS:
            self._hosts.append(self.world.start())
        return self._chance.choice(self._hosts)

    def _note(self, text: str) -> None:
        self.log.append(f"{self.world.clock.now():%d %H:%M:%S.%f} {text}")


def _differ(planned_on: Timeline, met: Timeline) -> bool:
    """In units: how far a price of ours reached is only known once it is read back."""
    return first_difference(planned_on, met, owned=Timeline(), window=CONTRACT_WINDOW) is not None


def _overwrite(address: Address) -> Callable[[App], Awaitable[Any]]:
    return lambda app: resubmit(app, address, "ops", why="", policy=DriftPolicy.OVERWRITE)
