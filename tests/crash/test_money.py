"""Prices, posted periods, policies and ended contracts: what is billed in the end, and what a person is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from shared.domain.actions import Action
from shared.domain.asks import UpgradeAsk
from shared.domain.billing import Policy, StartFrom
from shared.domain.operation import Leg
from shared.domain.planning import Adjustment, DriftPolicy
from shared.domain.rates import Rate
from shared.domain.shortfalls import Shortfall
from shared.usecases.dead_letters import dismiss, resubmit
from tests.crash.conversion_stories import billed_as_premium, wish
from tests.crash.scenarios import (
    FOLLOWS,
    NEXT_PERIOD,
    STANDARD,
    TODAY,
    TOMORROW,
    ask,
    change,
    first_dead,
    listed,
    map_to,
    mapped,
    priced,
    reprice,
    tell,
    unmapped,
)
from tests.world import checks
from tests.world.autotask import AdjustFault, Fault
from tests.world.conversions import TARGET
from tests.world.steps import Side, Steps
from tests.world.world import CONTRACT, CONTRACT_END, CONTRACT_START, CUSTOMER, World, line_id, subscription_id

LINE = line_id(1)
MORE = change(1, Action.CHANGE_QUANTITY, quantity=14)
OVERWRITE = first_dead(lambda app, dead: resubmit(app, dead, "ops", why="", policy=DriftPolicy.OVERWRITE))


def a_world(policy: Policy | None = None, price: str | None = None, cost: str | None = None) -> World:
    """Subscription 1 with ten seats on line 1, at a price of ours where one is given."""
    world = World()
    world.subscribe(1, 10)
    world.add_line(1, 10)
    pricing = None if price is None else priced(price, cost)
    asyncio.run(ask(world, map_to(1, 1, "adopt", policy=policy, pricing=pricing)))
    world.clock.advance(timedelta(hours=1))
    return world


def last(world: World) -> Leg:
    """The leg of the newest operation."""
    return world.operations()[-1].legs[-1]


def price_on(world: World, *days: date) -> list[str]:
    true = world.autotask.timeline(LINE)
    return [str(true.rate_at(Rate.PRICE, day)) for day in days]


def ours(world: World) -> list[Adjustment]:
    return [item.adjustment for item in world.autotask.log if item.line == LINE and item.source == "api"]


# How far a named price reaches is Autotask's affair


def test_a_price_that_an_adjustment_overran_is_named_again() -> None:
    world = a_world()
    world.autotask.habits.reach = "onwards"
    world.autotask.habits.same_date_refused = False
    tell(world, reprice(1, priced("13.25")), MORE)
    assert price_on(world, CONTRACT_START, TODAY, NEXT_PERIOD, CONTRACT_END) == ["12.50", "12.50", "13.25", "13.25"]
    assert last(world).shortfalls == ()


def test_where_its_date_is_taken_it_is_named_a_day_later_and_the_difference_is_told() -> None:
    world = a_world()
    world.autotask.habits.reach = "onwards"
    tell(world, reprice(1, priced("13.25")), MORE)
    assert price_on(world, NEXT_PERIOD, NEXT_PERIOD + timedelta(days=1)) == ["12.50", "13.25"]
    (short,) = last(world).shortfalls
    assert short == Shortfall(
        NEXT_PERIOD,
        NEXT_PERIOD,
        14,
        14,
        desired_price=Decimal("13.25"),
        billed_price=Decimal("12.50"),
        desired_cost=Decimal("10.00"),
        billed_cost=Decimal("10.00"),
        money=Decimal("-0.35"),
    )


@pytest.mark.parametrize("reach", ["next", "onwards"])
@pytest.mark.parametrize("omitted", ["keep", "list"])
def test_a_price_that_is_not_ours_stays_whatever_an_adjustment_does_to_it(reach: str, omitted: str) -> None:
    world = a_world()
    world.autotask.habits.reach = "onwards" if reach == "onwards" else "next"
    world.autotask.habits.omitted = "list" if omitted == "list" else "keep"
    world.autotask.hand_edit(LINE, CONTRACT_START, 0, price=Decimal(11), cost=Decimal(8))
    world.autotask.hand_edit(LINE, NEXT_PERIOD, 0, price=Decimal(15))
    tell(world, MORE)
    assert price_on(world, CONTRACT_START, TODAY, NEXT_PERIOD, CONTRACT_END) == ["11", "11.00", "15.00", "15.00"] or (
        price_on(world, CONTRACT_START, TODAY, NEXT_PERIOD, CONTRACT_END) == ["11", "11.00", "15", "15"]
    )
    assert world.autotask.timeline(LINE).rate_at(Rate.COST, CONTRACT_END) == 8


def test_parts_of_a_period_by_another_formula_change_nothing() -> None:
    world = a_world(price="12.50")
    world.autotask.habits.thirtieths = True
    days = [TODAY + timedelta(days=number) for number in range(3)]
    for number, day in enumerate(days):
        tell(world, change(1, Action.CHANGE_QUANTITY, quantity=11 + number, key=f"key-{number}"))
        assert world.clock.now().date() == day
        world.clock.advance(timedelta(days=1))
    assert [adjustment.price for adjustment in ours(world)] == [Decimal("12.50")] * 3
    assert price_on(world, CONTRACT_END) == ["12.50"]


# Rates that cannot be read


@pytest.mark.parametrize("fault", [None, AdjustFault.LOST, AdjustFault.ANSWER_LOST])
def test_a_cost_that_cannot_be_read_is_sent_until_it_was_accepted_and_then_believed(fault: AdjustFault | None) -> None:
    world = World()
    world.autotask.habits.shows_costs = False
    asyncio.run(mapped(world))
    world.autotask.faults += [Fault(fault)] if fault else []
    tell(world, reprice(1, priced("12.50", "10.75")))
    assert world.autotask.timeline(LINE).rate_at(Rate.COST, NEXT_PERIOD) == Decimal("10.75")
    sent = len(ours(world))
    world.clock.advance(timedelta(days=1))
    tell(world, MORE)
    assert [adjustment.cost for adjustment in ours(world)[sent:]] == [None], "10.00 until then is not known to us"
    assert len(ours(world)) == 2


# Hand edits


def test_a_price_of_ours_that_was_edited_by_hand_is_explained_and_overwritten_on_request() -> None:
    world = a_world(Policy(price_from=StartFrom.BUSINESS_DATE), price="12.50")
    world.autotask.hand_edit(LINE, TODAY, 0, price=Decimal(11))
    tell(world, MORE)
    leg = last(world)
    assert leg.reason is not None
    assert leg.reason.code == "drift"
    assert "10 units at 11.00 (110.00 a month)" in leg.reason.sentence
    assert leg.drift is not None
    assert (leg.drift.on, leg.drift.actual_price, leg.drift.verified_price) == (
        TODAY,
        Decimal("11.00"),
        Decimal("12.50"),
    )
    tell(world, OVERWRITE)
    assert price_on(world, TODAY, NEXT_PERIOD) == ["12.50", "12.50"]
    assert checks.billed(world, LINE) == {CONTRACT_START: 10, TODAY: 14}


@pytest.mark.parametrize(
    ("drift", "units", "price"),
    [(DriftPolicy.OVERWRITE, 14, "12.50"), (DriftPolicy.RESPECT, 17, "11.00")],
)
def test_a_mapping_can_say_what_becomes_of_hand_edits(drift: DriftPolicy, units: int, price: str) -> None:
    world = a_world(Policy(drift=drift), price="12.50")
    world.autotask.hand_edit(LINE, CONTRACT_START, 3, price=Decimal(11))
    tell(world, MORE)
    assert world.autotask.timeline(LINE).at(TODAY) == units
    assert price_on(world, CONTRACT_END) == [price]
    assert last(world).reason is None
    world.clock.advance(timedelta(days=1))
    tell(world, change(1, Action.CHANGE_QUANTITY, quantity=15, key="key-2"))
    assert world.autotask.timeline(LINE).at(TOMORROW) == units + 1, "what somebody added stays on top of ours"
    assert price_on(world, CONTRACT_END) == [price]


def test_a_price_that_is_not_ours_may_be_edited_by_anybody() -> None:
    world = a_world()
    world.autotask.hand_edit(LINE, TODAY, 0, price=Decimal(11))
    tell(world, MORE)
    assert price_on(world, TODAY, CONTRACT_END) == ["11.00", "11.00"]


def test_dismissing_a_price_takes_what_autotask_has_as_right() -> None:
    world = a_world(price="12.50")
    world.autotask.faults.append(Fault(AdjustFault.REFUSED))
    tell(world, reprice(1, priced("13.25")))
    tell(
        world,
        lambda app: dismiss(app, world.operations()[-1].address, "ops", why="not this year"),
        change(1, Action.CHANGE_QUANTITY, quantity=14, key="key-2"),
    )
    assert price_on(world, CONTRACT_END) == ["12.50"]


# Posted periods


async def _post_march(world: World, until: date) -> None:
    async def disturb(steps: Steps, label: str, side: Side) -> None:
        if label.startswith("autotask.adjust") and side is Side.BEFORE:
            world.autotask.post_through(LINE, until)

    world.disturb = disturb
    await ask(world, MORE)
    world.disturb = None


def test_a_period_that_is_posted_between_plan_and_request_is_prorated_from_the_next_day() -> None:
    """The seats are wanted from the first of the month, whose row becomes one that must not be rewritten."""
    world = a_world()
    world.clock.advance(timedelta(days=22))
    assert world.clock.now().date() == NEXT_PERIOD
    asyncio.run(_post_march(world, NEXT_PERIOD))
    asyncio.run(checks.everything(world))
    assert checks.billed(world, LINE) == {CONTRACT_START: 10, NEXT_PERIOD + timedelta(days=1): 14}
    (short,) = last(world).shortfalls
    assert (short.start, short.end, short.money) == (NEXT_PERIOD, NEXT_PERIOD, Decimal("-1.67"))


def test_an_effect_that_is_there_does_not_move_when_its_period_is_posted_later() -> None:
    world = a_world(Policy(prorate=False))
    tell(world, MORE)
    world.autotask.post_through(LINE, TODAY)
    world.clock.advance(timedelta(days=1))
    tell(world, change(1, Action.CHANGE_QUANTITY, quantity=15, key="key-2"))
    assert checks.billed(world, LINE) == {CONTRACT_START: 10, TODAY: 14, NEXT_PERIOD: 15}


def test_where_everything_is_posted_a_person_is_told_what_is_missing() -> None:
    world = a_world()
    world.autotask.habits.posted = "reject"
    asyncio.run(_post_march(world, CONTRACT_END))
    asyncio.run(checks.everything(world))
    reason = last(world).reason
    assert reason is not None
    assert reason.code == "no_usable_date"
    assert "posted through 2026-12" in reason.sentence
    assert "50.00 a month too little" in reason.sentence
    assert checks.billed(world, LINE) == {CONTRACT_START: 10}


def test_a_new_price_is_for_the_first_period_that_is_not_posted() -> None:
    world = a_world()
    world.autotask.post_through(LINE, NEXT_PERIOD)
    tell(world, reprice(1, priced("13.25")))
    may = date(2026, 5, 1)
    assert price_on(world, NEXT_PERIOD, may - timedelta(days=1), may) == ["12.50", "12.50", "13.25"]
    assert [adjustment.date for adjustment in ours(world)] == [may]


# The contract


def test_a_contract_that_was_shortened_needs_a_person_and_goes_on_once_it_is_extended() -> None:
    world = a_world()
    world.autotask.change_contract(CONTRACT, end=TODAY - timedelta(days=1))
    tell(world, MORE)
    reason = last(world).reason
    assert reason is not None
    assert reason.code == "contract_ended"
    assert f"wanted from {TODAY}" in reason.sentence
    world.autotask.change_contract(CONTRACT, end=CONTRACT_END)
    tell(world, first_dead(lambda app, dead: resubmit(app, dead, "ops", why="", policy=None)))
    assert world.autotask.timeline(LINE).at(TODAY) == 14


def test_a_contract_that_was_extended_is_no_change() -> None:
    world = a_world(price="12.50")
    world.autotask.change_contract(CONTRACT, end=date(2027, 12, 31))
    tell(world, MORE)
    assert world.autotask.timeline(LINE).at(date(2027, 12, 31)) == 14
    assert len(ours(world)) == 1


def test_a_line_in_a_bundle_and_a_contract_that_is_gone_need_a_person() -> None:
    for spoil, code in ((World.bundle, "line_in_bundle"), (World.hide_contract, "contract_not_found")):
        world = a_world(price="12.50")
        spoil(world)
        tell(world, MORE)
        reason = last(world).reason
        assert reason is not None
        assert reason.code == code
        assert str(CONTRACT) in reason.sentence
        assert "12.50" in reason.sentence


# Dates


def test_a_change_that_failed_is_billed_from_its_own_date_after_later_ones() -> None:
    """+2 fails and -1 succeeds two days later: both spans are right, with two adjustments."""
    world = a_world()
    world.autotask.faults.append(Fault(AdjustFault.REFUSED))
    tell(world, change(1, Action.CHANGE_QUANTITY, quantity=12))
    world.clock.advance(timedelta(days=2))
    tell(world, change(1, Action.CHANGE_QUANTITY, quantity=11, key="key-2"))
    later = TODAY + timedelta(days=2)
    assert checks.billed(world, LINE) == {CONTRACT_START: 10, TODAY: 12, later: 11}
    assert len(ours(world)) == 2
    assert [operation.status for operation in world.operations()] == ["done", "synced", "synced"]


def test_seats_and_price_of_one_date_are_one_adjustment() -> None:
    world = a_world(Policy(price_from=StartFrom.BUSINESS_DATE))
    world.broker.away = True  # both wait for the push
    process = world.start()
    asyncio.run(world.run(process, reprice(1, priced("13.25"))))
    asyncio.run(world.run(process, MORE))
    world.broker.away = False
    asyncio.run(world.run_until_quiet(process))
    assert ours(world) == [Adjustment(TODAY, 4, Decimal("13.25"), Decimal("10.00"))]


def test_a_moved_subscription_takes_its_price_along() -> None:
    world = World()
    asyncio.run(mapped(world))
    world.add_line(2, 0)
    tell(world, reprice(1, priced("13.25", "9")), map_to(1, 2))
    moved = world.autotask.timeline(line_id(2))
    assert [moved.rate_at(kind, TODAY) for kind in Rate] == [Decimal("13.25"), 9]


def test_seats_that_become_another_product_get_its_price_from_the_list() -> None:
    world = a_world()
    tell(world, listed(STANDARD, "10"), listed("CFQ7TTC0LCHC:0002", "17.60"), reprice(1, FOLLOWS))
    tell(world, billed_as_premium("CFQ7TTC0LCHC:0002"), wish(1, Action.UPGRADE, UpgradeAsk(TARGET)))
    made = world.autotask.timeline(line_id(2))
    assert made.at(TODAY) == 10
    assert [made.rate_at(kind, TODAY) for kind in Rate] == [Decimal("21.12"), Decimal("17.6000")]


def test_a_fixed_price_is_not_that_of_another_product() -> None:
    world = a_world(price="11")
    tell(world, billed_as_premium("CFQ7TTC0LCHC:0002"), wish(1, Action.UPGRADE, UpgradeAsk(TARGET)))
    made = world.autotask.timeline(line_id(2))
    assert (made.at(TODAY), made.rate_at(Rate.PRICE, TODAY)) == (10, Decimal(22)), "as the service costs in Autotask"


def test_pushed_seats_have_no_price_of_ours_where_the_mapping_has_none() -> None:
    world = World()
    asyncio.run(unmapped(world))
    tell(world, map_to(1, 1, "push"))
    assert ours(world) == [Adjustment(TODAY, 10)]


def test_the_same_price_again_changes_nothing() -> None:
    world = a_world(price="12.50")
    before = len(world.operations())
    tell(world, reprice(1, priced("12.5")), reprice(1, replace(priced("12.50")), key="price-2"))
    assert len(world.operations()) == before
    assert ours(world) == []
    head = {row.key for row in world.tables.rows("ledger") if row.partition == CUSTOMER}
    assert f"H:{subscription_id(1)}" in head
