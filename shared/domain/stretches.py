"""The days of a contract in stretches, and the change of units that is executed on each; pure.

`shared.domain.planning` makes adjustments of it. A stretch is a run of days on which nothing changes: neither of the
three timelines, nor whether the dates are usable.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import groupby

from shared.domain.rates import Rate, Reach
from shared.domain.timeline import Timeline, dates_of
from shared.domain.unusable import Unusable


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days (ordinals, both inclusive) over which the aim and the actual units are constant."""

    first: int
    last: int
    aim: int
    actual: int

    @property
    def start(self) -> date:
        """The first day."""
        return date.fromordinal(self.first)

    @property
    def wanted(self) -> int:
        """The change of units that would meet the aim."""
        return self.aim - self.actual


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a line, and what it has; `events` are dates on which it has rates of its own, seen or not.

    `reach` says how far a rate of ours goes that an adjustment names.
    """

    desired: Timeline
    actual: Timeline
    events: frozenset[date] = frozenset()
    reach: Reach = Reach.NEXT

    def rate(self, kind: Rate, day: date) -> Decimal | None:
        """The rate to bill on a day, None where it is not ours."""
        return self.desired.rate_at(kind, day)

    def stretches(self, first: int, last: int, cuts: Iterable[int] = ()) -> list[Stretch]:
        """The days from `first` to `last` in stretches without a change, cut at `cuts` too; none if it is after."""
        if first > last:
            return []
        days = {day.toordinal() for day in (*dates_of(self.desired, self.actual), *self.events)}
        starts = sorted({first, *(cut for cut in (*days, *cuts) if first < cut <= last)})
        ends = [*(start - 1 for start in starts[1:]), last]
        dates = [date.fromordinal(start) for start in starts]
        return [
            Stretch(start, end, self.desired.at(day), self.actual.at(day))
            for start, end, day in zip(starts, ends, dates, strict=True)
        ]

    def held_after(self, end: date) -> Wish:
        """The same with the reading held after the contract's end: nothing is billed there, so it says nothing."""
        return replace(self, actual=Timeline(tuple(step for step in self.actual.steps if step.date <= end)))


def executable(stretches: Sequence[Stretch], unusable: Unusable) -> list[int]:
    """The change of units that is executed on each stretch: the wanted one, or per cell what its anchor wants."""
    cells = unusable.cells()
    starts = [first for first, _ in cells]

    def anchor(stretch: Stretch) -> int:
        index = bisect_right(starts, stretch.first) - 1
        return starts[index] if index >= 0 and stretch.first <= cells[index][1] else stretch.first

    changes: list[int] = []
    for first, group in groupby(stretches, key=anchor):
        members = list(group)
        # Only the days before the first usable date have an anchor that is unusable itself.
        change = _anchored(members) if unusable.allows(date.fromordinal(first)) else 0
        changes.extend([change] * len(members))
    return changes


def _anchored(stretches: Sequence[Stretch]) -> int:
    """The one change for all these days: what the first of them wants, as far as the others bear it (ADR 0035).

    The first day is the only one on which an adjustment may lie. On every single day the bill must neither rise above
    both aim and actual units, nor fall where it is not too high, nor fall below zero. So a day that is billed right
    stays right, and a change that none of the days can bear waits for the next usable date. 0, which leaves things
    alone, is within all bounds.
    """
    lowest = max(-stretch.actual if stretch.wanted < 0 else 0 for stretch in stretches)
    highest = min(max(stretch.wanted, 0) for stretch in stretches)
    return min(max(stretches[0].wanted, lowest), highest)
