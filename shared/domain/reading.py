"""What Autotask's unit rows say of a line, and what they cannot say (ADR 0010).

Units are exact on every day. Rates are shown only extended (units x rate x share of the period, to the cent), so a row
tells a rate exactly only where it is a whole billing period with units. A span of zero units has no row, a part of a
period is prorated by a formula that is documented nowhere, and a restricted user may not see costs. What a row does not
tell is unknown, never 0. A part of a period is never measured, only asked which of the rates that are known from
elsewhere its amount fits; what is still open is as the ledger believes (`Reading.completed`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import IntEnum
from functools import cache
from operator import attrgetter

from shared.domain.calendar import BillingCalendar
from shared.domain.rates import CENT, Rate, same, unit_rate
from shared.domain.timeline import Step, Timeline, Window, dates_of

_DAY = timedelta(days=1)
_LENGTHS = (28, 31)  # days of a month: whatever the formula, a part of a period lies between these


@dataclass(frozen=True, slots=True)
class UnitsRow:
    """One `ContractServiceUnits` row: a slice of a billing period with inclusive dates, posted or not.

    `price` and `cost` are the extended amounts, None where they cannot be read. Raises ValueError where it ends before
    it starts.
    """

    start: date
    end: date
    units: int
    posted: bool
    price: Decimal | None = None
    cost: Decimal | None = None

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"The end {self.end} lies before the start {self.start}.")

    def amount(self, kind: Rate) -> Decimal | None:
        """The extended amount of a rate."""
        return self.price if kind is Rate.PRICE else self.cost


class Fit(IntEnum):
    """How well the amount of a row fits a rate."""

    NO = 0
    ROUGH = 1  #: by some formula of proration
    EXACT = 2  #: a whole period's amount, or that of a part counted by days, to the cent


@dataclass(frozen=True, slots=True)
class Named:
    """A rate that an adjustment of ours named from a day on, whether it took effect or not."""

    on: date
    price: Decimal | None
    cost: Decimal | None

    def rate(self, kind: Rate) -> Decimal | None:
        """The rate."""
        return self.price if kind is Rate.PRICE else self.cost


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a line. `shown` has the units of every day, and a rate only where a row tells it exactly."""

    shown: Timeline
    slices: tuple[UnitsRow, ...] = ()  # the rows that are a part of a period
    calendar: BillingCalendar | None = None

    def fit(self, kind: Rate, day: date, rate: Decimal) -> Fit | None:
        """How well a rate fits what is shown of a day; None where nothing is shown of it."""
        shown = self.shown.rate_at(kind, day)
        if shown is not None:
            return Fit.EXACT if same(shown, rate) else Fit.NO
        row = self._slice(day)
        amount = row.amount(kind) if row is not None else None
        if row is None or amount is None or self.calendar is None:
            return None
        if abs(rate * row.units * self.calendar.share(row.start, row.end) - amount) <= CENT:
            return Fit.EXACT
        days, months = (row.end - row.start).days + 1, self.calendar.period.months
        bounds = sorted(rate * row.units * days / (length * months) for length in _LENGTHS)
        return Fit.ROUGH if bounds[0] - CENT <= amount <= bounds[1] + CENT else Fit.NO

    def completed(self, belief: Timeline, named: Iterable[Named] = ()) -> Timeline:
        """The actual timeline: what is shown, and for rates that are not shown what is believed of those days.

        A shown rate that is the same as the believed one is written as believed, so that it stays exact. A part of a
        period has the rate that its amount fits best: the believed one, that of the next whole period or of the one
        before, or one that we named (`named`); where none fits, the believed one. An exact fit by days counts for more
        than a rough one only where no other part of a period shows that this tenant does not count by days.
        """
        days = sorted({*dates_of(self.shown, belief), *(row.start for row in self.slices)})
        whole = {kind: [step for step in self.shown.steps if step.rate(kind) is not None] for kind in Rate}
        ours = sorted(named, key=attrgetter("on"), reverse=True)

        def candidates(kind: Rate, day: date) -> list[Decimal]:
            after = bisect_right(whole[kind], day, key=attrgetter("date"))
            neighbours = (*whole[kind][after : after + 1], *whole[kind][max(after - 1, 0) : after])
            found = [belief.rate_at(kind, day), *(step.rate(kind) for step in neighbours)]
            found += [item.rate(kind) for item in ours if item.on <= day]
            return [rate for rate in found if rate is not None]

        def fits(kind: Rate, day: date) -> list[Fit]:
            return [self.fit(kind, day, rate) or Fit.NO for rate in candidates(kind, day)]

        @cache
        def counts_by_days() -> bool:
            parts = (fits(kind, row.start) for row in self.slices for kind in Rate if row.amount(kind))
            return not any(Fit.ROUGH in part and Fit.EXACT not in part for part in parts)

        def rate(kind: Rate, day: date) -> Decimal | None:
            shown, believed = self.shown.rate_at(kind, day), belief.rate_at(kind, day)
            if shown is not None:
                return believed if same(shown, believed) else shown
            if self._slice(day) is None:
                return believed
            found = fits(kind, day)
            best = max(found, default=Fit.NO)
            if best is Fit.NO:
                return believed
            if best is Fit.EXACT and Fit.ROUGH in found[: found.index(best)] and not counts_by_days():
                best = Fit.ROUGH
            return candidates(kind, day)[found.index(best)]

        return Timeline(
            tuple(Step(day, self.shown.at(day), rate(Rate.PRICE, day), rate(Rate.COST, day)) for day in days)
        )

    def _slice(self, day: date) -> UnitsRow | None:
        index = bisect_right(self.slices, day, key=attrgetter("start")) - 1
        return self.slices[index] if index >= 0 and day <= self.slices[index].end else None


def read(rows: Iterable[UnitsRow], window: Window, calendar: BillingCalendar | None) -> Reading:
    """A reading of a line from all its rows, in any order. Without a calendar no rate is known.

    Autotask writes no row for a span of zero units, so a gap is 0. A last row that reaches the contract's end holds for
    ever, so that extending the contract does not look like somebody's change; one that ends earlier is followed by 0.
    Raises ValueError for rows that overlap: they cannot both be true.
    """
    ordered = sorted(rows, key=attrgetter("start"))
    steps: dict[date, Step] = {}
    slices: list[UnitsRow] = []
    previous_end: date | None = None
    for row in ordered:
        if previous_end is not None and row.start <= previous_end:
            raise ValueError(f"Two unit rows overlap on {row.start}.")
        previous_end = row.end
        whole = calendar is not None and calendar.is_whole_period(row.start, row.end)
        steps[row.start] = _step(row) if whole else Step(row.start, row.units)
        if row.units and not whole:
            slices.append(row)
        if row.end < window.end:
            steps[row.end + _DAY] = Step(row.end + _DAY, 0)  # the next row overwrites it where it follows at once
    return Reading(Timeline(tuple(steps.values())), tuple(slices), calendar)


def _step(row: UnitsRow) -> Step:
    def rate(kind: Rate) -> Decimal | None:
        amount = row.amount(kind)
        return unit_rate(amount, row.units) if amount is not None and row.units else None

    return Step(row.start, row.units, rate(Rate.PRICE), rate(Rate.COST))
