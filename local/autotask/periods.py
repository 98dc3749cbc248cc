"""Billing periods of a contract: steps from its start date by its period type, cut off at its end date."""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

MONTHS_OF_PERIOD_TYPE = {2: 1, 3: 3, 4: 6, 5: 12}
ONE_DAY = timedelta(days=1)


class Period(NamedTuple):
    """One billing period, both ends inclusive; `full_days` is its length before a cut at the contract's end."""

    start: date
    end: date
    full_days: int


def add_months(day: date, months: int) -> date:
    """Return the same day of a later month, or that month's last day where it is shorter."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


@lru_cache(maxsize=4096)
def billing_periods(start: date, end: date, months: int) -> tuple[Period, ...]:
    """Return the periods from start to end inclusive; each starts a multiple of `months` after the contract's start."""
    periods = []
    number = 0
    first = start
    while first <= end:
        number += 1
        following = add_months(start, number * months)
        periods.append(Period(first, min(following - ONE_DAY, end), (following - first).days))
        first = following
    return tuple(periods)
