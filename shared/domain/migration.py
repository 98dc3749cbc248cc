"""Migration of a legacy subscription to new commerce: what may be asked, what was asked, and what Microsoft did; pure.

Read from the wire and written to it by `shared.partner_center.wire_migrations` (Partner Center reference 11).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.reasons import Reason, Vocabulary

MIGRATION_REASONS = Vocabulary(
    {
        0: ("subscription_status_not_active", "Only an active subscription can be migrated."),
        1: ("subscription_being_processing_in_oms", "Microsoft is working on this subscription; try again later."),
        2: (
            "subscription_too_close_to_term_end",
            "The term is about to end; wait for the renewal, or migrate with a new full term.",
        ),
        3: ("subscription_promotions_present", "A subscription with a promotion cannot be migrated."),
        4: ("subscription_add_ons_present", "Its add-ons have to be migrated together with it."),
        5: ("new_commerce_product_unavailable", "New commerce has no equivalent of this offer yet."),
        6: (
            "term_duration_billing_cycle_combination_not_supported",
            "The new product is not sold with this term and billing cycle.",
        ),
        7: ("subscription_active_for_less_than_one_month", "It has been active for less than one month."),
        8: ("trade_status_not_allowed", "Microsoft does not allow trade with this customer at present."),
        9: ("invalid_partner_id_on_record", "The partner id on record is not valid."),
        10: (
            "migrations_within_last_24h_of_term_only_allowed_for_full_term",
            "Less than 24 hours are left of the term; it can only be migrated with a new full term.",
        ),
        11: ("invalid_custom_term_end_date", "The custom end date is not valid."),
        12: (
            "custom_term_end_date_must_align_with_existing_subscription_or_calendar_month",
            "The custom end date must be the end of a month, or that of another subscription.",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class AddOnMigration:
    """An add-on that goes along with its base; None leaves the choice at the legacy value."""

    subscription: str
    term: str | None = None
    billing: str | None = None
    full_term: bool = False
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class MigrationRequest:
    """What a migration asks for; None leaves a choice at the legacy value.

    `full_term`: a new whole term instead of what is left of the present one. `external_reference`: a GUID of ours that
    the migration can be found by later. `add_ons` is flat: add-ons of add-ons stand beside them.
    """

    subscription: str
    term: str | None = None
    billing: str | None = None
    full_term: bool = False
    quantity: int | None = None
    external_reference: str | None = None
    add_ons: tuple[AddOnMigration, ...] = ()
    custom_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """A migration at a date, or at the next renewal where `at` is None."""

    migration: MigrationRequest
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MigrationOption:
    """Whether a subscription can be migrated with that term and billing; `add_ons` are flat.

    Microsoft names term, billing and catalogue item of eligible ones only; the term and billing asked for stand in.
    """

    subscription: str
    term: str
    billing: str
    eligible: bool
    reasons: tuple[Reason, ...]
    catalog_item: str | None
    add_ons: tuple[MigrationOption, ...] = ()


class MigrationStatus(StrEnum):
    """Where a migration stands; an unknown word is UNKNOWN and keeps its raw word."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration at Microsoft; ids are lower-case. `new_subscription` is there once the migration made it."""

    id: str
    status: MigrationStatus
    status_raw: str
    subscription: str
    new_subscription: str | None
    external_reference: str | None
    started_at: datetime | None
    completed_at: datetime | None
    subscription_end: datetime | None
    catalog_item: str | None
    term: str
    billing: str
    full_term: bool
    quantity: int | None
    order_id: str
    reasons: tuple[Reason, ...] = ()
    add_ons: tuple[Migration, ...] = ()


class ScheduleStatus(StrEnum):
    """Where a schedule stands; Microsoft names more words than it documents, which are UNKNOWN."""

    CREATED = "created"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MigrationSchedule:
    """A migration that Microsoft will start by itself, at `target_date` or on renewal.

    `migration` is the id of the migration that it has become; `reason` says why it could not become one.
    """

    id: str
    status: ScheduleStatus
    status_raw: str
    subscription: str
    target_date: datetime | None
    on_renewal: bool
    external_reference: str | None
    subscription_end: datetime | None
    term: str
    billing: str
    full_term: bool
    quantity: int | None
    created_at: datetime | None
    modified_at: datetime | None
    migration: str | None
    reason: Reason | None
    add_ons: tuple[str, ...] = ()
