"""Customers and subscriptions, what may be done with them, and what a dialog shows before it is done."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from functions.http_actions.answers.common import Badge, Day, Duration, Moment, Scheduled
from shared.domain.actions import Alternative, Difference
from shared.domain.deadlines import Kind
from shared.domain.preview import Loss, Restoration
from shared.domain.subscription import Family, State
from shared.usecases.preview import AddOn


class CustomerProblem(TypedDict):
    """Why Partner Center does not let us see a customer's subscriptions."""

    code: str
    sentence: str
    since: Moment | None


class Customer(TypedDict):
    """A customer as listed. `syncedAt` is when its subscriptions were last read."""

    id: str
    name: str
    domain: str
    syncedAt: Moment | None
    missingSince: NotRequired[Annotated[Moment, Field(description="Partner Center does not list it any more")]]
    problem: NotRequired[CustomerProblem]
    unreadableItems: NotRequired[int]


class SeatBatch(TypedDict):
    """Seats that can be given back until a moment."""

    quantity: int
    until: Moment


class Decision(TypedDict):
    """Whether an action is allowed, until when, and why not and what remains where it is not."""

    allowed: bool
    until: NotRequired[Moment]
    code: NotRequired[str]
    reason: NotRequired[str]
    allowedFrom: NotRequired[Moment]
    alternatives: NotRequired[list[Alternative]]
    differences: NotRequired[list[Difference]]


class Subscription(TypedDict):
    """A subscription with its badge and what may be done with it, by action."""

    id: str
    customerId: str
    offerId: str
    offerName: str
    friendlyName: str
    family: Family
    isTrial: bool
    state: State
    status: Annotated[str, Field(description="Microsoft's own word")]
    quantity: int
    unitType: str
    autoRenewEnabled: bool
    termDuration: str
    billingCycle: str
    commitmentEndsAt: Moment | None
    cancellationAllowedUntil: Moment | None
    refundableSeats: list[SeatBatch]
    productKey: str
    badge: Badge
    scheduled: Scheduled | None
    migratedFrom: str | None
    actions: dict[str, Decision]
    missingSince: NotRequired[Moment]


class SubscriptionNow(Subscription):
    """A subscription as Partner Center shows it at this moment; `migratedTo` is what took its place."""

    migratedTo: str | None


class Renewal(TypedDict):
    """What will happen at the renewal, and what may be changed of it."""

    autoRenewEnabled: bool
    commitmentEndsAt: Moment | None
    scheduled: Scheduled | None
    actions: dict[str, Decision]


Units = TypedDict("Units", {"from": Day, "units": int})
"""From a day on so many units are billed."""


class Bill(TypedDict):
    """What a line bills from which day on: as it is, and if the action is carried out now."""

    contractId: int
    contractServiceId: int | None
    serviceId: int | None
    product: str | None
    before: list[Units]
    after: list[Units]


class RefundEstimate(TypedDict):
    """What Microsoft gives back, estimated by days."""

    estimate: Literal[True]
    seats: int
    daysLeft: int
    daysOfTerm: int
    shareOfTermPrice: float


class UpgradeChoice(TypedDict):
    """The upgrade that would be asked for."""

    target: str
    title: str
    quantity: int
    allSeats: bool
    transitionType: str
    toSubscriptionId: str | None


class MigrationChoice(TypedDict):
    """The migration that would be asked for."""

    addOns: list[str]
    scheduled: bool


class Preview(Decision):
    """What an action will do, until when, what is taken away by it, and what the bill becomes."""

    action: str
    timeRemaining: Duration | None
    refundableSeats: list[SeatBatch]
    losses: list[Loss]
    consequences: list[str]
    restorations: list[Restoration]
    addOns: list[AddOn]
    refund: RefundEstimate | None
    bill: list[Bill] | None
    upgrade: NotRequired[UpgradeChoice]
    migration: NotRequired[MigrationChoice]
    scheduled: NotRequired[Scheduled]


class CalendarItem(TypedDict):
    """A moment that needs a person before it."""

    at: Moment
    daysLeft: int
    kind: Kind
    customerId: str
    customerName: str
    subscriptionId: str
    offerName: str
    friendlyName: str
    quantity: int
    state: State
    autoRenewEnabled: bool
    termDuration: str
    badge: Badge


class NewSubscription(TypedDict):
    """A subscription that appeared at a known customer and is not mapped."""

    seenAt: Moment
    causeKind: str
    subscription: Subscription
