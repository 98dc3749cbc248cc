"""The planner: the fewest adjustments that turn the actual timeline of a line into the desired one, or why none do.

Pure and stateless. The pusher reads the actual timeline, asks `plan`, sends the adjustments in the order given
and reads back; a repeated message therefore finds nothing to do. Works on the breakpoints of the timelines
(`shared.domain.timeline`), never day by day.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Final

from shared.domain.edits import difference, with_edits
from shared.domain.rate_plan import RatePlan, RunningRate, plan_rate
from shared.domain.rates import Rate, Reach, same
from shared.domain.shortfalls import Shortfall, shortfalls_of
from shared.domain.stretches import Stretch, Wish, executable
from shared.domain.timeline import Day, Step, Timeline, first_difference
from shared.domain.unusable import Unusable

CONTRACT_ENDED: Final = "contract_ended"
NO_USABLE_DATE: Final = "no_usable_date"
NO_EVENTS: Final[frozenset[date]] = frozenset()


class DriftPolicy(StrEnum):
    """What to do about a line that somebody edited by hand in Autotask."""

    REVIEW = "review"
    RESPECT = "respect"
    OVERWRITE = "overwrite"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What Autotask's `ContractServiceAdjustments` takes: a signed change of units from `date` onwards, and rates.

    A rate of None is left out: it is not ours, or not known.
    """

    date: Day
    change: int
    price: Decimal | None = None
    cost: Decimal | None = None

    def rate(self, kind: Rate) -> Decimal | None:
        """The rate that it names."""
        return self.price if kind is Rate.PRICE else self.cost


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


def plan(
    desired: Timeline,
    actual: Timeline,
    verified: Timeline,
    policy: DriftPolicy,
    unusable: Unusable,
    events: frozenset[date] = NO_EVENTS,
    reach: Reach = Reach.NEXT,
) -> Plan | Nothing | Drift | Blocked:
    """Decide what to send to Autotask for one line. Never raises for valid timelines.

    `events` are dates on which adjustments of ours named rates: theirs hold from there, even where nothing shows it.
    `reach` is how far a named rate reaches, as far as the line knows. Where that is all later days, a rate that is not
    ours is named again behind one of ours, so that it stays as it is.

    Only days inside the contract's window count, and rates only where they are ours and units are billed. Hand edits
    (actual differs from verified) end in `Drift` under `review`; `respect` aims at desired plus their difference, never
    below 0 and at 0 where desired is 0; `overwrite` aims at desired.

    Adjustments lie at the change points of (aim - actual), never two on a date: one carries units, price and cost.
    Between two usable dates the executed change of units is constant: the earlier date decides it, as far as no day
    gets wrong by it that was right. A change whose own date is unusable waits for the next usable one, and so does a
    rate. What remains is a `Shortfall`. Planning again on the result sends nothing more.

    Order: by date, so that none overruns the rate that another names on a later date. Only where an increase lies
    behind a decrease, increases come first, then decreases, then changes of rates alone. Sent one by one, units are
    thus never negative on any day: while increases are being sent each day has at least its actual units; while
    decreases are being sent each day still has at least the units of the final result, because only decreases are
    missing. What that order overran is the next plan's, which moves no units.

    Without adjustments: a difference that lasts to the contract's end is `Blocked` (no_usable_date); a change
    wanted only after it is `Blocked` (contract_ended); everything else is `Nothing`, with the shortfalls that
    are over by then.
    """
    window = unusable.window
    drifted_on = first_difference(actual, verified, owned=desired, window=window)
    if drifted_on and policy is DriftPolicy.REVIEW:
        return Drift(verified, actual, desired, drifted_on)

    if policy is DriftPolicy.RESPECT:
        desired = with_edits(desired, difference(actual, verified, owned=desired, until=window.end))
    cuts = [cut for first, last in unusable.cells() for cut in (first, last + 1)]
    if reach is Reach.ONWARDS:
        desired = desired.filled_from(Timeline(tuple(step for step in actual.steps if step.date <= window.end)))
    first, last = window.start.toordinal(), window.end.toordinal()
    wish = Wish(desired, actual, events, reach)
    inside = wish.stretches(first, last, cuts)
    adjustments = _adjustments(wish, inside, executable(inside, unusable), unusable)
    result = apply(actual, adjustments, events, reach)
    shortfalls = shortfalls_of(wish, inside, result)
    if adjustments:
        return Plan(adjustments, result, shortfalls)
    if shortfalls and shortfalls[-1].end is None:
        return Blocked(NO_USABLE_DATE, _change_dates(wish, inside), shortfalls)
    held = wish.held_after(window.end)
    if dates := _change_dates(held, held.stretches(last + 1, date.max.toordinal())):
        return Blocked(CONTRACT_ENDED, dates, shortfalls)
    return Nothing(shortfalls)


