"""What the adjustments of one line add up to: a step function of units and rates, and its rows per billing period.

Pure: `tenant` supplies adjustments and periods, `units` makes API rows of the segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple

from local.autotask.periods import ONE_DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from local.autotask.periods import Period


@dataclass(slots=True)
class Adjustment:
    """A change of a line from a date on; price and cost per unit, None where the change leaves them."""

    id: int
    line_id: int
    effective: date
    unit_change: int
    price: float | None
    cost: float | None
    at: datetime
    source: str
    removed_at: datetime | None = None


class Step(NamedTuple):
    """Units and rates that hold from a date on."""

    start: date
    units: int
    price: float
    cost: float


class Segment(NamedTuple):
    """A part of a billing period in which units and rates are constant; both ends inclusive, amounts extended."""

    start: date
    end: date
    units: int
    price: float
    cost: float
    period_start: date


def fold(adjustments: Iterable[Adjustment], price: float, cost: float, *, onwards: bool = False) -> list[Step]:
    """Return the steps in date order, one per date; `price` and `cost` hold until an adjustment sets others.

    What an adjustment sets holds until the next date with another, or (`onwards`) on every later day, so that of two
    the one made last counts.
    """
    steps: list[Step] = []
    units = 0
    priced = costed = 0  # the adjustments whose price and cost hold
    for adjustment in sorted(adjustments, key=lambda one: (one.effective, one.id)):
        units += adjustment.unit_change
        if adjustment.price is not None and not (onwards and adjustment.id < priced):
            price, priced = adjustment.price, adjustment.id
        if adjustment.cost is not None and not (onwards and adjustment.id < costed):
            cost, costed = adjustment.cost, adjustment.id
        if steps and steps[-1].start == adjustment.effective:
            steps.pop()
        steps.append(Step(adjustment.effective, units, price, cost))
    return steps


def step_on(steps: Sequence[Step], day: date) -> Step | None:
    """Return the step that holds on a day, or None before the first one."""
    found = None
    for step in steps:
        if step.start > day:
            break
        found = step
    return found


def segments(periods: Sequence[Period], steps: Sequence[Step], *, thirtieths: bool = False) -> Iterator[Segment]:
    """Yield the periods cut at the steps' dates, in date order, zero units included; nothing before the first step.

    A part of a period counts by its days, or (`thirtieths`) by thirtieths whatever the length of the month.
    """
    index = -1
    count = len(steps)
    for period in periods:
        start = period.start
        while start <= period.end:
            while index + 1 < count and steps[index + 1].start <= start:
                index += 1
            following = steps[index + 1].start if index + 1 < count else None
            end = period.end if following is None or following > period.end else following - ONE_DAY
            if index >= 0:
                _, units, price, cost = steps[index]
                share = _share((end - start).days + 1, period.full_days, thirtieths=thirtieths)
                yield Segment(
                    start, end, units, round(units * price * share, 2), round(units * cost * share, 2), period.start
                )
            start = end + ONE_DAY


def _share(days: int, full_days: int, *, thirtieths: bool) -> float:
    return min(1.0, days / 30) if thirtieths and days < full_days else days / full_days
