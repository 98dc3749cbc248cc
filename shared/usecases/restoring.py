"""After a copy was put back: no open operation and no open long work without an alarm (docs/runbook.md, "Restore")."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from shared.domain.bulk import Bulk
from shared.domain.desk_jobs import Job
from shared.domain.long_work import LongWork
from shared.domain.mapping_import import Import
from shared.domain.operation import Operation
from shared.storage import keys
from shared.storage.alarms import Alarms
from shared.storage.rows import from_row
from shared.storage.store import Row, Scalar, TableStore

_PAGE = 1000
_LONG_WORK: tuple[tuple[str, str, type[LongWork]], ...] = (
    ("ledger", keys.BULKS, Bulk),
    ("ledger", keys.DESK, Job),
    ("mappings", keys.IMPORTS, Import),
)


async def set_alarms(store: TableStore, now: datetime) -> int:
    """Set the alarm of everything that is open; says how many. One that is set already is the same alarm."""
    alarms = Alarms(store)
    count = 0
    # A property that few rows have: the service looks through the table, and sends these alone
    async for row in _rows(store, "ledger", None, {"atRest": False}):
        operation = from_row(Operation, row).value
        await alarms.set(operation.address, operation.alarm_due or now)
        count += 1
    for table, partition, kind in _LONG_WORK:
        async for row in _rows(store, table, partition, {"finished": False}):
            work = from_row(kind, row).value
            await alarms.set(work.address, work.alarm_due)
            count += 1
    return count


async def _rows(store: TableStore, table: str, partition: str | None, equals: dict[str, Scalar]) -> AsyncIterator[Row]:
    continuation: str | None = None
    while True:
        page = await store.page(table, partition=partition, equals=equals, size=_PAGE, continuation=continuation)
        for row in page.rows:
            yield row
        continuation = page.continuation
        if continuation is None:
            return
