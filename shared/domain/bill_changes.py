"""What one bill of a line is otherwise than another: by stretches of days, with units, rates and money; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from shared.domain.calendar import BillingCalendar
from shared.domain.money import priced
from shared.domain.rates import Rate, cents, same
from shared.domain.shortfalls import Shortfall
from shared.domain.timeline import Step, Timeline, Window, dates_of

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class BillChange:
    """A stretch of days that is billed otherwise after than before (`end` inclusive, None = to the contract's end).

    `money` is after less before: of the whole stretch, or of one billing period (`per_period`) where it has no end;
    None where a price that counts is not known.
    """

    start: date
    end: date | None
    units_before: int
    units_after: int
    price_before: Decimal | None = None
    price_after: Decimal | None = None
    cost_before: Decimal | None = None
    cost_after: Decimal | None = None
    money: Decimal | None = None
    per_period: bool = False


def changes_between(
    before: Timeline, after: Timeline, window: Window, calendar: BillingCalendar | None
) -> tuple[BillChange, ...]:
    """The stretches inside the contract's window on which two bills differ, ascending."""
    days = [window.start, *(day for day in dates_of(before, after) if window.start < day <= window.end)]
    ends = [day - _DAY for day in days[1:]]
    found: list[BillChange] = []
    for start, end in zip(days, [*ends, None], strict=True):
        change = _between(before.on(start), after.on(start), start, end)
        if change is None:
            continue
        earlier = found[-1] if found else None
        if earlier is not None and earlier.end == start - _DAY and _alike(earlier, change):
            found[-1] = replace(earlier, end=end)
        else:
            found.append(change)
    return tuple(_with_money(change, calendar) for change in found)


def monthly(amount: Decimal | None, calendar: BillingCalendar | None) -> Decimal | None:
    """An amount of one billing period as an amount of a month, to the cent."""
    if amount is None or calendar is None:
        return None
    return cents(amount / calendar.period.months)


def _between(before: Step, after: Step, start: date, end: date | None) -> BillChange | None:
    rates = {kind: (_known(before, kind), _known(after, kind)) for kind in Rate}
    if before.units == after.units and all(_equal(*pair) for pair in rates.values()):
        return None
    (price_before, price_after), (cost_before, cost_after) = rates[Rate.PRICE], rates[Rate.COST]
    return BillChange(start, end, before.units, after.units, price_before, price_after, cost_before, cost_after)


def _known(step: Step, kind: Rate) -> Decimal | None:
    """A rate that counts: nothing is billed where there are no units."""
    return step.rate(kind) if step.units else None


def _equal(left: Decimal | None, right: Decimal | None) -> bool:
    return left is None or right is None or same(left, right)


def _alike(one: BillChange, other: BillChange) -> bool:
    return replace(one, start=other.start, end=other.end) == other


def _with_money(change: BillChange, calendar: BillingCalendar | None) -> BillChange:
    told = priced(
        Shortfall(
            change.start,
            change.end,
            change.units_before,
            change.units_after,
            desired_price=change.price_before,
            billed_price=change.price_after,
        ),
        calendar,
    )
    return replace(change, money=told.money, per_period=told.per_period)
