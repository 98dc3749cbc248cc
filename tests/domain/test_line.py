"""What a reading says about an adjustment of ours: its units, and rates that rows show, hide, or show elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.calendar import BillingCalendar, PeriodType
from shared.domain.line import Intent, IntentState, Line, Verdict, echo_of, fingerprint, forget, judge, without
from shared.domain.planning import Adjustment, apply
from shared.domain.rates import cents
from shared.domain.reading import Reading, UnitsRow, read
from shared.domain.timeline import Timeline, Window
from shared.storage.rows import parse
from tests.domain.timelines import day, line, money, priced

YEAR = Window(date(2026, 1, 1), date(2026, 12, 31))
MONTHS = BillingCalendar(YEAR.start, PeriodType.MONTHLY)
SENT = datetime(2026, 8, 10, 12, tzinfo=UTC)
SETTLED = SENT + timedelta(minutes=15)
BEFORE = priced((-211, 5, "12", "10"))  # since January
SENDING, ACCEPTED = IntentState
NO_RATES = line((1, 5))


def rows_of(timeline: Timeline, *, costs: bool = True) -> Reading:
    """The reading that Autotask gives of a timeline."""
    rows = []
    start = YEAR.start
    while start <= YEAR.end:
        end = min([MONTHS.next_period(start), *(step.date for step in timeline.steps if step.date > start)])
        end -= timedelta(days=1)
        step = timeline.on(start)
        if step.units:
            times = step.units * MONTHS.share(start, end)
            price, cost = ((rate or Decimal(0)) * times for rate in (step.price, step.cost))
            rows.append(
                UnitsRow(start, end, step.units, posted=False, price=cents(price), cost=cents(cost) if costs else None)
            )
        start = end + timedelta(days=1)
    return read(rows, YEAR, MONTHS)


def intent(
    change: int, number: int, price: str | None = None, cost: str | None = None, *, state: IntentState = SENDING
) -> Intent:
    adjustment = Adjustment(day(number), change, money(price), money(cost))
    return Intent(adjustment, BEFORE, apply(BEFORE, [adjustment]), SENT, state, (2,))


def verdict(of: Intent, reading: Reading, *, owned: Timeline = BEFORE, now: datetime = SETTLED) -> Verdict:
    return judge(of, reading, owned=owned, window=YEAR, now=now, settled_from=SETTLED)


MORE = intent(3, 10, "12", "10")
DEARER = intent(0, 32, "13", "10")


@pytest.mark.parametrize("of", [MORE, DEARER, intent(3, 10, "13", "10"), intent(0, 10, "13", "10")])
def test_an_effect_that_shows_is_believed_at_once(of: Intent) -> None:
    assert verdict(of, rows_of(of.after), now=SENT) is Verdict.DONE


@pytest.mark.parametrize("of", [MORE, DEARER, intent(0, 32, None, "11")])
def test_an_effect_that_does_not_show_is_judged_after_the_settling_time(of: Intent) -> None:
    assert verdict(of, rows_of(BEFORE), now=SENT) is Verdict.TOO_EARLY
    assert verdict(of, rows_of(BEFORE)) is Verdict.NOT_DONE


def test_what_was_accepted_and_does_not_show_needs_a_person() -> None:
    for of in (intent(3, 10, "12", state=ACCEPTED), intent(0, 32, "13", state=ACCEPTED)):
        assert verdict(of, rows_of(BEFORE)) is Verdict.NEVER_VISIBLE


@pytest.mark.parametrize(
    "shown",
    [
        priced((-211, 5, "12", "10"), (10, 9, "12", "10")),  # other units
        priced((-211, 5, "12", "10"), (10, 8, "12", "10"), (40, 8, "11", "10")),  # a price of nobody's, beside ours
        priced((-211, 5, "12", "10"), (40, 5, "11", "10")),
    ],
)
def test_anything_else_needs_a_person(shown: Timeline) -> None:
    assert verdict(MORE, rows_of(shown), now=SENT) is Verdict.TOO_EARLY
    assert verdict(MORE, rows_of(shown)) is Verdict.OTHER


def test_a_price_that_is_not_ours_is_nobodys_concern() -> None:
    edited = priced((-211, 5, "12", "10"), (10, 8, "12", "10"), (40, 8, "11", "10"))
    assert verdict(MORE, rows_of(edited), owned=NO_RATES) is Verdict.DONE


def test_a_price_that_reaches_further_than_expected_is_still_our_effect() -> None:
    """The months from September had another price; our adjustment named 12 and it reached over them too."""
    before = priced((-211, 5, "12"), (32, 5, "13"))
    adjustment = Adjustment(day(10), 3, Decimal(12))
    of = Intent(adjustment, before, apply(before, [adjustment]), SENT, ACCEPTED, (2,))
    reached = priced((-211, 5, "12"), (10, 8, "12"))
    assert verdict(of, rows_of(reached), owned=before) is Verdict.DONE


def test_a_price_that_reaches_less_far_than_expected_is_still_our_effect() -> None:
    shown = priced((-211, 5, "12", "10"), (32, 5, "13", "10"), (62, 5, "12", "10"))
    assert verdict(DEARER, rows_of(shown)) is Verdict.DONE


@pytest.mark.parametrize(
    ("state", "expected"),
    [(ACCEPTED, Verdict.DONE), (SENDING, Verdict.NOT_DONE)],
)
def test_a_rate_that_no_row_shows_is_believed_when_accepted_and_sent_again_when_not(
    state: IntentState, expected: Verdict
) -> None:
    of = intent(0, 32, None, "11", state=state)
    assert verdict(of, rows_of(BEFORE, costs=False)) is expected


def test_a_rate_alone_is_not_judged_on_other_units() -> None:
    assert verdict(DEARER, rows_of(priced((-211, 6, "13", "10")))) is Verdict.OTHER


# Echoes


def the_line(*suspects: Adjustment) -> Line:
    return Line("c", "s", 1, 2, BEFORE, BEFORE, 1, suspects=suspects)


LOST = Adjustment(day(10), 3, Decimal(12), Decimal(10))
LOST_PRICE = Adjustment(day(32), 0, Decimal(13), Decimal(10))


@pytest.mark.parametrize("lost", [LOST, LOST_PRICE])
def test_a_late_effect_of_ours_is_recognised(lost: Adjustment) -> None:
    late = rows_of(apply(BEFORE, [lost]))
    assert echo_of(the_line(LOST, LOST_PRICE), late, YEAR) == (lost,)
    assert echo_of(the_line(), late, YEAR) is None


def test_what_lost_attempts_do_not_explain_is_not_ours() -> None:
    by_hand = rows_of(priced((-211, 5, "12", "10"), (10, 8, "12", "10"), (32, 8, "11", "10")))
    assert echo_of(the_line(LOST), by_hand, YEAR) is None


def test_an_intent_given_up_is_a_suspect_until_it_shows() -> None:
    given_up = forget(Line("c", "s", 1, 2, BEFORE, BEFORE, 1, intent=MORE))
    assert (given_up.intent, given_up.suspects) == (None, (MORE.adjustment,))
    assert without(given_up.suspects, [MORE.adjustment]) == ()


def test_a_fingerprint_names_the_reading_with_its_rates() -> None:
    assert fingerprint(priced((1, 5, "12"))) != fingerprint(priced((1, 5, "13")))
    assert fingerprint(line((1, 5))) == fingerprint(priced((1, 5, None)))


def test_a_line_that_was_stored_before_it_had_rates_is_read() -> None:
    stored = """{"customer": "c", "subscription": "s", "line": 1, "contract": 2, "folded": 3, "unsettled": [],
    "verified": {"steps": [{"date": "2026-08-01", "units": 5}]}, "desired": {"steps": []},
    "intent": {"adjustment": {"date": "2026-08-10", "change": 3}, "before": {"steps": []}, "after": {"steps": []},
    "send_by": "2026-08-10T12:00:00Z", "state": "sending", "operations": [2]},
    "suspects": [{"date": "2026-08-02", "change": -1}], "refused_dates": ["2026-08-03"], "schema": 1}"""
    found = parse(Line, stored)
    assert found.verified == line((1, 5))
    assert found.suspects == (Adjustment(day(2), -1),)
    assert found.prorate


def test_rates_are_in_vain_at_the_reading_at_which_they_were_taken_and_did_not_hold() -> None:
    price, units = Adjustment(day(10), 0, Decimal(13)), Adjustment(day(12), 2, Decimal(13))
    remembered = Line("c", "s", 1, 2, BEFORE, BEFORE, 1).with_vain(BEFORE, [price, units])
    assert remembered.is_vain(BEFORE, [units, price])
    assert not Line("c", "s", 1, 2, BEFORE, BEFORE, 1).is_vain(BEFORE, [price])
    assert not remembered.is_vain(apply(BEFORE, [units]), [price])
    assert not remembered.is_vain(BEFORE, [units, replace(price, price=Decimal(14)), replace(price, date=day(11))])
