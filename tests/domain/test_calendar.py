from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.calendar import PeriodType, business_date, period_start_after

DATES = st.dates(date(2020, 1, 1), date(2032, 12, 31))


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        (datetime(2026, 8, 1, 3, 59, tzinfo=UTC), "America/New_York", date(2026, 7, 31)),
        (datetime(2026, 8, 1, 4, 0, tzinfo=UTC), "America/New_York", date(2026, 8, 1)),
        (datetime(2026, 8, 1, 22, 30, tzinfo=UTC), "Europe/Berlin", date(2026, 8, 2)),
        (datetime(2026, 1, 31, 23, 30, tzinfo=UTC), "Europe/Berlin", date(2026, 2, 1)),
        (datetime(2026, 1, 31, 23, 30, tzinfo=UTC), "UTC", date(2026, 1, 31)),
    ],
)
def test_the_business_date_is_the_day_in_the_partners_zone(moment: datetime, zone: str, expected: date) -> None:
    assert business_date(moment, ZoneInfo(zone)) == expected


def test_a_moment_without_a_zone_has_no_business_date() -> None:
    with pytest.raises(ValueError, match="time zone"):
        business_date(datetime(2026, 8, 1), ZoneInfo("UTC"))  # noqa: DTZ001 - the missing zone is the case under test


@pytest.mark.parametrize(
    ("day", "start", "period", "expected"),
    [
        (date(2026, 8, 15), date(2026, 1, 1), PeriodType.MONTHLY, date(2026, 9, 1)),
        (date(2026, 8, 31), date(2026, 1, 1), PeriodType.MONTHLY, date(2026, 9, 1)),
        (date(2026, 9, 1), date(2026, 1, 1), PeriodType.MONTHLY, date(2026, 10, 1)),
        (date(2026, 8, 21), date(2026, 1, 22), PeriodType.MONTHLY, date(2026, 8, 22)),
        (date(2026, 12, 31), date(2026, 1, 1), PeriodType.MONTHLY, date(2027, 1, 1)),
        (date(2026, 1, 31), date(2026, 1, 31), PeriodType.MONTHLY, date(2026, 2, 28)),
        (date(2026, 2, 28), date(2026, 1, 31), PeriodType.MONTHLY, date(2026, 3, 31)),
        (date(2026, 3, 30), date(2026, 1, 31), PeriodType.MONTHLY, date(2026, 3, 31)),
        (date(2026, 3, 31), date(2026, 1, 31), PeriodType.MONTHLY, date(2026, 4, 30)),
        (date(2028, 2, 1), date(2026, 1, 31), PeriodType.MONTHLY, date(2028, 2, 29)),
        (date(2026, 8, 15), date(2026, 1, 1), PeriodType.QUARTERLY, date(2026, 10, 1)),
        (date(2026, 2, 27), date(2025, 11, 30), PeriodType.QUARTERLY, date(2026, 2, 28)),
        (date(2026, 2, 28), date(2025, 11, 30), PeriodType.QUARTERLY, date(2026, 5, 30)),
        (date(2026, 8, 15), date(2026, 1, 1), PeriodType.SEMI_ANNUAL, date(2027, 1, 1)),
        (date(2026, 8, 15), date(2024, 2, 29), PeriodType.YEARLY, date(2027, 2, 28)),
        (date(2027, 2, 28), date(2024, 2, 29), PeriodType.YEARLY, date(2028, 2, 29)),
        (date(2025, 6, 1), date(2026, 1, 31), PeriodType.MONTHLY, date(2026, 1, 31)),
    ],
)
def test_periods_step_from_the_contract_start(day: date, start: date, period: PeriodType, expected: date) -> None:
    assert period_start_after(day, start, period) == expected


@pytest.mark.parametrize(("period", "months"), list(zip(PeriodType, [1, 3, 6, 12], strict=True)))
def test_a_period_type_knows_its_months(period: PeriodType, months: int) -> None:
    assert period.months == months


@settings(max_examples=100, deadline=None)
@given(day=DATES, start=DATES, period=st.sampled_from(PeriodType))
def test_the_next_period_is_the_first_one_after_the_day(day: date, start: date, period: PeriodType) -> None:
    found = period_start_after(day, start, period)
    assert found > day
    before = period_start_after(found - timedelta(days=1), start, period)
    assert before == found, "no other period starts between the day and the one found"
    if day >= start:
        assert (found - day).days <= period.months * 31
