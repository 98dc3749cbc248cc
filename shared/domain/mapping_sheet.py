"""Mappings as rows of a sheet: what the columns mean, and what is wrong with a row; pure.

One sheet holds all three kinds: `customer`, `product` and `subscription`. An export writes what an import reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Literal

from shared.domain.billing import DecreaseFrom, Policy, StartFrom, SuspendBilling
from shared.domain.planning import DriftPolicy
from shared.domain.pricing import PriceSource, Pricing
from shared.domain.sheet import Record

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_PRODUCT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,119}")
_TERM = re.compile(r"(P[0-9]{1,3}[DMY])?")
_BILLING = re.compile(r"[A-Za-z_]{0,40}")
_NUMBER = re.compile(r"[1-9][0-9]{0,15}")
_AMOUNT = re.compile(r"-?[0-9]{1,7}([.][0-9]{1,4})?")
_MOST = Decimal(1_000_000)

INFORMATION = ("companyName", "serviceName")  # written for people, and not read
_PRICING = ("priceSource", "unitPrice", "unitCost")
_POLICY: dict[str, str] = {
    "suspend": "suspend",
    "suspendFrom": "suspend_from",
    "increaseFrom": "increase_from",
    "decreaseInWindowFrom": "decrease_in_window_from",
    "decreaseOutsideFrom": "decrease_outside_from",
    "priceFrom": "price_from",
    "costFrom": "cost_from",
    "prorate": "prorate",
    "drift": "drift",
}
_OFFER = ("product", "termDuration", "billingCycle")
_OF_KIND: dict[str, tuple[str, ...]] = {
    "customer": ("customerId", "companyId"),
    "product": (*_OFFER, "serviceId", "anyPeriod"),
    "subscription": (
        "customerId",
        "subscriptionId",
        "contractId",
        "contractServiceId",
        "serviceId",
        "units",
        "anyPeriod",
        *_PRICING,
        *_POLICY,
    ),
}
COLUMNS = (
    "kind",
    "customerId",
    "companyId",
    "companyName",
    *_OFFER,
    "serviceId",
    "serviceName",
    "subscriptionId",
    "contractId",
    "contractServiceId",
    "units",
    "anyPeriod",
    *_PRICING,
    *_POLICY,
)


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer shall be a company."""

    customer: str
    company: int
    kind: Literal["customer"] = "customer"

    @property
    def key(self) -> tuple[str, ...]:
        """What the row is about."""
        return self.kind, self.customer


@dataclass(frozen=True, slots=True)
class ProductRow:
    """An offer shall be billed as a service."""

    product: str
    term: str
    billing: str
    service: int
    any_period: bool = False
    kind: Literal["product"] = "product"

    @property
    def key(self) -> tuple[str, ...]:
        """What the row is about."""
        return self.kind, self.product, self.term, self.billing


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription shall be billed on a contract; what is None stays as it is, or is found."""

    customer: str
    subscription: str
    contract: int
    line: int | None = None
    service: int | None = None
    units: Literal["adopt", "push"] | None = None
    policy: Policy | None = None
    pricing: Pricing | None = None
    any_period: bool = False
    kind: Literal["subscription"] = "subscription"

    @property
    def key(self) -> tuple[str, ...]:
        """What the row is about."""
        return self.kind, self.customer, self.subscription


MappingRow = CustomerRow | ProductRow | SubscriptionRow
ORDER = ("customer", "product", "subscription")  # a subscription may need the mappings of the others


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a cell: the row from 1, which is the header, the column, and a sentence."""

    row: int
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """A row with its number in the sheet."""

    number: int
    row: MappingRow


def wrong_columns(names: Iterable[str]) -> list[Wrong]:
    """The columns that no sheet of mappings has, and those that it lacks."""
    known = list(names)
    found = [Wrong(1, name[:40], "is no column of a mapping") for name in known if name not in COLUMNS]
    return found if "kind" in known else [*found, Wrong(1, "kind", "is missing")]


def rows_of(records: Sequence[Record]) -> tuple[list[Numbered], list[Wrong]]:
    """The rows in the order in which they can be carried out, and everything that is wrong."""
    found: list[Numbered] = []
    wrong: list[Wrong] = []
    first: dict[tuple[str, ...], int] = {}
    lines: dict[int, int] = {}
    for record in records:
        reader = _Reader(record)
        row = reader.row()
        wrong += reader.wrong
        if row is None:
            continue
        earlier = first.setdefault(row.key, record.row)
        if earlier != record.row:
            wrong.append(Wrong(record.row, "kind", f"is about the same as row {earlier}"))
        if isinstance(row, SubscriptionRow) and row.line is not None:
            other = lines.setdefault(row.line, record.row)
            if other != record.row:
                wrong.append(Wrong(record.row, "contractServiceId", f"is the line of row {other}"))
        found.append(Numbered(record.row, row))
    found.sort(key=lambda one: (ORDER.index(one.row.kind), one.number))
    return found, wrong


