"""The incremental sync: exactly the audit pages and the customers that new records mention, whatever dies or fails."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from datetime import timedelta

import pytest

from shared.domain.actions import Action
from shared.domain.detected import Cause
from shared.domain.errors import CspError, Denied, Misconfigured, NotFound, RetryLater
from shared.domain.listings import AuditRecord
from shared.storage.audit_cursor import AuditCursor
from shared.usecases.sync_changes import sync_changes
from shared.usecases.sync_due import follow_up
from tests.crash.scenarios import TODAY, ask, change, map_to
from tests.world import checks
from tests.world.partner_center import ChangeFault, Fault
from tests.world.steps import Point, Side
from tests.world.sync import (
    customer_id,
    customers,
    full_sync,
    populate,
    requests,
    rows_are_what_microsoft_has,
    subscription_of,
    subscriptions,
)
from tests.world.world import CONTRACT_START, CUSTOMER, World, line_id, subscription_id

pytestmark = pytest.mark.anyio


async def known_world() -> World:
    """Five customers and a billed one, all read; the audit cursor stands at this moment."""
    world = World()
    populate(world, 5)
    world.subscribe(1, 10)
    world.add_line(1, 10)
    await full_sync(world)
    await ask(world, map_to(1, 1, "adopt"))
    await changes(world)  # the first time there is no cursor
    await full_sync(world)
    world.clock.advance(timedelta(hours=1))
    world.listings.log.clear()
    return world


@pytest.fixture
async def world(anyio_backend: str) -> World:
    return await known_world()


async def changes(world: World) -> AuditCursor | None:
    return await world.run(world.start(), sync_changes)


def record(world: World, number: int, customer: str, subscription: str = "", **more: object) -> AuditRecord:
    """An audit record of this moment."""
    values = {
        "id": f"record-{number}",
        "customer": customer,
        "customer_name": "Customer",
        "subscription": subscription,
        "resource": "subscription",
        "operation": "update_subscription",
        "status": "succeeded",
        "at": world.clock.now(),
    } | more
    made = AuditRecord(**values)  # type: ignore[arg-type]  # a test names what it changes
    world.listings.audit_records.append(made)
    return made


async def test_only_the_customers_that_records_mention_are_read(world: World) -> None:
    world.partner_center.put(customer_id(2), subscription_of(2, 1), quantity=50)
    world.partner_center.put(customer_id(4), subscription_of(4, 1), friendlyName="Renamed")
    for number in range(3):
        record(world, number, customer_id(2), subscription_of(2, 1))
    record(world, 9, customer_id(4), resource="order", operation="update_order")
    cursor = await changes(world)
    assert cursor is not None
    assert (cursor.records, cursor.customers, cursor.failed) == (4, 2, 0)
    assert requests(world, "audit") == {"1": 1, "2": 1}
    assert requests(world, "subscriptions") == {customer_id(2): 1, customer_id(4): 1}
    rows_are_what_microsoft_has(world)


async def test_a_record_that_was_handled_comes_again_and_causes_no_reading(world: World) -> None:
    record(world, 1, customer_id(2))
    await changes(world)
    world.clock.advance(timedelta(minutes=15))
    record(world, 2, customer_id(3))
    world.listings.log.clear()
    await changes(world)
    assert requests(world, "subscriptions") == {customer_id(3): 1}
    world.clock.advance(timedelta(minutes=15))
    world.listings.log.clear()
    await changes(world)
    assert [asked.what for asked in world.listings.log] == ["audit"], "one page of two records"


async def test_a_record_that_appears_a_day_late_is_seen(world: World) -> None:
    late = record(world, 1, customer_id(2))
    world.listings.audit_records.clear()
    for _ in range(24):
        world.clock.advance(timedelta(hours=1))
        await changes(world)
    world.listings.log.clear()
    world.listings.audit_records.append(late)
    await changes(world)
    assert requests(world, "subscriptions") == {customer_id(2): 1}


async def test_a_record_in_progress_counts_again_when_it_has_succeeded(world: World) -> None:
    record(world, 1, customer_id(2), status="progress")
    await changes(world)
    world.listings.audit_records.clear()
    record(world, 1, customer_id(2))
    await changes(world)
    assert requests(world, "subscriptions") == {customer_id(2): 2}


@pytest.mark.parametrize("more", [{"status": "failed"}, {"resource": "customer_user"}, {"customer": ""}])
async def test_records_that_say_nothing_about_subscriptions_cause_no_reading(
    world: World, more: dict[str, str]
) -> None:
    record(world, 1, more.pop("customer", customer_id(2)), **more)
    await changes(world)
    assert requests(world, "subscriptions") == {}


async def test_an_unknown_kind_of_record_is_looked_at_rather_than_missed(world: World) -> None:
    record(world, 1, customer_id(2), resource="something_new", operation="do_it")
    await changes(world)
    assert requests(world, "subscriptions") == {customer_id(2): 1}


async def test_a_new_customer_is_added_by_its_name(world: World) -> None:
    new = customer_id(77)
    world.partner_center.add(new, copy.deepcopy(world.partner_center.resources(customer_id(1))[subscription_of(1, 1)]))
    record(world, 1, new, customer_name="New Ltd", resource="customer", operation="add_customer")
    await changes(world)
    row = customers(world)[new]
    assert (row.name, row.synced_at is not None) == ("New Ltd", True)


async def test_the_change_is_billed_with_its_cause_and_its_day(world: World) -> None:
    world.partner_center.edit(CUSTOMER, subscription_id(1), quantity=13)
    record(world, 1, CUSTOMER, subscription_id(1))
    world.clock.advance(timedelta(hours=20))  # it is tomorrow by now
    await changes(world)
    await world.run_until_quiet()
    (detected,) = [one for one in world.operations() if one.kind == "detected"]
    assert (detected.cause_kind, detected.audit_record) == (Cause.PARTNER, "record-1")
    assert "@" not in detected.cause
    assert detected.business_date == TODAY
    await checks.everything(world)
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 13}


async def test_a_cursor_older_than_the_records_starts_a_full_sync(world: World) -> None:
    world.clock.advance(timedelta(days=89))
    assert await changes(world) is None
    state = (await world.start().app.sync.runs.state()).value
    assert state.current is not None
    assert state.current.trigger == "audit_gap"
    assert world.listings.log == []
    world.clock.advance(timedelta(minutes=15))
    record(world, 1, customer_id(2))
    cursor = await changes(world)
    assert cursor is not None
    assert cursor.customers == 1, "from now on the records count again"


async def test_after_a_few_days_nothing_is_missed(world: World) -> None:
    for number in range(1, 4):
        world.clock.advance(timedelta(days=10))
        record(world, number, customer_id(number))
    await changes(world)
    assert set(requests(world, "subscriptions")) == {customer_id(1), customer_id(2), customer_id(3)}


@pytest.mark.parametrize("error", [RetryLater("503"), Misconfigured("401")], ids=["no answer", "credentials"])
async def test_a_customer_that_could_not_be_read_is_read_the_next_time(world: World, error: CspError) -> None:
    record(world, 1, customer_id(2))
    world.listings.failures[("subscriptions", customer_id(2))] = [error]
    cursor = await changes(world)
    assert cursor is not None
    assert cursor.failed == 1
    for _ in range(3):
        world.clock.advance(timedelta(days=1))
        record(world, 100 + world.clock.now().day, customer_id(3))
        await changes(world)
    assert requests(world, "subscriptions")[customer_id(2)] == 2


async def test_what_an_open_operation_hides_is_looked_at_again_by_the_tick(world: World) -> None:
    await full_sync(world)
    world.partner_center.faults.append(Fault(ChangeFault.WORKING, 200))
    await world.run(world.start(), change(1, Action.SUSPEND))
    world.partner_center.put(CUSTOMER, subscription_id(1), friendlyName="Renamed")
    record(world, 1, CUSTOMER, subscription_id(1))
    await changes(world)
    assert [one for one in world.operations() if one.kind == "detected"] == []
    assert await world.run(world.start(), follow_up) == Counter({"hint_failed": 1}), "it is open still"
    await world.run_until_quiet()
    world.clock.advance(timedelta(minutes=5))
    await world.run(world.start(), follow_up)
    (told,) = [one for one in world.operations() if one.kind == "detected"]
    assert [each.field for each in told.changes] == ["friendly_name"]
    counts = await world.run(world.start(), follow_up)
    assert not counts, "once"


@pytest.mark.parametrize("error", [NotFound("customer", "c"), Denied("403")], ids=["404", "403"])
async def test_a_customer_that_is_closed_says_so_and_is_not_asked_again(world: World, error: CspError) -> None:
    record(world, 1, customer_id(2))
    world.listings.failures[("subscriptions", customer_id(2))] = [error]
    await changes(world)
    assert customers(world)[customer_id(2)].problem != ""
    await changes(world)
    assert requests(world, "subscriptions") == {customer_id(2): 1}


async def test_audit_records_that_cannot_be_read_leave_the_cursor_where_it_is(world: World) -> None:
    record(world, 1, customer_id(2))
    world.listings.failures[("audit", "1")] = [RetryLater("503"), Misconfigured("401, code 900421")]
    before = await world.start().app.sync.audit.read()
    for problem in ("503", "401, code 900421"):
        world.clock.advance(timedelta(minutes=15))
        cursor = await changes(world)
        assert cursor is not None
        assert before is not None
        assert (cursor.problem, cursor.until) == (problem, before.value.until)
    await changes(world)
    assert requests(world, "subscriptions") == {customer_id(2): 1}


async def test_two_instances_at_once_read_each_customer_once(world: World) -> None:
    for number in range(1, 5):
        record(world, number, customer_id(number))
    await asyncio.gather(changes(world), changes(world))
    assert requests(world, "subscriptions") == {customer_id(number): 1 for number in range(1, 5)}


@pytest.mark.parametrize("side", Side)
async def test_a_kill_at_any_step_misses_nothing_and_detects_once(side: Side) -> None:
    base = await known_world()
    base.partner_center.edit(CUSTOMER, subscription_id(1), quantity=13)
    base.partner_center.put(customer_id(2), subscription_of(2, 1), quantity=50)
    record(base, 1, CUSTOMER, subscription_id(1))
    record(base, 2, customer_id(2), subscription_of(2, 1))
    dry = copy.deepcopy(base)
    process = dry.start()
    await dry.run(process, sync_changes)
    for number, label in enumerate(process.steps.trace, start=1):
        world = copy.deepcopy(base)
        process = world.start()
        process.steps.kill_at = Point(number, side)
        try:
            await world.run(process, sync_changes)
            world.clock.advance(timedelta(minutes=15))
            await changes(world)
            rows_are_what_microsoft_has(world)
            assert subscriptions(world)[subscription_of(2, 1)].snapshot.quantity == 50
            await world.run_until_quiet()
            await checks.everything(world)
            assert [one.after.quantity for one in world.operations() if one.kind == "detected"] == [13]
            assert checks.adjustments(world, line_id(1)) == 1
        except BaseException as error:
            error.add_note(f"killed {side} step {number}, {label}")
            raise