def apply(
    timeline: Timeline,
    adjustments: Iterable[Adjustment],
    events: frozenset[date] = NO_EVENTS,
    reach: Reach = Reach.NEXT,
) -> Timeline:
    """The timeline after these adjustments. Units add up.

    A named rate holds from its date on: on all later days, in the order in which the adjustments are given; or, in
    whatever order they come, until the next date on which another is named, on which the timeline has another than
    before, or which is an event. What Autotask makes of it is only known once it is read back.
    """
    if reach is Reach.ONWARDS:
        for adjustment in adjustments:
            timeline = _onwards(timeline, adjustment)
        return timeline
    changes: dict[date, int] = {}
    named: dict[date, Adjustment] = {}
    for adjustment in adjustments:
        changes[adjustment.date] = changes.get(adjustment.date, 0) + adjustment.change
        named[adjustment.date] = _latest(named.get(adjustment.date), adjustment)
    running = {kind: RunningRate(kind, Wish(timeline, timeline, events)) for kind in Rate}
    steps: list[Step] = []
    added = 0
    for day in sorted({*changes, *events, *(step.date for step in timeline.steps)}):
        added += changes.get(day, 0)
        for kind, rate in running.items():
            rate.come_to(day)
            if day in named:
                rate.name(named[day].rate(kind))
        steps.append(Step(day, timeline.at(day) + added, running[Rate.PRICE].amount, running[Rate.COST].amount))
    return Timeline(tuple(steps))


def _onwards(timeline: Timeline, adjustment: Adjustment) -> Timeline:
    """The timeline after one adjustment whose rates hold on all later days."""

    def after(day: date) -> Step:
        had = timeline.on(day)
        if day < adjustment.date:
            return had
        price, cost = (had.rate(kind) if adjustment.rate(kind) is None else adjustment.rate(kind) for kind in Rate)
        return Step(day, had.units + adjustment.change, price, cost)

    return Timeline(tuple(after(day) for day in sorted({adjustment.date, *(step.date for step in timeline.steps)})))


def _latest(earlier: Adjustment | None, later: Adjustment) -> Adjustment:
    """What two adjustments on one date name: the later one's rates, and the earlier one's where it names none."""
    if earlier is None:
        return later
    price = earlier.price if later.price is None else later.price
    return Adjustment(later.date, 0, price, earlier.cost if later.cost is None else later.cost)


def _adjustments(
    wish: Wish, stretches: Sequence[Stretch], changes: Sequence[int], unusable: Unusable
) -> tuple[Adjustment, ...]:
    steps = dict(_steps_of(stretches, changes))
    billed = [stretch.actual + change for stretch, change in zip(stretches, changes, strict=True)]
    rate_of = partial(plan_rate, wish=wish, stretches=stretches, billed=billed, unusable=unusable)
    price, cost = _rates(rate_of, steps.keys())
    days = sorted(steps.keys() | price.needed | cost.needed)
    while wish.reach is Reach.ONWARDS:  # each of them names both rates and overruns what comes later
        price, cost = (rate_of(kind, changing=days) for kind in Rate)
        if not price.needed | cost.needed:
            break
        days = sorted({*days, *price.needed, *cost.needed})
    found = [Adjustment(date.fromordinal(day), steps.get(day, 0), price.held[day], cost.held[day]) for day in days]
    return _in_turn(found)


def _rates(rate_of: Callable[..., RatePlan], steps: Collection[int]) -> tuple[RatePlan, RatePlan]:
    """The fewest days on which price and cost must be named besides those of the steps."""
    price = rate_of(Rate.PRICE, changing=steps)
    cost = rate_of(Rate.COST, changing={*steps, *price.needed})
    # An adjustment for the cost names the price too, which may make one for the price needless
    fewer = rate_of(Rate.PRICE, changing={*steps, *cost.needed})
    again = rate_of(Rate.COST, changing={*steps, *fewer.needed})
    return (fewer, again) if again.needed == cost.needed else (price, cost)


def _in_turn(ascending: Sequence[Adjustment]) -> tuple[Adjustment, ...]:
    """Adjustments in the order in which they are sent."""
    increases = [adjustment.date for adjustment in ascending if adjustment.change > 0]
    decreases = [adjustment.date for adjustment in ascending if adjustment.change < 0]
    if increases and decreases and decreases[0] < increases[-1]:
        return tuple(sorted(ascending, key=_turn))
    return tuple(ascending)


def _turn(adjustment: Adjustment) -> int:
    return 2 if adjustment.change == 0 else int(adjustment.change < 0)


def _steps_of(stretches: Sequence[Stretch], changes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First day (ordinal) and step of each change of the executed change."""
    previous = 0
    for stretch, change in zip(stretches, changes, strict=True):
        if change != previous:
            yield stretch.first, change - previous
        previous = change


def _change_dates(wish: Wish, stretches: Sequence[Stretch]) -> tuple[date, ...]:
    """The dates on which what is wanted differs from what is billed in another way than the day before."""
    dates: list[date] = []
    previous: tuple[object, ...] = (0, None, None)
    for stretch in stretches:
        wanted = (stretch.wanted, *(_wanted_rate(wish, kind, stretch) for kind in Rate))
        if wanted != previous:
            dates.append(stretch.start)
        previous = wanted
    return tuple(dates)


def _wanted_rate(wish: Wish, kind: Rate, stretch: Stretch) -> Decimal | None:
    aim = wish.rate(kind, stretch.start) if stretch.aim else None
    return None if aim is None or same(wish.actual.rate_at(kind, stretch.start), aim) else aim
