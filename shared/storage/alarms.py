"""Alarms: no open operation and no open long work without one. A row is a reason to look again at a certain moment.

`due` is when the wake timer looks; `ready` is from when the pusher may take an operation along on its own. Setting a
new alarm comes before deleting the old one, so that a crash in between leaves one too many and never one too few.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.long_work import WorkAddress, WorkKind
from shared.domain.operation import Address
from shared.storage import keys
from shared.storage.rows import text_of
from shared.storage.store import MAX_ROWS, Delete, Row, TableStore, Upsert, Write, WriteConflict

_TABLE = "alarms"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm of an operation as read."""

    address: Address
    due: datetime
    ready: datetime


@dataclass(frozen=True, slots=True)
class WorkAlarm:
    """One alarm of long work as read."""

    address: WorkAddress
    due: datetime


class Alarms:
    """The repository of alarms."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def set(self, address: Address | WorkAddress, due: datetime, *, ready: datetime | None = None) -> None:
        """Set an alarm; setting the same one twice is one alarm. Only operations know `ready`."""
        values = {"due": due.isoformat()}
        if isinstance(address, WorkAddress):
            values[address.kind.value] = address.identity
        else:
            values |= {"address": str(address), "ready": (ready or due).isoformat()}
        row = Row(keys.alarm_partition(address), keys.alarm(due, address), values)
        await self._store.write(_TABLE, [Upsert(row)])

    async def clear(self, address: Address | WorkAddress, due: datetime) -> None:
        """Remove an alarm if it is there."""
        await self._store.write(_TABLE, [Delete(keys.alarm_partition(address), keys.alarm(due, address))])

    async def clear_all(self, alarms: Iterable[tuple[Address, datetime]]) -> None:
        """Remove alarms, those of a shard in one transaction; where one is gone already, one by one."""
        shards: dict[str, dict[str, Write]] = {}
        for address, due in alarms:
            shard, key = keys.alarm_partition(address), keys.alarm(due, address)
            shards.setdefault(shard, {})[key] = Delete(shard, key)
        for wanted in shards.values():
            gone = list(wanted.values())
            for start in range(0, len(gone), MAX_ROWS):
                await self._remove(gone[start : start + MAX_ROWS])

    async def _remove(self, gone: Sequence[Write]) -> None:
        try:
            await self._store.write(_TABLE, gone)
        except WriteConflict:
            for one in gone:
                await self._store.write(_TABLE, [one])

    async def clear_superseded(
        self,
        address: Address | WorkAddress,
        due: datetime,
        *,
        by: datetime | None,
        write_again: Callable[[], Awaitable[object]],
    ) -> bool:
        """Remove an alarm where the one that its row names is set too; says whether it was so.

        The row is written again first: somebody who has just set this very alarm and not stored it yet is late then
        and conflicts, instead of trusting in an alarm that is gone. Raises WriteConflict where we are late.
        """
        if by is None or by == due or not await self._is_set(address, by):
            return False
        await write_again()
        await self.clear(address, due)
        return True

    async def due(self, shard: str, until: datetime, *, limit: int) -> list[Alarm]:
        """Alarms of operations in a shard that are due until a moment, the oldest first."""
        return [
            Alarm(Address.parse(text_of(row.values, "address")), _moment(row, "due"), _moment(row, "ready"))
            for row in await self._rows(shard, until, limit)
        ]

    async def due_work(self, kind: WorkKind, until: datetime, *, limit: int) -> list[WorkAlarm]:
        """Alarms of one kind of long work that are due until a moment, the oldest first."""
        return [
            WorkAlarm(WorkAddress(kind, text_of(row.values, kind.value)), _moment(row, "due"))
            for row in await self._rows(kind.value, until, limit)
        ]

    async def _is_set(self, address: Address | WorkAddress, due: datetime) -> bool:
        return await self._store.get(_TABLE, keys.alarm_partition(address), keys.alarm(due, address)) is not None

    async def _rows(self, partition: str, until: datetime, limit: int) -> list[Row]:
        end = keys.moment(until + timedelta(microseconds=1))
        return await self._store.span(_TABLE, partition, "", end, limit=limit)


def _moment(row: Row, name: str) -> datetime:
    return datetime.fromisoformat(text_of(row.values, name))
