from __future__ import annotations

import json
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.timeline import Step, Target, Timeline, UnitsRow, Window, fold, from_rows
from tests.domain.timelines import day, days_between, line, naive, timelines, window

ALL_DAYS = days_between(day(-5), day(65))
PROPERTY = settings(max_examples=60, deadline=None)


def rows(*found: tuple[int, int, int]) -> list[UnitsRow]:
    return [UnitsRow(day(first), day(last), units, posted=False) for first, last, units in found]


def test_there_is_nothing_before_the_first_step_and_the_last_holds_for_ever() -> None:
    timeline = line((5, 3), (10, 7))
    assert [timeline.at(moment) for moment in (date.min, day(4), day(5), day(9), day(10), date.max)] == [
        0,
        0,
        3,
        3,
        7,
        7,
    ]


def test_equal_functions_are_equal_timelines() -> None:
    assert line((1, 0), (10, 7), (5, 3), (7, 3)) == line((5, 3), (10, 7))
    assert Timeline((Step(day(5), 3), Step(day(7), 3))) == Timeline.of((day(5), 3))
    assert line((3, 0)) == Timeline()
    assert line((5, 3), (10, 7)).steps == (Step(day(5), 3), Step(day(10), 7))


def test_two_steps_on_one_date_are_refused() -> None:
    with pytest.raises(ValueError, match="Two steps on 2026-08-05"):
        Timeline.of((day(5), 3), (day(5), 4))


def test_json_holds_dates_and_units() -> None:
    assert line((1, 11), (10, 16)).to_json() == [["2026-08-01", 11], ["2026-08-10", 16]]


@PROPERTY
@given(timelines(-3, 40))
def test_json_round_trip(timeline: Timeline) -> None:
    assert Timeline.from_json(json.loads(json.dumps(timeline.to_json()))) == timeline


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        "2026-08-01",
        [1],
        [["2026-08-01"]],
        [["2026-08-01", "3"]],
        [["2026-08-01", 1.5]],
        [["2026-08-01", True]],
        [["yesterday", 3]],
        [["2026-08-01", 3, 4]],
        [["2026-08-01", 3], ["2026-08-01", 4]],
    ],
)
def test_json_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Timeline.from_json(value)


@pytest.mark.parametrize(
    ("before", "units", "increase", "decrease", "after"),
    [
        ([], 5, 10, 32, [(10, 5)]),
        ([(1, 12)], 8, 10, 32, [(1, 12), (32, 8)]),
        ([(1, 12)], 15, 10, 32, [(1, 12), (10, 15)]),
        ([(1, 12)], 0, 10, 10, [(1, 12), (10, 0)]),
        ([(1, 12), (32, 8)], 9, 15, 32, [(1, 12), (32, 9)]),
        ([(1, 12), (32, 8)], 20, 15, 32, [(1, 12), (15, 20)]),
        ([(1, 5), (20, 9)], 7, 10, 32, [(1, 5), (10, 7), (20, 9), (32, 7)]),
        ([(1, 5), (40, 9)], 5, 10, 32, [(1, 5)]),
    ],
)
def test_direction_is_judged_day_by_day(
    before: list[tuple[int, int]], units: int, increase: int, decrease: int, after: list[tuple[int, int]]
) -> None:
    assert fold(line(*before), Target(units, day(increase), day(decrease))) == line(*after)


def test_reduced_for_the_next_period_and_then_raised_again() -> None:
    billed = line((1, 12))
    reduced = fold(billed, Target(8, day(10), day(32)))
    assert reduced == line((1, 12), (32, 8))
    raised = fold(reduced, Target(9, day(15), day(32)))
    assert raised == line((1, 12), (32, 9))


