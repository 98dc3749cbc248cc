"""Retention on the real stack: the timer removes what has run out, and an old history shrinks to what is needed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shared.storage.azure_tables import AzureTables
from shared.storage.ledger import Ledger, Replay
from shared.storage.mappings import Mappings
from shared.storage.records import Records
from shared.storage.rows import to_row
from shared.storage.store import Row, Upsert
from shared.usecases.app import App
from shared.usecases.retention import prune_customer
from tests.spine.world import World, eventually
from tests.world.world import World as Elsewhere

pytestmark = pytest.mark.anyio
LATER = timedelta(days=3 * 366)


async def rows(world: World, customer: str, start: str = "", end: str = "\uffff") -> list[Row]:
    tables = AzureTables(connection_string=world.stack.ready["tables"])
    try:
        return await tables.span("ledger", customer, start, end)
    finally:
        await tables.close()


async def test_the_timer_removes_keys_that_have_run_out_and_no_others(world: World) -> None:
    customer, now = str(uuid.uuid4()), datetime.now(UTC)
    tables = AzureTables(connection_string=world.stack.ready["tables"])
    over = Replay("hash", 1, customer, now - timedelta(seconds=1))
    planted = [to_row(customer, "K:over", over), to_row(customer, "K:good", replace(over, expires=now + LATER))]
    await tables.write("ledger", [Upsert(row) for row in planted])
    await tables.close()

    door = f"{world.stack.ready['host']}/admin/functions/timer_retention"
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(door, json={})).raise_for_status()

    left = await asyncio.to_thread(eventually, lambda: asyncio.run(rows(world, customer)), lambda found: len(found) < 2)
    assert [row.key for row in left] == ["K:good"]


async def test_three_years_later_only_what_is_needed_is_left_and_the_bill_goes_on(world: World) -> None:
    subject = world.outside_window()
    for more in (1, 2, 3, 4):
        world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + more))
    world.clients["operator"].post(f"{subject.path}/sync").raise_for_status()
    before = world.bill(subject)

    async with later(world) as app:
        counts = await prune_customer(app, subject.customer)

    assert counts["operations"] == 2
    kept = [row.key[-2:] for row in await rows(world, subject.customer, "O:", "O;")]
    assert kept == ["01", "04", "05"]
    assert world.bill(subject) == before
    world.wait_for_badge(subject)
    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 9))
    assert world.adjustments(subject)[-1][1] == 5


@asynccontextmanager
async def later(world: World) -> AsyncIterator[App]:
    """The application three years on, on the stack's own tables; retention asks no vendor."""
    tables = AzureTables(connection_string=world.stack.ready["tables"])
    app = replace(
        Elsewhere().start().app,
        ledger=Ledger(tables),
        mappings=Mappings(tables),
        records=Records(tables),
        now=lambda: datetime.now(UTC) + LATER,
    )
    yield app
    await tables.close()
