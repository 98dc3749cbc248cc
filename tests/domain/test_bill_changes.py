"""What one bill is otherwise than another: the stretches, their units and rates, and the money that they make."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from shared.domain.bill_changes import BillChange, changes_between, monthly
from shared.domain.calendar import BillingCalendar, PeriodType
from shared.domain.timeline import Step, Timeline, Window

YEAR = Window(date(2026, 1, 1), date(2026, 12, 31))
MONTHS = BillingCalendar(YEAR.start, PeriodType.MONTHLY)
TENTH, SEPTEMBER = date(2026, 8, 10), date(2026, 9, 1)


def billed(*steps: tuple[date, int, str | None]) -> Timeline:
    return Timeline(tuple(Step(day, units, Decimal(price) if price else None) for day, units, price in steps))


TEN = billed((YEAR.start, 10, "12.50"))


def test_equal_bills_differ_nowhere() -> None:
    assert changes_between(TEN, TEN, YEAR, MONTHS) == ()


def test_two_more_seats_to_the_end_are_one_stretch_with_the_money_of_a_period() -> None:
    after = billed((YEAR.start, 10, "12.50"), (SEPTEMBER, 12, "12.50"))
    (change,) = changes_between(TEN, after, YEAR, MONTHS)
    assert change == BillChange(
        SEPTEMBER, None, 10, 12, Decimal("12.50"), Decimal("12.50"), money=Decimal("25.00"), per_period=True
    )


def test_a_part_of_a_period_is_prorated_by_its_days() -> None:
    after = billed((YEAR.start, 10, "12.50"), (TENTH, 12, "12.50"), (SEPTEMBER, 10, "12.50"))
    (change,) = changes_between(TEN, after, YEAR, MONTHS)
    assert (change.start, change.end) == (TENTH, date(2026, 8, 31))
    assert change.money == Decimal("17.74")  # 22 of 31 days of 25.00
    assert not change.per_period


def test_another_price_alone_is_a_change_and_one_within_half_a_cent_is_none() -> None:
    dearer = billed((YEAR.start, 10, "12.50"), (SEPTEMBER, 10, "13.25"))
    (change,) = changes_between(TEN, dearer, YEAR, MONTHS)
    assert change.money == Decimal("7.50")
    same = billed((YEAR.start, 10, "12.50"), (SEPTEMBER, 10, "12.504"))
    assert changes_between(TEN, same, YEAR, MONTHS) == ()


def test_where_a_price_is_not_known_no_money_is_told() -> None:
    (change,) = changes_between(billed((YEAR.start, 10, None)), billed((YEAR.start, 12, None)), YEAR, MONTHS)
    assert change.money is None


def test_units_that_end_take_their_money_with_them() -> None:
    (change,) = changes_between(TEN, billed((YEAR.start, 10, "12.50"), (SEPTEMBER, 0, None)), YEAR, MONTHS)
    assert (change.units_after, change.price_after, change.money) == (0, None, Decimal("-125.00"))


def test_days_outside_the_contract_do_not_count() -> None:
    after = billed((YEAR.start, 10, "12.50"), (date(2027, 1, 1), 12, "12.50"))
    assert changes_between(TEN, after, YEAR, MONTHS) == ()


def test_stretches_that_differ_alike_are_one() -> None:
    before = billed((YEAR.start, 10, "12.50"), (TENTH, 10, "12.501"))
    after = billed((YEAR.start, 11, "12.50"))
    assert len(changes_between(before, after, YEAR, MONTHS)) == 2
    assert len(changes_between(TEN, billed((YEAR.start, 11, "12.50")), YEAR, MONTHS)) == 1


def test_a_year_is_twelve_months() -> None:
    assert monthly(Decimal(120), BillingCalendar(YEAR.start, PeriodType.YEARLY)) == Decimal("10.00")
    assert monthly(Decimal(120), None) is None
    assert monthly(None, MONTHS) is None
