"""Imports of mappings in the table `mappings`: a row for each, with its idempotency row, and their parts apart.

The parts of an import have a partition of their own; an import is real once its own row is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.mapping_import import Import, Part
from shared.storage import keys
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import Delete, Insert, Replace, Row, TableStore, Write

_TABLE = "mappings"
_AT_ONCE = 20  # parts in a transaction, which has its limit in bytes too


@dataclass(frozen=True, slots=True)
class ImportReplay:
    """What an idempotency key stands for."""

    request_hash: str
    identity: str
    expires: datetime


class Imports:
    """The repository of imports."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def replay(self, key: str) -> Stored[ImportReplay] | None:
        """What an idempotency row stands for."""
        row = await self._store.get(_TABLE, keys.IMPORTS, key)
        return from_row(ImportReplay, row) if row else None

    async def add_parts(self, identity: str, parts: Sequence[Part]) -> None:
        """Store the parts of an import that is not real yet."""
        for start in range(0, len(parts), _AT_ONCE):
            await self._store.write(
                _TABLE, [Insert(_part_row(identity, Stored(part, None))) for part in parts[start : start + _AT_ONCE]]
            )

    async def add(self, job: Import, key: str, replay: Stored[ImportReplay]) -> None:
        """Make an import real, with its idempotency row. Raises WriteConflict where somebody was faster."""
        await self._store.write(
            _TABLE, [Insert(_row(job)), _put(to_row(keys.IMPORTS, key, replay.value, etag=replay.etag))]
        )

    async def get(self, identity: str) -> Stored[Import] | None:
        """One import."""
        row = await self._store.get(_TABLE, keys.IMPORTS, keys.mapping_import(identity))
        return from_row(Import, row) if row else None

    async def save(self, stored: Stored[Import]) -> Stored[Import]:
        """Replace an import that was read. Raises WriteConflict."""
        (etag,) = await self._store.write(_TABLE, [Replace(_row(stored.value, stored.etag))])
        return Stored(stored.value, etag)

    async def part(self, identity: str, number: int) -> Stored[Part] | None:
        """One part of an import."""
        row = await self._store.get(_TABLE, keys.import_partition(identity), keys.import_part(number))
        return from_row(Part, row) if row else None

    async def parts(self, identity: str, *, first: int, limit: int) -> list[Part]:
        """Some parts of an import, from one on."""
        span = keys.import_parts(first)
        rows = await self._store.span(_TABLE, keys.import_partition(identity), *span, limit=limit)
        return [from_row(Part, row).value for row in rows]

    async def save_part(self, identity: str, stored: Stored[Part]) -> Stored[Part]:
        """Replace a part that was read. Raises WriteConflict."""
        (etag,) = await self._store.write(_TABLE, [Replace(_part_row(identity, stored))])
        return Stored(stored.value, etag)

    async def remove_parts(self, identity: str) -> None:
        """Remove the parts of an import that never became real."""
        partition = keys.import_partition(identity)
        while rows := await self._store.span(_TABLE, partition, *keys.import_parts(0), limit=_AT_ONCE):
            await self._store.write(_TABLE, [Delete(partition, row.key, row.etag) for row in rows])


def _row(job: Import, etag: str | None = None) -> Row:
    return to_row(keys.IMPORTS, keys.mapping_import(job.id), job, etag=etag, finished=job.finished_at is not None)


def _part_row(identity: str, stored: Stored[Part]) -> Row:
    part = stored.value
    return to_row(keys.import_partition(identity), keys.import_part(part.number), part, etag=stored.etag)


def _put(row: Row) -> Write:
    return Insert(row) if row.etag is None else Replace(row)
