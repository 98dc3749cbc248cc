"""The timeline of a line: how many units are billed on which business date, as a step function.

Three timelines meet in a push: the *desired* one is folded from the operations (`fold`), the *actual* one is
read from Autotask's `ContractServiceUnits` (`from_rows`), the *verified* one is the last reading that the
ledger vouches for. `shared.domain.planning` compares them.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Day: TypeAlias = date  # a field named `date` hides the type of that name from whoever evaluates annotations

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Step:
    """From `date` onwards there are `units`, until the next step."""

    date: Day
    units: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """A step function from business date to units: 0 before the first step, the last value holds for ever.

    Always normalised (dates ascend, no step without a change), so that equal timelines compare equal.
    Negative units can be held, since a sum of adjustments may come to them; targets and plans never ask for them.

    Raises ValueError for two steps on one date.
    """

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _normalised(self.steps))

    @classmethod
    def of(cls, *steps: tuple[date, int]) -> Timeline:
        """The timeline with these (date, units) steps, in any order."""
        return cls(tuple(Step(day, units) for day, units in steps))

    def at(self, day: date) -> int:
        """Units on `day`."""
        index = bisect_right(self.steps, day, key=attrgetter("date"))
        return self.steps[index - 1].units if index else 0

    def to_json(self) -> list[list[str | int]]:
        """The steps as `[["2026-08-01", 11], ...]`, ascending."""
        return [[step.date.isoformat(), step.units] for step in self.steps]

    @classmethod
    def from_json(cls, value: object) -> Timeline:
        """The timeline that `to_json` wrote. Raises ValueError for anything of another shape."""
        if not isinstance(value, list):
            raise ValueError("A timeline is a list of steps.")  # noqa: TRY004 - a stored value of the wrong shape is bad data, not a caller's wrong type
        return cls(tuple(_step_from_json(item) for item in value))


@dataclass(frozen=True, slots=True)
class Target:
    """One operation's effect on one line: these units, dated by direction.

    Where the line has fewer, the target holds from `increase_on`; where it has more, from `decrease_on`.
    Raises ValueError for negative units and for a decrease dated before the increase.
    """

    units: int
    increase_on: date
    decrease_on: date

    def __post_init__(self) -> None:
        if self.units < 0:
            raise ValueError(f"A target cannot have {self.units} units.")
        if self.decrease_on < self.increase_on:
            raise ValueError(f"A decrease on {self.decrease_on} lies before the increase on {self.increase_on}.")


@dataclass(frozen=True, slots=True)
class Window:
    """A contract's inclusive dates; nothing is billed outside. Raises ValueError where it ends before it starts."""

    start: date
    end: date

    def __post_init__(self) -> None:
        _require_order(self.start, self.end)


@dataclass(frozen=True, slots=True)
class UnitsRow:
    """One `ContractServiceUnits` row: the units of a slice of a billing period, inclusive dates, posted or not.

    Raises ValueError where it ends before it starts.
    """

    start: date
    end: date
    units: int
    posted: bool

    def __post_init__(self) -> None:
        _require_order(self.start, self.end)


def fold(timeline: Timeline, target: Target) -> Timeline:
    """The timeline after one more operation, judged day by day.

    Before `increase_on` nothing changes; from `increase_on` the higher of old and new is billed; from
    `decrease_on` the new units alone, and later steps of earlier operations are gone. So 12 units that fall to
    8 with the next period and are then raised to 9 stay 12 until the period's end and are 9 afterwards.
    """
    kept = {step.date: step.units for step in timeline.steps if step.date < target.increase_on}
    raised = {
        day: max(timeline.at(day), target.units)
        for day in (target.increase_on, *(step.date for step in timeline.steps))
        if target.increase_on <= day < target.decrease_on
    }
    return Timeline.of(*(kept | raised | {target.decrease_on: target.units}).items())


def from_rows(rows: Iterable[UnitsRow], window: Window) -> Timeline:
    """The actual timeline of a line from all its unit rows, in any order.

    Autotask writes no row for a span of zero units, so a gap is 0. A last row that reaches the contract's end
    holds for ever, so that extending the contract does not look like somebody's change; one that ends earlier
    is followed by 0.
    Raises ValueError for rows that overlap: they cannot both be true.
    """
    ordered = sorted(rows, key=attrgetter("start"))
    steps: dict[date, int] = {}
    previous_end: date | None = None
    for row in ordered:
        if previous_end is not None and row.start <= previous_end:
            raise ValueError(f"Two unit rows overlap on {row.start}.")
        previous_end = row.end
        steps[row.start] = row.units
        if row.end < window.end:
            steps[row.end + _DAY] = 0  # the next row overwrites it where it follows at once
    return Timeline.of(*steps.items())


def _normalised(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    changes: list[Step] = []
    units = 0
    previous: date | None = None
    for step in sorted(steps, key=attrgetter("date")):
        if step.date == previous:
            raise ValueError(f"Two steps on {step.date}.")
        if step.units != units:
            changes.append(step)
        previous, units = step.date, step.units
    return tuple(changes)


def _step_from_json(item: object) -> Step:
    match item:
        case [str(day), int(units)] if not isinstance(units, bool):
            return Step(date.fromisoformat(day), units)
    raise ValueError("A step is a pair of an ISO date and whole units.")


def _require_order(start: date, end: date) -> None:
    if end < start:
        raise ValueError(f"The end {end} lies before the start {start}.")
