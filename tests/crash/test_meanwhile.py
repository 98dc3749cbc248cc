"""Somebody else changes a subscription, or asks for something, while an operation of ours is not at its end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from shared.domain.actions import Action
from shared.domain.asks import RenewalAsk, UpgradeAsk
from shared.domain.errors import Refused
from shared.domain.known import Intention, Known
from shared.domain.operation import Kind
from shared.usecases.sync import sync_customer
from shared.usecases.wake import wake
from tests.crash.conversion_stories import upgradable, wish, wish_of, with_a_destination
from tests.crash.scenarios import TODAY, ask, map_to, mapped
from tests.world import checks
from tests.world.conversions import TARGET
from tests.world.world import CONTRACT_START, CUSTOMER, World, line_id, subscription_id

MORE = wish(1, Action.CHANGE_QUANTITY, quantity=14, key="key-2")


def test_seats_that_somebody_else_added_are_billed_though_an_operation_that_bills_nothing_saw_them_first() -> None:
    world = World()
    asyncio.run(mapped(world))
    world.partner_center.edit(CUSTOMER, subscription_id(1), quantity=13)
    world.clock.advance(timedelta(hours=1))
    asyncio.run(ask(world, wish(1, Action.SCHEDULE_RENEWAL, RenewalAsk(quantity=7))))
    world.clock.advance(timedelta(hours=1))
    asyncio.run(ask(world, lambda app: sync_customer(app, CUSTOMER)))
    asyncio.run(checks.everything(world))
    assert world.operations()[-1].kind is Kind.DETECTED
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 13}


def test_seats_are_not_changed_while_nobody_knows_on_which_line_they_are_billed() -> None:
    """The product of the upgrade is mapped to no service: the old line is over, and must not be billed again."""
    world = World()
    asyncio.run(mapped(world))
    asyncio.run(ask(world, wish(1, Action.UPGRADE, UpgradeAsk(TARGET))))
    with pytest.raises(Refused) as refused:
        asyncio.run(ask(world, MORE))
    assert (refused.value.code, refused.value.details["status"]) == ("operation_in_progress", 409)

    world.partner_center.edit(CUSTOMER, subscription_id(1), quantity=13)
    world.clock.advance(timedelta(hours=1))
    asyncio.run(ask(world, lambda app: sync_customer(app, CUSTOMER)))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 0}


def test_what_an_upgrade_brings_about_takes_no_action_before_the_upgrade_is_settled() -> None:
    world = World()
    asyncio.run(upgradable(world))
    process = world.start()
    asyncio.run(world.run(process, wish(1, Action.UPGRADE, UpgradeAsk(TARGET, quantity=4))))
    world.clock.advance(timedelta(seconds=world.transitions.seconds))
    (made,) = set(world.partner_center.resources(CUSTOMER)) - {subscription_id(1)}
    with pytest.raises(Refused, match="may be what it brings about"):
        asyncio.run(world.run(process, wish_of(made, Action.CHANGE_QUANTITY, quantity=9, key="key-2")))
    asyncio.run(world.run_until_quiet(process))
    asyncio.run(checks.everything(world))


def test_seats_that_were_added_while_all_others_moved_stay_on_their_line() -> None:
    world = World()
    asyncio.run(with_a_destination(world))
    process = world.start()
    everything = UpgradeAsk(TARGET, to_subscription=subscription_id(2))
    asyncio.run(world.run(process, wish(1, Action.UPGRADE, everything)))
    world.partner_center.edit(CUSTOMER, subscription_id(1), quantity=25)
    asyncio.run(world.run_until_quiet(process))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 15}
    assert checks.billed(world, line_id(2)) == {CONTRACT_START: 4, TODAY: 14}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Known("active", 10, schedule=""), True),
        (Known("active", 11, schedule=""), False),
        (Known("suspended", 10, schedule=""), False),
        (Known("active", 10, schedule="{}"), False),
    ],
)
def test_a_missing_schedule_says_nothing_after_another_change(known: Known, *, expected: bool) -> None:
    """Microsoft drops a schedule with any change of seats or state."""
    assert Intention(schedule='{"quantity":7}').untouched(Known("active", 10, schedule=""), known) is expected


def test_seats_that_join_a_subscription_whose_new_line_is_not_found_yet_are_billed_there() -> None:
    world = World()
    asyncio.run(upgradable(world))
    world.subscribe(2, 20)
    world.add_line(2, 20)
    asyncio.run(ask(world, map_to(2, 2, "adopt")))
    process = world.start()
    world.autotask.habits.same_date_refused = False
    world.autotask.away_until = world.clock.now() + timedelta(hours=2)
    asyncio.run(world.run(process, wish(1, Action.UPGRADE, UpgradeAsk(TARGET))))
    world.clock.advance(timedelta(minutes=10))
    asyncio.run(world.run(process, wake))
    assert world.partner_center.known(CUSTOMER, subscription_id(1)).product in TARGET
    joins = UpgradeAsk(TARGET, to_subscription=subscription_id(1))
    asyncio.run(world.run(process, wish(2, Action.UPGRADE, joins)))
    asyncio.run(world.run_until_quiet(process))
    asyncio.run(checks.everything(world))
    assert [checks.billed(world, line_id(number)) for number in (1, 2, 3)] == [
        {CONTRACT_START: 10, TODAY: 0},
        {CONTRACT_START: 20, TODAY: 0},
        {CONTRACT_START: 0, TODAY: 30},
    ]
