"""What an operation means for the bill: units, price and cost of the customer's line, and from which business date.

Each mapping has a policy (ADR 0012). By default an increase holds from its business date; a decrease that Microsoft
refunds from its business date, any other decrease from the next billing period; prices and costs from the next billing
period; a suspension from its business date. The dates are fixed on the operation when it is accepted and never creep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from shared.domain.calendar import BillingCalendar
from shared.domain.known import Known
from shared.domain.planning import DriftPolicy
from shared.domain.pricing import Schedule
from shared.domain.timeline import FreeFrom, RateStep, Target

_SECOND = timedelta(seconds=1)
_NO_END = 9000  # the year from which Microsoft's end of a term means that there is none


class SuspendBilling(StrEnum):
    """What a suspension does to the customer's bill."""

    UNITS_ZERO = "units_zero"  #: the customer is not billed (Microsoft goes on billing the partner)
    PRICE_ZERO = "price_zero"  #: the units stay on the bill at a price of 0
    NONE = "none"  #: the bill stays as it is


class StartFrom(StrEnum):
    """From when an increase, a suspension, a price or a cost counts on the bill."""

    BUSINESS_DATE = "business_date"
    NEXT_PERIOD = "next_period"


class DecreaseFrom(StrEnum):
    """From when fewer units count on the bill."""

    BUSINESS_DATE = "business_date"
    NEXT_PERIOD = "next_period"
    TERM_END = "term_end"  #: the end of Microsoft's term; the next period where it is not known


@dataclass(frozen=True, slots=True)
class Policy:
    """How one mapped subscription is billed.

    `prorate`: a date inside a posted period is used, and Autotask adds a prorated row; otherwise nothing changes before
    the last posted period is over.
    """

    suspend: SuspendBilling = SuspendBilling.UNITS_ZERO
    suspend_from: StartFrom = StartFrom.BUSINESS_DATE
    increase_from: StartFrom = StartFrom.BUSINESS_DATE
    decrease_in_window_from: DecreaseFrom = DecreaseFrom.BUSINESS_DATE
    decrease_outside_from: DecreaseFrom = DecreaseFrom.NEXT_PERIOD
    price_from: StartFrom = StartFrom.NEXT_PERIOD
    cost_from: StartFrom = StartFrom.NEXT_PERIOD
    prorate: bool = True
    drift: DriftPolicy = DriftPolicy.REVIEW


def billed_units(known: Known, policy: Policy) -> int | None:
    """Units to bill for a subscription as it is; None where the state says nothing (pending, unknown words)."""
    if known.status == "active":
        return known.quantity
    if known.status == "suspended":
        return 0 if policy.suspend is SuspendBilling.UNITS_ZERO else known.quantity
    if known.status in {"expired", "disabled", "deleted"}:
        return 0
    return None


def is_free(known: Known, policy: Policy) -> bool:
    """Whether the units of a subscription as it is are billed at a price of 0."""
    return known.status == "suspended" and policy.suspend is SuspendBilling.PRICE_ZERO


def target(
    before: Known,
    after: Known,
    *,
    business_date: date,
    refunded: bool,
    calendar: BillingCalendar,
    policy: Policy,
    term_end: date | None = None,
) -> Target | None:
    """The effect of a change from one known state to another on the line; None where the bill does not change by it.

    `refunded` says that Microsoft gives the seats back now; `term_end` is the first day after Microsoft's term.
    """
    units = billed_units(after, policy)
    if units is None or (units == billed_units(before, policy) and before.status == after.status):
        return None
    suspended_on = _start(policy.suspend_from, business_date, calendar)
    start = policy.decrease_in_window_from if refunded else policy.decrease_outside_from
    free = None
    if is_free(after, policy):
        free = FreeFrom(suspended_on, free=True)
    elif before.status == "suspended" != after.status:
        free = FreeFrom(business_date, free=False)
    return Target(
        units,
        increase_on=_start(policy.increase_from, business_date, calendar),
        decrease_on=suspended_on
        if after.status == "suspended"
        else _decrease(start, business_date, calendar, term_end=term_end),
        free=free,
    )


def rate_steps(
    wished: Sequence[RateStep], start: StartFrom, today: date, calendar: BillingCalendar, *, posted_through: date | None
) -> tuple[RateStep, ...]:
    """Date the steps of a price or cost by a policy; each holds from its wished date, but not before today.

    `posted_through` is the last day of the last posted period: a rate that waits for a period takes one not posted yet.
    Of two steps that come to the same date the later holds.
    """
    latest = max(today, posted_through or today)
    dated: dict[date, RateStep] = {}
    for step in wished:
        if start is StartFrom.BUSINESS_DATE:
            day = max(step.on, today)
        else:
            day = calendar.next_period(latest) if step.on <= latest else calendar.period_from(step.on)
        dated[day] = RateStep(day, step.amount)
    return tuple(dated.values())


def rate_target(
    schedule: Schedule, today: date, calendar: BillingCalendar, policy: Policy, *, posted_through: date | None
) -> Target:
    """The effect of a new price and cost on a line that is billed already; its units stay."""
    price, cost = (
        rate_steps(steps, start, today, calendar, posted_through=posted_through)
        for steps, start in ((schedule.price, policy.price_from), (schedule.cost, policy.cost_from))
    )
    return Target(None, today, today, price, cost)


def opening_target(
    units: int, day: date, schedule: Schedule, calendar: BillingCalendar, policy: Policy, *, free: bool = False
) -> Target:
    """The effect of units that begin to be billed on a line, at their price and cost from the same day on."""

    def opening(steps: tuple[RateStep, ...], start: StartFrom) -> tuple[RateStep, ...]:
        if not steps or steps[0].amount is None:
            return ()
        later = rate_steps(steps[1:], start, day, calendar, posted_through=None)
        return RateStep(day, steps[0].amount), *(step for step in later if step.on > day)

    return Target(
        units,
        day,
        day,
        opening(schedule.price, policy.price_from),
        opening(schedule.cost, policy.cost_from),
        free=FreeFrom(day, free=True) if free else None,
    )


def term_end(end: datetime | None) -> date | None:
    """The first day after Microsoft's term, whose days are UTC's; None where there is no term or no end of it."""
    return None if end is None or end.year >= _NO_END else (end + _SECOND).date()


def _start(start: StartFrom, day: date, calendar: BillingCalendar) -> date:
    return day if start is StartFrom.BUSINESS_DATE else calendar.next_period(day)


def _decrease(start: DecreaseFrom, day: date, calendar: BillingCalendar, *, term_end: date | None) -> date:
    if start is DecreaseFrom.TERM_END and term_end is not None:
        return max(term_end, day)
    return day if start is DecreaseFrom.BUSINESS_DATE else calendar.next_period(day)
