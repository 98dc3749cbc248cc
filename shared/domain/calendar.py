"""Business dates and billing periods: what day a moment is for the partner, and when a contract's next period starts.

Everything that is billed is dated by these two functions. The timelines (`shared.domain.timeline`) and the
planner (`shared.domain.planning`) know dates only, never moments or zones.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


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


def _months_later(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))
