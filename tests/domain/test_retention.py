"""What of a history may go: never what is open, dead, referred to, or says how the present bill came about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.known import Intention, Known
from shared.domain.operation import Address, Death, Kind, Leg, LegStatus, Operation, PartnerLeg, PartnerStatus
from shared.domain.retention import UNDOABLE, Keep, Needed, may_go, months_before, too_young
from shared.domain.timeline import FreeFrom, RateStep, Target

CUSTOMER, SUBSCRIPTION = "c0000000-0000-4000-8000-000000000001", "50000001-0000-4000-8000-000000000001"
BEFORE = datetime(2026, 3, 10, tzinfo=UTC)
OLD = datetime(2025, 1, 1, tzinfo=UTC)
NOTHING = Needed(since=1000)
LINE = 32001001


def operation(
    sequence: int,
    status: LegStatus | None = None,
    *,
    at: datetime = OLD,
    partner: PartnerStatus = PartnerStatus.APPLIED,
    day: date | None = None,
) -> Operation:
    day = day or at.date()
    legs = () if status is None else (Leg(LINE, 1, Target(12, day, day), status, settled_at=at),)
    known = Known("active", 10)
    return Operation(
        address=Address(CUSTOMER, SUBSCRIPTION, sequence),
        kind=Kind.CHANGE_QUANTITY,
        intention=Intention(quantity=12),
        before=known,
        after=replace(known, quantity=12),
        requested_at=at,
        requested_by="portal",
        business_date=at.date(),
        partner_center=PartnerLeg(partner, "request"),
        legs=legs,
        death=Death(at, "notice", 1) if status is LegStatus.DEAD else None,
    )


def gone(*operations: Operation, needed: Needed = NOTHING) -> list[int]:
    return sorted(found.address.sequence for found in may_go(operations, needed, BEFORE))


@pytest.mark.parametrize("status", [LegStatus.SYNCED, LegStatus.DISMISSED, LegStatus.NOT_NEEDED, None])
def test_what_is_over_and_old_may_go(status: LegStatus | None) -> None:
    assert gone(operation(1, status)) == [1]


@pytest.mark.parametrize("status", [LegStatus.OPEN, LegStatus.WAITING, LegStatus.DEAD, LegStatus.REVIEW])
def test_what_is_open_dead_or_in_review_stays_whatever_its_age(status: LegStatus) -> None:
    assert not gone(operation(1, status))


@pytest.mark.parametrize("status", [PartnerStatus.PENDING, PartnerStatus.UNKNOWN, PartnerStatus.WORKING])
def test_what_is_open_at_microsoft_stays_whatever_its_age(status: PartnerStatus) -> None:
    assert not gone(operation(1, partner=status))


def test_what_was_settled_lately_stays_however_long_ago_it_was_asked_for() -> None:
    old = operation(1, LegStatus.DISMISSED)
    leg = replace(old.legs[0], settled_at=BEFORE)
    assert not gone(replace(old, legs=(leg,)))


def test_what_takes_effect_later_stays_however_long_ago_it_was_asked_for() -> None:
    assert not gone(operation(1, LegStatus.SYNCED, day=BEFORE.date()))
    day = OLD.date()
    for later in (
        Target(None, day, day, price=(RateStep(BEFORE.date(), None),)),
        Target(None, day, day, cost=(RateStep(BEFORE.date(), None),)),
        Target(None, day, day, free=FreeFrom(BEFORE.date(), free=True)),
    ):
        synced = operation(1, LegStatus.SYNCED)
        assert not gone(replace(synced, legs=(replace(synced.legs[0], target=later),)))


def test_what_something_refers_to_stays() -> None:
    history = [operation(number) for number in range(1, 8)]
    assert gone(*history, needed=Needed(since=6, numbers=frozenset({2, 3}))) == [1, 4, 5]


def test_the_last_operations_that_a_mapped_line_was_billed_by_stay() -> None:
    history = [operation(number, LegStatus.SYNCED) for number in range(1, 6)]
    history.append(operation(6))
    mapped = Needed(since=1000, lines=frozenset({LINE}))
    assert gone(*history, needed=mapped) == [1, 2, 3, 6]
    assert UNDOABLE == 2
    assert gone(*history) == [1, 2, 3, 4, 5, 6]


def test_what_was_followed_by_something_that_stays_stays_too() -> None:
    leader = replace(operation(1), followed_by=2)
    follower = replace(operation(2, LegStatus.DEAD), follows=1)
    assert not gone(leader, follower)
    assert [found.address.sequence for found in may_go([leader, operation(2)], NOTHING, BEFORE)] == [2, 1]
    assert gone(leader) == [1]


def test_a_month_before_has_the_same_day_or_its_last_one() -> None:
    assert months_before(datetime(2026, 3, 31, 9, tzinfo=UTC), 1) == datetime(2026, 2, 28, 9, tzinfo=UTC)
    assert months_before(datetime(2026, 1, 15, tzinfo=UTC), 24) == datetime(2024, 1, 15, tzinfo=UTC)
    assert months_before(datetime(2026, 1, 15, tzinfo=UTC), 13) == datetime(2024, 12, 15, tzinfo=UTC)


def test_history_is_kept_for_ever_with_0_months_and_as_long_as_a_key_can_name_it() -> None:
    now, month = datetime(2026, 3, 10, tzinfo=UTC), timedelta(days=30)
    assert Keep(months=0).history_before(now, month) is None
    assert Keep(months=1).history_before(now, 10 * month) == now - 10 * month
    assert Keep(records=timedelta(days=1)).records_before(now, month) == now - month


STATUSES = st.sampled_from([None, *(status for status in LegStatus if status is not LegStatus.HELD)])
MOMENTS = st.integers(-600, 300).map(lambda days: BEFORE + timedelta(days=days))


@given(
    drawn=st.lists(st.tuples(STATUSES, MOMENTS, st.booleans()), max_size=12),
    since=st.integers(0, 14),
    numbers=st.frozensets(st.integers(1, 12), max_size=4),
    lines=st.sampled_from([frozenset({LINE}), frozenset()]),
)
def test_whatever_the_history_nothing_goes_that_is_needed_and_a_second_look_finds_the_same(
    drawn: list[tuple[LegStatus | None, datetime, bool]], since: int, numbers: frozenset[int], lines: frozenset[int]
) -> None:
    history = [
        replace(operation(number, status, at=at), followed_by=number + 1 if followed else None)
        for number, (status, at, followed) in enumerate(drawn, start=1)
    ]
    needed = Needed(since, numbers, lines)
    found = may_go(history, needed, BEFORE)
    left = [one for one in history if one not in found]
    here = {one.address.sequence for one in left}
    for one in found:
        assert one.at_rest
        assert not one.dead
        assert not one.in_review
        assert not too_young(one, BEFORE)
        assert one.address.sequence < since
        assert one.address.sequence not in numbers
        assert one.followed_by not in here or one.followed_by is None
    if lines:
        synced = [one for one in history if one.legs and one.legs[0].status is LegStatus.SYNCED]
        assert set(synced[-UNDOABLE:]) <= set(left)
    assert not may_go(left, needed, BEFORE)