class _Reader:
    """Reads one row and notes what is wrong with it."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.wrong: list[Wrong] = []

    def row(self) -> MappingRow | None:
        kind = self._record.cells.get("kind", "")
        if kind not in _OF_KIND:
            self._note("kind", f"is one of {', '.join(_OF_KIND)}")
            return None
        for name in self._record.cells:
            if name not in _OF_KIND[kind] and name not in ("kind", *INFORMATION) and name in COLUMNS:
                self._note(name, f"is empty in a row of the kind {kind}")
        built = getattr(self, f"_{kind}")()
        return None if self.wrong else built

    def _customer(self) -> CustomerRow:
        return CustomerRow(self._guid("customerId"), self._number("companyId", needed=True))

    def _product(self) -> ProductRow:
        product = self._like("product", _PRODUCT, "is a product and SKU, or a legacy offer id")
        term = self._like("termDuration", _TERM, "is a term such as P1Y, or empty")
        billing = self._like("billingCycle", _BILLING, "is a billing frequency such as monthly, or empty")
        service = self._number("serviceId", needed=True)
        return ProductRow(product, term, billing, service, any_period=self._flag("anyPeriod"))

    def _subscription(self) -> SubscriptionRow:
        units = self._word("units", ("adopt", "push"))
        return SubscriptionRow(
            customer=self._guid("customerId"),
            subscription=self._guid("subscriptionId"),
            contract=self._number("contractId", needed=True),
            line=self._number("contractServiceId") or None,
            service=self._number("serviceId") or None,
            units="adopt" if units == "adopt" else "push" if units == "push" else None,
            policy=self._policy(),
            pricing=self._pricing(),
            any_period=self._flag("anyPeriod"),
        )

    def _policy(self) -> Policy | None:
        kinds: dict[str, type[StrEnum]] = {
            "suspend": SuspendBilling,
            "decreaseInWindowFrom": DecreaseFrom,
            "decreaseOutsideFrom": DecreaseFrom,
            "drift": DriftPolicy,
        }
        given: dict[str, Any] = {}
        for column, name in _POLICY.items():
            kind = kinds.get(column, StartFrom)
            allowed = ("true", "false") if column == "prorate" else tuple(item.value for item in kind)
            word = self._word(column, allowed)
            if word:
                given[name] = word == "true" if column == "prorate" else kind(word)
        return replace(Policy(), **given) if given else None

    def _pricing(self) -> Pricing | None:
        source = self._word("priceSource", tuple(item.value for item in PriceSource))
        price, cost = self._amount("unitPrice"), self._amount("unitCost")
        given = bool(self._text("unitPrice") or self._text("unitCost"))
        if given and source != PriceSource.FIXED:
            self._note("priceSource", "is fixed where unitPrice or unitCost is given")
        if source == PriceSource.FIXED and not given:
            self._note("unitPrice", "or unitCost is needed with the source fixed")
        if cost is not None and cost < 0:
            self._note("unitCost", "is not negative")
        return Pricing(PriceSource(source), price, cost) if source and not self.wrong else None

    def _note(self, column: str, message: str) -> None:
        self.wrong.append(Wrong(self._record.row, column, message))

    def _text(self, column: str) -> str:
        return self._record.cells.get(column, "")

    def _like(self, column: str, pattern: re.Pattern[str], message: str) -> str:
        text = self._text(column)
        if not pattern.fullmatch(text):
            self._note(column, message)
        return text

    def _guid(self, column: str) -> str:
        return self._like(column, _GUID, "is an id such as 0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101").lower()

    def _number(self, column: str, *, needed: bool = False) -> int:
        text = self._text(column)
        if not text and not needed:
            return 0
        if not _NUMBER.fullmatch(text):
            self._note(column, "is the number of something in Autotask")
            return 0
        return int(text)

    def _word(self, column: str, allowed: Sequence[str]) -> str:
        text = self._text(column).lower()
        if text and text not in allowed:
            self._note(column, f"is one of {', '.join(allowed)}, or empty")
            return ""
        return text

    def _flag(self, column: str) -> bool:
        return self._word(column, ("true", "false")) == "true"

    def _amount(self, column: str) -> Decimal | None:
        text = self._text(column)
        if not text:
            return None
        try:
            amount = Decimal(text) if _AMOUNT.fullmatch(text) else None
        except InvalidOperation:
            amount = None
        if amount is None or abs(amount) > _MOST:
            self._note(column, "is an amount such as 12.50, with at most four digits after the point")
        return amount


def policy_cells(policy: Policy) -> dict[str, str]:
    """A policy as cells, every rule of it: its word, or true and false."""
    return {column: str(getattr(policy, name)).lower() for column, name in _POLICY.items()}


def pricing_cells(pricing: Pricing) -> Mapping[str, str]:
    """A pricing as cells."""
    amounts = {"unitPrice": pricing.price, "unitCost": pricing.cost}
    shown = {name: f"{amount:f}" for name, amount in amounts.items() if amount is not None}
    return {"priceSource": pricing.source.value, **shown}
