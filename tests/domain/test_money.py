"""The money of a span of days, and of what a plan leaves wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from shared.domain.calendar import BillingCalendar, PeriodType, calendar_of
from shared.domain.money import period_word, periods_between, priced
from shared.domain.shortfalls import Shortfall

MONTHS = BillingCalendar(date(2026, 1, 1), PeriodType.MONTHLY)


@pytest.mark.parametrize(
    ("first", "last", "periods"),
    [
        (date(2026, 8, 1), date(2026, 8, 31), Decimal(1)),
        (date(2026, 8, 10), date(2026, 8, 10), Decimal(1) / 31),
        (date(2026, 8, 17), date(2026, 9, 15), Decimal(15) / 31 + Decimal(15) / 30),
        (date(2026, 1, 1), date(2026, 12, 31), Decimal(12)),
    ],
)
def test_parts_of_a_period_count_by_their_days(first: date, last: date, periods: Decimal) -> None:
    assert periods_between(first, last, MONTHS) == periods


SHORT = Shortfall(date(2026, 8, 1), date(2026, 8, 31), 12, 10, desired_price=Decimal(13), billed_price=Decimal(12))


def test_a_shortfall_has_the_money_of_its_days() -> None:
    assert priced(SHORT, MONTHS) == replace(SHORT, money=Decimal("-36.00"))


def test_a_shortfall_without_an_end_has_the_money_of_a_period() -> None:
    forever = replace(SHORT, end=None)
    assert priced(forever, MONTHS) == replace(forever, money=Decimal("-36.00"), per_period=True)


def test_units_that_are_not_billed_cost_nothing_whatever_their_price() -> None:
    none_billed = replace(SHORT, billed=0, billed_price=None)
    assert priced(none_billed, MONTHS).money == Decimal("-156.00")


@pytest.mark.parametrize("short", [replace(SHORT, billed_price=None), replace(SHORT, desired_price=None)])
def test_without_a_price_there_is_no_money(short: Shortfall) -> None:
    assert priced(short, MONTHS).money is None
    assert priced(SHORT, None).money is None


def test_a_period_that_is_not_known_has_no_calendar() -> None:
    assert calendar_of(date(2026, 1, 1), None) == MONTHS
    assert calendar_of(date(2026, 1, 1), 99) is None
    assert [period_word(BillingCalendar(MONTHS.contract_start, period)) for period in PeriodType] == [
        "month",
        "quarter",
        "half-year",
        "year",
    ]
