"""Which adjustments name which unit price and unit cost (ADR 0011); pure.

An adjustment that names a rate sets it from its date on: until the next date on which Autotask has another one, or on
all later days (`Reach`). One that changes units names the rates that hold on its date, so that it does not matter what
Autotask makes of a rate that is left out; a rate that is to change elsewhere takes an adjustment without a change of
units.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from shared.domain.rates import Rate, Reach, same
from shared.domain.stretches import Stretch, Wish
from shared.domain.unusable import Unusable


class RunningRate:
    """One rate of a line while walking along its days in order: what Autotask has, and what was named on the way.

    `events` are dates on which it has an adjustment of ours that named rates, though nothing may show of it.
    """

    def __init__(self, kind: Rate, wish: Wish) -> None:
        self._kind = kind
        self._timeline = wish.actual
        self._events = wish.events
        self._reach = wish.reach
        self._shown: Decimal | None = None  # the last that was known of Autotask's own
        self.is_named = False
        self.amount: Decimal | None = None

    @classmethod
    def before(cls, day: date, kind: Rate, wish: Wish) -> RunningRate:
        """A walk along what a line has that has come to the eve of a day."""
        running = cls(kind, wish)
        for step in wish.actual.steps:
            if step.date < day:
                running.come_to(step.date)
        return running

    def come_to(self, day: date) -> None:
        """Go on to a day: a rate that reaches to the next one ends where Autotask is known to have one."""
        shown = self._timeline.rate_at(self._kind, day)
        changes = shown is not None and (day in self._events or not same(shown, self._shown))
        changes = changes and self._reach is Reach.NEXT
        if changes or not self.is_named:
            self.amount, self.is_named = shown, False
        self._shown = self._shown if shown is None else shown

    def name(self, amount: Decimal | None) -> None:
        """Name the rate on the day that was come to; None leaves it out."""
        if amount is not None:
            self.amount, self.is_named = amount, True


@dataclass(slots=True)
class RatePlan:
    """One rate's part of a plan: the days (ordinals) on which it must be named, and what holds from each stretch on."""

    needed: set[int] = field(default_factory=set)
    held: dict[int, Decimal | None] = field(default_factory=dict)


def plan_rate(
    kind: Rate,
    wish: Wish,
    stretches: Sequence[Stretch],
    billed: Sequence[int],
    unusable: Unusable,
    changing: Collection[int],
) -> RatePlan:
    """Plan one rate over stretches with these billed units; there are adjustments on the days `changing` anyway.

    Where nothing is billed a rate means nothing, so an adjustment there already names the one that is wanted next. A
    rate that cannot be named on its date is named on the first usable one after it: never early, so that no day has a
    higher rate than both the wanted and the present one.
    """
    plan = RatePlan()
    aims = _aims(kind, wish, stretches, billed)
    running = RunningRate.before(stretches[0].start, kind, wish)

    def is_last_chance(index: int) -> bool:
        """Nothing is billed here, and the next stretch is but starts on a date on which nothing can be named."""
        after = index + 1
        return after < len(stretches) and billed[after] > 0 and not unusable.allows(stretches[after].start)

    for index, stretch in enumerate(stretches):
        running.come_to(stretch.start)
        aim = aims[index]
        if billed[index] and not stretch.aim:  # units that nobody wants: at least not dearer than they are
            aim = _lower(wish.actual.rate_at(kind, stretch.start), running.amount)
        if aim is not None:
            following = ((stretches[later], billed[later]) for later in range(index + 1, len(stretches)))
            reach = _reach(running, following, unusable)
            aim = min([aim, *_ceilings(kind, wish, reach)])
        day, missing = stretch.first, aim is not None and not same(running.amount, aim)
        if day in changing:
            running.name(aim if missing else running.amount)
        elif missing and unusable.allows(stretch.start) and (billed[index] or is_last_chance(index)):
            plan.needed.add(day)
            running.name(aim)
        plan.held[day] = running.amount
    return plan


def _lower(present: Decimal | None, running: Decimal | None) -> Decimal | None:
    return present if present is not None and running is not None and present < running else None


def _reach(
    running: RunningRate, following: Iterable[tuple[Stretch, int]], unusable: Unusable
) -> Iterator[tuple[Stretch, int]]:
    """The stretches over which a rate that is named now holds without a date on which another could be named."""
    probe = copy(running)
    probe.name(Decimal(0))
    for stretch, units in following:
        probe.come_to(stretch.start)
        if unusable.allows(stretch.start) or not probe.is_named:
            return
        yield stretch, units


def _ceilings(kind: Rate, wish: Wish, reach: Iterable[tuple[Stretch, int]]) -> Iterator[Decimal]:
    """The highest rates that may hold on these days: the wanted or the present one, where it is ours and known."""
    for stretch, units in reach:
        wanted = wish.rate(kind, stretch.start) if stretch.aim else None
        present = wish.actual.rate_at(kind, stretch.start) if stretch.actual else None
        unknown = (stretch.aim and wanted is None) or (stretch.actual and present is None)
        if units and not unknown:
            yield max(rate for rate in (wanted, present) if rate is not None)


def _aims(kind: Rate, wish: Wish, stretches: Sequence[Stretch], billed: Sequence[int]) -> list[Decimal | None]:
    """The rate that each stretch shall have, None to leave it as it is: not ours, or units that nobody wants."""
    aims: list[Decimal | None] = []
    upcoming: Decimal | None = None
    for stretch, units in zip(reversed(stretches), reversed(billed), strict=True):
        if units:
            upcoming = wish.rate(kind, stretch.start) if stretch.aim else None
        aims.append(upcoming)
    return aims[::-1]
