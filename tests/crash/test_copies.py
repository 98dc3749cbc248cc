"""A copy of the tables that is put back is the same world, and an old one is caught up with."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from shared.domain.actions import Action
from shared.domain.mapping_sheet import CustomerRow
from shared.storage.copies import is_empty, lines_of, put_back
from shared.storage.store import Row, Scalar, TableStore, Upsert
from shared.usecases import reconciling
from shared.usecases.restoring import set_alarms
from tests.crash.bulk_stories import bulk_of, bulks_of, item
from tests.crash.import_stories import import_of, imports_of
from tests.crash.scenarios import TODAY, ask, change, mapped
from tests.world import checks
from tests.world.sync import full_sync
from tests.world.tables import Tables
from tests.world.world import CONTRACT_START, CUSTOMER, World, line_id


async def saved(store: TableStore) -> list[str]:
    return [line async for line in lines_of(store)]


async def restored(lines: list[str]) -> Tables:
    tables = Tables()
    assert await is_empty(tables)
    assert await put_back(tables, lines) == len(lines)
    return tables


def test_what_is_put_back_is_what_was_saved() -> None:
    async def story() -> None:
        tables = Tables()
        values: dict[str, Scalar] = {
            "text": "ä\n",
            "yes": True,
            "number": 2**40,
            "at": datetime(2026, 3, 10, 9, tzinfo=UTC),
        }
        many = [Row("p", f"{number:04}", {"long": "x" * 30_000}) for number in range(100)]
        for start in range(0, 100, 50):
            await tables.write("views", [Upsert(row) for row in many[start : start + 50]])
        await tables.write("access", [Upsert(Row("q", "k", values))])
        again = await restored(await saved(tables))
        for table in ("views", "access"):
            assert [(row.partition, row.key, row.values) for row in again.rows(table)] == [
                (row.partition, row.key, row.values) for row in tables.rows(table)
            ]

    asyncio.run(story())


@pytest.mark.parametrize("line", ["{}", '["elsewhere", "p", "k", {}]', '["views", "p", "k", {"a": null}]'])
def test_a_line_that_is_no_row_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"a (line|property) is"):
        asyncio.run(put_back(Tables(), [line]))


def test_what_was_open_in_the_copy_goes_on_by_its_alarm() -> None:
    """The alarms are lost, the broker forgot everything; an operation and long work were open in the copy."""

    async def story(world: World) -> None:
        await mapped(world)
        await world.run(world.start(), change(1, Action.CHANGE_QUANTITY, quantity=12))
        await world.run(world.start(), bulk_of(item(1, Action.CHANGE_QUANTITY, 14)))
        await world.run(world.start(), import_of(CustomerRow(CUSTOMER, 1)))
        await world.run(world.start(), lambda app: reconciling.start(app, "ops"))
        lines = [line for line in await saved(world.tables) if json.loads(line)[0] != "alarms"]
        world.broker.forget()
        world.tables = await restored(lines)
        assert await set_alarms(world.tables, world.clock.now()) == 4
        await world.run_until_quiet()
        await checks.everything(world)

    world = World()
    asyncio.run(story(world))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 14}
    assert [one.finished_at is not None for one in (*bulks_of(world), *imports_of(world))] == [True, True]
    run = asyncio.run(reconciling.newest_run(world.start().app))
    assert run is not None
    assert run.finished_at is not None


def test_what_was_billed_after_the_copy_was_made_is_recognised_and_not_billed_again() -> None:
    """The copy knows nothing of the change; the sync detects it, and the push finds the line as it shall be."""

    async def story(world: World) -> None:
        await mapped(world)
        await full_sync(world)
        lines = await saved(world.tables)
        await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=12))
        world.tables = await restored(lines)
        await set_alarms(world.tables, world.clock.now())
        await full_sync(world)
        await world.run_until_quiet()

    world = World()
    asyncio.run(story(world))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 12}
    assert checks.adjustments(world, line_id(1)) == 1
    assert [(one.kind, one.status) for one in world.operations()] == [("map", "done"), ("detected", "synced")]
