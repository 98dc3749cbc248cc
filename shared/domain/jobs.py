"""What an operation has to do at Microsoft where that is no PATCH: upgrades, migrations and their schedules; pure.

Stored with the operation: what was asked for, what was there before (so that what is new can be told), and how far
Microsoft has come.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class UpgradeJob:
    """Seats that become another product.

    `full`: all of them, so that the subscription stays and changes its offer. `observed_at` is Microsoft's clock when
    it was accepted: what is older is not ours. `joined` are the seats that the subscription to join had then.
    `microsoft_id` names the transition, `made` the subscription that has the seats now, where it is not the source.
    """

    target: str
    title: str
    quantity: int
    full: bool
    legacy: bool
    observed_at: datetime
    transition_type: str = ""
    to_subscription: str | None = None
    term: str | None = None
    billing: str | None = None
    promotion: str | None = None
    joined: int = 0
    microsoft_id: str | None = None
    made: str | None = None
    warning: str = ""

    @property
    def product(self) -> str:
        """The product that the seats become, "product:sku" or a legacy offer's id."""
        return self.target.lower() if self.legacy else ":".join(self.target.split(":")[:2])


@dataclass(frozen=True, slots=True)
class MigrationJob:
    """A legacy subscription that goes to new commerce with its add-ons, now or by a schedule.

    `reference` is the GUID of ours that Microsoft keeps with it. `microsoft_id` names the migration or the schedule,
    `failed` are migrations of it that ended without an effect, `made` is the new subscription.
    """

    reference: str
    term: str | None = None
    billing: str | None = None
    full_term: bool = False
    quantity: int | None = None
    custom_end: datetime | None = None
    add_ons: tuple[str, ...] = ()
    scheduled: bool = False
    at: datetime | None = None  # of a schedule; None is at the renewal
    cancels: bool = False
    catalog_item: str = ""  # what it becomes, as Microsoft's validation named it
    microsoft_id: str | None = None
    failed: tuple[str, ...] = ()
    made: str | None = None
    note: str = ""
