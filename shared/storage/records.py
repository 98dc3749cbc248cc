"""Removal of what time has made superfluous, across the tables; only retention uses it (docs/adr/0044).

Everything is removed under the etag that it was read with: what somebody has changed meanwhile stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.line import Line
from shared.domain.operation import Address
from shared.storage import keys
from shared.storage.grants import GrantChange
from shared.storage.rows import Stored, from_row
from shared.storage.store import MAX_ROWS, Delete, Row, TableStore, WriteConflict

_LEDGER = "ledger"
_CUSTOMER = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class _Expiring:
    """What an idempotency row of any kind has in common."""

    expires: datetime


@dataclass(frozen=True, slots=True)
class OldChange:
    """A change of a grant with the row that it is."""

    caller: str
    change: GrantChange
    row: Row


class Records:
    """The repository of what may go."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def customer_after(self, customer: str) -> str | None:
        """The next customer in the ledger, by id; one request each, however many rows a customer has."""
        found = await self._store.following(_LEDGER, customer)
        while found is not None and not _CUSTOMER.fullmatch(found):
            after = keys.AFTER_BULKS if found.startswith(keys.BULK) else found
            found = await self._store.following(_LEDGER, after)
        return found

    async def forget_keys(self, partition: str, now: datetime) -> int:
        """Remove the idempotency rows of a customer, or of all bulks, that have run out. Says how many."""
        removed, after = 0, keys.replays()[0]
        while rows := await self._store.span(_LEDGER, partition, after, keys.replays()[1], limit=MAX_ROWS):
            over = [row for row in rows if from_row(_Expiring, row).value.expires <= now]
            removed += await self._remove(_LEDGER, over)
            after = keys.just_after(rows[-1].key)
        return removed

    async def lines(self, customer: str) -> list[Stored[Line]]:
        """All lines that the ledger holds for a customer."""
        rows = await self._store.span(_LEDGER, customer, *keys.lines())
        return [from_row(Line, row) for row in rows]

    async def forget_line(self, line: Stored[Line]) -> bool:
        """Remove a line; False where it changed meanwhile."""
        return await self._together([Delete(line.value.customer, keys.line(line.value.line), line.etag)])

    async def forget_operation(self, address: Address, etag: str | None, events: int) -> bool:
        """Remove an operation and its events, the operation last; False where it changed meanwhile.

        Whoever dies in between leaves an operation with fewer events, which the next run finds again.
        """
        gone = [Delete(address.customer, keys.event(address, number)) for number in range(1, events + 1)]
        last = [*gone[-(MAX_ROWS - 1) :], Delete(address.customer, keys.operation(address), etag)]
        rest = gone[: -(MAX_ROWS - 1)]
        for start in range(0, len(rest), MAX_ROWS):
            await self._one_by_one(rest[start : start + MAX_ROWS])
        if await self._together(last):
            return True
        found = await self._store.get(_LEDGER, address.customer, keys.operation(address))
        if found is None or found.etag != etag:
            return False
        await self._one_by_one(last[:-1])  # an earlier run has removed some of its events
        return await self._together(last[-1:])

    async def forget_bulk(self, identity: str, etag: str | None) -> bool:
        """Remove a bulk whose items are gone; False where it changed meanwhile."""
        return await self._together([Delete(keys.BULKS, keys.bulk(identity), etag)])

    async def bulks(self, size: int, continuation: str | None) -> tuple[list[Row], str | None]:
        """A page of the bulks that are over."""
        page = await self._store.page(
            _LEDGER, partition=keys.BULKS, equals={"finished": True}, size=size, continuation=continuation
        )
        return page.rows, page.continuation

    async def grant_changes(self, after: str) -> list[OldChange]:
        """Some changes of grants, by caller and moment, after a row's key."""
        start, end = keys.all_grant_changes()
        rows = await self._store.span("access", keys.GRANTS, keys.just_after(after) if after else start, end, limit=500)
        return [OldChange(row.key.split(":")[1], from_row(GrantChange, row).value, row) for row in rows]

    async def forget_changes(self, changes: Sequence[OldChange]) -> int:
        """Remove changes of grants. Says how many."""
        return await self._remove("access", [old.row for old in changes])

    async def _remove(self, table: str, rows: Sequence[Row]) -> int:
        """Remove rows of one partition in one transaction, or those that have not changed where some have."""
        removed = 0
        for start in range(0, len(rows), MAX_ROWS):
            gone = [Delete(row.partition, row.key, row.etag) for row in rows[start : start + MAX_ROWS]]
            if await self._together(gone, table):
                removed += len(gone)
            else:
                removed += sum([await self._together([one], table) for one in gone])
        return removed

    async def _together(self, gone: Sequence[Delete], table: str = _LEDGER) -> bool:
        try:
            await self._store.write(table, gone)
        except WriteConflict:
            return False
        return True

    async def _one_by_one(self, gone: Sequence[Delete]) -> None:
        """Remove rows of which some may be gone already."""
        if not await self._together(gone):
            for one in gone:
                await self._store.write(_LEDGER, [one])