@PROPERTY
@given(timelines(-3, 40), st.integers(0, 6), st.integers(-3, 40), st.integers(0, 20))
def test_fold_agrees_with_the_rule_applied_to_each_day(before: Timeline, units: int, increase: int, wait: int) -> None:
    target = Target(units, day(increase), day(increase + wait))
    expected = {}
    for moment in ALL_DAYS:
        old = before.at(moment)
        if moment >= target.decrease_on:
            expected[moment] = units
        elif moment >= target.increase_on:
            expected[moment] = max(old, units)
        else:
            expected[moment] = old
    assert fold(before, target) == naive(expected)


@PROPERTY
@given(timelines(-3, 40), st.integers(0, 6), st.integers(-3, 40), st.integers(0, 20))
def test_folding_the_same_target_again_changes_nothing(before: Timeline, units: int, increase: int, wait: int) -> None:
    target = Target(units, day(increase), day(increase + wait))
    once = fold(before, target)
    assert fold(once, target) == once


def test_a_target_cannot_be_negative_or_decrease_before_it_increases() -> None:
    with pytest.raises(ValueError, match="-1 units"):
        Target(-1, day(1), day(1))
    with pytest.raises(ValueError, match="before the increase"):
        Target(1, day(2), day(1))


def test_a_window_and_a_row_end_after_they_start() -> None:
    assert Window(day(1), day(1)).end == day(1)
    with pytest.raises(ValueError, match="before the start"):
        Window(day(2), day(1))
    with pytest.raises(ValueError, match="before the start"):
        UnitsRow(day(2), day(1), 3, posted=True)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], []),
        ([(1, 31, 11)], [(1, 11)]),
        ([(1, 9, 11), (10, 31, 16)], [(1, 11), (10, 16)]),
        ([(10, 31, 16), (1, 9, 11)], [(1, 11), (10, 16)]),
        ([(1, 9, 11), (10, 31, 11)], [(1, 11)]),
        ([(1, 9, 11), (15, 31, 11)], [(1, 11), (10, 0), (15, 11)]),
        ([(5, 9, 11), (15, 20, 4)], [(5, 11), (10, 0), (15, 4), (21, 0)]),
        ([(1, 31, 0)], []),
        ([(1, 30, 7)], [(1, 7), (31, 0)]),
        ([(1, 40, 7)], [(1, 7)]),
    ],
)
def test_rows_become_the_actual_timeline(found: list[tuple[int, int, int]], expected: list[tuple[int, int]]) -> None:
    assert from_rows(rows(*found), window()) == line(*expected)


def test_extending_the_contract_does_not_look_like_a_change() -> None:
    before = from_rows(rows((1, 31, 11)), window(1, 31))
    after = from_rows(rows((1, 31, 11), (32, 61, 11)), window(1, 61))
    assert before == after


def test_a_row_that_ends_with_time_itself_holds_for_ever() -> None:
    whole = Window(day(1), date.max)
    assert from_rows([UnitsRow(day(1), date.max, 3, posted=False)], whole) == line((1, 3))


@pytest.mark.parametrize("found", [[(1, 10, 3), (10, 20, 3)], [(1, 31, 3), (5, 6, 4)], [(1, 10, 3), (1, 10, 3)]])
def test_rows_that_overlap_are_refused(found: list[tuple[int, int, int]]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        from_rows(rows(*found), window())


@PROPERTY
@given(st.data())
def test_rows_agree_with_each_day_of_them(data: st.DataObject) -> None:
    borders = sorted(data.draw(st.sets(st.integers(1, 32), min_size=2, max_size=8)))
    cut = [
        UnitsRow(day(first), day(after) - timedelta(days=1), data.draw(st.integers(0, 4)), posted=False)
        for first, after in pairwise(borders)
    ]
    kept = [row for row in cut if data.draw(st.booleans())]
    timeline = from_rows(data.draw(st.permutations(kept)), window())
    for moment in days_between(day(-2), day(31)):
        expected = sum(row.units for row in kept if row.start <= moment <= row.end)
        assert timeline.at(moment) == expected
