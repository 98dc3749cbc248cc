"""Unit prices and costs from a price list and margin rules (ADR 0013); pure.

A row of the list names what an offer costs us and its list price, per unit and billing period, between two dates, with
promotions. A rule makes the customer's price of it; of the rules that match a subscription the most specific wins. What
is billed from which date is the mapping's policy (`shared.domain.billing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Literal

from shared.domain.timeline import Day, RateStep

_DAY = timedelta(days=1)
_HUNDRED = Decimal(100)
_COST_DIGITS = Decimal("0.0001")

Digits = Literal[2, 4]


class PriceSource(StrEnum):
    """Where a mapping's price and cost come from."""

    NONE = "none"  #: they are not ours; what Autotask has stays
    FIXED = "fixed"  #: as given; one that is not given is not ours
    PRICE_LIST = "price_list"  #: from the price list and the margin rules


@dataclass(frozen=True, slots=True)
class Pricing:
    """A mapping's price and cost per unit and billing period; the amounts are those of `fixed`."""

    source: PriceSource = PriceSource.NONE
    price: Decimal | None = None
    cost: Decimal | None = None

    @property
    def has_price(self) -> bool:
        """Whether the price is ours."""
        return self.source is PriceSource.PRICE_LIST or self.price is not None


NOT_OURS = Pricing()


