"""Operations: what was asked for or detected, how far Microsoft and Autotask have come, and their history."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from functions.http_actions.answers.common import Badge, Day, Link, Moment, Money, Scheduled
from functions.http_actions.answers.subscriptions import Subscription
from shared.domain.bulk import ItemStatus
from shared.domain.detected import Cause, FieldChange
from shared.domain.operation import Kind, LegStatus, PartnerStatus

OperationStatus = Literal[
    "settling",
    "working",
    "pushing",
    "waiting",
    "review",
    "synced",
    "dead",
    "dismissed",
    "refused",
    "timed_out",
    "done",
    "not_applicable",
]


class Known(TypedDict):
    """What is known of a subscription before or after an operation."""

    status: str
    quantity: int
    product: NotRequired[str]
    autoRenewEnabled: NotRequired[bool]
    scheduled: NotRequired[Scheduled | None]


class PartnerCenterLeg(TypedDict):
    """How far the call at Microsoft has come."""

    status: PartnerStatus
    requestId: str
    attempts: int
    code: str
    text: str


class Explanation(TypedDict):
    """Why a leg waits or is dead, and what helps."""

    code: str
    sentence: str
    remedy: str
    vendorText: str


class DriftSeen(TypedDict):
    """The numbers of a drift on its first day: as we left it, as it is, as it should be."""

    on: Day
    verified: int
    actual: int
    desired: int
    reading: str
    verifiedPrice: NotRequired[Money]
    actualPrice: NotRequired[Money]
    desiredPrice: NotRequired[Money]
    verifiedCost: NotRequired[Money]
    actualCost: NotRequired[Money]
    desiredCost: NotRequired[Money]


class Approximation(TypedDict):
    """Days (`end` excluded; null: for ever) that are billed otherwise than wanted, and the money of it."""

    start: Day
    end: Day | None
    desired: int
    billed: int
    desiredPrice: NotRequired[Money]
    billedPrice: NotRequired[Money]
    desiredCost: NotRequired[Money]
    billedCost: NotRequired[Money]
    money: NotRequired[Money]
    perPeriod: NotRequired[bool]


Rate = TypedDict("Rate", {"from": Day, "amount": Money | None})
"""From a day on an amount per unit; null: it is not ours."""


class RestoredStep(TypedDict):
    """From a day on what an undo brings back; a rate of null is not ours."""

    date: Day
    units: int
    price: Money | None
    cost: Money | None
    free: bool


class AutotaskLeg(TypedDict):
    """How far one line of a contract has come."""

    contractServiceId: int | None
    contractId: int
    units: int | None
    increaseOn: Day
    decreaseOn: Day
    status: LegStatus
    retryAt: Moment | None
    settledAt: Moment | None
    reason: NotRequired[Explanation]
    drift: NotRequired[DriftSeen]
    approximations: NotRequired[list[Approximation]]
    price: NotRequired[list[Rate]]
    cost: NotRequired[list[Rate]]
    freeFrom: NotRequired[Day]
    restores: NotRequired[list[RestoredStep]]


class UpgradeState(TypedDict):
    """What an upgrade is about."""

    target: str
    title: str
    quantity: int
    allSeats: bool
    toSubscriptionId: str | None
    newSubscriptionId: str | None
    microsoftId: str | None
    warning: str


class MigrationState(TypedDict):
    """What a migration or its schedule is about."""

    reference: str
    termDuration: str | None
    billingCycle: str | None
    purchaseFullTerm: bool
    quantity: int | None
    addOns: list[str]
    scheduledFor: Moment | None
    microsoftId: str | None
    newSubscriptionId: str | None
    note: str


Event = TypedDict("Event", {"at": Moment, "by": str, "event": str, "from": str, "to": str, "why": str})
"""One step of an operation's history."""


class Operation(TypedDict):
    """One intention on one subscription, with both legs."""

    id: str
    customerId: str
    subscriptionId: str
    sequence: int
    kind: Kind
    status: OperationStatus
    atRest: Annotated[bool, Field(description="Nothing more happens by itself")]
    requestedAt: Moment
    requestedBy: str
    businessDate: Day
    before: Known
    after: Known
    cause: str
    partnerCenter: PartnerCenterLeg
    autotask: list[AutotaskLeg]
    traceId: str | None
    links: Link
    causeKind: NotRequired[Cause | None]
    auditRecord: NotRequired[str | None]
    changes: NotRequired[list[FieldChange]]
    upgrade: NotRequired[UpgradeState]
    migration: NotRequired[MigrationState]
    follows: NotRequired[str]
    followedBy: NotRequired[str]
    causedBy: NotRequired[str]
    undoes: NotRequired[str]
    undoneBy: NotRequired[str]


class OperationWithEvents(Operation):
    """An operation with its history."""

    events: list[Event]


class Done(TypedDict):
    """An action's operation; `operation` is null and `subscription` is there where nothing was to be done."""

    operation: Operation | None
    alreadyDone: bool
    restorations: NotRequired[list[Operation]]
    subscription: NotRequired[Subscription]


class Decided(TypedDict):
    """The operation after a person's decision about it."""

    operation: Operation


class Pushed(TypedDict):
    """The operations that are pushed now."""

    operations: list[str]
    badge: Badge


class SubscriptionChange(TypedDict):
    """What is different since the last sync."""

    field: str
    before: Any
    after: Any


class Synced(TypedDict):
    """A subscription as it is now, what changed since the last sync, and the operation that was detected."""

    subscription: Subscription
    changes: list[SubscriptionChange]
    operation: Operation | None


class ChangedSubscription(TypedDict):
    """A subscription with what changed."""

    subscriptionId: str
    changes: list[SubscriptionChange]


class Looked(TypedDict):
    """What a look at all subscriptions of a customer found."""

    subscriptions: int
    changed: list[ChangedSubscription]
    operations: list[Operation]
    unreadableItems: int
    notListedAnyMore: list[str]


class BulkItem(TypedDict):
    """One item of a bulk: how far it has come, its operation, or why there is none."""

    position: int
    customerId: str
    subscriptionId: str
    action: str
    status: ItemStatus
    operation: str | None
    code: NotRequired[str]
    detail: NotRequired[str]
    problemStatus: NotRequired[int]
    retryAt: NotRequired[Moment]
    operationStatus: NotRequired[OperationStatus]
    atRest: NotRequired[bool]


class BulkLinks(TypedDict):
    """Where the bulk and its items are."""

    self: str
    items: str


class Bulk(TypedDict):
    """How far a bulk has come."""

    id: str
    status: Literal["running", "finished"]
    requestedAt: Moment
    requestedBy: str
    finishedAt: Moment | None
    counts: dict[str, int]
    items: list[BulkItem]
    links: BulkLinks
    pausedUntil: NotRequired[Moment]
    pausedBecause: NotRequired[str]
