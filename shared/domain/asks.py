"""What a portal asks for beside the action itself: the choices of a dialog, as values; pure.

None leaves a choice as it is (or to Microsoft). Used by the doors to build requests, by `shared.usecases` to carry
them out, and stored with the operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class UpgradeAsk:
    """Move seats (None: all) to `target`, "product:sku:availability" or the id of a legacy offer.

    `to_subscription`: they join an existing subscription of that product.
    """

    target: str
    quantity: int | None = None
    to_subscription: str | None = None
    transition_type: str | None = None
    term: str | None = None
    billing: str | None = None
    promotion: str | None = None


@dataclass(frozen=True, slots=True)
class MigrateAsk:
    """Take a legacy subscription with its add-ons to new commerce; `full_term`: a new term instead of what is left."""

    term: str | None = None
    billing: str | None = None
    full_term: bool = False
    quantity: int | None = None
    custom_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class MigrationScheduleAsk:
    """Let Microsoft migrate at a moment, or (None) at the renewal; `schedule` names the one to change."""

    migration: MigrateAsk
    at: datetime | None = None
    schedule: str | None = None


@dataclass(frozen=True, slots=True)
class RenewalAsk:
    """What shall be different after the renewal. `target` is a catalogue item, "product:sku:availability"."""

    quantity: int | None = None
    target: str | None = None
    term: str | None = None
    billing: str | None = None
    promotion: str | None = None
    custom_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class RestoreAsk:
    """What a reactivation shall bring back of what the suspension switched off."""

    auto_renew: bool = True
    schedule: bool = True


@dataclass(frozen=True, slots=True)
class CancelScheduleAsk:
    """Which scheduled migration shall not take place."""

    schedule: str


Ask = UpgradeAsk | MigrateAsk | MigrationScheduleAsk | RenewalAsk | RestoreAsk | CancelScheduleAsk
