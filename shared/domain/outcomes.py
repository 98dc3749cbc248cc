"""What the two vendors can answer, as values: readings, and one union per kind of write.

Use cases match on these classes and need no import of an adapter. The adapters (`shared.partner_center.answers`,
`shared.autotask.answers`) make them from status and body.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from shared.domain.migration import Migration, MigrationSchedule
from shared.domain.upgrade import Transition, UpgradeResult


@dataclass(frozen=True, slots=True)
class Reading:
    """One subscription as Partner Center returned it; `observed_at` is Microsoft's clock, which deadlines go by."""

    raw: dict[str, Any]
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """All subscriptions of a customer in one reading."""

    items: tuple[dict[str, Any], ...]
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Applied:
    """Partner Center did it; `raw` is the resource in its answer, `observed_at` Microsoft's clock."""

    raw: dict[str, Any]
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Working:
    """Partner Center accepted it and is still working; read the subscription until the change shows.

    `location` is a path relative to the API's root, for the record; empty if the answer named none.
    """

    location: str


@dataclass(frozen=True, slots=True)
class ChangeRefused:
    """A clear refusal by Partner Center; nothing changed. `code` is its own, empty if it gave none."""

    status: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Not executed now, may be asked again after `after`."""

    code: str
    text: str
    after: timedelta


@dataclass(frozen=True, slots=True)
class Unreached:
    """Certainly not sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """May or may not have been executed: settle by reading."""

    reason: str


ChangeOutcome = Applied | Working | ChangeRefused | Busy | Unreached | Unknown


@dataclass(frozen=True, slots=True)
class Started:
    """Partner Center took the transition; it takes minutes to hours, and its events say how it goes."""

    transition: Transition


TransitionOutcome = Started | ChangeRefused | Busy | Unreached | Unknown


@dataclass(frozen=True, slots=True)
class UpgradeDone:
    """The legacy upgrade is carried out; licences that did not follow are counted in the result."""

    result: UpgradeResult


UpgradeOutcome = UpgradeDone | ChangeRefused | Busy | Unreached | Unknown


@dataclass(frozen=True, slots=True)
class MigrationStarted:
    """Partner Center took the migration; it takes up to 72 hours."""

    migration: Migration


@dataclass(frozen=True, slots=True)
class AlreadyMigrating:
    """A migration of this subscription is being processed, ours or another's: find it by query."""

    text: str


MigrationOutcome = MigrationStarted | AlreadyMigrating | ChangeRefused | Busy | Unreached | Unknown


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The schedule as it stands now."""

    schedule: MigrationSchedule


ScheduleOutcome = Scheduled | AlreadyMigrating | ChangeRefused | Busy | Unreached | Unknown


@dataclass(frozen=True, slots=True)
class ScheduleCancelled:
    """The schedule will not start a migration any more."""


CancelScheduleOutcome = ScheduleCancelled | ChangeRefused | Busy | Unreached | Unknown


@dataclass(frozen=True, slots=True)
class Accepted:
    """Autotask took the adjustment; it returns no id, the units rows are the only evidence."""


RefusalKind = Literal["duplicate", "posted", "window", "bundle", "other"]


@dataclass(frozen=True, slots=True)
class AdjustmentRefused:
    """Autotask's own refusal; no units changed. `kind` says which rule, if any, it names."""

    status: int
    errors: tuple[str, ...]
    kind: RefusalKind


@dataclass(frozen=True, slots=True)
class Unsent:
    """Certainly not executed: no connection was made, or the credentials were not accepted."""

    reason: str


@dataclass(frozen=True, slots=True)
class AdjustUnknown:
    """May or may not have been executed; `retry_after` is how long Autotask wants to be left alone, if it said so."""

    reason: str
    retry_after: timedelta | None = None


AdjustOutcome = Accepted | AdjustmentRefused | Unsent | AdjustUnknown
