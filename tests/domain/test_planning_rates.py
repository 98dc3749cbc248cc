"""The plan with unit prices and costs: what is sent where, and what any plan must fulfil."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.domain.edits import difference, with_edits
from shared.domain.planning import Adjustment, Blocked, Drift, DriftPolicy, Nothing, Plan, apply, plan
from shared.domain.rates import Rate, same
from shared.domain.shortfalls import Shortfall
from shared.domain.stretches import Wish
from shared.domain.timeline import Step, Timeline
from shared.domain.unusable import Unusable
from tests.domain.timelines import day, days_between, line, money, priced, priced_timelines, window

REVIEW, RESPECT, OVERWRITE = DriftPolicy
PROPERTY = settings(max_examples=60, deadline=None)


def forbid(*numbers: int, last: int = 31, through: int | None = None) -> Unusable:
    dates = frozenset(day(number) for number in numbers)
    return Unusable(window(1, last), dates, None if through is None else day(through))


def adjusted(*found: tuple[int, int, str | None] | tuple[int, int, str | None, str | None]) -> tuple[Adjustment, ...]:
    return tuple(
        Adjustment(day(item[0]), item[1], money(item[2]), money(item[3] if len(item) > 3 else None)) for item in found
    )


def converge(desired: Timeline, actual: Timeline, unusable: Unusable | None = None) -> Plan | Nothing | Drift | Blocked:
    return plan(desired, actual, actual, REVIEW, unusable or forbid())


@pytest.mark.parametrize(
    ("desired", "actual", "expected"),
    [
        # A change of price alone is an adjustment without units.
        ([(1, 5, "12"), (10, 5, "13")], [(1, 5, "12")], [(10, 0, "13")]),
        # Units and price that change on one date are one adjustment.
        ([(1, 5, "12"), (10, 8, "13")], [(1, 5, "12")], [(10, 3, "13")]),
        # A change of units names the rates that hold, ours or not.
        ([(1, 5, "12"), (10, 8, "12")], [(1, 5, "12")], [(10, 3, "12")]),
        ([(1, 5, None), (10, 8, None)], [(1, 5, "12", "10")], [(10, 3, "12", "10")]),
        # What is not known is left out.
        ([(1, 5, None), (10, 8, None)], [(1, 5, None)], [(10, 3, None)]),
        # A change of price names the cost that holds too.
        ([(1, 5, "13", None)], [(1, 5, "12", "10")], [(1, 0, "13", "10")]),
        # Price and cost on their own dates.
        (
            [(1, 5, "12", "10"), (10, 5, "13", "10"), (20, 5, "13", "11")],
            [(1, 5, "12", "10")],
            [(10, 0, "13", "10"), (20, 0, "13", "11")],
        ),
        # A later price that Autotask has already stays where it is.
        ([(1, 5, "12"), (10, 8, "12"), (20, 8, "13")], [(1, 5, "12"), (20, 5, "13")], [(10, 3, "12")]),
        # Where it shall not hold any more it is taken back.
        ([(1, 5, "12")], [(1, 5, "12"), (20, 5, "13")], [(20, 0, "12")]),
        # A line that is not billed needs no price; one that is billed again gets its own.
        ([(1, 0, "12"), (20, 0, "13")], [], []),
        ([(10, 4, "13")], [(1, 4, "12"), (5, 0, None)], [(5, 4, "13"), (10, 4, "13"), (1, -4, "13")]),
        # A free line is billed at 0, and 0 is sent only then.
        ([(1, 5, "0")], [(1, 5, "12")], [(1, 0, "0")]),
        ([(1, 5, None), (10, 8, None)], [(1, 5, "0")], [(10, 3, "0")]),
        # An unknown rate that is ours is sent: setting it twice does no harm.
        ([(1, 5, "12", "10")], [(1, 5, "12", None)], [(1, 0, "12", "10")]),
    ],
)
def test_rates_are_named_where_they_change_and_with_every_change_of_units(
    desired: list[tuple[int, int, str | None]],
    actual: list[tuple[int, int, str | None]],
    expected: list[tuple[int, int, str | None]],
) -> None:
    found = converge(priced(*desired), priced(*actual))
    assert (found.adjustments if isinstance(found, Plan) else ()) == adjusted(*expected)


@pytest.mark.parametrize("price", ["12.004", "12.005", "11.995"])
def test_half_a_cent_per_unit_is_no_change_of_price(price: str) -> None:
    assert converge(priced((1, 5, price)), priced((1, 5, "12"))) == Nothing()


def test_a_zero_price_is_equal_to_zero() -> None:
    assert converge(priced((1, 5, "0")), priced((1, 5, "0.00"))) == Nothing()


def test_what_is_not_ours_is_left_alone() -> None:
    assert converge(line((1, 5)), priced((1, 5, "12", "10"), (9, 5, "99", "1"))) == Nothing()


def test_a_price_of_ours_that_was_edited_by_hand_is_a_drift_and_one_that_is_not_ours_is_none() -> None:
    verified, edited = priced((1, 5, "12")), priced((1, 5, "12"), (7, 5, "11"))
    assert plan(line((1, 5)), edited, verified, REVIEW, forbid()) == Nothing()
    found = plan(priced((1, 5, "12")), edited, verified, REVIEW, forbid())
    assert isinstance(found, Drift)
    assert found.on == day(7)


def test_a_rate_that_is_not_known_is_no_drift() -> None:
    desired = priced((1, 5, "12"))
    assert plan(desired, priced((1, 5, "12")), line((1, 5)), REVIEW, forbid()) == Nothing()
    assert not isinstance(plan(desired, line((1, 5)), priced((1, 5, "12")), REVIEW, forbid()), Drift)


@pytest.mark.parametrize(
    ("policy", "desired", "edited", "ends_at"),
    [(OVERWRITE, "13", "11", "13"), (RESPECT, "13", "11", "12"), (RESPECT, "0", "11", "0"), (RESPECT, "2", "5", "0")],
)
def test_a_hand_made_price_is_overwritten_or_stays_as_a_difference(
    policy: DriftPolicy, desired: str, edited: str, ends_at: str
) -> None:
    found = plan(priced((1, 5, desired)), priced((1, 5, edited)), priced((1, 5, "12")), policy, forbid())
    assert isinstance(found, Plan)
    assert found.result == priced((1, 5, ends_at))


@pytest.mark.parametrize(
    ("desired", "actual", "unusable", "expected", "rest"),
    [
        # A price waits for the next usable date, up or down: early it would be above both, or lose money.
        ([(1, 5, "12"), (10, 5, "13")], [(1, 5, "12")], range(8, 21), [(21, 0, "13")], (10, 20, "13", "12")),
        ([(1, 5, "12"), (10, 5, "11")], [(1, 5, "12")], range(8, 21), [(21, 0, "11")], (10, 20, "11", "12")),
    ],
)
def test_a_price_whose_date_is_unusable_waits_for_the_next_one(
    desired: list[tuple[int, int, str]],
    actual: list[tuple[int, int, str]],
    unusable: range,
    expected: list[tuple[int, int, str]],
    rest: tuple[int, int, str, str],
) -> None:
    found = converge(priced(*desired), priced(*actual), forbid(*unusable))
    assert isinstance(found, Plan)
    assert found.adjustments == adjusted(*expected)
    first, last, wanted, billed = rest
    assert found.shortfalls == (
        Shortfall(day(first), day(last), 5, 5, desired_price=money(wanted), billed_price=money(billed)),
    )


def test_a_price_is_named_while_nothing_is_billed_where_its_own_date_is_unusable() -> None:
    desired = priced((1, 5, "12"), (10, 0, "12"), (20, 5, "13"))
    actual = priced((1, 5, "12"), (10, 0, None), (20, 5, None))
    found = converge(desired, actual, forbid(*range(18, 25)))
    assert isinstance(found, Plan)
    assert found.adjustments == adjusted((17, 0, "13"))
    assert found.shortfalls == ()


def test_a_price_without_a_usable_date_is_blocked() -> None:
    found = converge(priced((1, 5, "12"), (10, 5, "13")), priced((1, 5, "12")), forbid(through=31))
    assert isinstance(found, Blocked)
    assert (found.reason, found.dates) == ("no_usable_date", (day(10),))


def test_a_price_wanted_after_the_contract_is_blocked() -> None:
    found = converge(priced((1, 5, "12"), (40, 5, "13")), priced((1, 5, "12")))
    assert found == Blocked("contract_ended", (day(40),))


def test_nothing_changes_before_the_posted_periods_are_over() -> None:
    found = converge(priced((5, 8, "13")), priced((1, 5, "12")), forbid(through=20))
    assert isinstance(found, Plan)
    assert found.adjustments == adjusted((21, 3, "13"))


def test_rates_hold_until_another_is_named_or_shown() -> None:
    before = priced((1, 5, "12"), (20, 5, "14"))
    assert apply(before, adjusted((10, 1, "13"), (5, 0, "12.5"))) == priced(
        (1, 5, "12"), (5, 5, "12.5"), (10, 6, "13"), (20, 6, "14")
    )
    assert apply(before, adjusted((10, 1, None))) == priced((1, 5, "12"), (10, 6, "12"), (20, 6, "14"))
    assert apply(before, [*adjusted((10, 1, "13")), *adjusted((10, 1, None))]).on(day(10)) == Step(
        day(10), 7, Decimal(13)
    )


# What any plan must fulfil

LAST = 12
DAYS = days_between(day(1), day(LAST))
DESIRED = priced_timelines(-1, LAST)
KNOWN = priced_timelines(-1, LAST, prices=("12", "13"))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Timeline, Timeline, Timeline, DriftPolicy, Unusable]:
    """Desired, actual, verified, policy and unusable dates; rates partly not ours, partly not known."""
    desired, actual = draw(DESIRED), draw(DESIRED)
    policy = draw(st.sampled_from(DriftPolicy))
    verified = actual if policy is REVIEW else draw(DESIRED)
    runs = draw(st.lists(st.tuples(st.integers(-1, LAST + 1), st.integers(1, 6)), max_size=3))
    through = draw(st.none() | st.integers(-1, 8))
    numbers = {number for first, length in runs for number in range(first, first + length)}
    return desired, actual, verified, policy, forbid(*numbers, last=LAST, through=through)


Case = tuple[Timeline, Timeline, Timeline, DriftPolicy, Unusable]


def wish_of(case: Case) -> Wish:
    desired, actual, verified, policy, unusable = case
    if policy is RESPECT:
        desired = with_edits(desired, difference(actual, verified, owned=desired, until=unusable.window.end))
    return Wish(desired, actual)


def is_given_up(desired: Timeline, kind: Rate) -> bool:
    """Whether a rate is ours at first and not any more later: then what we named last stays."""
    rates = [step.rate(kind) for step in desired.steps]
    return any(before is not None and after is None for before, after in itertools.pairwise(rates))


def missed(wish: Wish, result: Timeline, moment: date) -> bool:
    """Whether a day is billed otherwise than wanted."""
    billed = result.on(moment)
    if billed.units != wish.desired.at(moment):
        return True
    aims = ((wish.rate(kind, moment), billed.rate(kind)) for kind in Rate)
    return bool(billed.units) and any(aim is not None and not same(aim, rate) for aim, rate in aims)


@PROPERTY
@given(DESIRED, DESIRED)
def test_applying_the_plan_gives_the_desired_timeline(desired: Timeline, actual: Timeline) -> None:
    found = converge(desired, actual, forbid(last=LAST))
    result = found.result if isinstance(found, Plan) else actual
    wish = Wish(desired, actual)
    assert not [moment for moment in DAYS if missed(wish, result, moment)]


@PROPERTY
@given(cases())
def test_a_plan_on_its_own_result_is_empty_and_leaves_the_same_shortfalls(case: Case) -> None:
    desired, actual, _, _, unusable = case
    found = converge(desired, actual, unusable)
    if isinstance(found, Plan):
        again = converge(desired, found.result, unusable)
        assert isinstance(again, Nothing | Blocked)
        assert [(rest.start, rest.end) for rest in again.shortfalls] == [
            (rest.start, rest.end) for rest in found.shortfalls
        ]


@PROPERTY
@given(cases())
def test_every_adjustment_is_on_a_usable_date_of_its_own_and_changes_something(case: Case) -> None:
    found = plan(*case)
    if isinstance(found, Plan):
        dates = [adjustment.date for adjustment in found.adjustments]
        assert len(set(dates)) == len(dates) > 0
        assert all(case[-1].allows(moment) for moment in dates)
        assert found.result == apply(case[1], found.adjustments)
        for adjustment in found.adjustments:
            others = [other for other in found.adjustments if other is not adjustment]
            assert apply(case[1], others) != found.result


@PROPERTY
@given(cases())
def test_shortfalls_are_exactly_the_days_that_miss_the_aim(case: Case) -> None:
    found = plan(*case)
    assert not isinstance(found, Drift)
    result = found.result if isinstance(found, Plan) else case[1]
    named = {moment for rest in found.shortfalls for moment in days_between(rest.start, rest.end or day(LAST))}
    assert named == {moment for moment in DAYS if missed(wish_of(case), result, moment)}


@PROPERTY
@given(cases())
def test_no_day_has_a_higher_rate_than_both_the_wanted_and_the_present_one(case: Case) -> None:
    found = plan(*case)
    if isinstance(found, Plan):
        wish = wish_of(case)
        kept = [kind for kind in Rate if not is_given_up(case[0], kind)]
        for moment, kind in itertools.product(DAYS, kept):
            billed = found.result.on(moment)
            wanted = wish.rate(kind, moment) if wish.desired.at(moment) else None
            present = case[1].rate_at(kind, moment) if case[1].at(moment) else None
            known = [rate for rate in (wanted, present) if rate is not None]
            rate = billed.rate(kind)
            left_alone = wish.desired.at(moment) and wanted is None
            unknown = case[1].at(moment) and present is None
            unknown = unknown or same(rate, case[1].rate_at(kind, moment))  # Autotask's own, on a day without units
            if billed.units and rate is not None and known and not left_alone and not unknown:
                assert rate <= max(known)


@PROPERTY
@given(cases())
def test_a_rate_stays_as_it_is_before_it_becomes_ours(case: Case) -> None:
    found = plan(*case)
    if isinstance(found, Plan):
        for kind in Rate:
            ours = [moment for moment in DAYS if case[0].rate_at(kind, moment) is not None]
            for moment in days_between(day(1), min(ours, default=day(LAST + 1)) - timedelta(days=1)):
                present = case[1].rate_at(kind, moment)
                if present is not None and case[1].at(moment) and found.result.at(moment):
                    assert same(found.result.rate_at(kind, moment), present)


@settings(max_examples=60, deadline=None)
@given(priced_timelines(1, 5, most=2, steps=3, prices=("12", "13")), priced_timelines(1, 5, most=2, steps=3))
def test_no_plan_is_smaller(desired: Timeline, actual: Timeline) -> None:
    """Tried on a contract of five days: every smaller set of dates, with every price named or not on each of them."""
    desired, actual = without_costs(desired), without_costs(actual)
    inside = forbid(last=5)
    found = converge(desired, actual, inside)
    size = len(found.adjustments) if isinstance(found, Plan) else 0
    assume(size)
    wish = Wish(desired, actual)
    days = days_between(day(1), day(5))
    changes = changes_of(wish, days)
    for fewer in range(size):
        for dates in itertools.combinations(days, fewer):
            if not changes.keys() <= set(dates):
                continue
            for prices in itertools.product((None, Decimal(12), Decimal(13)), repeat=fewer):
                tried = [
                    Adjustment(moment, changes.get(moment, 0), price)
                    for moment, price in zip(dates, prices, strict=True)
                ]
                result = apply(actual, tried)
                assert any(missed(wish, result, moment) for moment in days), tried


def without_costs(timeline: Timeline) -> Timeline:
    return Timeline(tuple(Step(step.date, step.units, step.price) for step in timeline.steps))


def changes_of(wish: Wish, days: list[date]) -> dict[date, int]:
    """The change of units on each day on which there must be one."""
    wanted = [0, *(wish.desired.at(moment) - wish.actual.at(moment) for moment in days)]
    steps = zip(days, itertools.pairwise(wanted), strict=True)
    return {moment: after - before for moment, (before, after) in steps if after != before}


def bill(timeline: Timeline, days: list[date]) -> Decimal:
    """The money of these days, a unit's price counted in full each day."""
    prices = ((timeline.at(moment), timeline.rate_at(Rate.PRICE, moment)) for moment in days)
    return sum((units * price for units, price in prices if price is not None), Decimal(0))


