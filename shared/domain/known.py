"""What is known of a subscription at Microsoft, and what shall become of it; pure.

An operation holds what was known before, what is known after, and its intention. Status and seats make two readings
equal; product, auto-renew and schedule are looked at only where an intention or a detection is about them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Known:
    """Microsoft's status word and the seats; `product` is "product:sku", `schedule` JSON ("" where there is none)."""

    status: str
    quantity: int
    product: str = field(default="", compare=False)
    auto_renew: bool | None = field(default=None, compare=False)
    schedule: str | None = field(default=None, compare=False)

    def of_another_product(self, other: Known) -> bool:
        """Whether the two are of different products; one that was never noted is no other."""
        return bool(self.product and other.product) and self.product != other.product


@dataclass(frozen=True, slots=True)
class Intention:
    """What the subscription shall look like at Microsoft; None means: as it is.

    Quantity is absolute, in seats. `schedule` is the JSON of the next term's instructions, "" to remove them.
    """

    status: str | None = None
    quantity: int | None = None
    auto_renew: bool | None = None
    schedule: str | None = None

    def holds(self, known: Known) -> bool:
        """Whether a subscription already looks as intended."""
        return (
            self.status in {None, known.status}
            and self.quantity in {None, known.quantity}
            and self.auto_renew in {None, known.auto_renew}
            and (self.schedule is None or covers(known.schedule, self.schedule))
        )

    def untouched(self, before: Known, known: Known) -> bool:
        """Whether what is intended to change is still as it was before.

        Microsoft drops a schedule with any change of seats or state, so a missing one then tells nothing.
        """
        return (
            (self.status is None or before.status == known.status)
            and (self.quantity is None or before.quantity == known.quantity)
            and (self.auto_renew is None or before.auto_renew == known.auto_renew)
            and (self.schedule is None or (before.schedule == known.schedule and before == known))
        )

    def applied_to(self, before: Known) -> Known:
        """What is known once the intention holds."""
        return replace(
            before,
            status=before.status if self.status is None else self.status,
            quantity=before.quantity if self.quantity is None else self.quantity,
            auto_renew=before.auto_renew if self.auto_renew is None else self.auto_renew,
            schedule=before.schedule if self.schedule is None else self.schedule,
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """What a suspension switched off at Microsoft, kept to be restored: auto-renew, the schedule, and the seats."""

    auto_renew: bool
    schedule: str
    quantity: int
    at: datetime

    @property
    def scheduled_end(self) -> datetime | None:
        """The end of the next term, where the schedule names one of its own."""
        document = json.loads(self.schedule) if self.schedule else {}
        named = {str(name).lower(): value for name, value in document.items()}.get("customtermenddate")
        try:
            moment = datetime.fromisoformat(str(named))
        except ValueError:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment

    def steps(self, *, auto_renew: bool, schedule: bool) -> tuple[Intention, ...]:
        """The steps that bring back what is wanted of it, in their order: a schedule needs auto-renew."""
        steps = [Intention(auto_renew=True)] if auto_renew and self.auto_renew else []
        if steps and schedule and self.schedule:
            steps.append(Intention(schedule=self.schedule))
        return tuple(steps)


def canonical(document: object) -> str:
    """A JSON object as one text that compares equal to its like; "" for none."""
    return (
        json.dumps(document, sort_keys=True, separators=(",", ":")) if isinstance(document, dict) and document else ""
    )


def covers(seen: str | None, wanted: str) -> bool:
    """Whether instructions that were seen say what was wanted; Microsoft may add to them and write words otherwise."""
    if seen is None or not seen or not wanted:
        return seen == wanted
    return _covers(json.loads(seen), json.loads(wanted))


def _covers(seen: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        if not isinstance(seen, dict):
            return False
        found = {str(name).lower(): value for name, value in seen.items()}
        return all(_covers(found.get(str(name).lower()), value) for name, value in wanted.items() if value is not None)
    if isinstance(wanted, str) and isinstance(seen, str):
        return _moment_or_word(seen) == _moment_or_word(wanted)
    return bool(seen == wanted)


def _moment_or_word(text: str) -> object:
    """Moments compare as moments, whatever their fraction and zone look like; everything else without its case."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text.strip().lower()
    return moment.replace(tzinfo=None, microsecond=0)
