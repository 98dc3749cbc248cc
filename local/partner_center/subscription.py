"""One simulated subscription: the stored resource, its seat batches, and how the API shows both at a moment.

Dates and windows are kept as facts and written into the resource when it is read; everything else is the raw JSON
object, unknown fields included. Changes are made by `local.partner_center.patch` and
`local.partner_center.lifecycle`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from local.partner_center.moments import (
    DAY,
    NEVER_ENDS,
    WINDOW,
    billing_cycle_end,
    to_the_second,
    with_micros,
    with_ticks,
    without_zone,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.simulation.switches import Switches

BILLING_MONTHS = {"monthly": 1, "annual": 12, "triennial": 36}

Underway = Literal["change", "transition", "migration"]


class Family(Enum):
    """Product families, which have different rules."""

    LEGACY = "legacy"
    NCE = "nce-license"
    SOFTWARE = "software"
    AZURE_PLAN = "azure-plan"
    SAAS = "saas"


@dataclass
class SeatBatch:
    """Seats bought together; they can be given back for 168 hours."""

    quantity: int
    added_at: datetime

    @property
    def window_ends_at(self) -> datetime:
        """The moment from which these seats stay."""
        return self.added_at + WINDOW


@dataclass
class Subscription:
    """What Partner Center stores.

    `term_end` is the first moment after the term, None for what never ends; `underway` is the operation that keeps
    others out, `change_due` its end where that is known; `migrated_to` the new commerce successor of a legacy one.
    """

    id: str
    customer_id: str
    family: Family
    properties: dict[str, Any]
    created: datetime
    term_start: datetime
    term_end: datetime | None
    cancel_until: datetime | None = None
    batches: list[SeatBatch] = field(default_factory=list)
    suspended_at: datetime | None = None
    version: int = 1
    updates: int = 0
    underway: Underway | None = None
    change_due: datetime | None = None
    migrated_to: str | None = None
    zoneless: bool = False

    @property
    def key(self) -> str:
        """The id for comparisons: ids match in any case."""
        return self.id.lower()

    @property
    def status(self) -> str:
        """The raw status string."""
        return str(self.properties["status"])

    @property
    def quantity(self) -> int:
        """The total of seats."""
        return int(self.properties["quantity"])

    @property
    def auto_renew(self) -> bool:
        """Whether it renews at the end of the term."""
        return bool(self.properties["autoRenewEnabled"])

    @property
    def is_trial(self) -> bool:
        """Whether it is a trial."""
        return bool(self.properties["isTrial"])

    @property
    def parent_key(self) -> str | None:
        """The id of the base, for a legacy add-on."""
        parent = self.properties.get("parentSubscriptionId")
        return parent.lower() if parent else None

    @property
    def etag(self) -> str | None:
        """The etag of a legacy subscription; the others have none."""
        if self.family is not Family.LEGACY:
            return None
        compact = json.dumps({"id": self.key, "version": self.version}, separators=(",", ":"))
        return base64.b64encode(compact.encode()).decode()

    def refundable(self, now: datetime) -> list[SeatBatch]:
        """The batches whose window is open, oldest first."""
        return [batch for batch in self.batches if now < batch.window_ends_at]

    def add_seats(self, count: int, now: datetime) -> None:
        """Buy more seats: a batch with a window of its own."""
        self.properties["quantity"] = self.quantity + count
        if self.family is Family.NCE:
            self.batches.append(SeatBatch(count, now))

    def remove_seats(self, count: int, taken_in_order: Iterable[SeatBatch]) -> None:
        """Give seats back, from the given batches in their order."""
        self.properties["quantity"] = self.quantity - count
        for batch in taken_in_order:
            taken = min(batch.quantity, count)
            batch.quantity -= taken
            count -= taken
        self.batches = [batch for batch in self.batches if batch.quantity]

    def take_batches(self, count: int) -> list[SeatBatch]:
        """Move seats out, oldest first; they keep the moment at which they were bought."""
        self.properties["quantity"] = self.quantity - count
        moved: list[SeatBatch] = []
        for batch in self.batches:
            taken = min(batch.quantity, count)
            batch.quantity -= taken
            count -= taken
            if taken:
                moved.append(SeatBatch(taken, batch.added_at))
        self.batches = [batch for batch in self.batches if batch.quantity]
        return moved

    def set_status(self, status: str, now: datetime) -> None:
        """Change the status with what belongs to it."""
        self.properties["status"] = status
        self.properties.pop("suspensionReasons", None)
        self.suspended_at = None
        if status == "suspended":
            self.suspended_at = now
            # The value is invented: only the field's existence is known
            self.properties["suspensionReasons"] = ["PartnerRequest"]

    def resource(self, now: datetime, switches: Switches, *, in_list: bool = False) -> dict[str, Any]:
        """The JSON resource as the API shows it at this moment."""
        shown = dict(self.properties)
        shown |= self._dates(now, switches)
        if self.family is Family.NCE and (not in_list or switches["refundableQuantityInList"] == "present"):
            shown |= self._refundable_quantity(now, switches)
        attributes = {"objectType": "Subscription"}
        if self.etag:
            attributes = {"etag": self.etag, **attributes}
        shown["attributes"] = attributes
        return shown

    def _dates(self, now: datetime, switches: Switches) -> dict[str, Any]:
        if self.family is Family.LEGACY:
            written = without_zone if self.zoneless else to_the_second
            dates = {"creationDate": written(self.created), "effectiveStartDate": written(self.term_start)}
            return dates | ({"commitmentEndDate": written(self.term_end)} if self.term_end else {})
        dates = {"creationDate": with_ticks(self.created), "effectiveStartDate": with_micros(self.term_start)}
        if self.term_end is None:
            return dates | {"commitmentEndDate": NEVER_ENDS}
        # New commerce shows the last day of the term, inclusive
        dates |= _inclusive("commitmentEndDate", self.term_end)
        months = BILLING_MONTHS.get(str(self.properties.get("billingCycle")))
        if months and now < self.term_end:
            dates |= _inclusive("billingCycleEndDate", billing_cycle_end(self.term_start, months, now))
        if self.cancel_until and (now < self.cancel_until or switches["cancellationDateWhenClosed"] == "past"):
            dates["cancellationAllowedUntilDate"] = with_micros(self.cancel_until)
        return dates

    def _refundable_quantity(self, now: datetime, switches: Switches) -> dict[str, Any]:
        if self.status == "suspended":
            return {"refundableQuantity": None}
        open_batches = self.refundable(now) if self.status == "active" else []
        if not open_batches and switches["refundableQuantityWhenClosed"] == "absent":
            return {}
        details = [
            {"quantity": batch.quantity, "allowedUntilDateTime": with_micros(batch.window_ends_at)}
            for batch in open_batches
        ]
        total = sum(batch.quantity for batch in open_batches)
        return {"refundableQuantity": {"totalQuantity": total, "details": details}}


def _inclusive(name: str, end: datetime) -> dict[str, str]:
    last = end - DAY
    return {name: f"{last:%Y-%m-%d}T00:00:00Z", f"{name}Time": f"{last:%Y-%m-%d}T23:59:59Z"}
