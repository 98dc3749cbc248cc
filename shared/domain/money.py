"""What a line costs the customer over a span of days: units x price, prorated by the days of the billing period; pure.

Autotask's own formula for a part of a period is documented nowhere; these amounts explain a plan to a person and are
never compared with a bill.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from shared.domain.calendar import BillingCalendar, PeriodType
from shared.domain.rates import cents
from shared.domain.shortfalls import Shortfall

_DAY = timedelta(days=1)
_PERIOD_WORDS = {
    PeriodType.MONTHLY: "month",
    PeriodType.QUARTERLY: "quarter",
    PeriodType.SEMI_ANNUAL: "half-year",
    PeriodType.YEARLY: "year",
}


def period_word(calendar: BillingCalendar) -> str:
    """What a billing period is called."""
    return _PERIOD_WORDS[calendar.period]


def periods_between(first: date, last: date, calendar: BillingCalendar) -> Decimal:
    """How many billing periods the days from `first` to `last` are, parts of one by their days."""
    total = Decimal(0)
    start = first
    while start <= last:
        end = min(last, calendar.next_period(start) - _DAY)
        total += calendar.share(start, end)
        start = end + _DAY
    return total


def priced(shortfall: Shortfall, calendar: BillingCalendar | None) -> Shortfall:
    """The shortfall with its money, where every price that counts is known."""
    billed = _per_period(shortfall.billed, shortfall.billed_price)
    desired = _per_period(shortfall.desired, shortfall.desired_price)
    if calendar is None or billed is None or desired is None:
        return shortfall
    if shortfall.end is None:
        return replace(shortfall, money=cents(billed - desired), per_period=True)
    return replace(
        shortfall, money=cents((billed - desired) * periods_between(shortfall.start, shortfall.end, calendar))
    )


def _per_period(units: int, price: Decimal | None) -> Decimal | None:
    if not units:
        return Decimal(0)
    return None if price is None else units * price
