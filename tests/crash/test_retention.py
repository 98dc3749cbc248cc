"""Retention in the world of fakes: what goes, what stays, and that a run may die at any step."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from shared.domain.actions import Action
from shared.domain.bulk import Bulk
from shared.domain.operation import Address, Event, LegStatus
from shared.domain.retention import Keep
from shared.storage import keys
from shared.storage.grants import Grants
from shared.storage.indexes import UnreadableEntry
from shared.storage.ledger import Changes
from shared.storage.rows import Stored, from_row
from shared.storage.store import Upsert
from shared.usecases import access
from shared.usecases.app import App
from shared.usecases.retention import Pruned, prune, prune_customer
from shared.usecases.sync import sync_customer
from tests.crash.bulk_stories import bulk_of, item
from tests.crash.scenarios import ask, change, map_to
from tests.world import checks
from tests.world.autotask import AdjustFault, Fault
from tests.world.steps import Point, Side
from tests.world.sync import full_sync
from tests.world.world import CUSTOMER, Process, World, line_id, subscription_id

CALLER = "ca000000-0000-4000-8000-000000000001"
MONTHS, AGE = 3, timedelta(days=200)  # the contract has not ended by then


async def history(world: World) -> None:
    """Seven changes of a mapped subscription, a dead letter of another, a bulk, syncs, and a grant that changed."""
    for number in (1, 2):
        world.subscribe(number, 10)
        world.add_line(number, 10)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    for number in (1, 2):
        await ask(world, map_to(number, number, "adopt"))
    for quantity in range(11, 18):
        world.clock.advance(timedelta(hours=1))
        await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=quantity, key=f"key-{quantity}"))
    world.autotask.faults.append(Fault(AdjustFault.REFUSED))
    await ask(world, change(2, Action.CHANGE_QUANTITY, quantity=12, key="dies"))
    await ask(world, bulk_of(item(1, Action.CHANGE_QUANTITY, 20)))
    await full_sync(world)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    world.clock.advance(timedelta(hours=1))
    await full_sync(world)
    grants = Grants(world.tables)
    for note in ("first", "second"):
        await access.give(grants, CALLER, [CUSTOMER], note=note, by="admin", now=world.clock.now())
        world.clock.advance(timedelta(hours=1))


@cache
def _old_world() -> World:
    world = World()
    world.keep = Keep(months=MONTHS)
    asyncio.run(history(world))
    world.clock.advance(AGE)
    return world


def old_world() -> World:
    return copy.deepcopy(_old_world())


def pruned(world: World, process: Process | None = None) -> Pruned | None:
    return asyncio.run(world.run(process or world.start(), prune))


def sequences(world: World, number: int) -> list[int]:
    found = (operation.address for operation in world.operations())
    return sorted(address.sequence for address in found if address.subscription == subscription_id(number))


def rows(world: World, table: str, prefix: str) -> list[str]:
    return [row.key for row in world.tables.rows(table) if row.key.startswith(prefix)]


def everything(world: World) -> Counter[str]:
    return Counter(
        f"{table} {row.partition} {row.key}"
        for table in ("ledger", "coordination", "access", "mappings")
        for row in world.tables.rows(table)
    )


def test_old_history_goes_and_what_is_needed_stays() -> None:
    world = old_world()
    total = len(sequences(world, 1))
    found = pruned(world)
    assert found is not None
    assert found.complete
    # the one that made the mapping, the last two billed before, and the last of all
    assert sequences(world, 1) == [1, total - 1, total]
    assert sequences(world, 2) == [1, 2]
    assert not rows(world, "ledger", "K:")
    assert not rows(world, "ledger", "B:")
    assert not rows(world, "ledger", "I:")
    assert len(rows(world, "access", "C:")) == 1
    assert len(rows(world, "coordination", "run:")) == 1
    assert len(rows(world, "ledger", "L:")) == 2
    checks.events_are_gap_free(world)
    kept = {one.address for one in world.operations()}
    assert {
        Address.parse(f"{CUSTOMER}_{key.split(':')[1]}_{int(key.split(':')[2])}") for key in rows(world, "ledger", "E:")
    } == kept


def test_a_dead_letter_of_any_age_can_still_be_decided() -> None:
    world = old_world()
    pruned(world)
    checks.dead_letters_are_listed(world)
    dead = next(operation for operation in world.operations() if operation.dead)
    assert dead.address == Address(CUSTOMER, subscription_id(2), 2)


def test_work_goes_on_after_retention_as_if_nothing_were_missing() -> None:
    async def story(world: World) -> None:
        await world.run(world.start(), prune)
        await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=25, key="later"))
        await checks.badges_are_right(world)
        last = max(
            (one for one in world.operations() if one.address.subscription == subscription_id(1)),
            key=lambda one: one.address.sequence,
        )
        assert last.legs[0].status is LegStatus.SYNCED, world.describe()

    world = old_world()
    with_history = copy.deepcopy(world)
    asyncio.run(story(world))
    asyncio.run(ask(with_history, change(1, Action.CHANGE_QUANTITY, quantity=25, key="later")))
    assert checks.billed(world, line_id(1)) == checks.billed(with_history, line_id(1))
    assert checks.adjustments(world, line_id(1)) == checks.adjustments(with_history, line_id(1))


def test_nothing_goes_before_its_time_but_keys_that_have_run_out() -> None:
    world = World()
    asyncio.run(history(world))
    before = everything(world)
    world.clock.advance(timedelta(days=29))
    pruned(world)
    assert before - everything(world) == Counter()
    world.clock.advance(timedelta(days=2))
    pruned(world)
    assert all(" K:" in key for key in before - everything(world))
    assert not rows(world, "ledger", "K:")


def test_with_0_months_history_stays_for_ever() -> None:
    world = old_world()
    world.keep = Keep(months=0)
    operations = len(world.operations())
    pruned(world)
    assert len(world.operations()) == operations
    assert len(rows(world, "access", "C:")) == 2


def test_a_second_run_removes_nothing() -> None:
    world = old_world()
    pruned(world)
    left = everything(world)
    found = pruned(world)
    assert found is not None
    assert not +found.counts
    assert everything(world) == left


@pytest.mark.parametrize("side", Side)
def test_a_run_that_dies_anywhere_is_finished_by_the_next(side: Side) -> None:
    whole = old_world()
    process = whole.start()
    pruned(whole, process)
    wanted = everything(whole)
    for number, label in enumerate(process.steps.trace, start=1):
        world = old_world()
        process = world.start()
        process.steps.kill_at = Point(number, side)
        assert pruned(world, process) is None, "the run took another way"
        pruned(world)
        assert everything(world) == wanted, f"killed {side} step {number}, {label}"
        checks.events_are_gap_free(world)


def test_a_run_ends_with_its_budget_and_the_next_goes_on_behind_it() -> None:
    world = old_world()
    other = "c0000000-0000-4000-8000-000000000002"
    for row in list(world.tables.rows("ledger")):
        if row.partition == CUSTOMER and row.key.startswith("K:"):
            asyncio.run(world.tables.write("ledger", [Upsert(replace(row, partition=other))]))
    slow = world.start()

    async def wait(_steps: object, label: str, side: Side) -> None:
        if label == "tables.following ledger" and side is Side.AFTER:
            world.clock.advance(timedelta(minutes=3))

    slow.steps.disturb = wait
    first = pruned(world, slow)
    assert first is not None
    assert not first.complete
    assert {row.partition for row in world.tables.rows("ledger") if row.key.startswith("K:")} == {other}
    second = pruned(world)
    assert second is not None
    assert second.complete
    assert not rows(world, "ledger", "K:")


def test_an_operation_with_more_events_than_a_transaction_takes_goes_whole() -> None:
    async def story(world: World) -> None:
        app = world.start().app
        address = Address(CUSTOMER, subscription_id(1), 2)
        for _ in range(3):
            stored = await app.ledger.operation(address)
            assert stored is not None
            events = [Event(stored.value.requested_at, "x", "looked", "", "")] * 90
            await app.ledger.commit(CUSTOMER, Changes([(Stored(stored.value, stored.etag), events)]))

    world = old_world()
    asyncio.run(story(world))
    pruned(world)
    assert 2 not in sequences(world, 1)
    assert not rows(world, "ledger", f"E:{subscription_id(1)}:{2:010d}")


def test_a_line_that_nothing_refers_to_any_more_goes() -> None:
    async def story(world: World) -> None:
        for line in (3, 4):  # the operation that made the present mapping still tells of the line before
            world.add_line(line, 0)
            await ask(world, map_to(1, line))
        await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=30, key="a"))
        await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=31, key="b"))
        await ask(world, lambda app: sync_customer(app, CUSTOMER))

    world = old_world()
    asyncio.run(story(world))
    assert str(line_id(1)) in "".join(rows(world, "ledger", "L:"))
    world.clock.advance(timedelta(days=95))
    pruned(world)
    assert rows(world, "ledger", "L:") == [keys.line(line_id(number)) for number in (2, 3, 4)]


def test_what_could_not_be_read_goes_with_its_customer() -> None:
    async def story(app: App) -> None:
        for customer in (CUSTOMER, "c0000000-0000-4000-8000-00000000000e"):
            entry = UnreadableEntry(customer, "item-1", "a reason", "{}", app.now() - AGE)
            await app.sync.indexes.exchange_unreadable(customer, [entry])

    world = old_world()
    asyncio.run(world.run(world.start(), story))
    pruned(world)
    left = [row.key for row in world.tables.rows("views") if row.partition == keys.UNREADABLE]
    assert left == [keys.owned(CUSTOMER, "item-1")]


def test_a_bulk_that_is_not_over_stays() -> None:
    world = old_world()
    (row,) = [row for row in world.tables.rows("ledger") if row.key.startswith("B:")]
    open_one = replace(from_row(Bulk, row).value, finished_at=None)

    async def reopen(app: App) -> None:
        stored = await app.bulks.get(open_one.id)
        assert stored is not None
        await app.bulks.save(replace(stored, value=open_one))

    asyncio.run(world.run(world.start(), reopen))
    pruned(world)
    assert rows(world, "ledger", "B:")
    assert rows(world, "ledger", "I:")


def test_what_a_young_operation_follows_stays_with_it() -> None:
    async def lead(app: App) -> None:
        stored = await app.ledger.operation(Address(CUSTOMER, subscription_id(1), 3))
        assert stored is not None
        followed = replace(stored.value, followed_by=young)
        await app.ledger.commit(CUSTOMER, Changes([(Stored(followed, stored.etag), [])]))

    world = old_world()
    asyncio.run(ask(world, change(1, Action.CHANGE_QUANTITY, quantity=25, key="later")))
    young = sequences(world, 1)[-1]
    asyncio.run(world.run(world.start(), lead))
    pruned(world)
    assert 3 in sequences(world, 1)
    assert 4 not in sequences(world, 1)


def test_a_customer_with_nothing_to_remove_costs_six_requests_and_one_for_each_subscription() -> None:
    world = old_world()
    pruned(world)
    process = world.start()
    asyncio.run(world.run(process, lambda app: prune_customer(app, CUSTOMER)))
    keys_heads_lines_mappings, of_subscriptions = 4, 2
    assert len(process.steps.trace) == keys_heads_lines_mappings + of_subscriptions
    whole = world.start()
    pruned(world, whole)
    per_customer = [step for step in whole.steps.trace if step.startswith(("tables.following", "tables.write"))]
    assert len(per_customer) == 2 + 2, "the next customer and how far it came, and both once more for the end"
