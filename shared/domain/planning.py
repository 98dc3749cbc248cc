"""The planner: the fewest adjustments that turn the actual timeline of a line into the desired one, or why none do.

Pure and stateless. The pusher reads the actual timeline, asks `plan`, sends the adjustments in the order given
and reads back; a repeated message therefore finds nothing to do. Works on the breakpoints of the timelines
(`shared.domain.timeline`), never day by day.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Final

from shared.domain.timeline import Day, Step, Timeline, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

CONTRACT_ENDED: Final = "contract_ended"
NO_USABLE_DATE: Final = "no_usable_date"


class DriftPolicy(StrEnum):
    """What to do about a line that somebody edited by hand in Autotask."""

    REVIEW = "review"
    RESPECT = "respect"
    OVERWRITE = "overwrite"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A signed change of units from `date` onwards: what Autotask's `ContractServiceAdjustments` takes."""

    date: Day
    change: int


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A stretch of days (`end` inclusive, None = to the contract's end) that will be billed otherwise than wanted."""

    start: date
    end: date | None
    desired: int
    billed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Adjustments in the order in which to send them, the timeline they lead to, and what remains wrong."""

    adjustments: tuple[Adjustment, ...]
    result: Timeline
    shortfalls: tuple[Shortfall, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to send. Shortfalls, if any, are over by the contract's end: the line is as near as it can come."""

    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(frozen=True, slots=True)
class Drift:
    """Actual differs from what was last verified; `on` is the first such day."""

    verified: Timeline
    actual: Timeline
    desired: Timeline
    on: date

    @property
    def verified_units(self) -> int:
        """Units last verified for the day."""
        return self.verified.at(self.on)

    @property
    def actual_units(self) -> int:
        """Units that Autotask bills on the day."""
        return self.actual.at(self.on)

    @property
    def desired_units(self) -> int:
        """Units that our operations want on the day."""
        return self.desired.at(self.on)


@dataclass(frozen=True, slots=True)
class Blocked:
    """The wanted state is out of reach: `contract_ended` or `no_usable_date`, and the dates of the wanted changes."""

    reason: str
    dates: tuple[date, ...]
    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(frozen=True, slots=True)
class Unusable:
    """Dates on which no adjustment may be made: all outside the contract's window, and these inside it."""

    window: Window
    dates: frozenset[date]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Days (ordinals, both inclusive) over which the aim and the actual units are constant."""

    first: int
    last: int
    aim: int
    actual: int

    @property
    def wanted(self) -> int:
        return self.aim - self.actual

    @property
    def days(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is wanted of a line, from the three timelines and the policy."""

    desired: Timeline
    actual: Timeline
    verified: Timeline
    policy: DriftPolicy

    def aim(self, day: date) -> int:
        """The units to bill on a day. Zero stays zero: a cancelled line ends at 0 whatever was edited by hand."""
        desired = self.desired.at(day)
        if self.policy is DriftPolicy.RESPECT and desired > 0:
            return max(0, desired + self.actual.at(day) - self.verified.at(day))
        return desired

    def stretches(self, first: int, last: int, cuts: Iterable[int] = ()) -> list[_Stretch]:
        """The days from `first` to `last` in stretches without a change, cut at `cuts` too; none if it is after."""
        if first > last:
            return []
        days = _breakpoints((self.desired, self.actual, self.verified), first, last)
        starts = sorted(days.union(cut for cut in cuts if first < cut <= last))
        ends = [*(start - 1 for start in starts[1:]), last]
        dates = [date.fromordinal(start) for start in starts]
        return [
            _Stretch(start, end, self.aim(day), self.actual.at(day))
            for start, end, day in zip(starts, ends, dates, strict=True)
        ]

    def held_after(self, end: date) -> _Wish:
        """The same with both readings held after the contract's end: nothing is billed there, so they say nothing."""
        return replace(self, actual=_held_after(self.actual, end), verified=_held_after(self.verified, end))


def plan(
    desired: Timeline, actual: Timeline, verified: Timeline, policy: DriftPolicy, unusable: Unusable
) -> Plan | Nothing | Drift | Blocked:
    """Decide what to send to Autotask for one line. Never raises for valid timelines.

    Only days inside the contract's window count. Hand edits (actual differs from verified) end in `Drift` under
    `review`; `respect` aims at desired plus their difference, never below 0 and at 0 where desired is 0;
    `overwrite` aims at desired.

    Adjustments lie at the change points of (aim - actual), never two on a date. Between two usable dates the
    executed change is constant, so where a change point is unusable the constant nearest to the wanted one is
    taken (see `_nearest`); what remains is a `Shortfall`. Planning again on the result sends nothing more.

    Order: increases first, then decreases, dates ascending within each. Sent one by one in this order, units
    are never negative on any day: while increases are being sent each day has at least its actual units; while
    decreases are being sent each day still has at least the units of the final result, because only decreases
    are missing.

    Without adjustments: a difference that lasts to the contract's end is `Blocked` (no_usable_date); a change
    wanted only after it is `Blocked` (contract_ended); everything else is `Nothing`, with the shortfalls that
    are over by then.
    """
    window = unusable.window
    drifted_on = _first_difference(actual, verified, window)
    if drifted_on and policy is DriftPolicy.REVIEW:
        return Drift(verified, actual, desired, drifted_on)

    cells = _cells(unusable)
    cuts = [cut for first, last in cells for cut in (first, last + 1)]
    first, last = window.start.toordinal(), window.end.toordinal()
    wish = _Wish(desired, actual, verified, policy)
    inside = wish.stretches(first, last, cuts)
    changes = _executable(inside, cells, unusable)
    adjustments = _adjustments(inside, changes)
    shortfalls = _shortfalls(inside, changes, last)
    if adjustments:
        return Plan(adjustments, apply(actual, adjustments), shortfalls)
    if shortfalls and shortfalls[-1].end is None:
        return Blocked(NO_USABLE_DATE, _change_dates(inside), shortfalls)
    after = wish.held_after(window.end).stretches(last + 1, date.max.toordinal())
    if dates := _change_dates(after):
        return Blocked(CONTRACT_ENDED, dates, shortfalls)
    return Nothing(shortfalls)


def apply(timeline: Timeline, adjustments: Iterable[Adjustment]) -> Timeline:
    """The timeline after these adjustments, in whatever order they come."""
    changes: defaultdict[date, int] = defaultdict(int)
    previous = 0
    for step in timeline.steps:
        changes[step.date] += step.units - previous
        previous = step.units
    for adjustment in adjustments:
        changes[adjustment.date] += adjustment.change
    steps: list[Step] = []
    units = 0
    for day in sorted(changes):
        units += changes[day]
        steps.append(Step(day, units))
    return Timeline(tuple(steps))


def _held_after(timeline: Timeline, end: date) -> Timeline:
    return Timeline(tuple(step for step in timeline.steps if step.date <= end))


def _breakpoints(timelines: Iterable[Timeline], first: int, last: int) -> set[int]:
    steps = (step.date.toordinal() for timeline in timelines for step in timeline.steps)
    return {first, *(day for day in steps if first < day <= last)}


def _first_difference(actual: Timeline, verified: Timeline, window: Window) -> date | None:
    days = _breakpoints((actual, verified), window.start.toordinal(), window.end.toordinal())
    dates = (date.fromordinal(day) for day in sorted(days))
    return next((day for day in dates if actual.at(day) != verified.at(day)), None)


def _cells(unusable: Unusable) -> list[tuple[int, int]]:
    """The spans over which the executed change is constant: a run of unusable dates and the usable day before it.

    A run at the window's start has no day before it and is a span of its own.
    """
    first = unusable.window.start.toordinal()
    cells: list[tuple[int, int]] = []
    for day in sorted(day.toordinal() for day in unusable.dates if unusable.window.start <= day <= unusable.window.end):
        if cells and cells[-1][1] == day - 1:
            cells[-1] = (cells[-1][0], day)
        else:
            cells.append((max(first, day - 1), day))
    return cells


def _executable(stretches: Sequence[_Stretch], cells: Sequence[tuple[int, int]], unusable: Unusable) -> list[int]:
    """The change of units that is executed on each stretch: the wanted one, or per cell the nearest possible."""
    starts = [first for first, _ in cells]

    def anchor(stretch: _Stretch) -> int:
        index = bisect_right(starts, stretch.first) - 1
        return starts[index] if index >= 0 and stretch.first <= cells[index][1] else stretch.first

    changes: list[int] = []
    for first, group in groupby(stretches, key=anchor):
        members = list(group)
        # Only the days before the first usable date have an anchor that is unusable itself.
        change = 0 if date.fromordinal(first) in unusable.dates else _nearest(members)
        changes.extend([change] * len(members))
    return changes


def _nearest(stretches: Sequence[_Stretch]) -> int:
    """The one change for all these days that comes nearest to the wanted ones.

    The sum of deviations over the days is least at their weighted median, the upper one where there are two, which
    takes away no more than it must. Two bounds hold on every single day: no bill above both aim and actual (so an
    increase is never more than each day wants), and no negative units. 0, which leaves things alone, is within both.
    """
    lowest = max(-stretch.actual for stretch in stretches)
    highest = min(max(stretch.wanted, 0) for stretch in stretches)
    total = sum(stretch.days for stretch in stretches)
    passed = 0
    for stretch in sorted(stretches, key=lambda stretch: stretch.wanted):
        median = stretch.wanted
        passed += stretch.days
        if 2 * passed > total:
            break
    return min(max(median, lowest), highest)


def _steps_of(stretches: Sequence[_Stretch], changes: Iterable[int]) -> Iterator[Adjustment]:
    previous = 0
    for stretch, change in zip(stretches, changes, strict=True):
        if change != previous:
            yield Adjustment(date.fromordinal(stretch.first), change - previous)
        previous = change


def _adjustments(stretches: Sequence[_Stretch], changes: Iterable[int]) -> tuple[Adjustment, ...]:
    return tuple(sorted(_steps_of(stretches, changes), key=lambda adjustment: adjustment.change < 0))


def _change_dates(stretches: Sequence[_Stretch]) -> tuple[date, ...]:
    return tuple(step.date for step in _steps_of(stretches, [stretch.wanted for stretch in stretches]))


def _shortfalls(stretches: Sequence[_Stretch], changes: Iterable[int], window_last: int) -> tuple[Shortfall, ...]:
    found: list[_Stretch] = []  # here `actual` stands for what will be billed
    for stretch, change in zip(stretches, changes, strict=True):
        billed = stretch.actual + change
        if billed == stretch.aim:
            continue
        start = stretch.first
        if found and (found[-1].last + 1, found[-1].aim, found[-1].actual) == (start, stretch.aim, billed):
            start = found.pop().first
        found.append(_Stretch(start, stretch.last, stretch.aim, billed))
    return tuple(
        Shortfall(
            date.fromordinal(span.first),
            None if span.last == window_last else date.fromordinal(span.last),
            span.aim,
            span.actual,
        )
        for span in found
    )
