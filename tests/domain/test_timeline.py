from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.rates import Rate
from shared.domain.timeline import FreeFrom, RateStep, Step, Target, Timeline, Window, first_difference, fold
from shared.storage.rows import document, parse
from tests.domain.timelines import day, days_between, line, money, naive, priced, priced_timelines, timelines, window

ALL_DAYS = days_between(day(-5), day(65))
PROPERTY = settings(max_examples=60, deadline=None)


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


def test_a_target_cannot_be_negative() -> None:
    with pytest.raises(ValueError, match="-1 units"):
        Target(-1, day(1), day(1))


def test_a_window_ends_after_it_starts() -> None:
    assert Window(day(1), day(1)).end == day(1)
    with pytest.raises(ValueError, match="before the start"):
        Window(day(2), day(1))


# Rates


def rate(number: int, amount: str | None) -> RateStep:
    return RateStep(day(number), money(amount))


@pytest.mark.parametrize(
    ("before", "target", "after"),
    [
        # A price has its own date, apart from the units'.
        ([(1, 5, "12")], Target(8, day(10), day(32), (rate(20, "13"),)), [(1, 5, "12"), (10, 8, "12"), (20, 8, "13")]),
        # A change of price alone leaves the units.
        ([(1, 5, "12")], Target(None, day(10), day(10), (rate(20, "13"),)), [(1, 5, "12"), (20, 5, "13")]),
        # It erases later prices of earlier operations, and the later ones of a price list come with it.
        (
            [(1, 5, "12"), (25, 5, "14")],
            Target(None, day(10), day(10), (rate(10, "11"), rate(20, "13"))),
            [(1, 5, "12"), (10, 5, "11"), (20, 5, "13")],
        ),
        # Units keep the prices that hold.
        ([(1, 5, "12"), (20, 5, "13")], Target(8, day(10), day(32)), [(1, 5, "12"), (10, 8, "12"), (20, 8, "13")]),
        # A price that is not ours any more is left alone from then on.
        ([(1, 5, "12")], Target(None, day(10), day(10), (rate(10, None),)), [(1, 5, "12"), (10, 5, None)]),
    ],
)
def test_a_price_is_folded_by_its_own_date(
    before: list[tuple[int, int, str | None]], target: Target, after: list[tuple[int, int, str | None]]
) -> None:
    assert fold(priced(*before), target) == priced(*after)


def test_price_and_cost_are_folded_apart() -> None:
    target = Target(None, day(1), day(1), (rate(10, "13"),), (rate(20, "11"),))
    assert fold(priced((1, 5, "12", "10")), target) == priced(
        (1, 5, "12", "10"), (10, 5, "13", "10"), (20, 5, "13", "11")
    )


def test_units_that_are_free_get_the_price_back_that_holds_when_they_are_not() -> None:
    billed = priced((1, 5, "12"), (20, 5, "13"))
    freed = fold(billed, Target(5, day(10), day(10), free=FreeFrom(day(10), free=True)))
    assert [freed.rate_at(Rate.PRICE, day(number)) for number in (9, 10, 25)] == [12, 0, 0]
    back = fold(freed, Target(5, day(15), day(15), free=FreeFrom(day(15), free=False)))
    assert [back.rate_at(Rate.PRICE, day(number)) for number in (9, 10, 15, 25)] == [12, 0, 12, 13]
    assert back.rate_at(Rate.COST, day(10)) is None


def test_a_price_that_changes_while_units_are_free_counts_afterwards() -> None:
    freed = fold(priced((1, 5, "12")), Target(5, day(10), day(10), free=FreeFrom(day(10), free=True)))
    changed = fold(freed, Target(None, day(12), day(12), (rate(12, "13"),)))
    back = fold(changed, Target(5, day(20), day(20), free=FreeFrom(day(20), free=False)))
    assert [back.rate_at(Rate.PRICE, day(number)) for number in (11, 13, 20)] == [0, 0, 13]


def test_a_decrease_can_count_before_an_increase_would() -> None:
    target = Target(8, increase_on=day(32), decrease_on=day(10))
    assert fold(line((1, 12), (20, 5)), target) == line((1, 12), (10, 8), (20, 5), (32, 8))


def test_the_steps_of_a_rate_are_in_order() -> None:
    with pytest.raises(ValueError, match="in the order"):
        Target(None, day(1), day(1), (rate(10, "12"), rate(10, "13")))


def test_json_holds_rates_where_there_are_any() -> None:
    timeline = Timeline(
        (Step(day(1), 5), Step(day(2), 5, Decimal("12.50")), Step(day(3), 5, Decimal("12.50"), Decimal(0), free=True))
    )
    assert timeline.to_json() == [
        ["2026-08-01", 5],
        ["2026-08-02", 5, "12.50", None],
        ["2026-08-03", 5, "12.50", "0", True],
    ]
    assert Timeline.from_json(json.loads(json.dumps(timeline.to_json()))) == timeline


def test_what_was_stored_before_lines_had_rates_is_read() -> None:
    stored = '{"steps": [{"date": "2026-08-01", "units": 11}, {"date": "2026-08-10", "units": 16}]}'
    assert parse(Timeline, stored) == line((1, 11), (10, 16))
    assert parse(Target, '{"units": 5, "increase_on": "2026-08-01", "decrease_on": "2026-09-01"}') == Target(
        5, day(1), day(32)
    )


@PROPERTY
@given(priced_timelines(-3, 40))
def test_stored_timelines_keep_their_decimals(timeline: Timeline) -> None:
    assert parse(Timeline, document(timeline)) == timeline
    assert Timeline.from_json(json.loads(json.dumps(timeline.to_json()))) == timeline


@pytest.mark.parametrize(
    ("actual", "differs_on"),
    [
        (priced((1, 5, "12"), (10, 6, "12")), 10),
        (priced((1, 5, "12"), (10, 5, "13")), 10),
        (priced((1, 5, "12.005")), None),
        (priced((1, 5, None)), None),
        (priced((1, 5, "12"), (40, 9, "12")), None),
    ],
)
def test_timelines_differ_in_units_and_in_rates_that_are_ours_and_known(
    actual: Timeline, differs_on: int | None
) -> None:
    mine = priced((1, 5, "12"))
    expected = None if differs_on is None else day(differs_on)
    assert first_difference(actual, mine, owned=mine, window=window()) == expected


def test_a_rate_that_is_not_ours_makes_no_difference() -> None:
    assert first_difference(priced((1, 5, "12")), priced((1, 5, "13")), owned=line((1, 5)), window=window()) is None


def test_an_unknown_rate_is_a_difference_where_it_is_asked_for() -> None:
    mine = priced((1, 5, "12"))
    assert first_difference(line((1, 5)), mine, owned=mine, window=window(), unknown_differs=True) == day(1)


def test_adopting_what_is_billed_takes_its_units_and_its_rates_where_they_are_ours() -> None:
    desired = priced((1, 5, "12", None), (10, 8, "13", None), (40, 2, "13", None))
    actual = priced((1, 6, "11", "9"))
    assert desired.adopting(actual) == priced((1, 6, "11", None))


def test_filling_adds_rates_only_where_there_are_none() -> None:
    assert priced((1, 5, "12", None), (10, 5, None, None)).filled_from(priced((5, 9, "99", "10"))) == priced(
        (1, 5, "12", None), (5, 5, "12", "10"), (10, 5, "99", "10")
    )
