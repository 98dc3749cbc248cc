"""A subscription as the rules see it, made from a raw Partner Center resource by `shared.partner_center.wire`.

Open vocabularies stay open: an unknown status or family keeps its raw word and allows nothing but a sync.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.known import Known


class Family(StrEnum):
    """Product families (Partner Center reference 6.3)."""

    NCE_LICENSE = "nce_license"
    LEGACY_LICENSE = "legacy_license"
    LEGACY_AZURE = "legacy_azure"
    AZURE_PLAN = "azure_plan"
    SOFTWARE = "software"
    RESERVATION = "reservation"
    SAAS = "saas"
    TRIAL = "trial"  # of a licence, new commerce or legacy: it has rules of its own
    UNKNOWN = "unknown"


class State(StrEnum):
    """States of a subscription (Partner Center reference 6.4)."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    DISABLED = "disabled"
    DISABLED_AFTER_SUSPENSION = "disabled_after_suspension"
    DELETED = "deleted"
    PENDING = "pending"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SeatBatch:
    """Seats bought together: `quantity` of them can be given back until `until`."""

    quantity: int
    until: datetime


@dataclass(frozen=True, slots=True)
class CustomerItem:
    """A customer as the list of customers shows it."""

    id: str
    name: str
    domain: str
    relationship: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription; ids are lower-case, moments are UTC, quantities are seats.

    `refundable` is None where Microsoft names no seats at all (suspended, software, legacy), empty where none are
    left. `product_key` is "product:sku", or the legacy offer's id. `schedule` is the JSON of the next term's
    instructions, "" where there are none. `migrated_from` is the legacy subscription that this one took the place of.
    """

    customer_id: str
    id: str
    offer_id: str
    offer_name: str
    friendly_name: str
    family: Family
    is_trial: bool
    status_raw: str
    state: State
    quantity: int
    unit_type: str
    auto_renew: bool
    term_duration: str
    billing_cycle: str
    creation_date: datetime | None
    effective_start: datetime | None
    commitment_end: datetime | None
    cancel_until: datetime | None
    refundable: tuple[SeatBatch, ...] | None
    parent_id: str | None
    promotion_id: str | None
    order_id: str
    product_key: str
    schedule: str = ""
    migrated_from: str | None = None

    @property
    def has_schedule(self) -> bool:
        """Whether something is scheduled for the renewal."""
        return bool(self.schedule)

    def renewing_at(self, now: datetime) -> bool:
        """Whether its term is over while it is still active: Microsoft renews it within a day (reference 8.6)."""
        return self.state is State.ACTIVE and self.commitment_end is not None and self.commitment_end < now

    def refundable_at(self, now: datetime) -> int:
        """Seats that can still be given back at `now`, never more than there are."""
        return min(self.quantity, sum(batch.quantity for batch in self.refundable or () if batch.until > now))

    def cancellable_at(self, now: datetime) -> bool:
        """Whether `now` is before the last moment of cancellation that Microsoft names."""
        return self.cancel_until is not None and now < self.cancel_until


def refined(before: State | None, snapshot: Subscription) -> Subscription:
    """A snapshot whose state says how it became disabled, where Microsoft's word alone does not tell."""
    suspended = before in {State.SUSPENDED, State.DISABLED_AFTER_SUSPENSION}
    if suspended and snapshot.state is State.DISABLED:
        return replace(snapshot, state=State.DISABLED_AFTER_SUSPENSION)
    return snapshot


def known_of(subscription: Subscription) -> Known:
    """What the ledger keeps of a subscription."""
    return Known(
        status=subscription.status_raw.lower(),
        quantity=subscription.quantity,
        product=subscription.product_key,
        auto_renew=subscription.auto_renew,
        schedule=subscription.schedule,
    )