@dataclass(frozen=True, slots=True)
class Offer:
    """What a price is looked up for: product ("product:sku" or a legacy offer id), term and billing frequency."""

    product: str
    term: str
    billing: str

    def matches(self, product: str | None, term: str | None, billing: str | None) -> bool:
        """Whether it is one of these, None for any; letter case does not count."""
        pairs = ((product, self.product), (term, self.term), (billing, self.billing))
        return all(wanted is None or wanted.lower() == own.lower() for wanted, own in pairs)

    def same_as(self, other: Offer) -> bool:
        """Whether both are the same offer; letter case does not count."""
        return self.matches(other.product, other.term, other.billing)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion on a row, both days included: amounts of its own, or a percentage off where it names none."""

    name: str
    start: Day
    end: Day
    percent_off: Decimal | None = None
    cost: Decimal | None = None
    list_price: Decimal | None = None

    def amount(self, own: Decimal | None, regular: Decimal | None) -> Decimal | None:
        """What it makes of a regular amount."""
        if own is not None or regular is None or self.percent_off is None:
            return regular if own is None else own
        return regular * (_HUNDRED - self.percent_off) / _HUNDRED


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One row of the price list; `valid_to` is included, None for no end."""

    offer: Offer
    valid_from: Day
    valid_to: Day | None
    cost: Decimal | None
    list_price: Decimal | None
    promotions: tuple[Promotion, ...] = ()

    def holds_on(self, day: date) -> bool:
        """Whether the row is valid on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


class Margin(StrEnum):
    """How a rule makes a price."""

    MARKUP = "markup"  #: cost x (1 + percent / 100)
    MARGIN = "margin"  #: cost / (1 - percent / 100), so that the percentage of the price remains
    DISCOUNT = "discount"  #: list price x (1 - percent / 100); 0 is the list price itself
    FIXED = "fixed"  #: the amount itself


@dataclass(frozen=True, slots=True)
class PriceRule:
    """A margin rule for a customer, a product, a term and a billing frequency, each None for any.

    `value` is a percentage, or the amount of a fixed price. Raises ValueError for a margin of 100 percent or more.
    """

    kind: Margin
    value: Decimal
    customer: str | None = None
    product: str | None = None
    term: str | None = None
    billing: str | None = None
    digits: Digits = 2

    def __post_init__(self) -> None:
        if self.kind is Margin.MARGIN and self.value >= _HUNDRED:
            raise ValueError("A margin is less than 100 percent of the price.")

    @property
    def rank(self) -> tuple[bool, ...]:
        """How specific it is: a customer counts more than a product, that more than a term and a billing frequency."""
        return tuple(scope is not None for scope in (self.customer, self.product, self.term, self.billing))

    def matches(self, customer: str, offer: Offer) -> bool:
        """Whether it is for a customer and an offer."""
        return self.customer in {None, customer} and offer.matches(self.product, self.term, self.billing)

    def price(self, cost: Decimal | None, list_price: Decimal | None) -> Decimal | None:
        """The price per unit, rounded half up to its digits; None where the list lacks what it is made of."""
        match self.kind:
            case Margin.FIXED:
                return self.rounded(self.value)
            case Margin.DISCOUNT:
                return None if list_price is None else self.rounded(list_price * (1 - self.value / _HUNDRED))
            case Margin.MARKUP:
                return None if cost is None else self.rounded(cost * (1 + self.value / _HUNDRED))
            case Margin.MARGIN:
                return None if cost is None else self.rounded(cost / (1 - self.value / _HUNDRED))

    def rounded(self, amount: Decimal) -> Decimal:
        """An amount half up to the rule's digits."""
        return amount.quantize(Decimal(1).scaleb(-self.digits), ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Quote:
    """Price and cost of a unit on a day, and what made them. The cost has four digits, whatever the rule's are."""

    price: Decimal
    cost: Decimal | None
    rule: PriceRule
    row: PriceRow
    promotion: str = ""


@dataclass(frozen=True, slots=True)
class Unpriced:
    """No price can be made: a stable code and a sentence."""

    code: str
    sentence: str


def quote(
    offer: Offer, customer: str, day: date, rows: Iterable[PriceRow], rules: Iterable[PriceRule]
) -> Quote | Unpriced:
    """The price of an offer for a customer on a day. Of two rows that are valid the one that began later counts."""
    valid = [row for row in rows if row.offer.same_as(offer) and row.holds_on(day)]
    if not valid:
        return Unpriced("not_in_price_list", f"The price list has no row for {_named(offer)} on {day}.")
    matching = [rule for rule in rules if rule.matches(customer, offer)]
    if not matching:
        return Unpriced("no_price_rule", f"No price rule is for {_named(offer)} of customer {customer}.")
    row = max(valid, key=lambda row: row.valid_from)
    rule = max(matching, key=lambda rule: rule.rank)
    promotion = next((item for item in row.promotions if item.start <= day <= item.end), None)
    cost, list_price = row.cost, row.list_price
    if promotion is not None:
        cost, list_price = promotion.amount(promotion.cost, cost), promotion.amount(promotion.list_price, list_price)
    price = rule.price(cost, list_price)
    if price is None:
        needed = "list price" if rule.kind is Margin.DISCOUNT else "cost"
        return Unpriced("price_incomplete", f"The price list names no {needed} for {_named(offer)} on {day}.")
    kept = None if cost is None else cost.quantize(_COST_DIGITS, ROUND_HALF_UP)
    return Quote(price, kept, rule, row, promotion.name if promotion is not None else "")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The price and the cost from a day on, with every later date on which the list changes them."""

    price: tuple[RateStep, ...]
    cost: tuple[RateStep, ...]


def schedule(
    offer: Offer, customer: str, today: date, rows: Iterable[PriceRow], rules: Iterable[PriceRule]
) -> Schedule | Unpriced:
    """What the list says from today on: rows and promotions begin and end by their own dates.

    Where the list ends, the last price goes on; it has to be there today.
    """
    mine, known = [row for row in rows if row.offer.same_as(offer)], tuple(rules)
    first = quote(offer, customer, today, mine, known)
    if isinstance(first, Unpriced):
        return first
    days = sorted({day for row in mine for day in _dates(row) if day > today})
    later = [(day, quote(offer, customer, day, mine, known)) for day in days]
    quotes = [(today, first), *((day, found) for day, found in later if isinstance(found, Quote))]
    return Schedule(
        price=_changes([RateStep(day, found.price) for day, found in quotes]),
        cost=_changes([RateStep(day, found.cost) for day, found in quotes if found.cost is not None]),
    )


def fixed(pricing: Pricing, today: date) -> Schedule:
    """The price and cost of a mapping without a list; what is not given is not ours from today on."""
    return Schedule((RateStep(today, pricing.price),), (RateStep(today, pricing.cost),))


def _dates(row: PriceRow) -> list[date]:
    """The days from which a row says something else than the day before."""
    ends = [row.valid_to] if row.valid_to is not None and row.valid_to < date.max else []
    promoted = [day for item in row.promotions for day in (item.start, item.end + _DAY)]
    return [row.valid_from, *(end + _DAY for end in ends), *promoted]


def _changes(steps: Sequence[RateStep]) -> tuple[RateStep, ...]:
    kept: list[RateStep] = []
    for step in steps:
        if not kept or kept[-1].amount != step.amount:
            kept.append(step)
    return tuple(kept)


def _named(offer: Offer) -> str:
    words = (offer.product, offer.term, offer.billing)
    return " ".join(word for word in words if word) or "an offer without a product"
