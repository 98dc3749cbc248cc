"""Hints from webhooks: something of a subscription changed. One row for a subscription, however many events come.

An event is seen once: the row that says so and the hint are written together, so that a repeated delivery is neither
lost nor followed twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.storage import keys
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import MAX_ROWS, Delete, Insert, Row, TableStore, Upsert, WriteConflict

_TABLE = "coordination"


@dataclass(frozen=True, slots=True)
class Hint:
    """What a webhook told of last: `changed_at` is Microsoft's moment; an empty subscription means the customer."""

    customer: str
    subscription: str
    event: str
    changed_at: datetime
    received_at: datetime
    tries: int = 0


class Hints:
    """The repository of hints."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def add(self, event: str, hint: Hint) -> bool:
        """Store a hint with its event; False where the event was seen before."""
        seen = Row(keys.WEBHOOKS, keys.webhook_event(hint.changed_at.date().isoformat(), event), {"seen": True})
        row = to_row(keys.WEBHOOKS, keys.hint(hint.customer, hint.subscription), hint)
        try:
            await self._store.write(_TABLE, [Insert(seen), Upsert(row)])
        except WriteConflict:
            return False
        return True

    async def waiting(self, limit: int) -> list[Stored[Hint]]:
        """Hints that nobody has followed yet."""
        rows = await self._store.span(_TABLE, keys.WEBHOOKS, *keys.hints(), limit=limit)
        return [from_row(Hint, row) for row in rows]

    async def followed(self, hint: Stored[Hint]) -> None:
        """Remove a hint, unless a further event has come meanwhile."""
        key = keys.hint(hint.value.customer, hint.value.subscription)
        try:
            await self._store.write(_TABLE, [Delete(keys.WEBHOOKS, key, hint.etag)])
        except WriteConflict:
            return

    async def put(self, hint: Hint) -> None:
        """Write a hint again, as one that failed."""
        row = to_row(keys.WEBHOOKS, keys.hint(hint.customer, hint.subscription), hint)
        await self._store.write(_TABLE, [Upsert(row)])

    async def forget_events(self, before: str) -> None:
        """Forget some of the events about changes before a day (ISO date)."""
        rows = await self._store.span(_TABLE, keys.WEBHOOKS, *keys.webhook_events_before(before), limit=MAX_ROWS)
        for row in rows:
            await self._store.write(_TABLE, [Delete(row.partition, row.key)])
