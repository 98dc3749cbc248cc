"""Mappings and prices: which company, service, contract and line is billed for what, and at what price."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from functions.http_actions.answers.common import Day, Moment, Money
from functions.http_actions.answers.operations import Operation
from shared.domain.billing import Policy
from shared.domain.pricing import Margin, PriceSource, Unpriced


class CustomerMapping(TypedDict):
    """The Autotask company that a customer is."""

    customerId: str
    companyId: int
    companyName: str
    changedAt: Moment
    changedBy: str


class ProductMapping(TypedDict):
    """The Autotask service that an offer is billed as."""

    id: str
    product: str
    termDuration: str
    billingCycle: str
    serviceId: int
    serviceName: str
    changedAt: Moment
    changedBy: str


class Pricing(TypedDict):
    """Where a price and a cost come from."""

    source: PriceSource
    unitPrice: Money | None
    unitCost: Money | None


class SubscriptionMapping(TypedDict):
    """The contract and line that a subscription is billed on, and how."""

    customerId: str
    subscriptionId: str
    contractId: int
    contractServiceId: int
    serviceId: int
    since: Day
    periodType: str
    policy: Policy
    pricing: Pricing
    changedAt: Moment
    changedBy: str


class Mapped(TypedDict):
    """A mapping, and the operation that puts it into force where the bill changes by it."""

    mapping: SubscriptionMapping | None
    operation: Operation | None


class PriceChanged(TypedDict):
    """The operation of a change of price, or the mapping where it has this price already."""

    operation: Operation | None
    alreadyDone: bool
    mapping: NotRequired[SubscriptionMapping]


class Promotion(TypedDict):
    """A promotion, both days included."""

    name: str
    startsOn: Day
    endsOn: Day
    percentOff: Money | None
    unitCost: Money | None
    listPrice: Money | None


class Price(TypedDict):
    """A row of the price list, per unit and billing period."""

    id: str
    product: str
    termDuration: str
    billingCycle: str
    validFrom: Day
    validTo: Day | None
    unitCost: Money | None
    listPrice: Money | None
    promotions: list[Promotion]
    changedAt: Moment
    changedBy: str


class PriceRule(TypedDict):
    """A margin rule; a scope that is null matches all."""

    id: str
    kind: Margin
    value: Money
    customerId: str | None
    product: str | None
    termDuration: str | None
    billingCycle: str | None
    digits: Literal[2, 4]
    changedAt: Moment
    changedBy: str


class AmountChange(TypedDict):
    """An amount before and after; null: it is not ours."""

    before: Money | None
    after: Money | None


DatedChange = TypedDict("DatedChange", {"from": Day, "unitPrice": AmountChange, "unitCost": AmountChange})
"""What changes on a day."""


class LineChange(TypedDict):
    """What the price list changes on a line: the operation that does it, or the problem in its way."""

    customerId: str
    subscriptionId: str
    contractId: int
    contractServiceId: int
    changes: list[DatedChange]
    operation: str | None
    problem: Unpriced | None
