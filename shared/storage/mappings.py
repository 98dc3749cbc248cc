"""Mappings: customer to Autotask company, product to service, subscription to contract and line.

In the partition `subscriptions` both the subscription (`S:`) and the line (`L:`) have a row, so that "one line, one
subscription" is kept by one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from shared.domain.billing import Policy
from shared.domain.calendar import BillingCalendar
from shared.domain.pricing import NOT_OURS, Pricing
from shared.storage import keys
from shared.storage.imports import Imports
from shared.storage.prices import Prices
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import Delete, Insert, Page, Replace, Row, TableStore, Upsert, Write, WriteConflict

_TABLE = "mappings"
Kind = Literal["customers", "products"]


@dataclass(frozen=True, slots=True)
class CustomerMapping:
    """A Partner Center customer and the Autotask company it is."""

    customer: str
    company: int
    company_name: str
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class ProductMapping:
    """An offer (product and SKU, term, billing frequency) and the Autotask service it is billed as."""

    product: str
    term: str
    billing: str
    service: int
    service_name: str
    changed_at: datetime
    changed_by: str

    @property
    def key(self) -> str:
        """The row key and the id in the API."""
        return keys.mapping_product(self.product, self.term, self.billing)


@dataclass(frozen=True, slots=True)
class SubscriptionMapping:
    """A subscription and the contract line it is billed on, with the contract's billing calendar and the policy."""

    customer: str
    subscription: str
    contract: int
    line: int
    service: int
    calendar: BillingCalendar
    policy: Policy
    since: date
    since_sequence: int  # the operation that made it so; it may have a leg on the line before
    changed_at: datetime
    changed_by: str
    pricing: Pricing = NOT_OURS


