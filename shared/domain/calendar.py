"""Business dates and billing periods: what day a moment is for the partner, and when a contract's next period starts.

Everything that is billed is dated here. The timelines (`shared.domain.timeline`) and the planner
(`shared.domain.planning`) know dates only, never moments or zones.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


_DAY = timedelta(days=1)


class PeriodType(IntEnum):
    """Length of a contract's billing period; the values are Autotask's `contractPeriodType`."""

    MONTHLY = 2
    QUARTERLY = 3
    SEMI_ANNUAL = 4
    YEARLY = 5

    @property
    def months(self) -> int:
        """The number of months in one period."""
        return _MONTHS[self]


_MONTHS = {PeriodType.MONTHLY: 1, PeriodType.QUARTERLY: 3, PeriodType.SEMI_ANNUAL: 6, PeriodType.YEARLY: 12}


def business_date(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar day of `moment` in the partner's time zone.

    Raises ValueError for a moment without a time zone: guessing one would bill a day early or late.
    """
    if moment.utcoffset() is None:
        raise ValueError("A moment needs a time zone to have a business date.")
    return moment.astimezone(zone).date()


@lru_cache(maxsize=65_536)  # the same few dates are asked for with every row of every line
def period_start_after(day: date, contract_start: date, period: PeriodType) -> date:
    """The first day of the next billing period strictly after `day`; the contract's start where `day` lies before it.

    Periods step from the contract's start, each counted from the start itself and clamped to the month's end,
    so that a contract of 31 January bills from 28 February and then from 31 March again.
    """
    if day < contract_start:
        return contract_start
    elapsed = (day.year - contract_start.year) * 12 + day.month - contract_start.month
    periods = elapsed // period.months
    start = _months_later(contract_start, periods * period.months)
    return start if start > day else _months_later(contract_start, (periods + 1) * period.months)


@dataclass(frozen=True, slots=True)
class BillingCalendar:
    """The billing periods of a contract: they step from its start by the period type (autotask reference 8.2)."""

    contract_start: date
    period: PeriodType

    def next_period(self, day: date) -> date:
        """The first day of the period after the one that holds `day`."""
        return period_start_after(day, self.contract_start, self.period)

    def period_from(self, day: date) -> date:
        """The first day of the first period that starts on `day` or later."""
        return day if day <= date.min else self.next_period(day - _DAY)

    def is_whole_period(self, first: date, last: date) -> bool:
        """Whether the days from `first` to `last` are exactly one billing period."""
        return self.period_from(first) == first and self.next_period(first) == last + _DAY

    def length(self, day: date) -> int:
        """The number of days in the period that holds `day`, not cut off at the contract's end."""
        end = self.next_period(day)
        start = self.contract_start
        elapsed = (end.year - start.year) * 12 + end.month - start.month
        return (end - _months_later(start, elapsed - self.period.months)).days

    def share(self, first: date, last: date) -> Decimal:
        """How much of a period the days from `first` to `last` are; they lie in one period."""
        return Decimal((last - first).days + 1) / self.length(first)


def calendar_of(contract_start: date, period_type: int | None) -> BillingCalendar | None:
    """The calendar of a contract as Autotask names its period; None for a period that is not known here."""
    try:
        return BillingCalendar(contract_start, PeriodType(period_type or PeriodType.MONTHLY))
    except ValueError:
        return None


def _months_later(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))
