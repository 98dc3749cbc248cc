"""What time, the vendors and the broker do in a random schedule, and people who work past the application."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.world import autotask, partner_center
from tests.world.autotask import AdjustFault
from tests.world.partner_center import ChangeFault
from tests.world.world import CUSTOMER, line_id

if TYPE_CHECKING:
    from tests.crash.chaos import Chaos

# Everything must have taken effect, and show, within the settling times of `tests.world.world.times`.
_LATE_AUTOTASK, _LAG, _LATE_MICROSOFT, _WORKING = 600, 200, 55, 1500


def time_passes(chaos: Chaos) -> None:
    """Nothing happens for a while."""
    moment = chaos.world.next_moment()
    if moment is not None and chaos.chance.random() < 0.6:
        span = max(moment - chaos.world.clock.now(), timedelta())
    else:
        span = timedelta(seconds=chaos.chance.choice([1, 20, 60, 200, 1000, 30_000]))
    chaos.note(f"{span} passes")
    chaos.world.clock.advance(span)


def vendor_fault(chaos: Chaos) -> None:
    """One of the next answers of a vendor goes wrong, or none comes for a while."""
    world, chance = chaos.world, chaos.chance
    until = world.clock.now() + timedelta(seconds=chance.choice([10, 100, 1000]))
    adjust = chance.choice(list(AdjustFault))
    patch = chance.choice(list(ChangeFault))
    late = _WORKING if patch is ChangeFault.WORKING else _LATE_MICROSOFT
    match chance.randrange(7):
        case 6:
            world.autotask.used = 1 if world.autotask.used > 1 else 9000
            chaos.note(f"{world.autotask.used} requests of the hour are used")
        case 0 | 1:
            world.autotask.faults.append(autotask.Fault(adjust, chance.randint(1, _LATE_AUTOTASK)))
            chaos.note(f"next adjustment: {world.autotask.faults[-1]}")
        case 2 | 3:
            world.partner_center.faults.append(partner_center.Fault(patch, chance.randint(1, late)))
            chaos.note(f"next change: {world.partner_center.faults[-1]}")
        case 4:
            world.autotask.away_until = until
            chaos.note(f"Autotask is away until {until}")
        case 5:
            world.partner_center.away_until = until
            chaos.note(f"Partner Center is away until {until}")
    if not chaos.allowed.by_hand and chance.random() < 0.2:  # a lagging reading hides what somebody did by hand
        world.autotask.lag = timedelta(seconds=chance.choice([0, 5, _LAG]))


def broker_fault(chaos: Chaos) -> None:
    """The broker forgets, is away, delivers twice or loses completions."""
    broker = chaos.world.broker
    match chaos.chance.randrange(4):
        case 0:
            broker.forget()
        case 1:
            broker.away = not broker.away
        case 2:
            broker.copies = 3 - broker.copies
        case 3:
            broker.lost_completions = 1 - broker.lost_completions
    chaos.note(f"broker: away {broker.away}, copies {broker.copies}, lost {broker.lost_completions}")


def somebody_at_microsoft(chaos: Chaos) -> None:
    """Somebody changes the seats directly at Microsoft."""
    subscription = chaos.subscription()
    if chaos.world.partner_center.known(CUSTOMER, subscription).status == "active":
        quantity = chaos.new_quantity()
        chaos.world.partner_center.edit(CUSTOMER, subscription, quantity=quantity)
        chaos.note(f"at Microsoft {subscription[-3:]} := {quantity}")


def post(chaos: Chaos) -> None:
    """The periods of a line are approved and posted."""
    line, day = line_id(chaos.chance.randint(1, chaos.size.subscriptions)), chaos.world.clock.now().date()
    chaos.world.autotask.post_through(line, day)
    chaos.note(f"posted: line {line} through {day}")


def edit_by_hand(chaos: Chaos) -> None:
    """Somebody changes a line in Autotask."""
    line = line_id(chaos.chance.randint(1, chaos.size.subscriptions))
    day, price = chaos.world.clock.now().date() + timedelta(days=chaos.chance.randint(-5, 40)), None
    if chaos.chance.random() < 0.3:  # a price of a part of a period only cannot be told from another
        day, price = day.replace(day=1), Decimal(chaos.chance.randint(0, 3000)) / 100
    chaos.world.autotask.hand_edit(line, day, chaos.chance.randint(0, 3), price=price)
    chaos.note(f"by hand: line {line} from {day}, price {price}")


def acts(chaos: Chaos) -> list[tuple[int, Callable[[Chaos], None]]]:
    """What happens how often in a schedule of its kind."""
    return [
        (15, time_passes),
        (12, vendor_fault),
        (4, broker_fault),
        (2, post),
        *([] if chaos.allowed.renews else [(4, somebody_at_microsoft)]),
        *([(8, edit_by_hand)] if chaos.allowed.by_hand else []),
    ]
