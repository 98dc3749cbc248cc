"""Alarms: no open operation or bulk without one. A row is a reason to look at it again at a certain moment.

`due` is when the wake timer looks; `ready` is from when the pusher may take the operation along on its own. Setting a
new alarm comes before deleting the old one, so that a crash in between leaves one too many and never one too few.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.operation import Address
from shared.storage import keys
from shared.storage.rows import text_of
from shared.storage.store import Delete, Row, TableStore, Upsert

_TABLE = "alarms"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm as read."""

    shard: str
    key: str
    address: Address
    due: datetime
    ready: datetime


@dataclass(frozen=True, slots=True)
class BulkAlarm:
    """One alarm of a bulk as read."""

    bulk: str
    due: datetime


@dataclass(frozen=True, slots=True)
class ImportAlarm:
    """One alarm of an import of mappings as read."""

    identity: str
    due: datetime


@dataclass(frozen=True, slots=True)
class JobAlarm:
    """One alarm of a job of the desk as read."""

    job: str
    due: datetime


class Alarms:
    """The repository of alarms."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def set(self, address: Address, due: datetime, *, ready: datetime | None = None) -> None:
        """Set an alarm; setting the same one twice is one alarm."""
        values = {"address": str(address), "due": due.isoformat(), "ready": (ready or due).isoformat()}
        row = Row(keys.alarm_shard(address), keys.alarm(due, address), values)
        await self._store.write(_TABLE, [Upsert(row)])

    async def clear(self, address: Address, due: datetime) -> None:
        """Remove an alarm if it is there."""
        shard, key = keys.alarm_shard(address), keys.alarm(due, address)
        await self._store.write(_TABLE, [Delete(shard, key)])

    async def exists(self, address: Address, due: datetime) -> bool:
        """Whether an alarm is set."""
        return await self._store.get(_TABLE, keys.alarm_shard(address), keys.alarm(due, address)) is not None

    async def due(self, shard: str, until: datetime, *, limit: int) -> list[Alarm]:
        """Alarms of a shard that are due until a moment, the oldest first."""
        end = keys.moment(until + timedelta(microseconds=1))
        rows = await self._store.span(_TABLE, shard, "", end, limit=limit)
        return [_alarm(row) for row in rows]

    async def set_bulk(self, bulk: str, due: datetime) -> None:
        """Set an alarm of a bulk; they lie apart from those of operations."""
        values = {"bulk": bulk, "due": due.isoformat()}
        await self._store.write(_TABLE, [Upsert(Row(keys.BULK_ALARMS, keys.bulk_alarm(due, bulk), values))])

    async def clear_bulk(self, bulk: str, due: datetime) -> None:
        """Remove an alarm of a bulk if it is there."""
        await self._store.write(_TABLE, [Delete(keys.BULK_ALARMS, keys.bulk_alarm(due, bulk))])

    async def bulk_exists(self, bulk: str, due: datetime) -> bool:
        """Whether an alarm of a bulk is set."""
        return await self._store.get(_TABLE, keys.BULK_ALARMS, keys.bulk_alarm(due, bulk)) is not None

    async def due_bulks(self, until: datetime, *, limit: int) -> list[BulkAlarm]:
        """Alarms of bulks that are due until a moment, the oldest first."""
        end = keys.moment(until + timedelta(microseconds=1))
        rows = await self._store.span(_TABLE, keys.BULK_ALARMS, "", end, limit=limit)
        return [
            BulkAlarm(text_of(row.values, "bulk"), datetime.fromisoformat(text_of(row.values, "due"))) for row in rows
        ]

    async def set_import(self, identity: str, due: datetime) -> None:
        """Set an alarm of an import of mappings; they lie apart from the others."""
        values = {"import": identity, "due": due.isoformat()}
        await self._store.write(_TABLE, [Upsert(Row(keys.IMPORT_ALARMS, keys.bulk_alarm(due, identity), values))])

    async def clear_import(self, identity: str, due: datetime) -> None:
        """Remove an alarm of an import if it is there."""
        await self._store.write(_TABLE, [Delete(keys.IMPORT_ALARMS, keys.bulk_alarm(due, identity))])

    async def import_exists(self, identity: str, due: datetime) -> bool:
        """Whether an alarm of an import is set."""
        return await self._store.get(_TABLE, keys.IMPORT_ALARMS, keys.bulk_alarm(due, identity)) is not None

    async def due_imports(self, until: datetime, *, limit: int) -> list[ImportAlarm]:
        """Alarms of imports that are due until a moment, the oldest first."""
        end = keys.moment(until + timedelta(microseconds=1))
        rows = await self._store.span(_TABLE, keys.IMPORT_ALARMS, "", end, limit=limit)
        return [
            ImportAlarm(text_of(row.values, "import"), datetime.fromisoformat(text_of(row.values, "due")))
            for row in rows
        ]

    async def set_job(self, job: str, due: datetime) -> None:
        """Set an alarm of a job of the desk; they lie apart from the others."""
        values = {"job": job, "due": due.isoformat()}
        await self._store.write(_TABLE, [Upsert(Row(keys.JOB_ALARMS, keys.job_alarm(due, job), values))])

    async def clear_job(self, job: str, due: datetime) -> None:
        """Remove an alarm of a job if it is there."""
        await self._store.write(_TABLE, [Delete(keys.JOB_ALARMS, keys.job_alarm(due, job))])

    async def job_exists(self, job: str, due: datetime) -> bool:
        """Whether an alarm of a job is set."""
        return await self._store.get(_TABLE, keys.JOB_ALARMS, keys.job_alarm(due, job)) is not None

    async def due_jobs(self, until: datetime, *, limit: int) -> list[JobAlarm]:
        """Alarms of jobs that are due until a moment, the oldest first."""
        end = keys.moment(until + timedelta(microseconds=1))
        rows = await self._store.span(_TABLE, keys.JOB_ALARMS, "", end, limit=limit)
        return [
            JobAlarm(text_of(row.values, "job"), datetime.fromisoformat(text_of(row.values, "due"))) for row in rows
        ]


def _alarm(row: Row) -> Alarm:
    return Alarm(
        row.partition,
        row.key,
        Address.parse(text_of(row.values, "address")),
        datetime.fromisoformat(text_of(row.values, "due")),
        datetime.fromisoformat(text_of(row.values, "ready")),
    )
