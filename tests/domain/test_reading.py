"""What unit rows say of a line, what they cannot say, and how a belief fills the gaps."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.calendar import BillingCalendar, PeriodType
from shared.domain.rates import Rate, cents
from shared.domain.reading import Reading, UnitsRow, read
from shared.domain.timeline import Timeline, Window
from tests.domain.timelines import day, days_between, line, money, priced, window

PROPERTY = settings(max_examples=60, deadline=None)
MONTHS = BillingCalendar(date(2026, 1, 1), PeriodType.MONTHLY)
YEAR = Window(date(2026, 1, 1), date(2026, 12, 31))
NOTHING = Timeline()


def rows(*found: tuple[int, int, int]) -> list[UnitsRow]:
    return [UnitsRow(day(first), day(last), units, posted=False) for first, last, units in found]


def units_of(found: list[UnitsRow], inside: Window | None = None) -> Timeline:
    return read(found, inside or window(), None).shown


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
    assert units_of(rows(*found)) == line(*expected)


def test_extending_the_contract_does_not_look_like_a_change() -> None:
    before = units_of(rows((1, 31, 11)), window(1, 31))
    after = units_of(rows((1, 31, 11), (32, 61, 11)), window(1, 61))
    assert before == after


def test_a_row_that_ends_with_time_itself_holds_for_ever() -> None:
    whole = Window(day(1), date.max)
    assert units_of([UnitsRow(day(1), date.max, 3, posted=False)], whole) == line((1, 3))


@pytest.mark.parametrize("found", [[(1, 10, 3), (10, 20, 3)], [(1, 31, 3), (5, 6, 4)], [(1, 10, 3), (1, 10, 3)]])
def test_rows_that_overlap_are_refused(found: list[tuple[int, int, int]]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        units_of(rows(*found))


@PROPERTY
@given(st.data())
def test_rows_agree_with_each_day_of_them(data: st.DataObject) -> None:
    borders = sorted(data.draw(st.sets(st.integers(1, 32), min_size=2, max_size=8)))
    cut = [
        UnitsRow(day(first), day(after) - timedelta(days=1), data.draw(st.integers(0, 4)), posted=False)
        for first, after in pairwise(borders)
    ]
    kept = [row for row in cut if data.draw(st.booleans())]
    timeline = units_of(data.draw(st.permutations(kept)))
    for moment in days_between(day(-2), day(31)):
        expected = sum(row.units for row in kept if row.start <= moment <= row.end)
        assert timeline.at(moment) == expected


def test_a_row_ends_after_it_starts() -> None:
    with pytest.raises(ValueError, match="before the start"):
        UnitsRow(day(2), day(1), 3, posted=True)


# Rates


def month(number: int, units: int, price: str | None, cost: str | None = None) -> UnitsRow:
    """A whole month of 2026 at a unit price and cost."""
    first = date(2026, number, 1)
    return part(first, MONTHS.next_period(first) - timedelta(days=1), units, price, cost)


def part(
    first: date, last: date, units: int, price: str | None, cost: str | None = None, *, share: Decimal | None = None
) -> UnitsRow:
    """A row as Autotask extends it, by days or by another share."""
    times = units * (MONTHS.share(first, last) if share is None else share)
    amounts = (None if rate is None else cents(Decimal(rate) * times) for rate in (price, cost))
    return UnitsRow(first, last, units, False, *amounts)  # noqa: FBT003 - a row that is not posted


def price_on(reading: Reading, belief: Timeline, *moments: date) -> list[Decimal | None]:
    return [reading.completed(belief).rate_at(Rate.PRICE, moment) for moment in moments]


def test_a_whole_period_tells_its_rates() -> None:
    shown = read([month(7, 11, "23.10", "18.90"), month(8, 16, "24.5", None)], YEAR, MONTHS).shown
    assert shown.on(date(2026, 7, 20)).price == Decimal("23.10")
    assert shown.on(date(2026, 7, 20)).cost == Decimal("18.90")
    assert (shown.rate_at(Rate.PRICE, date(2026, 8, 31)), shown.rate_at(Rate.COST, date(2026, 8, 31))) == (
        Decimal("24.50"),
        None,
    )


def test_a_part_of_a_period_and_a_span_without_units_tell_no_rate() -> None:
    found = [month(6, 5, "12"), part(date(2026, 8, 1), date(2026, 8, 9), 5, "12"), part(day(10), day(31), 8, "12")]
    shown = read(found, YEAR, MONTHS).shown
    assert [shown.rate_at(Rate.PRICE, moment) for moment in (date(2026, 6, 1), date(2026, 7, 1), day(5), day(20))] == [
        Decimal(12),
        None,
        None,
        None,
    ]


def test_a_period_that_the_contract_cuts_off_tells_no_rate() -> None:
    ended = Window(YEAR.start, day(20))
    shown = read([month(7, 5, "12"), part(day(1), day(20), 5, "12")], ended, MONTHS).shown
    assert shown.rate_at(Rate.PRICE, day(10)) is None


@pytest.mark.parametrize(
    ("start", "period", "first", "last"),
    [
        (date(2026, 1, 31), PeriodType.MONTHLY, date(2026, 2, 28), date(2026, 3, 30)),
        (date(2026, 1, 22), PeriodType.MONTHLY, date(2026, 8, 22), date(2026, 9, 21)),
        (date(2026, 1, 1), PeriodType.QUARTERLY, date(2026, 7, 1), date(2026, 9, 30)),
        (date(2026, 1, 1), PeriodType.YEARLY, date(2026, 1, 1), date(2026, 12, 31)),
    ],
)
def test_a_period_is_one_of_the_contracts_own(start: date, period: PeriodType, first: date, last: date) -> None:
    row = UnitsRow(first, last, 4, posted=False, price=Decimal("48.00"))
    shown = read([row], Window(start, date(2030, 12, 31)), BillingCalendar(start, period)).shown
    assert shown.rate_at(Rate.PRICE, first) == 12


def test_without_a_calendar_no_rate_is_known() -> None:
    assert read([month(7, 5, "12")], YEAR, None).shown == Timeline.of((date(2026, 7, 1), 5), (date(2026, 8, 1), 0))


def test_what_is_shown_beats_the_belief_and_is_written_as_believed_where_it_is_the_same() -> None:
    reading = read([month(7, 3, "12.3333"), month(8, 3, "14")], YEAR, MONTHS)
    belief = priced((-40, 3, "12.3333"))
    assert price_on(reading, belief, date(2026, 7, 1), day(1)) == [Decimal("12.3333"), Decimal(14)]


def test_a_belief_holds_where_nothing_is_shown() -> None:
    reading = read([month(7, 5, "12")], YEAR, MONTHS)
    believed = priced((-40, 5, "12"), (5, 0, "13"))
    assert price_on(reading, believed, day(5)) == [Decimal(13)]
    assert reading.completed(believed).at(day(5)) == 0


@pytest.mark.parametrize(
    ("true", "belief", "expected"),
    [
        ("12", "12", "12"),  # as believed
        ("13", "12", "13"),  # the next whole month shows that it was changed by then
        ("12", None, "12"),  # as the month before
        ("13", None, "13"),  # as the month after
        ("99", "12", "12"),  # neither: there is no telling
        ("99", None, None),
    ],
)
def test_a_part_of_a_period_is_asked_which_of_the_known_rates_it_fits(
    true: str, belief: str | None, expected: str | None
) -> None:
    found = [month(7, 5, "12"), part(day(1), day(9), 5, "12"), part(day(10), day(31), 8, true), month(9, 8, "13")]
    reading = read(found, YEAR, MONTHS)
    assert price_on(reading, priced((-40, 5, belief)), day(10)) == [money(expected)]


def test_an_exact_fit_by_days_says_nothing_where_another_part_shows_that_days_are_not_counted() -> None:
    """12.50 in thirtieths of nine days is 12.92 by days; the other part fits its rate only roughly."""
    first = part(day(1), day(9), 10, "12.50", share=Decimal(9) / 30)
    second = part(day(10), day(31), 10, "12.92", share=Decimal(22) / 30)
    belief = priced((-40, 10, "12.50"), (10, 10, "12.92"))
    assert price_on(read([first, month(9, 10, "12.92")], YEAR, MONTHS), belief, day(1)) == [Decimal("12.92")]
    assert price_on(read([first, second, month(9, 10, "12.92")], YEAR, MONTHS), belief, day(1), day(10)) == [
        Decimal("12.50"),
        Decimal("12.92"),
    ]


def test_another_formula_for_parts_of_a_period_changes_no_belief() -> None:
    thirtieths = part(day(10), day(31), 8, "12", share=Decimal(22) / 30)
    reading = read([month(7, 5, "12"), part(day(1), day(9), 5, "12"), thirtieths, month(9, 8, "13")], YEAR, MONTHS)
    assert price_on(reading, priced((-40, 5, "12"), (32, 8, "13")), day(10), date(2026, 9, 1)) == [
        Decimal(12),
        Decimal(13),
    ]


@PROPERTY
@given(st.data())
def test_completing_again_changes_nothing(data: st.DataObject) -> None:
    prices = st.sampled_from([None, "12", "13", "12.345"])
    found = [month(number, data.draw(st.integers(0, 9)), data.draw(prices), data.draw(prices)) for number in (6, 7, 8)]
    reading = read([row for row in found if row.units], YEAR, MONTHS)
    completed = reading.completed(data.draw(st.sampled_from([NOTHING, line((1, 5)), priced((-60, 3, "12"))])))
    assert reading.completed(completed) == completed
    assert completed.without_rates() == reading.shown.without_rates()
