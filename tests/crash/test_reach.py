"""How far a named price reaches is Autotask's affair: a line learns it, and nothing is sent again that did not help."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import pytest

from shared.domain.actions import Action
from shared.domain.billing import Policy, StartFrom
from shared.domain.line import Line
from shared.domain.planning import Adjustment, DriftPolicy
from shared.domain.pricing import Pricing
from shared.domain.rates import Rate, Reach
from shared.usecases.dead_letters import resubmit
from tests.crash.scenarios import (
    NEXT_PERIOD,
    TODAY,
    Ask,
    ask,
    change,
    map_to,
    priced,
    reprice,
    tell,
)
from tests.world import checks
from tests.world.world import CONTRACT_END, CONTRACT_START, World, line_id

LINE = line_id(1)
SPLIT = Policy(price_from=StartFrom.BUSINESS_DATE, cost_from=StartFrom.NEXT_PERIOD, increase_from=StartFrom.NEXT_PERIOD)


def a_world(units: int, how: str, policy: Policy, pricing: Pricing) -> World:
    """Subscription 1 with ten seats, mapped to line 1; Autotask counts a part of a month in thirtieths."""
    world = World()
    world.autotask.habits.thirtieths = True
    world.autotask.habits.same_date_refused = False
    world.subscribe(1, 10)
    world.add_line(1, units)
    asyncio.run(ask(world, map_to(1, 1, how, policy=policy, pricing=pricing)))
    world.clock.advance(timedelta(hours=1))
    return world


def sent(world: World) -> list[Adjustment]:
    return [item.adjustment for item in world.autotask.log if item.line == LINE and item.source == "api"]


def prices_on(world: World, *days: date) -> list[str]:
    return [str(world.autotask.timeline(LINE).rate_at(Rate.PRICE, day)) for day in days]


def the_line(world: World) -> Line:
    return next(line for line in checks.lines(world) if line.line == LINE)


@pytest.mark.parametrize("reach", ["next", "onwards"])
def test_prices_that_differ_inside_a_period_come_to_rest_wherever_they_reach(reach: Literal["next", "onwards"]) -> None:
    """Nine days of 12.92 counted by days are nine of 12.50 in thirtieths: the part before today is not mistaken."""
    world = a_world(10, "adopt", SPLIT, priced("7.92", "7.87"))
    world.autotask.habits.reach = reach
    before = len(sent(world))
    tell(world, change(1, Action.CHANGE_QUANTITY, quantity=101), reprice(1, priced("12.92", "13.95")))
    assert prices_on(world, CONTRACT_START, TODAY, NEXT_PERIOD, CONTRACT_END) == ["12.50", "12.92", "12.92", "12.92"]
    assert the_line(world).reach in {Reach.NEXT, Reach(reach)}
    assert len(sent(world)) - before <= 4


def test_a_line_learns_that_rates_reach_onwards_and_sends_what_one_would_overrun_with_it() -> None:
    later = Policy(increase_from=StartFrom.BUSINESS_DATE, price_from=StartFrom.NEXT_PERIOD)
    world = a_world(10, "adopt", later, priced("12.50"))
    world.autotask.habits.reach = "onwards"
    tell(world, reprice(1, priced("13.25")), change(1, Action.CHANGE_QUANTITY, quantity=11))
    assert the_line(world).reach is Reach.ONWARDS
    learned = len(sent(world))
    world.clock.advance(timedelta(days=1))
    tell(world, change(1, Action.CHANGE_QUANTITY, quantity=12, key="key-2"))
    tomorrow = TODAY + timedelta(days=1)
    assert [(item.date, item.change) for item in sent(world)[learned:]] == [(tomorrow, 1), (NEXT_PERIOD, 0)]
    assert prices_on(world, tomorrow, NEXT_PERIOD) == ["12.50", "13.25"]


@pytest.mark.parametrize("reach", ["next", "onwards"])
def test_rates_that_autotask_takes_and_does_not_show_are_not_sent_again_by_a_submission(
    reach: Literal["next", "onwards"],
) -> None:
    """Costs are hidden and the month has one part only: 12.00 in thirtieths looks as 12.40 by days does."""
    world = a_world(0, "push", Policy(price_from=StartFrom.NEXT_PERIOD), priced("12.00"))
    world.autotask.habits.shows_costs, world.autotask.habits.reach = False, reach
    asyncio.run(ask(world, reprice(1, priced("12.40"))))
    assert reason(world) == "accepted_not_visible"
    before = sent(world)
    assert before.count(before[-1]) == 1
    for policy in (None, DriftPolicy.OVERWRITE):
        asyncio.run(ask(world, again(world, policy)))
        assert reason(world) == "rates_not_shown"
    assert sent(world) == before

    world.autotask.habits.thirtieths = False  # somebody has looked after the line, and corrected its later price
    if reach == "onwards":
        world.autotask.hand_edit(LINE, NEXT_PERIOD, 0, price=Decimal("12.40"))
    asyncio.run(ask(world, again(world, None)))
    assert not world.operations()[-1].dead
    assert the_line(world).vain == ()


def reason(world: World) -> str:
    """Why the newest operation is dead."""
    (leg,) = world.operations()[-1].legs
    return leg.reason.code if leg.reason is not None else ""


def again(world: World, policy: DriftPolicy | None) -> Ask:
    """Submit the newest operation again."""
    address = world.operations()[-1].address
    return lambda app: resubmit(app, address, "ops", why="", policy=policy)
