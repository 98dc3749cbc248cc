"""After a copy was put back: no open operation and no open bulk without an alarm (docs/runbook.md, "Restore")."""

from __future__ import annotations

from datetime import datetime

from shared.domain.bulk import Bulk
from shared.domain.operation import Operation
from shared.storage.alarms import Alarms
from shared.storage.rows import from_row
from shared.storage.store import TableStore

_PAGE = 1000


async def set_alarms(store: TableStore, now: datetime) -> int:
    """Set the alarm of everything that is open; says how many. One that is set already is the same alarm."""
    alarms = Alarms(store)
    count = 0
    continuation: str | None = None
    while True:  # a property that few rows have: the service looks through the table, and sends these alone
        page = await store.page(
            "ledger", partition=None, equals={"atRest": False}, size=_PAGE, continuation=continuation
        )
        for operation in (from_row(Operation, row).value for row in page.rows):
            await alarms.set(operation.address, operation.alarm_due or now)
            count += 1
        continuation = page.continuation
        if continuation is None:
            break
    while True:
        page = await store.page(
            "ledger", partition=None, equals={"finished": False}, size=_PAGE, continuation=continuation
        )
        for bulk in (from_row(Bulk, row).value for row in page.rows):
            await alarms.set_bulk(bulk.id, bulk.alarm_due)
            count += 1
        continuation = page.continuation
        if continuation is None:
            return count
