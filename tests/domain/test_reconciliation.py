"""Who moved a line, which numbers are told, and the money of a month."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.calendar import BillingCalendar, PeriodType
from shared.domain.line import Intent, IntentState, Line
from shared.domain.planning import Adjustment
from shared.domain.reading import Reading
from shared.domain.reconciliation import Compared, Finding, Mover, accepted_mark, judge, settled
from shared.domain.timeline import Step, Timeline, Window

YEAR = Window(date(2026, 1, 1), date(2026, 12, 31))
MONTHS = BillingCalendar(YEAR.start, PeriodType.MONTHLY)
TODAY, NEXT = date(2026, 8, 10), date(2026, 9, 1)
NOW = datetime(2026, 8, 10, 3, tzinfo=UTC)
SETTLE = timedelta(minutes=15)


def billed(*steps: tuple[date, int, str | None]) -> Timeline:
    return Timeline(tuple(Step(day, units, Decimal(price) if price else None) for day, units, price in steps))


TEN = billed((YEAR.start, 10, "12.50"))
LINE = Line("c", "s", 8001, 29747643, verified=TEN, desired=TEN.without_rates(), folded=1)


def compared(line: Line, shown: Timeline, *, seats: int | None = 10, waiting: tuple[str, ...] = ()) -> Compared:
    return Compared(line, Reading(shown, (), MONTHS), YEAR, MONTHS, "CSP", seats, waiting, TODAY)


def found(item: Compared) -> Finding | None:
    return judge(item, found_at=NOW, run="run")


def finding(item: Compared) -> Finding:
    result = found(item)
    assert result is not None
    return result


def test_a_line_that_is_billed_as_verified_and_wanted_is_no_finding() -> None:
    assert found(compared(LINE, TEN)) is None
    assert found(compared(LINE, TEN, seats=None)) is None


def test_a_hand_edit_is_a_persons_with_its_three_numbers_and_its_money() -> None:
    item = finding(compared(LINE, billed((YEAR.start, 10, "12.50"), (NEXT, 13, "12.50"))))
    assert item.movers == (Mover.PERSON,)
    assert (item.on, item.verified, item.actual, item.desired) == (NEXT, 10, 13, 10)
    assert item.monthly == Decimal("37.50")
    assert "Contract 29747643 (CSP), line 8001: somebody changed it in Autotask." in item.sentence
    assert "13 units at 12.50 (162.50 a month)" in item.sentence


def test_an_edit_that_is_over_is_told_with_its_own_day_and_costs_nothing_any_more() -> None:
    over = billed((YEAR.start, 10, "12.50"), (date(2026, 3, 1), 12, "12.50"), (date(2026, 4, 1), 10, "12.50"))
    item = finding(compared(LINE, over))
    assert (item.on, item.actual) == (date(2026, 3, 1), 12)
    assert (item.monthly, item.once) == (Decimal(0), Decimal("25.00"))
    assert item.movers == (Mover.PERSON,)


def test_a_late_effect_of_ours_is_not_called_a_persons() -> None:
    late = replace(LINE, suspects=(Adjustment(NEXT, 2, Decimal("12.50")),))
    item = finding(compared(late, billed((YEAR.start, 10, "12.50"), (NEXT, 12, "12.50"))))
    assert item.movers == (Mover.US_LATE,)
    assert item.monthly == Decimal("25.00")


def test_what_waits_is_ours_and_names_its_operations() -> None:
    wanted = replace(LINE, desired=Timeline.of((YEAR.start, 10), (TODAY, 12)))
    item = finding(compared(wanted, TEN, seats=12, waiting=("c_s_2",)))
    assert (item.movers, item.operations) == ((Mover.US_OPEN,), ("c_s_2",))
    assert item.monthly == Decimal("-25.00")


def test_an_approximation_that_lasts_is_ours_and_one_that_is_over_is_none() -> None:
    lasting = replace(LINE, desired=Timeline.of((YEAR.start, 10), (TODAY, 12)))
    assert finding(compared(lasting, TEN, seats=12)).movers == (Mover.US_OPEN,)
    for day in (date(2026, 3, 1), TODAY):
        over = replace(LINE, desired=Timeline.of((YEAR.start, 10), (day, 12), (day + timedelta(days=1), 10)))
        assert found(compared(over, TEN)) is None


def test_other_seats_at_microsoft_are_microsofts() -> None:
    item = finding(compared(LINE, TEN, seats=7))
    assert (item.movers, item.seats) == ((Mover.MICROSOFT,), 7)
    assert item.monthly == Decimal("37.50")


def test_seats_that_the_bill_reaches_later_are_no_finding() -> None:
    later = Timeline.of((YEAR.start, 10), (NEXT, 7))
    shown = billed((YEAR.start, 10, "12.50"), (NEXT, 7, "12.50"))
    assert found(compared(replace(LINE, verified=shown, desired=later), shown, seats=7)) is None


def test_what_ends_by_itself_is_not_money_of_every_month() -> None:
    october = date(2026, 10, 1)
    shown = billed((YEAR.start, 10, "12.50"), (NEXT, 13, "12.50"), (october, 11, "12.50"))
    item = finding(compared(LINE, shown))
    assert (item.monthly, item.once) == (Decimal("12.50"), Decimal("37.50"))


def test_a_years_price_is_told_as_a_months() -> None:
    years = BillingCalendar(YEAR.start, PeriodType.YEARLY)
    line = replace(LINE, verified=billed((YEAR.start, 10, "120")))
    shown = Reading(billed((YEAR.start, 13, "120")), (), years)
    item = finding(Compared(line, shown, YEAR, years, "CSP", 10, (), TODAY))
    assert item.monthly == Decimal("30.00")


def test_two_movers_are_both_told() -> None:
    item = finding(compared(LINE, billed((YEAR.start, 13, "12.50")), seats=7))
    assert item.movers == (Mover.PERSON, Mover.MICROSOFT)


def test_what_was_accepted_is_found_again_only_where_something_is_otherwise() -> None:
    item = finding(compared(LINE, TEN, seats=7))
    accepted = replace(LINE, accepted=accepted_mark(7, item.reading))
    assert found(compared(accepted, TEN, seats=7)) is None
    assert found(compared(accepted, TEN, seats=6)) is not None


def test_without_a_price_no_money_is_told() -> None:
    bare = Timeline.of((YEAR.start, 10))
    line = replace(LINE, verified=bare)
    assert finding(compared(line, Timeline.of((YEAR.start, 13)))).monthly is None


def test_a_contract_that_is_over_is_compared_with_its_verified_bill_alone() -> None:
    ended = replace(compared(LINE, TEN, seats=7), today=date(2027, 3, 1))
    assert found(ended) is None


@pytest.mark.parametrize(
    ("line", "quiet"),
    [
        (LINE, True),
        (replace(LINE, last_effect=NOW - SETTLE), True),
        (replace(LINE, last_effect=NOW - SETTLE + timedelta(seconds=1)), False),
        (
            replace(LINE, intent=Intent(Adjustment(TODAY, 1), TEN, TEN, NOW, IntentState.ACCEPTED, (1,))),
            False,
        ),
    ],
)
def test_what_is_younger_than_the_settling_time_is_not_judged(line: Line, *, quiet: bool) -> None:
    assert settled(line, NOW, SETTLE) is quiet
