"""A full sync that dies at any I/O step goes on and ends with what Microsoft has, and reads no more than needed."""

from __future__ import annotations

import asyncio
import copy
from datetime import timedelta
from functools import cache

import pytest

from shared.domain.sync_run import Ending
from shared.usecases.sync_full import go_on
from tests.crash.scenarios import TODAY, ask, map_to
from tests.world import checks
from tests.world.steps import Point, Side
from tests.world.sync import (
    customer_id,
    full_sync,
    populate,
    requests,
    rows_are_what_microsoft_has,
    subscription_of,
    subscriptions,
    writes_of,
)
from tests.world.world import CONTRACT_START, CUSTOMER, Process, World, line_id, subscription_id

CUSTOMERS = 5


@cache
def known_world() -> World:
    """Six customers, one of them billed, all read by a full sync; then some of them change at Microsoft."""
    world = World()

    async def prepare() -> None:
        populate(world, CUSTOMERS)
        world.subscribe(1, 10)
        world.add_line(1, 10)
        await full_sync(world)
        await ask(world, map_to(1, 1, "adopt"))
        world.clock.advance(timedelta(hours=1))
        await full_sync(world)
        world.clock.advance(timedelta(hours=1))

    asyncio.run(prepare())
    center = world.partner_center
    center.put(customer_id(1), subscription_of(1, 1), quantity=77)
    center.put(customer_id(3), subscription_of(3, 2), friendlyName="Renamed")
    center.edit(CUSTOMER, subscription_id(1), quantity=13)
    world.tables.writes.clear()
    world.listings.log.clear()
    return world


def test_a_run_asks_for_each_page_and_each_customer_once_and_writes_what_changed() -> None:
    world = copy.deepcopy(known_world())
    run, _ = asyncio.run(full_sync(world))
    assert (run.ending, run.done, run.total) == (Ending.COMPLETE, CUSTOMERS + 1, CUSTOMERS + 1)
    assert set(requests(world, "customers").values()) == {1}
    assert len(requests(world, "customers")) == 3
    assert set(requests(world, "subscriptions").values()) == {1}
    assert (run.counts.written, run.counts.unchanged, run.counts.detected) == (3, CUSTOMERS - 2, 1)
    rows_are_what_microsoft_has(world)


@pytest.mark.parametrize("side", Side)
def test_a_run_that_dies_anywhere_goes_on_and_ends_right(side: Side) -> None:
    dry = copy.deepcopy(known_world())
    _, process = asyncio.run(full_sync(dry))
    for number, label in enumerate(process.steps.trace, start=1):
        world = copy.deepcopy(known_world())
        process = world.start()
        process.steps.kill_at = Point(number, side)
        try:
            run, _ = asyncio.run(full_sync(world, process))
            assert process.steps.dead, "the run took another way"
            asyncio.run(_all_is_right(world))
            assert run.ending is Ending.COMPLETE
            assert (run.counts.missing_customers, run.counts.missing_subscriptions) == (0, 0)
        except BaseException as error:
            error.add_note(f"killed {side} step {number}, {label}")
            raise


async def _all_is_right(world: World) -> None:
    rows_are_what_microsoft_has(world)
    written = writes_of(world, "subscriptions")
    unbilled = {key: count for key, count in written.items() if key != subscription_id(1)}
    assert unbilled == {subscription_of(1, 1): 1, subscription_of(3, 2): 1}, "a row was written twice for one change"
    again = {customer: count for customer, count in requests(world, "subscriptions").items() if count > 1}
    assert len(again) <= 2, "more was read again than one page holds"
    await world.run_until_quiet()
    await checks.everything(world)
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 13}
    assert checks.adjustments(world, line_id(1)) == 1
    detected = [one for one in world.operations() if one.kind == "detected"]
    assert [one.after.quantity for one in detected] == [13]


@pytest.mark.parametrize("side", Side)
def test_the_first_run_that_dies_anywhere_ends_with_every_row(side: Side) -> None:
    def a_new_world() -> World:
        world = World()
        populate(world, 3, each=1)
        return world

    _, process = asyncio.run(full_sync(a_new_world()))
    for number, label in enumerate(process.steps.trace, start=1):
        world = a_new_world()
        process = world.start()
        process.steps.kill_at = Point(number, side)
        try:
            asyncio.run(full_sync(world, process))
            rows_are_what_microsoft_has(world)
            assert set(writes_of(world, "subscriptions").values()) == {1}
            assert world.operations() == [], "what a first run sees is no change"
        except BaseException as error:
            error.add_note(f"killed {side} step {number}, {label}")
            raise


@pytest.mark.parametrize("side", Side)
def test_what_is_undone_at_microsoft_while_a_run_is_dead_is_seen(side: Side) -> None:
    """The listing has the bytes of the last complete run again, while a dead run has written other rows."""
    dry = copy.deepcopy(known_world())
    _, process = asyncio.run(full_sync(dry))
    for number, label in enumerate(process.steps.trace, start=1):
        world = copy.deepcopy(known_world())
        process = world.start()
        process.steps.kill_at = Point(number, side)
        try:
            asyncio.run(_dies_and_all_is_undone(world, process))
            rows_are_what_microsoft_has(world)
            assert subscriptions(world)[subscription_of(1, 1)].snapshot.quantity == 7
        except BaseException as error:
            error.add_note(f"killed {side} step {number}, {label}")
            raise


async def _dies_and_all_is_undone(world: World, process: Process) -> None:
    await world.run(process, lambda app: go_on(app, start=("test", "tester")))
    world.partner_center.put(customer_id(1), subscription_of(1, 1), quantity=7)
    world.partner_center.put(customer_id(3), subscription_of(3, 2), friendlyName="Microsoft 365 Business Standard")
    world.clock.advance(timedelta(minutes=10))
    await full_sync(world)  # goes on with the dead one; what it had read already is left to the next
    world.clock.advance(timedelta(minutes=10))
    await full_sync(world)
