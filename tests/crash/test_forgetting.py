"""Deleting a customer's data in the world of fakes: nothing of it is left, nobody else loses anything, and a run that
dies at any step is started again."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import cast

import pytest

from shared.domain.actions import Action
from shared.domain.bulk import Item, ItemStatus
from shared.domain.desk_jobs import DeadLetterFilter, Failure, Resubmission
from shared.domain.errors import Refused
from shared.domain.mapping_import import Item as Listed
from shared.domain.mapping_import import Part, RowStatus
from shared.domain.mapping_sheet import CustomerRow
from shared.domain.pricing import Margin, PriceRule
from shared.domain.reconciliation import Finding, Mover
from shared.domain.tickets import OurTicket, TicketState
from shared.storage import keys
from shared.storage.grants import Grants
from shared.storage.hints import Hint
from shared.storage.indexes import NewEntry, UnreadableEntry
from shared.storage.mappings import CustomerMapping
from shared.storage.mentions import Forgotten, Mentions, digest_of
from shared.storage.prices import StoredRule
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import Row, TableStore, Upsert
from shared.storage.sync_runs import SyncRuns
from shared.usecases import access
from shared.usecases.app import App
from shared.usecases.bulk import BulkRequest, Progress, take_in
from shared.usecases.forgetting import Survey, forget, survey
from shared.usecases.sync import sync_customer
from shared.usecases.sync_full import begin
from tests.crash.bulk_stories import item
from tests.crash.scenarios import ask, change, map_to
from tests.world.autotask import AdjustFault, Fault
from tests.world.clock import START
from tests.world.steps import Point, Side, Steps, Watched
from tests.world.sync import customer_id, full_sync, populate
from tests.world.world import CUSTOMER, World, line_id, subscription_id

REFERENCE = "DSR-2026-17"
CALLER, ALONE = "ca000000-0000-4000-8000-000000000001", "ca000000-0000-4000-8000-000000000002"


async def prepare(world: World) -> None:
    """A customer with everything that the tables can hold of one, beside two others; then it leaves the partner."""
    populate(world, 2)
    world.subscribe(1, 10)
    world.add_line(1, 10)
    await full_sync(world)
    await ask(world, map_to(1, 1, "adopt"))
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=12))
    other = dataclasses.replace(item(1, Action.CANCEL), customer=customer_id(1))
    for number, wishes in enumerate([(item(1, Action.CHANGE_QUANTITY, 14), other), (item(1, Action.SUSPEND),)]):
        await ask(world, bulk(BulkRequest("portal", f"bulk-{number}", "/api/bulk", "a hash", wishes)))
    await ask(world, everywhere)
    await world.tables.write("mappings", [Upsert(part_of_an_import(RowStatus.DONE))])
    grants = Grants(world.tables)
    for caller, customers in ((CALLER, [CUSTOMER, customer_id(1)]), (ALONE, [CUSTOMER])):
        await access.give(grants, caller, customers, note="", by="admin", now=world.clock.now())
    await full_sync(world)
    world.clock.advance(timedelta(days=1))
    world.partner_center.remove(CUSTOMER)
    await full_sync(world)
    world.clock.advance(timedelta(days=1))


def bulk(request: BulkRequest) -> Callable[[App], Awaitable[Progress]]:
    return lambda app: take_in(app, request)


def part_of_an_import(status: RowStatus) -> Row:
    rows = [CustomerRow(customer, company=1) for customer in (CUSTOMER, customer_id(1))]
    items = tuple(Listed(number, row, status) for number, row in enumerate(rows, start=1))
    return to_row(keys.import_partition("one"), keys.import_part(1), Part(1, items))


async def everywhere(app: App) -> None:
    """What no story leaves behind by itself."""
    await app.mappings.put_customer(CustomerMapping(CUSTOMER, 1, "Company", START, "mapper"))
    for customer in (CUSTOMER, None):
        rule = PriceRule(Margin.MARKUP, Decimal(20), customer=customer)
        await app.mappings.prices.put_rule(StoredRule(rule, START, "mapper"))
    await app.sync.indexes.exchange_unreadable(CUSTOMER, [UnreadableEntry(CUSTOMER, "x", "a reason", "{}", START)])
    await app.sync.indexes.add_new(NewEntry(CUSTOMER, subscription_id(9), START, "purchase"))
    await app.sync.hints.add("event", Hint(CUSTOMER, subscription_id(1), "event", START, START))
    await app.coordination.remember("retention", CUSTOMER)
    await at_the_desk(app)


async def at_the_desk(app: App) -> None:
    """A ticket and a finding of the customer, and a finished job that was about it and another one."""
    about = f"{CUSTOMER}_{subscription_id(1)}_2"
    await app.desk.save_ticket(Stored(OurTicket(about, CUSTOMER, None, TicketState.CLOSED, id=1), None))
    finding = Finding(CUSTOMER, subscription_id(1), 1, line_id(1), START, "run", (Mover.PERSON,), "somebody changed it")
    await app.desk.put_finding(finding)
    await app.desk.add(
        Resubmission(
            id=ALONE,
            requested_at=START,
            requested_by="ops",
            alarm_due=START,
            finished_at=START,
            cursor=about,
            problems=(Failure(about, "changed_meanwhile", "It is being worked on."),),
            wanted=DeadLetterFilter(customers=frozenset({CUSTOMER, customer_id(1)})),
        )
    )


@cache
def _left_the_partner() -> World:
    world = World()
    asyncio.run(prepare(world))
    return world


def left_the_partner() -> World:
    return copy.deepcopy(_left_the_partner())


def rows(world: World) -> list[tuple[str, Row]]:
    tables = ("ledger", "mappings", "alarms", "coordination", "customers", "subscriptions", "views", "access")
    return [(table, row) for table in tables for row in world.tables.rows(table)]


def mentions_of(world: World, customer: str) -> list[str]:
    texts = ((f"{table} {row.partition} {row.key}", str(dict(row.values))) for table, row in rows(world))
    return [where for where, text in texts if customer in f"{where} {text}".lower()]


def of_others(world: World) -> Counter[str]:
    return Counter(
        f"{table} {row.partition} {row.key} {row.values}"
        for table, row in rows(world)
        if CUSTOMER not in f"{row.partition} {row.key} {row.values}".lower() and row.partition != keys.FORGOTTEN
    )


def looked(world: World, *, listed: bool = False, quiet: timedelta = timedelta(hours=2)) -> Survey:
    store = world.tables
    found = survey(Mentions(store), SyncRuns(store), CUSTOMER, now=world.clock.now(), quiet=quiet, listed=listed)
    return asyncio.run(found)


def forgotten(world: World, steps: Steps | None = None, *, listed: bool = False) -> Forgotten | None:
    steps = steps or Steps()
    store = cast("TableStore", Watched(world.tables, steps, "tables"))
    work = forget(Mentions(store), SyncRuns(store), CUSTOMER, REFERENCE, now=world.clock.now(), listed=listed)

    async def run(_: App) -> Forgotten:
        return await work

    process = world.start()
    process.steps = steps
    return asyncio.run(world.run(process, run))


def refusal(world: World) -> str:
    with pytest.raises(Refused) as refused:
        forgotten(world)
    return refused.value.sentence


def test_a_look_says_what_would_go_and_changes_nothing() -> None:
    world = left_the_partner()
    before = rows(world)
    found = looked(world)
    assert not found.obstacles
    assert not found.unknown
    assert found.billed == [f"contract 31000001, line {line_id(1)}: 0 units"]
    assert set(found.found) >= {
        "operations", "events", "lines", "heads", "idempotency keys", "bulk items", "customers", "subscriptions",
        "grants", "changes of grants", "mappings customers", "mappings subscriptions",
        "mappings price_rules", "views new", "views unreadable", "coordination webhooks", "facts",
    }  # fmt: skip
    assert sum(found.found.values()) == len(mentions_of(world, CUSTOMER))
    assert rows(world) == before


def test_nothing_of_the_customer_is_left_and_everything_of_the_others() -> None:
    world = left_the_partner()
    others = of_others(world)
    note = forgotten(world)
    assert mentions_of(world, CUSTOMER) == []
    lost = list((others - of_others(world)).elements())
    assert [row.split()[:2] for row in lost] == [["ledger", keys.BULKS]], "the bulk that was about nobody else"
    assert note is not None
    assert (note.digest, note.reference, note.ended_at) == (digest_of(CUSTOMER), REFERENCE, world.clock.now())
    grants = Grants(world.tables)
    kept, alone = asyncio.run(grants.get(CALLER)), asyncio.run(grants.get(ALONE))
    assert kept is not None
    assert kept.value.customers == (customer_id(1),)
    assert alone is not None
    assert (alone.value.customers, alone.value.all_customers) == ((), False)
    bulks = [row.key for row in world.tables.rows("ledger") if row.partition == keys.BULKS and row.key.startswith("B:")]
    assert len(bulks) == 1


def test_a_sync_goes_on_with_the_others_after_it() -> None:
    world = left_the_partner()
    forgotten(world)
    run, _ = asyncio.run(full_sync(world))
    assert run.counts.unread == 0
    assert run.counts.unchanged == run.total == 2
    assert mentions_of(world, CUSTOMER) == []


@pytest.mark.parametrize("side", Side)
def test_a_run_that_dies_anywhere_is_started_again_and_leaves_the_same(side: Side) -> None:
    whole, steps = left_the_partner(), Steps()
    forgotten(whole, steps)
    wanted = of_others(whole)
    for number, label in enumerate(steps.trace, start=1):
        world = left_the_partner()
        assert forgotten(world, Steps(kill_at=Point(number, side))) is None, "the run took another way"
        note = forgotten(world)
        assert note is not None
        assert note.ended_at is not None
        assert mentions_of(world, CUSTOMER) == [], f"killed {side} step {number}, {label}"
        assert of_others(world) == wanted
        noted = [row for row in world.tables.rows("coordination") if row.partition == keys.FORGOTTEN]
        assert [sum(from_row(Forgotten, row).value.found.values()) for row in noted] == [sum(note.found.values())]


async def _a_dead_letter(world: World) -> None:
    world.subscribe(2, 10)
    world.add_line(2, 10)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    await ask(world, map_to(2, 2, "adopt"))
    world.autotask.faults.append(Fault(AdjustFault.REFUSED))
    await ask(world, change(2, Action.CHANGE_QUANTITY, quantity=12, key="dies"))
    world.clock.advance(timedelta(days=1))


def test_a_dead_letter_stands_against_it_and_nothing_is_removed() -> None:
    world = left_the_partner()
    asyncio.run(_a_dead_letter(world))
    before = rows(world)
    assert "is dead; re-submit or dismiss it first" in refusal(world)
    assert rows(world) == before


def test_a_customer_that_is_still_listed_would_be_written_again() -> None:
    world = World()
    world.subscribe(1, 10)
    asyncio.run(full_sync(world))
    world.clock.advance(timedelta(days=1))
    assert "still lists the customer" in refusal(world)
    assert not looked(world, listed=True).obstacles


def test_a_customer_that_is_removed_while_it_is_listed_is_a_new_one_for_the_next_sync() -> None:
    world = World()
    populate(world, 3)
    world.subscribe(1, 10)
    for _ in range(2):
        asyncio.run(full_sync(world))
        world.clock.advance(timedelta(days=1))
    assert "pages of the last sync" in looked(world, listed=True).found
    forgotten(world, listed=True)
    assert mentions_of(world, CUSTOMER) == []
    run, _ = asyncio.run(full_sync(world))
    assert (run.counts.unchanged, run.counts.written, run.total) == (3, 1, 4)
    assert any(where.startswith("subscriptions ") for where in mentions_of(world, CUSTOMER))


def test_an_operation_of_a_moment_ago_has_messages_under_way() -> None:
    world = left_the_partner()
    world.clock.advance(timedelta(days=-2))
    assert any("less than 2 hours ago" in obstacle for obstacle in looked(world).obstacles)
    assert not looked(world, quiet=timedelta(0)).obstacles


def test_a_full_sync_that_runs_stands_against_it() -> None:
    world = left_the_partner()
    asyncio.run(world.run(world.start(), lambda app: begin(app, "test", "tester")))
    assert "a full sync is running" in refusal(world)


def test_a_bulk_that_is_not_over_stands_against_it() -> None:
    world = left_the_partner()
    row = next(row for row in world.tables.rows("ledger") if row.key.startswith("I:") and CUSTOMER in str(row.values))
    waiting = dataclasses.replace(from_row(Item, row).value, status=ItemStatus.WAITING)
    asyncio.run(world.tables.write("ledger", [Upsert(to_row(row.partition, row.key, waiting))]))
    assert "is not over" in refusal(world)


def test_an_import_of_mappings_loses_its_rows_and_stands_against_it_while_it_is_not_over() -> None:
    world = left_the_partner()
    forgotten(world)
    (row,) = [row for row in world.tables.rows("mappings") if row.key.startswith("P:")]
    assert [item.number for item in from_row(Part, row).value.items] == [2]

    world = left_the_partner()
    asyncio.run(world.tables.write("mappings", [Upsert(part_of_an_import(RowStatus.PENDING))]))
    assert "an import of mappings is not over" in refusal(world)


def test_a_shared_row_that_no_rule_covers_is_told_and_not_passed_over() -> None:
    world = left_the_partner()
    foreign = Row("somewhere", "new", {"text": f"about {CUSTOMER.upper()}"})
    asyncio.run(world.tables.write("views", [Upsert(foreign)]))
    assert looked(world).unknown == ["views/somewhere"]
    assert "views/somewhere" in refusal(world)
    assert mentions_of(world, CUSTOMER) == ["views somewhere new"]