@PROPERTY
@given(KNOWN, KNOWN, st.data())
def test_money_is_conserved_across_a_replan(desired: Timeline, actual: Timeline, data: st.DataObject) -> None:
    """However a plan is interrupted and made anew, the bill comes to the desired one, to the cent."""
    for _ in range(8):
        found = converge(desired, actual, forbid(last=LAST))
        if not isinstance(found, Plan):
            break
        sent = data.draw(st.integers(1, len(found.adjustments)))
        actual = apply(actual, found.adjustments[:sent])
    assert isinstance(converge(desired, actual, forbid(last=LAST)), Nothing)
    assert bill(actual, DAYS) == bill(desired, DAYS)


@PROPERTY
@given(cases())
def test_the_money_that_is_missing_is_that_of_the_shortfalls(case: Case) -> None:
    desired, actual, _, _, unusable = case
    known = (desired, actual)
    assume(all(step.price is not None for timeline in known for step in timeline.steps if step.units))
    found = converge(desired, actual, unusable)
    assert not isinstance(found, Drift)
    result = found.result if isinstance(found, Plan) else actual
    short = sum(
        (
            (rest.billed * (rest.billed_price or 0) - rest.desired * (rest.desired_price or 0))
            * len(days_between(rest.start, rest.end or day(LAST)))
            for rest in found.shortfalls
        ),
        Decimal(0),
    )
    assert bill(result, DAYS) - bill(desired, DAYS) == short
