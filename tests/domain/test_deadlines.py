"""Deadlines for people and moments for the sync, from a subscription alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.deadlines import Kind, deadlines, next_due
from shared.domain.subscription import Family, SeatBatch, State, Subscription
from tests.documents.generated import NOW, example

END = NOW + timedelta(days=300)


def nce(state: State = State.ACTIVE, **more: object) -> Subscription:
    base = example(Family.NCE_LICENSE, state, window_open=True)
    plain = {"refundable": None, "cancel_until": None, "schedule": ""}
    return replace(base, **(plain | more))  # type: ignore[arg-type]  # a test names what it changes


def kinds(subscription: Subscription) -> list[Kind]:
    return [deadline.kind for deadline in deadlines(subscription)]


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        (nce(), [Kind.RENEWAL]),
        (nce(schedule='{"quantity":3}'), []),
        (nce(auto_renew=False), [Kind.ENDING]),
        (nce(State.SUSPENDED, auto_renew=False), [Kind.SUSPENDED_END]),
        (nce(State.DELETED), []),
        (nce(State.EXPIRED), []),
        (nce(State.UNKNOWN), []),
        (nce(commitment_end=None), []),
        (nce(commitment_end=datetime(9999, 12, 10, tzinfo=UTC)), []),
        (example(Family.AZURE_PLAN, State.ACTIVE, window_open=True), []),
        (example(Family.RESERVATION, State.ACTIVE, window_open=True), []),
        (example(Family.TRIAL, State.ACTIVE, window_open=True), []),
        (example(Family.LEGACY_LICENSE, State.ACTIVE, window_open=False), [Kind.LEGACY]),
        (example(Family.LEGACY_LICENSE, State.SUSPENDED, window_open=False), [Kind.LEGACY]),
        (replace(example(Family.LEGACY_LICENSE, State.ACTIVE, window_open=False), commitment_end=None), [Kind.LEGACY]),
        (example(Family.LEGACY_LICENSE, State.DELETED, window_open=False), []),
    ],
)
def test_what_has_to_be_decided(subscription: Subscription, expected: list[Kind]) -> None:
    assert kinds(subscription) == expected


def test_each_batch_of_seats_has_its_own_deadline_beside_that_of_the_whole() -> None:
    closes = NOW + timedelta(days=2)
    batches = (SeatBatch(3, closes), SeatBatch(2, NOW + timedelta(days=5)))
    subscription = replace(nce(schedule="{}x"), cancel_until=closes, refundable=batches)
    assert kinds(subscription) == [Kind.CANCEL_WINDOW, Kind.SEAT_WINDOW]


def test_a_window_as_long_as_the_term_does_not_close() -> None:
    assert kinds(replace(nce(), cancel_until=END)) == [Kind.RENEWAL]


def test_what_comes_every_month_is_routine() -> None:
    monthly = replace(nce(term_duration="P1M"), cancel_until=NOW + timedelta(days=1))
    assert [deadline.routine for deadline in deadlines(monthly)] == [True, True]
    assert [deadline.routine for deadline in deadlines(replace(monthly, auto_renew=False))] == [False, False]


def test_the_next_moment_is_the_earliest_of_all_subscriptions_that_is_still_to_come() -> None:
    soon = replace(nce(), cancel_until=NOW + timedelta(days=2))
    past = replace(nce(), cancel_until=NOW - timedelta(days=2))
    assert next_due([nce(), soon, past], NOW) == NOW + timedelta(days=2, minutes=5)
    assert next_due([past], NOW) == END + timedelta(hours=1)
    assert next_due([], NOW) is None


@pytest.mark.parametrize(
    ("hours", "following"), [(0, 1), (1, 6), (7, 26), (26, 50), (50, None)], ids=["at once", "1 h", "7 h", "1 d", "2 d"]
)
def test_after_the_end_of_a_term_it_is_looked_at_several_times(hours: int, following: int | None) -> None:
    expected = END + timedelta(hours=following) if following else None
    assert next_due([nce()], END + timedelta(hours=hours)) == expected


@pytest.mark.parametrize(
    ("state", "days"), [(State.EXPIRED, 30), (State.DISABLED, 120), (State.DISABLED_AFTER_SUSPENSION, 120)]
)
def test_grace_periods_end_too(state: State, days: int) -> None:
    assert next_due([nce(state)], END) == END + timedelta(days=days, hours=1)


@pytest.mark.parametrize("state", list(State))
def test_dates_that_never_come_overflow_nothing(state: State) -> None:
    never = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    subscription = replace(nce(state), commitment_end=never, cancel_until=never)
    assert next_due([subscription], NOW) is None
    assert deadlines(subscription) == ()
