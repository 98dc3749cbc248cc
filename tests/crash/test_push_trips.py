"""What a push reads and writes of the tables, and what it may leave out: nothing that a crash or a race needs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from shared.domain.actions import Action
from shared.domain.operation import CRASH_LIMIT, Address
from shared.storage.read_models import SubscriptionView
from shared.storage.rows import from_row
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.badges import compute, refresh_badge, take_off
from shared.usecases.lease import PUSHER, Held
from shared.usecases.push import push
from shared.usecases.work import LineKey
from tests.crash.scenarios import ask, change, map_to, mapped
from tests.world import checks
from tests.world.steps import Killed, Side, Steps
from tests.world.world import CONTRACT, CUSTOMER, World, line_id, subscription_id

ROUND_TRIPS = 8
SUBSCRIPTIONS = 40
SECOND = Address(CUSTOMER, subscription_id(1), 2)
FIRST_LINE = LineKey(CUSTOMER, subscription_id(1), CONTRACT, line_id(1))


def a_mapped_world() -> World:
    world = World()
    asyncio.run(mapped(world))
    return world


def with_seats_asked_for(world: World, seats: int, key: str = "key-1") -> Address:
    """An operation that Microsoft has carried out and nobody has pushed."""
    process = world.start()
    accepted = asyncio.run(world.run(process, change(1, Action.CHANGE_QUANTITY, quantity=seats, key=key)))
    assert accepted is not None
    address: Address = accepted.operation.address
    return address


def pushed(world: World, address: Address) -> Steps:
    process = world.start()
    asyncio.run(world.run(process, lambda app: push(app, address)))
    return process.steps


def listed(world: World) -> SubscriptionView:
    row = next(row for row in world.tables.rows("subscriptions") if row.key == subscription_id(1))
    return from_row(SubscriptionView, row).value


def begun(world: World) -> int:
    (operation,) = [one for one in world.operations() if one.address == SECOND]
    return operation.legs[0].started


def lines_at_work(world: World) -> str:
    (lease,) = [row for row in world.tables.rows("coordination") if row.key == PUSHER]
    return str(lease.values["note"])


async def dies_reading_units(steps: Steps, label: str, side: Side) -> None:
    if label.startswith("autotask.units") and side is Side.BEFORE:
        steps.die()
        raise Killed(steps.name)


def test_a_push_of_distinct_lines_keeps_within_its_round_trips() -> None:
    world = World()
    for number in range(1, SUBSCRIPTIONS + 1):
        world.subscribe(number, 10)
        world.add_line(number, 10)
        asyncio.run(ask(world, map_to(number, number, "adopt")))
    for number in range(1, SUBSCRIPTIONS + 1):
        process = world.start()
        asyncio.run(world.run(process, change(number, Action.CHANGE_QUANTITY, quantity=12, key=f"key-{number}")))
    world.clock.advance(world.start().app.times.call)  # whoever waits for Microsoft has had its answer

    steps = pushed(world, SECOND)

    assert all(operation.at_rest for operation in world.operations()), world.describe()
    trips = [label for label in steps.trace if label.startswith("tables.")]
    assert len(trips) <= ROUND_TRIPS * SUBSCRIPTIONS
    asyncio.run(world.run_until_quiet())
    asyncio.run(checks.everything(world))


def test_two_operations_of_a_line_that_are_due_are_one_adjustment() -> None:
    world = a_mapped_world()
    with_seats_asked_for(world, 12)
    third = with_seats_asked_for(world, 14, "key-2")
    pushed(world, third)
    assert all(one.at_rest for one in world.operations())
    assert checks.adjustments(world, line_id(1)) == 1


def test_whoever_takes_the_lease_of_a_dead_pusher_counts_the_attempt_once() -> None:
    world = a_mapped_world()
    address = with_seats_asked_for(world, 12)
    world.disturb = dies_reading_units
    pushed(world, address)
    world.disturb = None
    assert (begun(world), lines_at_work(world)) == (0, str(FIRST_LINE))

    world.clock.advance(world.start().app.times.lease * 3)
    world.disturb = dies_reading_units
    pushed(world, address)
    world.disturb = None
    assert begun(world) == 1

    world.clock.advance(world.start().app.times.lease * 3)
    pushed(world, address)
    assert (begun(world), lines_at_work(world)) == (0, ""), "the line came to its end"
    assert checks.adjustments(world, line_id(1)) == 1


def test_a_line_that_kills_every_pusher_while_it_is_read_is_dead_after_so_many() -> None:
    world = a_mapped_world()
    address = with_seats_asked_for(world, 12)
    for _ in range(CRASH_LIMIT):
        world.disturb = dies_reading_units
        pushed(world, address)
        world.disturb = None
        world.clock.advance(world.start().app.times.lease * 3)
    pushed(world, address)
    (dead,) = [one for one in world.operations() if one.dead]
    assert dead.legs[0].reason is not None
    assert dead.legs[0].reason.code == "crash_loop"
    assert checks.adjustments(world, line_id(1)) == 0


def test_a_line_that_fails_without_a_death_is_counted_too() -> None:
    world = a_mapped_world()
    address = with_seats_asked_for(world, 12)

    async def fails(steps: Steps, label: str, side: Side) -> None:
        if label.startswith("autotask.units") and side is Side.BEFORE:
            raise KeyError(steps.name)

    world.disturb = fails
    process = world.start()
    with pytest.raises(KeyError):
        asyncio.run(world.run(process, lambda app: push(app, address)))
    world.disturb = None
    assert lines_at_work(world) == str(FIRST_LINE)

    async def counts_only(app: App) -> None:
        held = await Held.take(app)
        assert held is not None, "the lease was given back"
        assert held.at_work_on == [FIRST_LINE]
        await held.release()

    asyncio.run(world.run(world.start(), counts_only))
    pushed(world, address)
    assert lines_at_work(world) == ""


def test_the_row_of_a_subscription_names_what_its_badge_waits_for() -> None:
    world = a_mapped_world()
    assert (listed(world).badge, listed(world).waiting) == ("synced", ())
    address = with_seats_asked_for(world, 12)
    assert (listed(world).badge, listed(world).waiting) == ("pending", (address.sequence,))
    pushed(world, address)
    assert (listed(world).badge, listed(world).waiting) == ("synced", ())


def test_taking_one_operation_off_leaves_what_the_others_say() -> None:
    world = a_mapped_world()
    address = with_seats_asked_for(world, 12)
    app = world.start().app
    asyncio.run(take_off(app, CUSTOMER, subscription_id(1), [address.sequence - 1]))
    assert (listed(world).badge, listed(world).waiting) == ("pending", (address.sequence,))


def test_a_badge_from_older_facts_does_not_replace_a_newer_one_that_is_the_same_as_before() -> None:
    world = a_mapped_world()

    async def race() -> None:
        app = world.start().app
        slow = await app.views.subscription(CUSTOMER, subscription_id(1))
        assert slow is not None
        await refresh_badge(app, CUSTOMER, subscription_id(1))  # computes what the row says already
        with pytest.raises(WriteConflict):
            await app.views.set_badge(slow, "pending", (99,))

    asyncio.run(race())
    assert listed(world).badge == "synced"


def test_an_operation_that_is_accepted_while_another_ends_stays_on_the_badge() -> None:
    world = a_mapped_world()
    address = with_seats_asked_for(world, 12)
    later = with_seats_asked_for(world, 14, "key-2")
    app = world.start().app
    asyncio.run(take_off(app, CUSTOMER, subscription_id(1), [address.sequence]))
    assert listed(world).badge == "pending"
    word, waiting = asyncio.run(compute(app, CUSTOMER, subscription_id(1)))
    assert (word, waiting) == (listed(world).badge, listed(world).waiting)
    assert waiting is not None
    assert later.sequence in waiting


def test_a_row_that_an_earlier_version_wrote_gets_its_badge_from_the_ledger() -> None:
    world = a_mapped_world()
    address = with_seats_asked_for(world, 12)

    async def as_before() -> None:
        app = world.start().app
        row = await app.views.subscription(CUSTOMER, subscription_id(1))
        assert row is not None
        await app.views.put_subscription(replace(row, value=replace(row.value, waiting=None)))

    asyncio.run(as_before())
    pushed(world, address)
    assert (listed(world).badge, listed(world).waiting) == ("synced", ())
