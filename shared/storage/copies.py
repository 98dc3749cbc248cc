"""A copy of all tables as lines of JSON, one a row, and back (docs/runbook.md, "Restore").

Azure Table Storage has neither snapshots nor a restore to a point in time. A copy is not of one moment: rows that are
written while it is made are in it or not. What that means for a restored ledger is in docs/runbook.md.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

from shared.storage.store import MAX_ROWS, MAX_TRANSACTION_BYTES, TABLES, Row, Scalar, TableStore, Upsert

_PAGE = 1000
_TRANSACTION = MAX_TRANSACTION_BYTES // 4  # characters; a row is counted with two bytes each


async def lines_of(store: TableStore) -> AsyncIterator[str]:
    """Every row of every table, table by table, in the order of partitions and keys."""
    for table in TABLES:
        continuation: str | None = None
        while True:
            page = await store.page(table, partition=None, equals={}, size=_PAGE, continuation=continuation)
            for row in page.rows:
                values = {name: _to_json(value) for name, value in row.values.items()}
                yield json.dumps([table, row.partition, row.key, values], ensure_ascii=False)
            continuation = page.continuation
            if continuation is None:
                break


async def is_empty(store: TableStore) -> bool:
    """Whether no table holds anything."""
    return all([await store.following(table, "") is None for table in TABLES])


async def put_back(store: TableStore, lines: Iterable[str]) -> int:
    """Write rows as they were; says how many. Raises ValueError for a line that is no row."""
    written = 0
    together: list[Row] = []
    where, size = ("", ""), 0
    for line in lines:
        table, row = _row(line)
        if (table, row.partition) != where or len(together) == MAX_ROWS or size + len(line) > _TRANSACTION:
            written += await _write(store, where[0], together)
            where, size, together = (table, row.partition), 0, []
        together.append(row)
        size += len(line)
    return written + await _write(store, where[0], together)


async def _write(store: TableStore, table: str, rows: list[Row]) -> int:
    if rows:
        await store.write(table, [Upsert(row) for row in rows])
    return len(rows)


def _row(line: str) -> tuple[str, Row]:
    match json.loads(line):
        case [str() as table, str() as partition, str() as key, dict() as values] if table in TABLES:
            return table, Row(partition, key, {str(name): _from_json(value) for name, value in values.items()})
    raise ValueError("a line is a table, a partition, a key and the properties of a row")


def _to_json(value: Scalar) -> Any:
    return {"at": value.isoformat()} if isinstance(value, datetime) else value


def _from_json(value: Any) -> Scalar:
    match value:
        case {"at": str() as moment}:
            return datetime.fromisoformat(moment)
        case str() | bool() | int():
            return value
    raise ValueError("a property is a text, a number, true, false or a moment")
