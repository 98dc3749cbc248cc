"""How far the audit records were handled: a moment, and the records of the last days that were, by their ids.

Audit records are asked for by whole days, so the last ones come again with every run; the ids say which are new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.storage import keys
from shared.storage.rows import Stored, from_row, text_of, to_row
from shared.storage.store import MAX_ROWS, MAX_STRING, Delete, Insert, Replace, Row, TableStore, Upsert, WriteConflict

_TABLE = "coordination"
_DIGITS = 16
_PER_ROW = MAX_STRING // (_DIGITS + 1)


@dataclass(frozen=True, slots=True)
class AuditCursor:
    """Records until `until` (Microsoft's clock) were handled; the rest is told of the last run, for people."""

    until: datetime
    owner: str = ""
    expires: datetime | None = None
    ran_at: datetime | None = None
    records: int = 0
    customers: int = 0
    detected: int = 0
    failed: int = 0
    problem: str = ""


class AuditCursors:
    """The repository of the cursor and the handled records."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def read(self) -> Stored[AuditCursor] | None:
        """The cursor; None before the first run."""
        row = await self._store.get(_TABLE, keys.SYNC, keys.audit_cursor())
        return from_row(AuditCursor, row) if row else None

    async def save(self, cursor: Stored[AuditCursor]) -> Stored[AuditCursor] | None:
        """Write the cursor under its etag; None where somebody else was faster."""
        row = to_row(keys.SYNC, keys.audit_cursor(), cursor.value, etag=cursor.etag)
        try:
            etags = await self._store.write(_TABLE, [Insert(row) if cursor.etag is None else Replace(row)])
        except WriteConflict:
            return None
        return Stored(cursor.value, etags[0])

    async def handled(self, first: str, last: str) -> set[str]:
        """Marks of the records of some days (ISO dates, both included) that were handled."""
        rows = await self._store.span(_TABLE, keys.HANDLED, *keys.handled_days(first, last))
        return {mark for row in rows for mark in text_of(row.values, "marks").split()}

    async def add_handled(self, day: str, marks: Iterable[str]) -> None:
        """Note records of a day as handled."""
        rows = await self._store.span(_TABLE, keys.HANDLED, *keys.handled_days(day, day))
        fresh = sorted(marks)
        last = text_of(rows[-1].values, "marks").split() if rows else []
        number = len(rows) - 1 if rows else 0
        if last and len(last) + len(fresh) > _PER_ROW:
            last, number = [], number + 1
        for start in range(0, len(fresh), _PER_ROW):
            chunk = [*last, *fresh[start : start + _PER_ROW - len(last)]]
            await self._store.write(
                _TABLE, [Upsert(Row(keys.HANDLED, keys.handled_day(day, number), {"marks": " ".join(chunk)}))]
            )
            last, number = [], number + 1

    async def forget_handled(self, before: str) -> None:
        """Remove what was handled before a day (ISO date)."""
        rows = await self._store.span(_TABLE, keys.HANDLED, "", before, limit=MAX_ROWS)
        for row in rows:
            await self._store.write(_TABLE, [Delete(row.partition, row.key)])


def mark_of(identity: str, status: str) -> str:
    """The mark of a record in a status; one that is still in progress comes again when it is done."""
    return hashlib.sha256(f"{identity}\n{status}".encode()).hexdigest()[:_DIGITS]
