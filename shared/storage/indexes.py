"""Indexes in the table `views`: customers by their next moments, new subscriptions, reviews, and unreadable items.

They are read models: written before the row that they are made from, so that a crash leaves an entry too many and never
one too few, and checked against the rows when they are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.domain.operation import Address
from shared.storage import keys
from shared.storage.rows import from_row, to_row
from shared.storage.store import MAX_ROWS, Delete, Page, Scalar, TableStore, Upsert, Write, WriteConflict

_TABLE = "views"
RAW_KEPT = 16 * 1024  # characters of an unreadable item


@dataclass(frozen=True, slots=True)
class Moments:
    """The next moments of a customer's subscriptions; None where there is none.

    `due`: Microsoft changes something by itself, so the customer is read again. `calendar`: somebody may want to
    decide. `legacy`: the term of a legacy licence ends.
    """

    due: datetime | None = None
    calendar: datetime | None = None
    legacy: datetime | None = None


NO_MOMENTS = Moments()


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A customer in the index, with the moment that it is there for."""

    customer: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A subscription that appeared at a known customer."""

    customer: str
    subscription: str
    seen_at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class ReviewEntry:
    """An operation that waits for its release."""

    operation: str
    detected_at: datetime


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An item that could not be understood, raw and cut."""

    customer: str
    name: str
    reason: str
    raw: str
    seen_at: datetime


Index = Literal["due", "calendar", "legacy"]


def upcoming_among(
    kind: Index, known: Mapping[str, Moments], until: datetime | None, limit: int, after: str = ""
) -> list[tuple[str, Upcoming]]:
    """What `Indexes.upcoming` would give if there were only these customers, with the same keys."""
    start, end = keys.customer_moments(kind, until)
    found = []
    for customer, moments in known.items():
        at: datetime | None = getattr(moments, kind)
        if at is not None and max(start, after) <= (key := keys.customer_moment(kind, at, customer)) < end:
            found.append((key, Upcoming(customer, at)))
    return sorted(found, key=lambda entry: entry[0])[:limit]


class Indexes:
    """The repository of these indexes."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    # -- moments

    async def move(self, customer: str, before: Moments, after: Moments) -> None:
        """Exchange a customer's moments; what stays is not written."""
        writes: list[Write] = []
        for kind in ("due", "calendar", "legacy"):
            old, new = getattr(before, kind), getattr(after, kind)
            if new is not None and new != old:
                key = keys.customer_moment(kind, new, customer)
                writes.append(Upsert(to_row(keys.MOMENTS, key, Upcoming(customer, new))))
            if old is not None and new != old:
                writes.append(Delete(keys.MOMENTS, keys.customer_moment(kind, old, customer)))
        await self._write_all(writes)

    async def upcoming(
        self, kind: Index, until: datetime | None, limit: int, after: str = ""
    ) -> list[tuple[str, Upcoming]]:
        """Customers whose moment of a kind comes until then, the earliest first, with their keys; go on `after` one."""
        start, end = keys.customer_moments(kind, until)
        rows = await self._store.span(_TABLE, keys.MOMENTS, max(start, after), end, limit=limit)
        return [(row.key, from_row(Upcoming, row).value) for row in rows]

    async def drop_upcoming(self, key: str) -> None:
        """Remove an entry that no customer's row knows of."""
        await self._store.write(_TABLE, [Delete(keys.MOMENTS, key)])

    # -- new subscriptions

    async def add_new(self, entry: NewEntry) -> None:
        """Note a subscription that appeared."""
        key = keys.owned(entry.customer, entry.subscription)
        await self._store.write(_TABLE, [Upsert(to_row(keys.NEW, key, entry, customer=entry.customer))])

    async def new(self, customer: str | None, size: int, continuation: str | None) -> tuple[list[NewEntry], str | None]:
        """A page of subscriptions that appeared, of one customer or of all."""
        page = await self._page(keys.NEW, customer, size, continuation)
        return [from_row(NewEntry, row).value for row in page.rows], page.continuation

    async def drop_new(self, entry: NewEntry) -> None:
        """Take a subscription out of the index."""
        await self._store.write(_TABLE, [Delete(keys.NEW, keys.owned(entry.customer, entry.subscription))])

    # -- reviews

    async def add_review(self, address: Address, detected_at: datetime) -> None:
        """Note an operation that waits for its release."""
        row = to_row(keys.REVIEWS, str(address), ReviewEntry(str(address), detected_at), customer=address.customer)
        await self._store.write(_TABLE, [Upsert(row)])

    async def drop_review(self, address: Address) -> None:
        """Take an operation out of the index if it is there."""
        await self._store.write(_TABLE, [Delete(keys.REVIEWS, str(address))])

    async def reviews(
        self, customer: str | None, size: int, continuation: str | None
    ) -> tuple[list[ReviewEntry], str | None]:
        """A page of operations that wait for their release, of one customer or of all."""
        page = await self._page(keys.REVIEWS, customer, size, continuation)
        return [from_row(ReviewEntry, row).value for row in page.rows], page.continuation

    # -- unreadable items

    async def exchange_unreadable(self, customer: str, entries: Sequence[UnreadableEntry]) -> None:
        """Exchange what could not be understood of a customer."""
        rows = await self._store.span(_TABLE, keys.UNREADABLE, *keys.owned_by(customer))
        wanted = {keys.owned(customer, entry.name): entry for entry in entries}
        writes: list[Write] = [
            Upsert(to_row(keys.UNREADABLE, key, entry, customer=customer)) for key, entry in wanted.items()
        ]
        writes += [Delete(keys.UNREADABLE, row.key) for row in rows if row.key not in wanted]
        await self._write_all(writes)

    async def unreadable(
        self, customer: str | None, size: int, continuation: str | None
    ) -> tuple[list[UnreadableEntry], str | None]:
        """A page of what could not be understood, of one customer or of all."""
        page = await self._page(keys.UNREADABLE, customer, size, continuation)
        return [from_row(UnreadableEntry, row).value for row in page.rows], page.continuation

    async def _page(self, partition: str, customer: str | None, size: int, continuation: str | None) -> Page:
        equals: dict[str, Scalar] = {"customer": customer} if customer is not None else {}
        return await self._store.page(_TABLE, partition=partition, equals=equals, size=size, continuation=continuation)

    async def _write_all(self, writes: Sequence[Write]) -> None:
        """All of one partition in one transaction; where something to be removed is gone already, one by one."""
        for start in range(0, len(writes), MAX_ROWS):
            together = writes[start : start + MAX_ROWS]
            try:
                await self._store.write(_TABLE, together)
            except WriteConflict:
                for one in together:
                    await self._store.write(_TABLE, [one])
