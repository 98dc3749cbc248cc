"""Plans at an Autotask whose named rates hold until the next one, and at one where they hold on all later days.

The model of both is the list of what was ever sent, as the simulator keeps it, and knows nothing of the planner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.planning import Adjustment, DriftPolicy, Nothing, Plan, apply, plan
from shared.domain.rates import Rate, Reach, same
from shared.domain.timeline import Step, Timeline
from shared.domain.unusable import Unusable
from tests.domain.timelines import day, days_between, money, priced, priced_timelines, window

PROPERTY = settings(max_examples=150, deadline=None)
LAST = 12
DAYS = days_between(day(1), day(LAST))
INSIDE = Unusable(window(1, LAST))
KNOWN = priced_timelines(1, LAST, steps=6, prices=("12", "13", "14"))
REACHES = st.sampled_from(Reach)


@dataclass(frozen=True)
class Bill:
    """What was ever sent for a line, in that order, and how far its rates reach."""

    reach: Reach
    sent: tuple[Adjustment, ...]

    @classmethod
    def of(cls, timeline: Timeline, reach: Reach) -> Bill:
        """A line that got its steps one after the other."""
        before = [0, *(step.units for step in timeline.steps)]
        steps = zip(timeline.steps, before, strict=False)
        return cls(reach, tuple(Adjustment(step.date, step.units - had, step.price, step.cost) for step, had in steps))

    def after(self, adjustments: Sequence[Adjustment]) -> Bill:
        """With more sent, one by one; no day ever has fewer than zero units."""
        bill = self
        for adjustment in adjustments:
            bill = Bill(self.reach, (*bill.sent, adjustment))
            assert all(step.units >= 0 for step in bill.timeline.steps)
        return bill

    @property
    def timeline(self) -> Timeline:
        """What is billed."""
        days = sorted({item.date for item in self.sent})
        price, cost = Rate
        return Timeline(tuple(Step(on, self._units(on), self._rate(price, on), self._rate(cost, on)) for on in days))

    @property
    def events(self) -> frozenset[date]:
        return frozenset(item.date for item in self.sent)

    def _units(self, on: date) -> int:
        return sum(item.change for item in self.sent if item.date <= on)

    def _rate(self, kind: Rate, on: date) -> Decimal | None:
        named = [item for item in self.sent if item.date <= on and item.rate(kind) is not None]
        if self.reach is Reach.NEXT:
            named.sort(key=lambda item: item.date)
        return named[-1].rate(kind) if named else None


def planned(desired: Timeline, bill: Bill, believed: Reach) -> tuple[Adjustment, ...]:
    found = plan(desired, bill.timeline, bill.timeline, DriftPolicy.OVERWRITE, INSIDE, bill.events, believed)
    assert isinstance(found, Plan | Nothing)
    if isinstance(found, Nothing):
        assert not found.shortfalls
        return ()
    if believed is bill.reach:
        assert found.result == bill.after(found.adjustments).timeline
    return found.adjustments


def wrong_days(desired: Timeline, bill: Bill) -> list[date]:
    return [on for on in DAYS if differs(desired.on(on), bill.timeline.on(on))]


def differs(wanted: Step, billed: Step) -> bool:
    aims = ((wanted.rate(kind), billed.rate(kind)) for kind in Rate) if billed.units else ()
    return wanted.units != billed.units or any(aim is not None and not same(aim, rate) for aim, rate in aims)


Rounds = list[tuple[Adjustment, ...]]


def rounds(desired: Timeline, bill: Bill, believed: Reach, *, learns: bool) -> tuple[Rounds, Bill]:
    """Plan and send until nothing is left to send; another bill than expected tells how far rates reach."""
    found: Rounds = []
    while adjustments := planned(desired, bill, believed):
        expected = apply(bill.timeline, adjustments, bill.events, believed)
        found.append(adjustments)
        bill = bill.after(adjustments)
        if learns and bill.timeline != expected:
            believed = bill.reach
        assert len(found) <= 2 * LAST
    return found, bill


def steps_of(*timelines: Timeline) -> int:
    """The dates on which they change."""
    return len({step.date for timeline in timelines for step in timeline.steps})


@PROPERTY
@given(KNOWN, KNOWN, REACHES, REACHES)
def test_every_bill_comes_to_rest_as_desired(
    desired: Timeline, actual: Timeline, reach: Reach, believed: Reach
) -> None:
    """The second plan only names rates again that the first overran, and the plan after it is empty."""
    found, bill = rounds(desired, Bill.of(actual, reach), believed, learns=True)
    assert not wrong_days(desired, bill)
    assert len(found) <= 2
    assert all(len(adjustments) <= steps_of(desired, actual) for adjustments in found)
    assert not [adjustment for adjustments in found[1:] for adjustment in adjustments if adjustment.change]


@PROPERTY
@given(KNOWN, KNOWN, REACHES, REACHES)
def test_it_comes_to_rest_even_where_nothing_shows_how_far_a_rate_reaches(
    desired: Timeline, actual: Timeline, reach: Reach, believed: Reach
) -> None:
    found, bill = rounds(desired, Bill.of(actual, reach), believed, learns=False)
    assert not wrong_days(desired, bill)
    assert len(found) <= 1 + steps_of(desired, actual)


def flat(timeline: Timeline) -> Timeline:
    """Three units from the first day on, at these rates."""
    days = [day(1), *(step.date for step in timeline.steps[1:])]
    steps = zip(days, timeline.steps, strict=True)
    return Timeline(tuple(Step(on, 3, step.price, step.cost) for on, step in steps))


FLAT = priced_timelines(1, LAST, most=3, steps=6, prices=("12", "13", "14")).filter(lambda found: found.steps).map(flat)


@PROPERTY
@given(FLAT, FLAT, REACHES)
def test_prices_alone_take_a_single_plan_with_one_adjustment_for_each_step(
    desired: Timeline, actual: Timeline, reach: Reach
) -> None:
    """The first day that is wrong, and behind it at most every date on which a rate changes, ascending."""
    before = wrong_days(desired, Bill.of(actual, reach))
    found, bill = rounds(desired, Bill.of(actual, reach), reach, learns=False)
    assert not wrong_days(desired, bill)
    assert len(found) == (1 if before else 0)
    for adjustments in found:
        dates = [adjustment.date for adjustment in adjustments]
        assert dates == sorted(set(dates))
        assert dates[0] == before[0]
        assert set(dates) <= {before[0], *(step.date for step in (*desired.steps, *actual.steps))}


@PROPERTY
@given(FLAT, FLAT, REACHES)
def test_a_rate_that_is_not_ours_stays_as_it_is_on_every_day(desired: Timeline, actual: Timeline, reach: Reach) -> None:
    ours = Timeline(tuple(Step(step.date, step.units, step.price) for step in desired.steps))
    _, bill = rounds(ours, Bill.of(actual, reach), reach, learns=False)
    assert not wrong_days(ours, bill)
    assert all(bill.timeline.on(on).cost == actual.on(on).cost for on in DAYS)


def test_a_change_of_price_is_sent_before_a_later_change_of_units() -> None:
    """Sent the other way round, the earlier price would overrun the later one where rates reach onwards."""
    desired = priced((1, 10, "12", "10"), (5, 10, "13", "10"), (8, 12, "13", "11"))
    (found,), _ = rounds(desired, Bill.of(priced((1, 10, "12", "10")), Reach.ONWARDS), Reach.NEXT, learns=False)
    assert [(item.date, item.change, item.price, item.cost) for item in found] == [
        (day(5), 0, money("13"), money("10")),
        (day(8), 2, money("13"), money("11")),
    ]
