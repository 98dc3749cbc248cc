"""What an operation does to the bill under each policy, and from which date."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from shared.domain.billing import (
    DecreaseFrom,
    Policy,
    StartFrom,
    SuspendBilling,
    billed_units,
    is_free,
    rate_steps,
    target,
    term_end,
)
from shared.domain.calendar import BillingCalendar, PeriodType
from shared.domain.known import Known
from shared.domain.planning import DriftPolicy
from shared.domain.timeline import FreeFrom, RateStep, Target
from shared.storage.rows import parse

CALENDAR = BillingCalendar(date(2026, 1, 1), PeriodType.MONTHLY)
TODAY, NEXT = date(2026, 8, 10), date(2026, 9, 1)
TERM_ENDS = date(2026, 11, 20)
ACTIVE = Known("active", 10)
DATE, PERIOD = StartFrom
AT_ONCE, NEXT_PERIOD, TERM_END = DecreaseFrom


def effect(
    before: Known, after: Known, policy: Policy, *, refunded: bool = False, ends: date | None = TERM_ENDS
) -> Target | None:
    return target(
        before, after, business_date=TODAY, refunded=refunded, calendar=CALENDAR, policy=policy, term_end=ends
    )


def test_the_defaults_bill_more_at_once_and_less_with_the_next_period_unless_it_is_refunded() -> None:
    assert effect(ACTIVE, Known("active", 12), Policy()) == Target(12, TODAY, NEXT)
    assert effect(ACTIVE, Known("active", 8), Policy()) == Target(8, TODAY, NEXT)
    assert effect(ACTIVE, Known("active", 8), Policy(), refunded=True) == Target(8, TODAY, TODAY)
    assert effect(ACTIVE, Known("deleted", 10), Policy(), refunded=True) == Target(0, TODAY, TODAY)
    assert effect(ACTIVE, Known("suspended", 10), Policy()) == Target(0, TODAY, TODAY)


@pytest.mark.parametrize(("increase_from", "on"), [(DATE, TODAY), (PERIOD, NEXT)])
def test_an_increase_counts_from_its_policys_date(increase_from: StartFrom, on: date) -> None:
    found = effect(ACTIVE, Known("active", 12), Policy(increase_from=increase_from))
    assert found is not None
    assert found.increase_on == on


@pytest.mark.parametrize(
    ("policy", "refunded", "ends", "on"),
    [
        (Policy(decrease_in_window_from=AT_ONCE), True, TERM_ENDS, TODAY),
        (Policy(decrease_in_window_from=NEXT_PERIOD), True, TERM_ENDS, NEXT),
        (Policy(decrease_in_window_from=TERM_END), True, TERM_ENDS, TERM_ENDS),
        (Policy(decrease_outside_from=AT_ONCE), False, TERM_ENDS, TODAY),
        (Policy(decrease_outside_from=NEXT_PERIOD), False, TERM_ENDS, NEXT),
        (Policy(decrease_outside_from=TERM_END), False, TERM_ENDS, TERM_ENDS),
        (Policy(decrease_outside_from=TERM_END), False, None, NEXT),
        (Policy(decrease_outside_from=TERM_END), False, date(2026, 8, 1), TODAY),
    ],
)
def test_a_decrease_counts_from_its_policys_date(policy: Policy, refunded: bool, ends: date | None, on: date) -> None:  # noqa: FBT001 - a row
    found = effect(ACTIVE, Known("active", 8), policy, refunded=refunded, ends=ends)
    assert found is not None
    assert found.decrease_on == on


@pytest.mark.parametrize("suspend", SuspendBilling)
@pytest.mark.parametrize(("start", "on"), [(DATE, TODAY), (PERIOD, NEXT)])
def test_a_suspension_takes_away_units_the_price_or_nothing(
    suspend: SuspendBilling, start: StartFrom, on: date
) -> None:
    policy = Policy(suspend=suspend, suspend_from=start)
    suspended = Known("suspended", 10)
    units = 0 if suspend is SuspendBilling.UNITS_ZERO else 10
    free = suspend is SuspendBilling.PRICE_ZERO
    found = effect(ACTIVE, suspended, policy)
    assert found is not None
    assert (found.units, found.decrease_on) == (units, on)
    assert found.free == (FreeFrom(on, free=True) if free else None)
    assert billed_units(suspended, policy) == units
    assert is_free(suspended, policy) is free


@pytest.mark.parametrize("suspend", SuspendBilling)
def test_a_reactivation_bills_units_and_price_again(suspend: SuspendBilling) -> None:
    """Whatever the policy is by now: it may have been another one when the subscription was suspended."""
    found = effect(Known("suspended", 10), ACTIVE, Policy(suspend=suspend))
    if suspend is SuspendBilling.UNITS_ZERO:
        assert found is not None
    assert found is None or found.free == FreeFrom(TODAY, free=False)
    assert found is None or found.units == 10


def test_what_does_not_change_the_bill_has_no_effect() -> None:
    assert effect(ACTIVE, Known("active", 10), Policy()) is None
    assert effect(ACTIVE, Known("pending", 10), Policy()) is None


@pytest.mark.parametrize(
    ("start", "posted_through", "expected"),
    [
        (PERIOD, None, [(NEXT, "12"), (date(2026, 11, 1), "15")]),
        (DATE, None, [(TODAY, "12"), (date(2026, 10, 15), "15")]),
        # A period that is posted already is over for a price that waits for one.
        (PERIOD, date(2026, 9, 30), [(date(2026, 10, 1), "12"), (date(2026, 11, 1), "15")]),
        (PERIOD, date(2026, 12, 31), [(date(2027, 1, 1), "15")]),
    ],
)
def test_a_price_is_dated_by_its_policy_and_so_are_its_later_steps(
    start: StartFrom, posted_through: date | None, expected: list[tuple[date, str]]
) -> None:
    wished = (RateStep(date(2026, 5, 1), Decimal(12)), RateStep(date(2026, 10, 15), Decimal(15)))
    found = rate_steps(wished, start, TODAY, CALENDAR, posted_through=posted_through)
    assert [(step.on, str(step.amount)) for step in found] == expected


def test_a_price_that_begins_with_a_period_holds_from_that_period() -> None:
    found = rate_steps((RateStep(date(2026, 10, 1), Decimal(12)),), PERIOD, TODAY, CALENDAR, posted_through=None)
    assert found == (RateStep(date(2026, 10, 1), Decimal(12)),)


@pytest.mark.parametrize(
    ("end", "day"),
    [
        (datetime(2027, 5, 1, 23, 59, 59, tzinfo=UTC), date(2027, 5, 2)),
        (datetime(2026, 8, 25, tzinfo=UTC), date(2026, 8, 25)),
        (datetime(9999, 12, 10, tzinfo=UTC), None),
        (None, None),
    ],
)
def test_a_term_is_over_on_the_first_day_after_it(end: datetime | None, day: date | None) -> None:
    assert term_end(end) == day


def test_a_policy_that_was_stored_with_fewer_rules_has_the_defaults_for_the_rest() -> None:
    found = parse(Policy, '{"suspend": "none", "suspend_from": "next_period"}')
    assert found == Policy(suspend=SuspendBilling.NONE, suspend_from=PERIOD)
    assert (found.prorate, found.drift) == (True, DriftPolicy.REVIEW)
