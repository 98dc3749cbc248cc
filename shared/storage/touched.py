"""Customers of whom something was written outside a full sync, so that the next one looks at them in any case.

A full sync skips a customer whose listing is byte for byte as it was. That is right only while nobody else has written
what it compares with: an operation of ours followed by somebody who undoes it at Microsoft leaves the same bytes and
another ledger. So whoever stores an operation or a snapshot touches the customer first.
"""

from __future__ import annotations

from shared.storage import keys
from shared.storage.store import Delete, Row, TableStore, Upsert, WriteConflict

_TABLE = "views"


class Touched:
    """The repository of touched customers."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def touch(self, customer: str) -> None:
        """Let the next full sync look at a customer."""
        await self._store.write(_TABLE, [Upsert(Row(keys.TOUCHED, customer, {"touched": True}))])

    async def all(self) -> dict[str, str]:
        """The touched customers with the etag of their row."""
        rows = await self._store.span(_TABLE, keys.TOUCHED, "", keys.END)
        return {row.key: row.etag or "" for row in rows}

    async def looked_at(self, customer: str, etag: str) -> None:
        """The customer was looked at after this etag was read; one that was touched again meanwhile stays."""
        try:
            await self._store.write(_TABLE, [Delete(keys.TOUCHED, customer, etag)])
        except WriteConflict:
            return
