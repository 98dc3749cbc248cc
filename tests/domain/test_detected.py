"""Who or what changed a subscription, from two readings and an audit record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.detected import Cause, FieldChange, Why, differences, facts_of, why_changed
from shared.domain.listings import AuditRecord
from shared.domain.subscription import Family, State, Subscription
from tests.documents.generated import NOW, example

BEFORE = replace(example(Family.NCE_LICENSE, State.ACTIVE, window_open=False), schedule="")
ENDED = replace(BEFORE, commitment_end=NOW - timedelta(hours=5))
NEXT_END = NOW + timedelta(days=365)


def record(operation: str) -> AuditRecord:
    return AuditRecord("r-1", "c", "C", "s", "subscription", operation, "succeeded", NOW - timedelta(hours=1))


def after(before: Subscription, **more: Any) -> Subscription:
    return replace(before, **more)


@pytest.mark.parametrize(
    ("before", "now", "cause"),
    [
        (BEFORE, after(BEFORE, quantity=12), Cause.UNKNOWN),
        (BEFORE, after(BEFORE, state=State.DELETED), Cause.UNKNOWN),
        (BEFORE, after(BEFORE, product_key="q"), Cause.UPGRADE),
        (ENDED, after(ENDED, commitment_end=NEXT_END), Cause.RENEWAL),
        (ENDED, after(ENDED, commitment_end=NEXT_END, quantity=8), Cause.RENEWAL),
        (
            replace(ENDED, schedule='{"quantity":8}'),
            after(ENDED, commitment_end=NEXT_END, product_key="q"),
            Cause.SCHEDULE,
        ),
        (ENDED, after(ENDED, state=State.EXPIRED), Cause.MICROSOFT),
        (after(ENDED, state=State.SUSPENDED), after(ENDED, state=State.DISABLED), Cause.MICROSOFT),
        (after(ENDED, state=State.EXPIRED), after(ENDED, state=State.DISABLED), Cause.MICROSOFT),
        (after(BEFORE, state=State.DISABLED), after(BEFORE, state=State.DELETED), Cause.MICROSOFT),
        (BEFORE, after(BEFORE, commitment_end=NEXT_END), Cause.UNKNOWN),
        (None, BEFORE, Cause.UNKNOWN),
    ],
)
def test_the_cause_without_a_record(before: Subscription | None, now: Subscription, cause: Cause) -> None:
    assert why_changed(before, now, None, seen_at=NOW).cause is cause


def test_a_record_says_more_than_time_does() -> None:
    renewed = after(ENDED, commitment_end=NEXT_END)
    why = why_changed(ENDED, renewed, record("update_subscription"), seen_at=NOW)
    assert why == Why(Cause.PARTNER, NOW - timedelta(hours=1), "r-1")
    for operation in ("upgrade_subscription", "transition_subscription", "convert_trial_subscription"):
        assert why_changed(BEFORE, BEFORE, record(operation), seen_at=NOW).cause is Cause.UPGRADE


def test_another_product_than_the_ledger_knows_is_an_upgrade_though_the_last_reading_had_it_too() -> None:
    assert why_changed(BEFORE, BEFORE, None, seen_at=NOW, other_product=True).cause is Cause.UPGRADE
    renewed = why_changed(ENDED, after(ENDED, commitment_end=NEXT_END), None, seen_at=NOW, other_product=True)
    assert renewed.cause is Cause.RENEWAL


def test_a_renewal_is_dated_by_the_new_term() -> None:
    end = NOW.replace(hour=23, minute=59, second=59) - timedelta(days=1)
    before = replace(BEFORE, commitment_end=end)
    why = why_changed(before, after(before, commitment_end=NEXT_END), None, seen_at=NOW)
    assert why.at == end + timedelta(seconds=1)


def test_what_appears_was_bought_or_migrated() -> None:
    assert why_changed(None, BEFORE, None, seen_at=NOW, appeared=True) == Why(Cause.PURCHASE, BEFORE.creation_date)
    migrated = replace(BEFORE, migrated_from="legacy")
    assert why_changed(None, migrated, None, seen_at=NOW, appeared=True).cause is Cause.MIGRATION


def test_differences_name_each_fact() -> None:
    before = facts_of(BEFORE)
    changed = replace(before, friendly_name="New", auto_renew=not before.auto_renew)
    assert differences(before, changed) == (
        FieldChange("auto_renew", before.auto_renew, not before.auto_renew),
        FieldChange("friendly_name", "", "New"),
    )
    assert differences(before, before) == ()
