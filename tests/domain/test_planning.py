from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.planning import (
    Adjustment,
    Blocked,
    Drift,
    DriftPolicy,
    Nothing,
    Plan,
    apply,
    plan,
)
from shared.domain.reading import UnitsRow, read
from shared.domain.shortfalls import Shortfall
from shared.domain.timeline import Target, Timeline, Window, fold
from shared.domain.unusable import Unusable
from tests.domain.timelines import day, days_between, line, timelines, window

if TYPE_CHECKING:
    from collections.abc import Iterable

REVIEW, RESPECT, OVERWRITE = DriftPolicy
PROPERTY = settings(max_examples=60, deadline=None)
INSIDE = timelines(-3, 31)
ANY = timelines(-3, 40)


def forbid(*numbers: int, inside: Window | None = None) -> Unusable:
    return Unusable(inside or window(), frozenset(day(number) for number in numbers))


def changes(*found: tuple[int, int]) -> tuple[Adjustment, ...]:
    return tuple(Adjustment(day(number), change) for number, change in found)


def converge(desired: Timeline, actual: Timeline, unusable: Unusable) -> Plan | Nothing | Drift | Blocked:
    return plan(desired, actual, actual, REVIEW, unusable)


@pytest.mark.parametrize(
    ("desired", "actual", "expected"),
    [
        ([(1, 12), (10, 15)], [(1, 12)], [(10, 3)]),
        ([(1, 12), (32, 8)], [(1, 12), (10, 8)], [(10, 4)]),
        ([(1, 12), (10, 15), (20, 4)], [(1, 12)], [(10, 3), (20, -11)]),
        ([(1, 12), (10, 4), (20, 15)], [(1, 12)], [(20, 11), (10, -8)]),
        ([(1, 5), (10, 3), (15, 7), (20, 1)], [(1, 5)], [(15, 4), (10, -2), (20, -6)]),
        ([(-9, 12)], [], [(1, 12)]),
        ([], [(1, 12)], [(1, -12)]),
        ([(10, 2)], [(5, 2)], [(10, 2), (5, -2)]),
        ([(31, 2)], [], [(31, 2)]),
    ],
)
def test_adjustments_lie_where_the_difference_changes_and_increases_go_first(
    desired: list[tuple[int, int]], actual: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    found = converge(line(*desired), line(*actual), forbid())
    assert isinstance(found, Plan)
    assert found.adjustments == changes(*expected)
    assert found.result == apply(line(*actual), changes(*expected))
    assert found.shortfalls == ()


def test_reduced_for_the_next_period_and_then_raised_again_takes_one_adjustment() -> None:
    year = Unusable(Window(day(1), date(2027, 7, 31)), frozenset())
    actual = read([UnitsRow(day(1), date(2027, 7, 31), 12, posted=False)], year.window, None).shown
    desired = fold(fold(actual, Target(8, day(10), day(32))), Target(9, day(15), day(32)))
    assert converge(desired, actual, year) == Plan(changes((32, -3)), line((1, 12), (32, 9)), ())


def test_nothing_is_sent_where_nothing_differs() -> None:
    assert converge(line((1, 5)), line((1, 5)), forbid()) == Nothing()


def test_days_before_the_contract_do_not_count() -> None:
    assert converge(line((-20, 9), (-2, 5)), line((1, 5)), forbid()) == Nothing()
    assert plan(line((1, 5)), line((1, 5)), line((-9, 7), (1, 5)), REVIEW, forbid()) == Nothing()


def test_a_hand_edit_is_drift_and_shows_the_three_numbers_of_its_first_day() -> None:
    verified, actual, desired = line((1, 5)), line((1, 5), (7, 6), (9, 5)), line((1, 5), (3, 8))
    found = plan(desired, actual, verified, REVIEW, forbid())
    assert found == Drift(verified, actual, desired, day(7))
    assert isinstance(found, Drift)
    assert (found.verified_units, found.actual_units, found.desired_units) == (5, 6, 8)


def test_a_hand_edit_that_is_over_before_the_contract_starts_or_begins_after_its_end_is_no_drift() -> None:
    assert plan(line((1, 5)), line((1, 5), (32, 0)), line((1, 5)), REVIEW, forbid()) == Nothing()


@pytest.mark.parametrize(
    ("policy", "desired", "verified", "actual", "ends_at"),
    [
        (RESPECT, 8, 5, 7, 10),
        (RESPECT, 8, 5, 4, 7),
        (RESPECT, 2, 5, 1, 0),
        (RESPECT, 0, 5, 9, 0),
        (OVERWRITE, 8, 5, 7, 8),
        (OVERWRITE, 0, 5, 9, 0),
    ],
)
def test_a_hand_edit_is_respected_or_overwritten(
    policy: DriftPolicy, desired: int, verified: int, actual: int, ends_at: int
) -> None:
    found = plan(line((1, desired)), line((1, actual)), line((1, verified)), policy, forbid())
    assert isinstance(found, Plan)
    assert found.result == line((1, ends_at))


@pytest.mark.parametrize(
    ("desired", "actual", "unusable", "expected", "shortfalls"),
    [
        # An increase inside a posted stretch waits for the first usable date: earlier would bill too much.
        ([(1, 5), (10, 8)], [(1, 5)], range(1, 21), [(21, 3)], [(10, 20, 8, 5)]),
        ([(1, 5), (10, 8)], [(1, 5)], range(8, 21), [(21, 3)], [(10, 20, 8, 5)]),
        # So does a decrease: earlier would bill days too little that are right.
        ([(1, 5), (10, 2)], [(1, 5)], range(8, 21), [(21, -3)], [(10, 20, 2, 5)]),
        # On a date of its own it holds, however few of the days behind it agree.
        ([(1, 5), (10, 1), (12, 4)], [(1, 5)], range(11, 21), [(21, 3), (10, -4)], [(12, 20, 4, 1)]),
        # Where a day behind it is right, or too low already, it would make that day worse.
        ([(1, 5), (10, 2), (12, 5)], [(1, 5)], [*range(11, 21)], [], [(10, 11, 2, 5)]),
        ([(1, 5), (10, 2), (12, 6)], [(1, 5)], [*range(11, 21)], [(21, 1)], [(10, 11, 2, 5), (12, 20, 6, 5)]),
        # Nothing is usable before day 11: no adjustment before it.
        ([(1, 2)], [(1, 5)], range(1, 11), [(11, -3)], [(1, 10, 2, 5)]),
        # The last cell runs to the window's end.
        ([(1, 5), (20, 2), (22, 1)], [(1, 5)], range(21, 32), [(20, -3)], [(22, None, 1, 2)]),
        # Part of what is wanted is possible.
        ([(1, 5), (10, 8), (15, 9)], [(1, 5)], range(11, 21), [(10, 3), (21, 1)], [(15, 20, 9, 8)]),
        # A day of the cell has fewer units than the decrease: never below zero.
        ([], [(1, 9), (20, 2)], [*range(1, 5), *range(6, 32)], [(5, -2)], [(1, 4, 0, 9), (5, 19, 0, 7)]),
    ],
)
def test_unusable_dates_are_avoided_and_what_remains_is_named(
    desired: list[tuple[int, int]],
    actual: list[tuple[int, int]],
    unusable: Iterable[int],
    expected: list[tuple[int, int]],
    shortfalls: list[tuple[int, int | None, int, int]],
) -> None:
    found = converge(line(*desired), line(*actual), forbid(*unusable))
    assert isinstance(found, Plan if expected else Nothing)
    assert (found.adjustments if isinstance(found, Plan) else ()) == changes(*expected)
    assert found.shortfalls == tuple(
        Shortfall(day(first), day(last) if last else None, want, bill) for first, last, want, bill in shortfalls
    )


def test_a_difference_that_lasts_to_the_contracts_end_without_a_usable_date_is_blocked() -> None:
    rest = (Shortfall(day(25), None, 8, 5),)
    assert converge(line((1, 5), (25, 8)), line((1, 5)), forbid(*range(20, 32))) == Blocked(
        "no_usable_date", (day(25),), rest
    )
    assert converge(line((1, 5), (22, 2)), line((1, 5)), forbid(*range(21, 32))) == Blocked(
        "no_usable_date", (day(22),), (Shortfall(day(22), None, 2, 5),)
    )
    everything = (Shortfall(day(1), None, 0, 5),)
    assert converge(Timeline(), line((1, 5)), forbid(*range(1, 32))) == Blocked("no_usable_date", (day(1),), everything)


def test_a_difference_that_is_over_by_the_contracts_end_is_an_approximation() -> None:
    found = converge(line((1, 5), (10, 8), (15, 5)), line((1, 5)), forbid(*range(1, 21)))
    assert found == Nothing((Shortfall(day(10), day(14), 8, 5),))


def test_days_that_miss_the_aim_alike_are_one_shortfall_whatever_dates_are_usable_between_them() -> None:
    found = converge(line((1, 5), (5, 8), (7, 5)), line((1, 5)), forbid(5, 7))
    assert found == Nothing((Shortfall(day(5), day(6), 8, 5),))


def test_a_change_wanted_only_after_the_contracts_end_is_blocked() -> None:
    found = converge(line((1, 5), (32, 8), (60, 2)), line((1, 5)), forbid())
    assert found == Blocked("contract_ended", (day(32), day(60)))


def test_a_change_inside_the_contract_is_planned_whatever_is_wanted_after_it() -> None:
    desired = line((1, 5), (10, 6), (32, 8))
    found = converge(desired, line((1, 5)), forbid())
    assert isinstance(found, Plan)
    assert found.adjustments == changes((10, 1))
    assert converge(desired, found.result, forbid()) == Blocked("contract_ended", (day(32),))


def test_a_respected_hand_edit_is_no_change_wanted_after_the_contract() -> None:
    assert plan(line((1, 5)), line((1, 7)), line((1, 5)), RESPECT, forbid()) == Nothing()


def test_the_end_of_a_line_before_the_contracts_end_can_be_planned_like_any_other_day() -> None:
    actual = read([UnitsRow(day(1), day(20), 5, posted=False)], window(), None).shown
    found = converge(line((1, 5)), actual, forbid())
    assert isinstance(found, Plan)
    assert found.adjustments == changes((21, 5))


def test_a_contract_of_a_hundred_years_costs_breakpoints_not_days() -> None:
    century = Window(date(2000, 1, 1), date(2099, 12, 31))
    posted = frozenset(days_between(century.start, date(2026, 7, 31)))
    months = [date(2000 + month // 12, month % 12 + 1, 1) for month in range(1200)]
    actual = Timeline.of(*((start, number % 5) for number, start in enumerate(months)))
    desired = Timeline.of(*((start, 1 + number % 3) for number, start in enumerate(months)))
    found = converge(desired, actual, Unusable(century, posted))
    assert isinstance(found, Plan)
    assert min(adjustment.date for adjustment in found.adjustments) == date(2026, 8, 1)
    assert all(found.result.at(start) == desired.at(start) for start in months if start >= date(2026, 8, 1))
    assert all(found.result.at(start) == actual.at(start) for start in months if start < date(2026, 8, 1))


def test_a_contract_without_an_end_can_be_planned() -> None:
    ever = Unusable(Window(date.min, date.max), frozenset({date.min, day(10), date.max}))
    found = converge(line((10, 3)), Timeline(), ever)
    assert found == Plan(changes((11, 3)), line((11, 3)), (Shortfall(day(10), day(10), 3, 0),))


def test_adjustments_add_up_whatever_their_order_and_date() -> None:
    assert apply(line((5, 3)), changes((7, 2), (5, -3), (1, 4), (7, 1))) == line((1, 4), (7, 7))


@st.composite
def cases(draw: st.DrawFn, last: int = 31, most: int = 6) -> tuple[Timeline, Timeline, Timeline, DriftPolicy, Unusable]:
    """Desired, actual, verified, policy, unusable dates: half without a hand edit, most with runs of unusable dates."""
    inside = window(1, last)
    desired, actual = (draw(timelines(-1, last, most=most)) for _ in range(2))
    policy = draw(st.sampled_from(DriftPolicy))
    verified = actual if policy is REVIEW else draw(timelines(-1, last, most=most))
    runs = draw(st.lists(st.tuples(st.integers(-1, last + 2), st.integers(1, max(3, last // 2))), max_size=4))
    numbers = {number for first, length in runs for number in range(first, first + length)}
    return desired, actual, verified, policy, forbid(*numbers, inside=inside)


def aim_on(moment: date, desired: Timeline, actual: Timeline, verified: Timeline, policy: DriftPolicy) -> int:
    wanted = desired.at(moment)
    if policy is RESPECT:
        return max(0, wanted + actual.at(moment) - verified.at(moment)) if wanted else 0
    return wanted


Case = tuple[Timeline, Timeline, Timeline, DriftPolicy, Unusable]


@PROPERTY
@given(ANY, ANY)
def test_the_result_is_the_aim_where_every_date_is_usable(desired: Timeline, actual: Timeline) -> None:
    found = converge(desired, actual, forbid())
    result = found.result if isinstance(found, Plan) else actual
    assert [result.at(moment) for moment in days_between(day(1), day(31))] == [
        desired.at(moment) for moment in days_between(day(1), day(31))
    ]


@PROPERTY
@given(ANY, ANY)
def test_no_plan_is_smaller_where_every_date_is_usable(desired: Timeline, actual: Timeline) -> None:
    found = converge(desired, actual, forbid())
    wanted = [0, *(desired.at(moment) - actual.at(moment) for moment in days_between(day(1), day(31)))]
    least = sum(1 for before, after in pairwise(wanted) if before != after)
    assert len(found.adjustments if isinstance(found, Plan) else ()) == least


@PROPERTY
@given(INSIDE, INSIDE)
def test_a_plan_on_its_own_result_is_nothing(desired: Timeline, actual: Timeline) -> None:
    found = converge(desired, actual, forbid())
    if isinstance(found, Plan):
        assert converge(desired, found.result, forbid()) == Nothing()


@PROPERTY
@given(cases())
def test_planning_again_sends_nothing_more_and_leaves_the_same_shortfalls(case: Case) -> None:
    desired, actual, _, _, unusable = case
    found = converge(desired, actual, unusable)
    if isinstance(found, Plan):
        again = converge(desired, found.result, unusable)
        assert isinstance(again, Nothing | Blocked)
        assert again.shortfalls == found.shortfalls


@PROPERTY
@given(INSIDE, INSIDE, INSIDE)
def test_a_respected_hand_edit_survives_where_ours_is_recorded_as_verified(
    desired: Timeline, actual: Timeline, verified: Timeline
) -> None:
    found = plan(desired, actual, verified, RESPECT, forbid())
    result = found.result if isinstance(found, Plan) else actual
    assert plan(desired, result, desired, RESPECT, forbid()) == Nothing()


@PROPERTY
@given(cases(), ANY)
def test_review_stops_exactly_where_a_day_of_the_contract_differs_from_what_was_verified(
    case: Case, verified: Timeline
) -> None:
    desired, actual, _, _, unusable = case
    found = plan(desired, actual, verified, REVIEW, unusable)
    differing = [moment for moment in days_between(day(1), day(31)) if actual.at(moment) != verified.at(moment)]
    assert isinstance(found, Drift) == bool(differing)
    if isinstance(found, Drift):
        assert found.on == differing[0]


@PROPERTY
@given(cases())
def test_every_adjustment_is_on_a_usable_date_of_its_own(case: Case) -> None:
    found = plan(*case)
    if isinstance(found, Plan):
        unusable = case[-1]
        dates = [adjustment.date for adjustment in found.adjustments]
        assert len(set(dates)) == len(dates) > 0
        assert all(unusable.window.start <= moment <= unusable.window.end for moment in dates)
        assert not unusable.dates.intersection(dates)
        assert all(adjustment.change for adjustment in found.adjustments)
        assert found.result == apply(case[1], found.adjustments)


@PROPERTY
@given(cases())
def test_no_day_is_billed_above_both_the_aim_and_the_actual_units(case: Case) -> None:
    found = plan(*case)
    if isinstance(found, Plan):
        for moment in days_between(day(1), day(31)):
            assert found.result.at(moment) <= max(aim_on(moment, *case[:4]), case[1].at(moment))


@PROPERTY
@given(cases())
def test_units_are_never_negative_on_any_day_while_the_plan_is_being_sent(case: Case) -> None:
    found = plan(*case)
    if isinstance(found, Plan):
        for sent in range(len(found.adjustments) + 1):
            assert all(step.units >= 0 for step in apply(case[1], found.adjustments[:sent]).steps)


@PROPERTY
@given(cases())
def test_shortfalls_are_exactly_the_days_that_miss_the_aim(case: Case) -> None:
    found = plan(*case)
    assert not isinstance(found, Drift)
    result = found.result if isinstance(found, Plan) else case[1]
    named = {
        moment: (rest.desired, rest.billed)
        for rest in found.shortfalls
        for moment in days_between(rest.start, rest.end or day(31))
    }
    missed = {
        moment: (aim_on(moment, *case[:4]), result.at(moment))
        for moment in days_between(day(1), day(31))
        if aim_on(moment, *case[:4]) != result.at(moment)
    }
    assert named == missed


@PROPERTY
@given(cases())
def test_a_day_that_was_billed_right_is_never_billed_wrong_by_a_plan(case: Case) -> None:
    found = plan(*case)
    if isinstance(found, Plan):
        for moment in days_between(day(1), day(31)):
            aim, before = aim_on(moment, *case[:4]), case[1].at(moment)
            assert before != aim or found.result.at(moment) == aim, moment
            assert before >= aim or before <= found.result.at(moment) <= aim, f"{moment} was too low already"


@PROPERTY
@given(cases())
def test_a_date_that_can_be_used_and_speaks_for_itself_alone_is_billed_as_aimed_at(case: Case) -> None:
    found = plan(*case)
    result = found.result if isinstance(found, Plan) else case[1]
    unusable = case[-1]
    for moment in days_between(day(1), day(31)):
        if unusable.allows(moment) and moment + timedelta(days=1) not in unusable.dates:
            assert result.at(moment) == aim_on(moment, *case[:4])


def change_on(anchor: date, case: Case) -> int:
    """By trying: of the changes that each day up to the next usable date bears, the nearest to what `anchor` wants."""
    actual, unusable = case[1], case[-1]
    last = anchor
    while last < unusable.window.end and last + timedelta(days=1) in unusable.dates:
        last += timedelta(days=1)
    days = [(aim_on(moment, *case[:4]), actual.at(moment)) for moment in days_between(anchor, last)]

    def bears(aim: int, billed: int, change: int) -> bool:
        return 0 <= billed + change <= max(aim, billed) and not (change < 0 and billed <= aim)

    bearable = [change for change in range(-20, 21) if all(bears(aim, billed, change) for aim, billed in days)]
    aim, billed = days[0]
    return min(bearable, key=lambda change: abs(aim - billed - change))


@settings(max_examples=150, deadline=None)
@given(cases(last=8, most=4))
def test_each_usable_date_decides_up_to_the_next_as_far_as_the_days_between_bear_it(case: Case) -> None:
    found = plan(*case)
    assert not isinstance(found, Drift)
    result = found.result if isinstance(found, Plan) else case[1]
    change = 0
    for moment in days_between(day(1), day(8)):
        if case[-1].allows(moment):
            change = change_on(moment, case)
        assert result.at(moment) - case[1].at(moment) == change, moment
