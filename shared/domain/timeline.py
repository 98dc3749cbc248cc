"""The timeline of a line: units, unit price and unit cost on each business date, as a step function.

Three timelines meet in a push: the *desired* one is folded from the operations (`fold`), the *actual* one is read from
Autotask (`shared.domain.reading`), the *verified* one is the last that the ledger vouches for.
`shared.domain.planning` compares them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from operator import attrgetter
from typing import TypeAlias

from shared.domain.rates import Rate, same

Day: TypeAlias = date  # a field named `date` hides the type of that name from whoever evaluates annotations

_FREE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Step:
    """From `date` onwards, until the next step: units, and what each is billed at and costs.

    A rate of None is not ours in a desired timeline (Autotask's stays), and not known in an actual or verified one.
    `free`: the customer is billed nothing for the units, and the price comes back when it ends.
    """

    date: Day
    units: int
    price: Decimal | None = None
    cost: Decimal | None = None
    free: bool = False

    def rate(self, kind: Rate) -> Decimal | None:
        """The rate that is billed, 0 while the units are free."""
        if kind is Rate.COST:
            return self.cost
        return _FREE if self.free else self.price


_NOTHING = Step(date.min, 0)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A step function: 0 units before the first step, the last one holds for ever.

    Always normalised (dates ascend, no step without a change), so that equal timelines compare equal.
    Negative units can be held, since a sum of adjustments may come to them; targets and plans never ask for them.

    Raises ValueError for two steps on one date.
    """

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _normalised(self.steps))

    @classmethod
    def of(cls, *steps: tuple[date, int]) -> Timeline:
        """The timeline with these (date, units) steps, in any order, without rates."""
        return cls(tuple(Step(day, units) for day, units in steps))

    def on(self, day: date) -> Step:
        """The step that holds on `day`."""
        index = bisect_right(self.steps, day, key=attrgetter("date"))
        return self.steps[index - 1] if index else _NOTHING

    def at(self, day: date) -> int:
        """Units on `day`."""
        return self.on(day).units

    def rate_at(self, kind: Rate, day: date) -> Decimal | None:
        """Unit price or cost on `day`; None where it is not ours or not known."""
        return self.on(day).rate(kind)

    def without_rates(self) -> Timeline:
        """The units alone."""
        return Timeline(tuple(Step(step.date, step.units) for step in self.steps))

    def adopting(self, actual: Timeline) -> Timeline:
        """This desired timeline come to terms with what is billed: its units, and its rates where they are ours."""

        def adopted(day: date) -> Step:
            mine, theirs = self.on(day), actual.on(day)
            price = mine.price if mine.price is None or mine.free or theirs.price is None else theirs.price
            cost = mine.cost if mine.cost is None or theirs.cost is None else theirs.cost
            return Step(day, theirs.units, price, cost, free=mine.free)

        return Timeline(tuple(adopted(day) for day in dates_of(self, actual)))

    def filled_from(self, other: Timeline) -> Timeline:
        """This timeline with the other's rates wherever it has none of its own."""

        def filled(day: date) -> Step:
            step, filler = self.on(day), other.on(day)
            price = filler.rate(Rate.PRICE) if step.price is None and not step.free else step.price
            return replace(step, date=day, price=price, cost=filler.cost if step.cost is None else step.cost)

        return Timeline(tuple(filled(day) for day in dates_of(self, other)))

    def to_json(self) -> list[list[str | int | bool | None]]:
        """The steps as `[["2026-08-01", 11], ...]`, or with rates `[["2026-08-01", 11, "12.50", "10.00"], ...]`."""
        return [_step_to_json(step) for step in self.steps]

    @classmethod
    def from_json(cls, value: object) -> Timeline:
        """The timeline that `to_json` wrote. Raises ValueError for anything of another shape."""
        if not isinstance(value, list):
            raise ValueError("A timeline is a list of steps.")  # noqa: TRY004 - a stored value of the wrong shape is bad data, not a caller's wrong type
        return cls(tuple(_step_from_json(item) for item in value))


@dataclass(frozen=True, slots=True)
class RateStep:
    """From `on` a rate of ours is `amount`; None: it is not ours from then on, and what Autotask has stays."""

    on: Day
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class FreeFrom:
    """From `on` the units are free, or not any more."""

    on: Day
    free: bool


@dataclass(frozen=True, slots=True)
class Target:
    """One operation's effect on one line.

    Where the line has fewer units, the target's hold from `increase_on`; where it has more, from `decrease_on`. None
    leaves the units. Rates have dates of their own, and several steps where they are known to change again; an empty
    tuple leaves them.

    Raises ValueError for negative units, and for rate steps whose dates do not ascend.
    """

    units: int | None
    increase_on: date
    decrease_on: date
    price: tuple[RateStep, ...] = ()
    cost: tuple[RateStep, ...] = ()
    free: FreeFrom | None = None
    timeline: Timeline | None = None  # everything as it shall be, whatever was folded before: an undo goes back to it

    def __post_init__(self) -> None:
        if self.units is not None and self.units < 0:
            raise ValueError(f"A target cannot have {self.units} units.")
        for steps in (self.price, self.cost):
            if any(later.on <= earlier.on for earlier, later in pairwise(steps)):
                raise ValueError("The steps of a rate are in the order of their dates.")

    @property
    def starts_on(self) -> date:
        """The first day that the target can change."""
        rates = [steps[0].on for steps in (self.price, self.cost) if steps]
        units = [] if self.units is None else [self.increase_on, self.decrease_on]
        return min([*rates, *units, *([self.free.on] if self.free else [])], default=self.increase_on)


