"""Full syncs in the world of fakes: customers over several pages, a run through its timer runs, what must hold."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from shared.domain.sync_run import Run
from shared.partner_center.wire import parse_subscription
from shared.storage.read_models import CustomerView, SubscriptionView
from shared.storage.rows import from_row
from shared.usecases.snapshots import content_hash
from shared.usecases.sync_full import begin, go_on
from tests.world.partner_center import nce
from tests.world.world import Process, World

UNTIL = datetime(2026, 12, 1, tzinfo=UTC)
_RUNS = 200  # timer runs until a run must have ended


def customer_id(number: int) -> str:
    return f"c0000001-0000-4000-8000-{number:012x}"


def subscription_of(customer: int, number: int) -> str:
    return f"51000000-0000-4000-8000-{1000 * customer + number:012x}"


def populate(world: World, customers: int, each: int = 2) -> None:
    """Customers with subscriptions; three pages of two customers are five customers."""
    for customer in range(1, customers + 1):
        for number in range(1, each + 1):
            seats = 5 + customer + number
            world.partner_center.add(customer_id(customer), nce(subscription_of(customer, number), seats, until=UNTIL))


async def full_sync(world: World, process: Process | None = None) -> tuple[Run, Process]:
    """Start a run and let timers go on with it until it has ended; a dead process is followed by another."""
    process = process or world.start()
    started = await world.run(process, lambda app: begin(app, "test", "tester"))
    for _ in range(_RUNS):
        if process.steps.dead:
            process = world.start()
            if started is None:
                started = await world.run(process, lambda app: begin(app, "test", "tester"))
        run = await world.run(process, go_on)
        if process.steps.dead:
            continue
        if run is not None and run.ended_at is not None:
            return run, process
        ended = await last_ended(world) if run is None else None
        if ended is not None and started is not None and ended.id == started[0].id:
            return ended, process  # whoever died had just ended it
        world.clock.advance(timedelta(minutes=1))
    raise AssertionError("the full sync does not end")


async def last_ended(world: World) -> Run | None:
    """The run that ended last, as somebody from outside reads it."""
    ended = await world.start().app.sync.runs.ended()
    return ended[0] if ended else None


def subscriptions(world: World) -> dict[str, SubscriptionView]:
    return {row.key: from_row(SubscriptionView, row).value for row in world.tables.rows("subscriptions")}


def customers(world: World) -> dict[str, CustomerView]:
    return {row.key: from_row(CustomerView, row).value for row in world.tables.rows("customers")}


def rows_are_what_microsoft_has(world: World) -> None:
    """Every subscription has its row with exactly the content that Microsoft shows, and nothing is marked missing."""
    wanted: dict[str, str] = {}
    for customer in world.partner_center.listed():
        for resource in world.partner_center.resources(customer).values():
            snapshot = parse_subscription(customer, resource)
            wanted[snapshot.id] = content_hash(snapshot)
    rows = subscriptions(world)
    assert {identity: row.content for identity, row in rows.items()} == wanted
    assert [identity for identity, row in rows.items() if row.missing_since is not None] == []
    assert set(customers(world)) == set(world.partner_center.listed())
    assert [row.customer for row in customers(world).values() if row.missing_since or row.problem] == []


def writes_of(world: World, table: str) -> Counter[str]:
    """How often each row of a table was written."""
    return Counter(key for name, key in world.tables.writes if name == table)


def requests(world: World, what: str) -> Counter[str]:
    """How often each page or customer was asked for."""
    return Counter(asked.about for asked in world.listings.log if asked.what == what)
