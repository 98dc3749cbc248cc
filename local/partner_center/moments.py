"""Dates as Partner Center writes them, in all its variety, and the arithmetic of terms.

Seven fractional digits, six, none, or no zone at all: clients must read each of them, so different fields use
different ones.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta

WINDOW = timedelta(hours=168)
DAY = timedelta(days=1)
NEVER_ENDS = "9999-12-10T00:00:00Z"
TERM_MONTHS = {"P1M": 1, "P1Y": 12, "P3Y": 36}


def with_ticks(moment: datetime) -> str:
    """Seven fractional digits, as in `creationDate`; the seventh is never 0, so that it is missed when dropped."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}7Z"


def with_micros(moment: datetime) -> str:
    """Six fractional digits."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def to_the_second(moment: datetime) -> str:
    """No fraction."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def without_zone(moment: datetime) -> str:
    """No fraction and no zone; UTC all the same."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def midnight(day: date) -> datetime:
    """The first moment of a day in UTC."""
    return datetime.combine(day, time(), UTC)


def add_months(day: date, months: int) -> date:
    """The same day of a later month, or its last day where it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def term_end(start: datetime, term: str) -> datetime:
    """The first moment after a term that starts on this day."""
    return midnight(add_months(start.date(), TERM_MONTHS[term]))


def billing_cycle_end(start: datetime, months: int, now: datetime) -> datetime:
    """The first moment after the billing period (of so many months, counted from `start`) that holds `now`."""
    passed = (now.year - start.year) * 12 + now.month - start.month
    periods = max(1, passed // months)
    while (end := midnight(add_months(start.date(), periods * months))) <= now:
        periods += 1
    return end
