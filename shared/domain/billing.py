"""What an operation means for the bill: units that the customer is billed for, and from which business date.

Defaults of design 2: an increase holds from its business date; a decrease that Microsoft refunds from its business
date, any other decrease from the next billing period; suspension from its business date. The dates are fixed on the
operation when it is accepted and never creep.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from shared.domain.calendar import PeriodType, period_start_after
from shared.domain.known import Known
from shared.domain.timeline import Target


class SuspendBilling(StrEnum):
    """What a suspension does to the customer's bill."""

    UNITS_ZERO = "units_zero"  #: the customer is not billed (Microsoft goes on billing the partner)
    NONE = "none"  #: the bill stays as it is


class SuspendFrom(StrEnum):
    """From when a suspension counts on the bill."""

    BUSINESS_DATE = "business_date"
    NEXT_PERIOD = "next_period"


@dataclass(frozen=True, slots=True)
class Policy:
    """How one mapped subscription is billed."""

    suspend: SuspendBilling = SuspendBilling.UNITS_ZERO
    suspend_from: SuspendFrom = SuspendFrom.BUSINESS_DATE


@dataclass(frozen=True, slots=True)
class BillingCalendar:
    """The billing periods of a contract: they step from its start by the period type (autotask reference 8.2)."""

    contract_start: date
    period: PeriodType

    def next_period(self, day: date) -> date:
        """The first day of the period after the one that holds `day`."""
        return period_start_after(day, self.contract_start, self.period)


def billed_units(known: Known, policy: Policy) -> int | None:
    """Units to bill for a subscription as it is; None where the state says nothing (pending, unknown words)."""
    if known.status == "active":
        return known.quantity
    if known.status == "suspended":
        return 0 if policy.suspend is SuspendBilling.UNITS_ZERO else known.quantity
    if known.status in {"expired", "disabled", "deleted"}:
        return 0
    return None


def target(
    before: Known, after: Known, *, business_date: date, refunded: bool, calendar: BillingCalendar, policy: Policy
) -> Target | None:
    """The effect of a change from one known state to another on the line; None where the bill does not change by it.

    `refunded` says that Microsoft gives the seats back now, so the customer is relieved from the same day.
    """
    units = billed_units(after, policy)
    if units is None or (units == billed_units(before, policy) and before.status == after.status):
        return None
    at_once = refunded
    if after.status == "suspended":
        at_once = policy.suspend_from is SuspendFrom.BUSINESS_DATE
    decrease_on = business_date if at_once else calendar.next_period(business_date)
    return Target(units=units, increase_on=business_date, decrease_on=decrease_on)
