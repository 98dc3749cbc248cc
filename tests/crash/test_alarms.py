"""Alarms as rows: what the version before has written is found, and none goes before its row was written again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.long_work import WorkAddress, WorkKind
from shared.domain.operation import Address
from shared.storage.alarms import Alarm, Alarms, WorkAlarm
from shared.storage.store import Row, Upsert, WriteConflict
from tests.world.tables import Tables
from tests.world.world import CUSTOMER, subscription_id

DUE = datetime(2026, 3, 10, 9, tzinfo=UTC)
LATER = DUE + timedelta(minutes=5)
OPERATION = Address(CUSTOMER, subscription_id(1), 3)


@pytest.mark.parametrize("kind", WorkKind)
def test_an_alarm_of_long_work_has_kept_its_row(kind: WorkKind) -> None:
    async def story() -> None:
        tables = Tables()
        alarms, address = Alarms(tables), WorkAddress(kind, "one")
        before = Row(kind.value, "20260310T090000.000000Z:one", {kind.value: "one", "due": DUE.isoformat()})
        await tables.write("alarms", [Upsert(before)])
        assert await alarms.due_work(kind, DUE, limit=9) == [WorkAlarm(address, DUE)]
        await alarms.set(address, DUE)
        (row,) = tables.rows("alarms")
        assert (row.partition, row.key, row.values) == (before.partition, before.key, before.values)
        await alarms.clear(address, DUE)
        assert tables.rows("alarms") == []

    asyncio.run(story())


@pytest.mark.parametrize("address", [OPERATION, WorkAddress(WorkKind.BULK, "one")], ids=["operation", "bulk"])
def test_an_alarm_goes_for_another_one_only_after_its_row_was_written(address: Address | WorkAddress) -> None:
    async def story() -> None:
        tables = Tables()
        alarms = Alarms(tables)
        await alarms.set(address, DUE)

        async def somebody_moves_it() -> None:
            raise WriteConflict("the row was written meanwhile")

        seen: list[int] = []

        async def written() -> None:
            seen.append(len(tables.rows("alarms")))

        assert not await alarms.clear_superseded(address, DUE, by=LATER, write_again=somebody_moves_it), "it is lost"
        assert not await alarms.clear_superseded(address, DUE, by=DUE, write_again=somebody_moves_it)
        assert not await alarms.clear_superseded(address, DUE, by=None, write_again=somebody_moves_it)
        await alarms.set(address, LATER)
        with pytest.raises(WriteConflict):
            await alarms.clear_superseded(address, DUE, by=LATER, write_again=somebody_moves_it)
        assert len(tables.rows("alarms")) == 2
        assert await alarms.clear_superseded(address, DUE, by=LATER, write_again=written)
        assert (seen, len(tables.rows("alarms"))) == ([2], 1)

    asyncio.run(story())


def test_an_operation_keeps_from_when_the_pusher_may_take_it_along() -> None:
    async def story() -> None:
        tables = Tables()
        alarms = Alarms(tables)
        await alarms.set(OPERATION, LATER, ready=DUE)
        (row,) = tables.rows("alarms")
        assert await alarms.due(row.partition, LATER, limit=9) == [Alarm(OPERATION, LATER, DUE)]

    asyncio.run(story())
