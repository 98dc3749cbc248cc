"""Changes that nobody asked us for: what is compared, what differs, who or what probably did it; pure.

`Known` (status and seats) decides about the bill. `Facts` are what else a person wants to know of; a difference in
them alone changes no bill and is recorded as not applicable, a changed product aside.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.listings import AuditRecord
from shared.domain.subscription import State, Subscription

_RENEWAL_STARTS = timedelta(seconds=1)  # the new term begins with the second after the inclusive end (reference 8.6)
_ENDED = frozenset({State.EXPIRED, State.DISABLED, State.DISABLED_AFTER_SUSPENSION, State.DELETED})
_UPGRADES = ("upgrade", "transition", "convert_trial")  # words in an audit record's operation (reference 13.3)


class Cause(StrEnum):
    """Who or what changed a subscription, as far as it can be told."""

    PARTNER = "partner"  #: an account or application of the partner, by an audit record
    RENEWAL = "renewal"  #: the term ended and a new one began
    SCHEDULE = "schedule"  #: a renewal carried out what was scheduled for it
    MICROSOFT = "microsoft"  #: the end of a term or of a grace period
    UPGRADE = "upgrade"  #: another product, or seats that moved to a subscription of their own
    MIGRATION = "migration"  #: it took the place of a legacy subscription
    PURCHASE = "purchase"  #: a subscription that was not there before
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is compared of a subscription beside status and seats. `product` is "product:sku" or a legacy offer's id."""

    product: str
    auto_renew: bool
    friendly_name: str
    term_duration: str
    billing_cycle: str


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that is different now."""

    field: str
    before: str | int | bool | None
    after: str | int | bool | None


@dataclass(frozen=True, slots=True)
class Why:
    """The cause of a change, its moment where that is known, and the audit record that tells of it."""

    cause: Cause
    at: datetime | None = None
    record: str = ""


def facts_of(subscription: Subscription) -> Facts:
    """The facts of a subscription."""
    return Facts(
        product=subscription.product_key,
        auto_renew=subscription.auto_renew,
        friendly_name=subscription.friendly_name,
        term_duration=subscription.term_duration,
        billing_cycle=subscription.billing_cycle,
    )


def differences(before: Facts, after: Facts) -> tuple[FieldChange, ...]:
    """The facts that differ."""
    return tuple(
        FieldChange(item.name, getattr(before, item.name), getattr(after, item.name))
        for item in fields(Facts)
        if getattr(before, item.name) != getattr(after, item.name)
    )


def why_changed(
    before: Subscription | None,
    after: Subscription,
    record: AuditRecord | None,
    *,
    seen_at: datetime,
    appeared: bool = False,
    other_product: bool = False,
) -> Why:
    """The most probable cause of a difference between two readings; the audit record is about this subscription.

    `before` is None where no reading was kept; it may be as new as `after`, where a comparison was put off. `appeared`
    says that the subscription was not there before, `other_product` that the ledger knows it with another product.
    """
    if record is not None:
        upgraded = any(word in record.operation for word in _UPGRADES)
        return Why(Cause.UPGRADE if upgraded else Cause.PARTNER, record.at, record.id)
    if appeared:
        return Why(Cause.MIGRATION if after.migrated_from else Cause.PURCHASE, after.creation_date)
    why = Why(Cause.UNKNOWN) if before is None else _by_time(before, after, seen_at)
    return Why(Cause.UPGRADE) if other_product and why.cause is Cause.UNKNOWN else why


def _by_time(before: Subscription, after: Subscription, seen_at: datetime) -> Why:
    """What time alone explains: the end of a term, a renewal with or without a schedule, the end of a grace period."""
    end = before.commitment_end if before.commitment_end is not None and before.commitment_end <= seen_at else None
    if end is not None and after.commitment_end is not None and after.commitment_end > end:
        carried_out = before.has_schedule and not after.has_schedule
        return Why(Cause.SCHEDULE if carried_out else Cause.RENEWAL, end + _RENEWAL_STARTS)
    if before.product_key != after.product_key:
        return Why(Cause.UPGRADE)
    ended = after.state in _ENDED and after.state is not before.state
    if ended and (end is not None or before.state in _ENDED):
        return Why(Cause.MICROSOFT, end if before.state not in _ENDED else None)
    return Why(Cause.UNKNOWN)
