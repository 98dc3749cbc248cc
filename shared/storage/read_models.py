"""Read models: what list pages show. Written after the ledger, rebuildable from it and from Partner Center.

Nothing is decided from a read model (invariant 7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.operation import Address
from shared.domain.subscription import Subscription
from shared.storage import keys
from shared.storage.indexes import NO_MOMENTS, Moments
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import MAX_ROWS, Delete, Insert, Replace, Row, Scalar, TableStore, Upsert, Write


@dataclass(frozen=True, slots=True)
class CustomerView:
    """A customer as listed."""

    customer: str
    name: str
    domain: str
    synced_at: datetime | None = None  # when something of it was written last; a complete full sync is younger
    missing_since: datetime | None = None  # Partner Center does not list it any more
    problem: str = ""  # why Partner Center does not let us see its subscriptions: a code, then a sentence
    problem_text: str = ""
    problem_since: datetime | None = None
    moments: Moments = NO_MOMENTS  # where the indexes have it
    unreadable: int = 0  # items that could not be understood


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """A subscription as listed: the last snapshot, the badge, and when Partner Center was read.

    `waiting` are the sequence numbers of the operations that keep the badge of a mapped subscription from being
    "synced"; None where the badge was not computed from all of them (docs/adr/0048).
    """

    snapshot: Subscription
    badge: str
    read_at: datetime
    content: str
    missing_since: datetime | None = None  # Partner Center does not list it any more
    unjudged: bool = False  # it appeared while an operation of ours was under way, which may have made it
    waiting: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterView:
    """The index entry of a dead operation."""

    operation: str
    code: str
    died_at: datetime


class ReadModels:
    """The repository of read models."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def put_customer(self, view: Stored[CustomerView]) -> None:
        """Write a customer under the etag it was read with. Raises WriteConflict."""
        row = to_row(keys.customer_shard(view.value.customer), view.value.customer, view.value, etag=view.etag)
        await self._store.write("customers", [Insert(row) if view.etag is None else Replace(row)])

    async def customer(self, customer: str) -> Stored[CustomerView] | None:
        """One customer."""
        row = await self._store.get("customers", keys.customer_shard(customer), customer)
        return from_row(CustomerView, row) if row else None

    async def customers(self, size: int, continuation: str | None) -> tuple[list[Stored[CustomerView]], str | None]:
        """A page of customers."""
        page = await self._store.page("customers", partition=None, equals={}, size=size, continuation=continuation)
        return [from_row(CustomerView, row) for row in page.rows], page.continuation

    async def subscription(self, customer: str, subscription: str) -> Stored[SubscriptionView] | None:
        """One subscription."""
        row = await self._store.get("subscriptions", customer, subscription)
        return from_row(SubscriptionView, row) if row else None

    async def of_customer(self, customer: str) -> dict[str, Stored[SubscriptionView]]:
        """All subscriptions of a customer by id."""
        rows = await self._store.span("subscriptions", customer, "", keys.END)
        return {row.key: from_row(SubscriptionView, row) for row in rows}

    async def put_subscription(self, view: Stored[SubscriptionView]) -> None:
        """Write a subscription under the etag it was read with. Raises WriteConflict."""
        await self.put_subscriptions([view])

    async def put_subscriptions(self, views: Sequence[Stored[SubscriptionView]]) -> None:
        """Write subscriptions of one customer under their etags, up to 100 in a transaction. Raises WriteConflict."""
        for start in range(0, len(views), MAX_ROWS):
            rows = [_subscription_row(view) for view in views[start : start + MAX_ROWS]]
            writes: list[Write] = [Insert(row) if row.etag is None else Replace(row) for row in rows]
            await self._store.write("subscriptions", writes)

    async def subscriptions(
        self, *, customer: str | None, equals: Mapping[str, Scalar], size: int, continuation: str | None
    ) -> tuple[list[SubscriptionView], str | None]:
        """A page of subscriptions, of one customer or across all, filtered by property values."""
        page = await self._store.page(
            "subscriptions", partition=customer, equals=equals, size=size, continuation=continuation
        )
        return [from_row(SubscriptionView, row).value for row in page.rows], page.continuation

    async def set_badge(self, read: Stored[SubscriptionView], badge: str, waiting: tuple[int, ...] | None) -> None:
        """Write a badge and what it comes from if the row has not changed since it was read. Raises WriteConflict.

        It is written where it is the same, too: whoever has computed another one from older facts then fails.
        """
        await self.put_subscription(Stored(replace(read.value, badge=badge, waiting=waiting), read.etag))

    async def add_dead_letter(self, address: Address, code: str, died_at: datetime) -> None:
        """Index a dead operation."""
        view = DeadLetterView(str(address), code, died_at)
        row = to_row(keys.DEAD_LETTERS, str(address), view, code=code, customer=address.customer)
        await self._store.write("views", [Upsert(row)])

    async def remove_dead_letter(self, address: Address) -> None:
        """Take an operation out of the index if it is there."""
        await self._store.write("views", [Delete(keys.DEAD_LETTERS, str(address))])

    async def dead_letters(
        self, equals: Mapping[str, Scalar], size: int, continuation: str | None
    ) -> tuple[list[DeadLetterView], str | None]:
        """A page of the index of dead operations."""
        page = await self._store.page(
            "views", partition=keys.DEAD_LETTERS, equals=equals, size=size, continuation=continuation
        )
        return [from_row(DeadLetterView, row).value for row in page.rows], page.continuation

    async def dead_letters_after(self, after: str | None, size: int) -> list[DeadLetterView]:
        """The entries of the index that follow one, by operation."""
        start, end = keys.dead_letters(after=after)
        rows = await self._store.span("views", keys.DEAD_LETTERS, start, end, limit=size)
        return [from_row(DeadLetterView, row).value for row in rows]


def _subscription_row(view: Stored[SubscriptionView]) -> Row:
    snapshot = view.value.snapshot
    return to_row(
        snapshot.customer_id,
        snapshot.id,
        view.value,
        etag=view.etag,
        state=snapshot.state.value,
        badge=view.value.badge,
        family=snapshot.family.value,
    )
