"""Bulks in the ledger's table, in partitions of their own: a bulk concerns many customers.

`bulks` holds a row for each bulk and the idempotency rows, so that one transaction makes a bulk real; each bulk has a
partition with one row an item, so that outcomes are written beside each other and no row grows with the bulk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.bulk import Bulk, Item
from shared.storage import keys
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import Delete, Insert, Replace, Row, TableStore, Write

_TABLE = "ledger"


@dataclass(frozen=True, slots=True)
class BulkReplay:
    """What an idempotency key stands for."""

    request_hash: str
    bulk: str
    expires: datetime


class Bulks:
    """The repository of bulks."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def replay(self, key: str) -> Stored[BulkReplay] | None:
        """What an idempotency row stands for."""
        row = await self._store.get(_TABLE, keys.BULKS, key)
        return from_row(BulkReplay, row) if row else None

    async def add_items(self, bulk: str, items: Sequence[Item]) -> None:
        """Store the items of a bulk that is not real yet."""
        await self._store.write(_TABLE, [Insert(_item_row(bulk, Stored(item, None))) for item in items])

    async def add(self, bulk: Bulk, key: str, replay: Stored[BulkReplay]) -> None:
        """Make a bulk real, with its idempotency row. Raises WriteConflict where somebody was faster with the key."""
        await self._store.write(
            _TABLE, [Insert(_bulk_row(bulk)), _put(to_row(keys.BULKS, key, replay.value, etag=replay.etag))]
        )

    async def get(self, bulk: str) -> Stored[Bulk] | None:
        """One bulk."""
        row = await self._store.get(_TABLE, keys.BULKS, keys.bulk(bulk))
        return from_row(Bulk, row) if row else None

    async def save(self, stored: Stored[Bulk]) -> Stored[Bulk]:
        """Replace a bulk that was read. Raises WriteConflict."""
        (etag,) = await self._store.write(_TABLE, [Replace(_bulk_row(stored.value, stored.etag))])
        return Stored(stored.value, etag)

    async def items(self, bulk: str) -> list[Stored[Item]]:
        """The items by position."""
        rows = await self._store.span(_TABLE, keys.bulk_partition(bulk), *keys.bulk_items())
        return [from_row(Item, row) for row in rows]

    async def save_item(self, bulk: str, stored: Stored[Item]) -> Stored[Item]:
        """Replace an item that was read. Raises WriteConflict."""
        (etag,) = await self._store.write(_TABLE, [Replace(_item_row(bulk, stored))])
        return Stored(stored.value, etag)

    async def remove_items(self, bulk: str) -> None:
        """Remove the items of a bulk that never became real."""
        partition = keys.bulk_partition(bulk)
        rows = await self._store.span(_TABLE, partition, *keys.bulk_items())
        if rows:
            await self._store.write(_TABLE, [Delete(partition, row.key, row.etag) for row in rows])


def _bulk_row(bulk: Bulk, etag: str | None = None) -> Row:
    return to_row(keys.BULKS, keys.bulk(bulk.id), bulk, etag=etag, finished=bulk.finished_at is not None)


def _item_row(bulk: str, stored: Stored[Item]) -> Row:
    item = stored.value
    return to_row(
        keys.bulk_partition(bulk), keys.bulk_item(item.position), item, etag=stored.etag, status=item.status.value
    )


def _put(row: Row) -> Write:
    return Insert(row) if row.etag is None else Replace(row)