@dataclass(frozen=True, slots=True)
class Window:
    """A contract's inclusive dates; nothing is billed outside. Raises ValueError where it ends before it starts."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"The end {self.end} lies before the start {self.start}.")


def fold(timeline: Timeline, target: Target) -> Timeline:
    """The timeline after one more operation, judged day by day.

    A day with fewer units than the target gets the target's from `increase_on`, a day with more from `decrease_on`;
    later steps of earlier operations are gone. So 12 units that fall to 8 with the next period and are then raised to 9
    stay 12 until the period's end and are 9 afterwards. A rate holds from its own date, and erases later ones likewise.
    """
    if target.timeline is not None:
        return target.timeline
    dated = {target.increase_on, target.decrease_on, *(step.on for step in (*target.price, *target.cost))}
    if target.free is not None:
        dated.add(target.free.on)
    days = sorted(dated.union(step.date for step in timeline.steps))
    return Timeline(tuple(_folded(timeline.on(day), target, day) for day in days))


def _folded(old: Step, target: Target, day: date) -> Step:
    units = old.units
    if target.units is not None:
        holds = target.increase_on if target.units > units else target.decrease_on
        units = target.units if day >= holds else units
    freed = target.free is not None and day >= target.free.on
    return Step(
        day,
        units,
        _latest(target.price, day, old.price),
        _latest(target.cost, day, old.cost),
        free=target.free.free if target.free is not None and freed else old.free,
    )


def _latest(steps: tuple[RateStep, ...], day: date, old: Decimal | None) -> Decimal | None:
    return next((step.amount for step in reversed(steps) if step.on <= day), old)


def first_difference(
    one: Timeline, other: Timeline, *, owned: Timeline, window: Window, unknown_differs: bool = False
) -> date | None:
    """The first day of the window on which two timelines differ in what is ours: the units, and owned rates.

    A rate is ours on the days on which `owned` has one. It is looked at only where both know it and units are billed;
    `unknown_differs` takes one that `one` does not know for another.
    """

    def differs(day: date) -> bool:
        left, right, ours = one.on(day), other.on(day), owned.on(day)
        if left.units != right.units:
            return True
        if not left.units:
            return False
        return any(_rate_differs(left.rate(kind), right.rate(kind)) for kind in Rate if ours.rate(kind) is not None)

    def _rate_differs(left: Decimal | None, right: Decimal | None) -> bool:
        if left is None or right is None:
            return unknown_differs and left is None and right is not None
        return not same(left, right)

    inside = (day for day in dates_of(one, other, owned) if window.start < day <= window.end)
    return next((day for day in (window.start, *inside) if differs(day)), None)


def dates_of(*timelines: Timeline) -> list[date]:
    """The dates on which any of them changes, ascending."""
    return sorted({step.date for timeline in timelines for step in timeline.steps})


def _normalised(steps: Iterable[Step]) -> tuple[Step, ...]:
    changes: list[Step] = []
    last, previous = _NOTHING, None
    for step in sorted(steps, key=attrgetter("date")):
        if step.date == previous:
            raise ValueError(f"Two steps on {step.date}.")
        if _value(step) != _value(last):
            changes.append(step)
        last, previous = step, step.date
    return tuple(changes)


def _value(step: Step) -> tuple[object, ...]:
    return step.units, step.price, step.cost, step.free


def _step_to_json(step: Step) -> list[str | int | bool | None]:
    short: list[str | int | bool | None] = [step.date.isoformat(), step.units]
    if (step.price, step.cost, step.free) == (None, None, False):
        return short
    rates = [None if rate is None else str(rate) for rate in (step.price, step.cost)]
    return [*short, *rates, *([True] if step.free else [])]


def _step_from_json(item: object) -> Step:
    match item:
        case [str(day), int(units)] if not isinstance(units, bool):
            return Step(date.fromisoformat(day), units)
        case [str(day), int(units), str() | None as price, str() | None as cost] if not isinstance(units, bool):
            return Step(date.fromisoformat(day), units, _amount(price), _amount(cost))
        case [str(day), int(units), str() | None as price, str() | None as cost, True] if not isinstance(units, bool):
            return Step(date.fromisoformat(day), units, _amount(price), _amount(cost), free=True)
    raise ValueError("A step is an ISO date, whole units, and where they are known price and cost as decimal strings.")


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no amount.") from None
