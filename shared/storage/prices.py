"""The price list and the margin rules, in two partitions of the table `mappings`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from shared.domain.pricing import Offer, PriceRow, PriceRule
from shared.storage import keys
from shared.storage.rows import from_row, to_row
from shared.storage.store import Delete, TableStore, Upsert

_TABLE = "mappings"
_ROWS, _RULES = "prices", "price_rules"
_PAGE = 1000  # the most that table storage gives at once

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredPrice:
    """A row of the price list, and who changed it when."""

    row: PriceRow
    changed_at: datetime
    changed_by: str

    @property
    def key(self) -> str:
        """The row key and the id in the API."""
        offer = self.row.offer
        return keys.price(offer.product, offer.term, offer.billing, self.row.valid_from)


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A margin rule, and who changed it when."""

    rule: PriceRule
    changed_at: datetime
    changed_by: str

    @property
    def key(self) -> str:
        """The row key and the id in the API: there is one rule for each scope."""
        return keys.price_rule(self.rule.customer, self.rule.product, self.rule.term, self.rule.billing)


class Prices:
    """The repository of prices."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def put_row(self, price: StoredPrice) -> None:
        """Create or change a row of the price list."""
        await self._store.write(_TABLE, [Upsert(to_row(_ROWS, price.key, price))])

    async def put_rule(self, rule: StoredRule) -> None:
        """Create or change a margin rule."""
        await self._store.write(_TABLE, [Upsert(to_row(_RULES, rule.key, rule))])

    async def remove_row(self, key: str) -> None:
        """Remove a row of the price list if it is there."""
        await self._store.write(_TABLE, [Delete(_ROWS, key)])

    async def remove_rule(self, key: str) -> None:
        """Remove a margin rule if it is there."""
        await self._store.write(_TABLE, [Delete(_RULES, key)])

    async def rows(self, size: int, continuation: str | None) -> tuple[list[StoredPrice], str | None]:
        """A page of the price list."""
        return await self._page(StoredPrice, _ROWS, size, continuation)

    async def rules(self, size: int, continuation: str | None) -> tuple[list[StoredRule], str | None]:
        """A page of the margin rules."""
        return await self._page(StoredRule, _RULES, size, continuation)

    async def of_offer(self, offer: Offer) -> list[PriceRow]:
        """All rows of an offer."""
        start, end = keys.prices(offer.product, offer.term, offer.billing)
        return [from_row(StoredPrice, row).value.row for row in await self._store.span(_TABLE, _ROWS, start, end)]

    async def all_rules(self) -> list[PriceRule]:
        """All margin rules."""
        return [stored.rule async for stored in self._all(StoredRule, _RULES)]

    async def _all(self, kind: type[T], partition: str) -> AsyncIterator[T]:
        continuation: str | None = None
        while True:
            items, continuation = await self._page(kind, partition, _PAGE, continuation)
            for item in items:
                yield item
            if continuation is None:
                return

    async def _page(
        self, kind: type[T], partition: str, size: int, continuation: str | None
    ) -> tuple[list[T], str | None]:
        equals: dict[str, Any] = {}
        page = await self._store.page(_TABLE, partition=partition, equals=equals, size=size, continuation=continuation)
        return [from_row(kind, row).value for row in page.rows], page.continuation