class Mappings:
    """The repository of mappings; `prices` is that of the price list, `imports` that of imports, in the same table."""

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self.prices = Prices(store)
        self.imports = Imports(store)

    async def customer(self, customer: str) -> CustomerMapping | None:
        """A customer's mapping."""
        row = await self._store.get(_TABLE, "customers", customer)
        return from_row(CustomerMapping, row).value if row else None

    async def product(self, key: str) -> ProductMapping | None:
        """A product's mapping."""
        row = await self._store.get(_TABLE, "products", key)
        return from_row(ProductMapping, row).value if row else None

    async def put_customer(self, mapping: CustomerMapping) -> None:
        """Create or change a customer's mapping."""
        await self._store.write(_TABLE, [Upsert(to_row("customers", mapping.customer, mapping))])

    async def put_product(self, mapping: ProductMapping) -> None:
        """Create or change a product's mapping."""
        await self._store.write(_TABLE, [Upsert(to_row("products", mapping.key, mapping))])

    async def add_customer(self, mapping: CustomerMapping) -> bool:
        """Map a customer that is not mapped; False where it is."""
        return await self._add(to_row("customers", mapping.customer, mapping))

    async def add_product(self, mapping: ProductMapping) -> bool:
        """Map a product that is not mapped; False where it is."""
        return await self._add(to_row("products", mapping.key, mapping))

    async def remove(self, kind: Kind, key: str) -> None:
        """Remove a customer's or product's mapping if it is there."""
        await self._store.write(_TABLE, [Delete(kind, key)])

    async def customers(self, size: int, continuation: str | None) -> tuple[list[CustomerMapping], str | None]:
        """A page of customer mappings."""
        page = await self._page("customers", size, continuation, {})
        return [from_row(CustomerMapping, row).value for row in page.rows], page.continuation

    async def products(self, size: int, continuation: str | None) -> tuple[list[ProductMapping], str | None]:
        """A page of product mappings."""
        page = await self._page("products", size, continuation, {})
        return [from_row(ProductMapping, row).value for row in page.rows], page.continuation

    async def subscriptions(self, size: int, continuation: str | None) -> tuple[list[SubscriptionMapping], str | None]:
        """A page of subscription mappings."""
        page = await self._page("subscriptions", size, continuation, {"kind": "S"})
        return [from_row(SubscriptionMapping, row).value for row in page.rows], page.continuation

    async def subscriptions_of(
        self, customer: str, size: int, after: str | None
    ) -> tuple[list[SubscriptionMapping], str | None]:
        """A page of the mappings of one customer's subscriptions, after a row."""
        start, end = keys.mapping_subscriptions(customer, after=after)
        rows = await self._store.span(_TABLE, "subscriptions", start, end, limit=size)
        following = rows[-1].key if len(rows) == size else None
        return [from_row(SubscriptionMapping, row).value for row in rows], following

    async def subscription(self, customer: str, subscription: str) -> Stored[SubscriptionMapping] | None:
        """A subscription's mapping."""
        key = keys.mapping_subscription(customer, subscription)
        row = await self._store.get(_TABLE, "subscriptions", key)
        return from_row(SubscriptionMapping, row) if row else None

    async def mapped_of(self, customer: str) -> dict[str, SubscriptionMapping]:
        """The mappings of a customer's subscriptions by subscription."""
        rows = await self._store.span(_TABLE, "subscriptions", *keys.mapping_subscriptions(customer, after=None))
        found = [from_row(SubscriptionMapping, row).value for row in rows]
        return {mapping.subscription: mapping for mapping in found}

    async def owner(self, line: int) -> tuple[str, str] | None:
        """Customer and subscription that a line belongs to."""
        row = await self._store.get(_TABLE, "subscriptions", keys.mapping_line(line))
        return (str(row.values["customer"]), str(row.values["subscription"])) if row else None

    async def assign(self, old: Stored[SubscriptionMapping] | None, new: SubscriptionMapping | None) -> None:
        """Exchange a subscription's line in one transaction; either side may be None.

        Raises WriteConflict where the line belongs to another subscription or the mapping changed meanwhile.
        """
        writes: list[Write] = []
        same_line = old is not None and new is not None and old.value.line == new.line
        if new is not None:
            key = keys.mapping_subscription(new.customer, new.subscription)
            row = to_row("subscriptions", key, new, etag=old.etag if old else None, kind="S")
            writes.append(Insert(row) if old is None else Replace(row))
            if not same_line:
                writes.append(Insert(_line_row(new)))
        if old is not None and not same_line:
            writes.append(Delete("subscriptions", keys.mapping_line(old.value.line)))
            if new is None:
                key = keys.mapping_subscription(old.value.customer, old.value.subscription)
                writes.append(Delete("subscriptions", key, old.etag))
        if writes:
            await self._store.write(_TABLE, writes)

    def with_more(
        self,
        customers: Mapping[str, CustomerMapping],
        products: Mapping[str, ProductMapping],
        owners: Mapping[int, tuple[str, str]],
    ) -> Mappings:
        """These mappings as if there were some more, for trying out; nothing is written through it."""
        return _WithMore(self._store, customers, products, owners)

    async def _add(self, row: Row) -> bool:
        try:
            await self._store.write(_TABLE, [Insert(row)])
        except WriteConflict:
            return False
        return True

    async def _page(self, partition: str, size: int, continuation: str | None, equals: Mapping[str, str]) -> Page:
        return await self._store.page(_TABLE, partition=partition, equals=equals, size=size, continuation=continuation)


def _line_row(mapping: SubscriptionMapping) -> Row:
    values = {"kind": "L", "customer": mapping.customer, "subscription": mapping.subscription}
    return Row("subscriptions", keys.mapping_line(mapping.line), values)


class _WithMore(Mappings):
    """Mappings with some that are not stored."""

    def __init__(
        self,
        store: TableStore,
        customers: Mapping[str, CustomerMapping],
        products: Mapping[str, ProductMapping],
        owners: Mapping[int, tuple[str, str]],
    ) -> None:
        super().__init__(store)
        self._customers, self._products, self._owners = customers, products, owners

    async def customer(self, customer: str) -> CustomerMapping | None:
        """See Mappings."""
        return self._customers.get(customer) or await super().customer(customer)

    async def product(self, key: str) -> ProductMapping | None:
        """See Mappings."""
        return self._products.get(key) or await super().product(key)

    async def owner(self, line: int) -> tuple[str, str] | None:
        """See Mappings."""
        return self._owners.get(line) or await super().owner(line)
