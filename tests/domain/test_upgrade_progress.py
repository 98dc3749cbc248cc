"""How far a transition has come, read from its events; and eligibility codes of every spelling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.migration import MIGRATION_REASONS
from shared.domain.reasons import Reason, Vocabulary
from shared.domain.upgrade import (
    DESTINATION_REASONS,
    TRANSITION_REASONS,
    UPGRADE_REASONS,
    Progress,
    Transition,
    TransitionEvent,
    TransitionResult,
)

START = datetime(2026, 5, 6, 18, 0, tzinfo=UTC)
SAID = Reason("user_license_error", "Two users kept their licence.", "ours")


def transition(*events: str, errors: tuple[Reason, ...] = (), timed: bool = True) -> Transition:
    """Events as "Name/Status", a minute apart; the errors belong to each failed one."""
    made = []
    for number, event in enumerate(events):
        name, _, status = event.partition("/")
        at = START + timedelta(minutes=number) if timed else None
        made.append(TransitionEvent(name, status, at, errors if status.lower() == "failed" else ()))
    return Transition("op", "P:S:A", 5, None, tuple(made))


@pytest.mark.parametrize(
    ("events", "progress"),
    [
        ((), Progress.STARTED),
        (("Conversion/Started",), Progress.STARTED),
        (("Conversion/Started", "Conversion/Completed"), Progress.COMPLETED),
        (("conversion/completed",), Progress.COMPLETED),
        (("Conversion/Started", "Conversion/Failed"), Progress.FAILED),
        (("Conversion/Failed", "Conversion/Completed"), Progress.FAILED),
        (("Conversion/Completed", "LicenseReassignment/Started"), Progress.STARTED),
        (("Conversion/Completed", "LicenseReassignment/Started", "LicenseReassignment/Completed"), Progress.COMPLETED),
        (
            ("Conversion/Completed", "LicenseReassignment/Started", "LicenseReassignment/Failed"),
            Progress.COMPLETED_WITH_WARNING,
        ),
        (("Conversion/Completed", "license_reassignment/failed"), Progress.COMPLETED_WITH_WARNING),
        (("LicenseReassignment/Failed",), Progress.STARTED),
        (("Conversion/Paused", "Audit/Completed"), Progress.STARTED),
    ],
)
@pytest.mark.parametrize("timed", [True, False])
def test_the_events_say_how_far_it_is(events: tuple[str, ...], progress: Progress, timed: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert transition(*events, timed=timed).outcome().progress is progress


def test_the_latest_licence_event_decides_in_any_order() -> None:
    tidy = transition("Conversion/Completed", "LicenseReassignment/Failed", "LicenseReassignment/Completed")
    untidy = Transition("op", "P:S:A", 5, None, tidy.events[::-1])
    assert untidy.outcome().progress is Progress.COMPLETED
    assert (untidy.started_at, transition().started_at) == (START, None)


def test_a_failure_and_a_warning_say_why() -> None:
    failed = transition("Conversion/Failed", errors=(SAID,))
    assert failed.outcome() == TransitionResult(Progress.FAILED, "Two users kept their licence.")
    warned = transition("Conversion/Completed", "LicenseReassignment/Failed", errors=(Reason("x", "", "ours"),))
    assert warned.outcome() == TransitionResult(Progress.COMPLETED_WITH_WARNING, "ours")
    assert transition("Conversion/Failed").outcome().text == "Microsoft could not carry the upgrade out."
    assert "by hand" in transition("Conversion/Completed", "LicenseReassignment/Failed").outcome().text


@pytest.mark.parametrize("code", ["3", " 3 ", "conflicting_service_types", "ConflictingServiceTypes"])
def test_a_code_of_any_spelling_is_one_word(code: str) -> None:
    reason = TRANSITION_REASONS.reason(code, "Microsoft's words")
    assert (reason.code, reason.text) == ("conflicting_service_types", "Microsoft's words")
    assert reason.sentence.endswith(".")


def test_an_unknown_code_is_passed_on() -> None:
    assert TRANSITION_REASONS.reason("99", "New rule") == Reason("99", "New rule", "New rule")
    assert TRANSITION_REASONS.reason("99", "").sentence == "Microsoft gives the code 99 as reason."
    assert TRANSITION_REASONS.reason("", "").sentence == "Microsoft gives the code none as reason."


@pytest.mark.parametrize(
    ("vocabulary", "numbers"),
    [
        (TRANSITION_REASONS, range(14)),
        (DESTINATION_REASONS, range(1, 5)),
        (UPGRADE_REASONS, range(12)),
        (MIGRATION_REASONS, range(13)),
    ],
)
def test_every_documented_number_has_a_word_and_a_sentence(vocabulary: Vocabulary, numbers: range) -> None:
    assert set(vocabulary.entries) == set(numbers)
    assert len({word for word, _ in vocabulary.entries.values()}) == len(numbers)
    assert all(sentence.endswith(".") for _, sentence in vocabulary.entries.values())


def test_the_same_number_means_different_things_in_different_lists() -> None:
    assert TRANSITION_REASONS.reason("11", "").code == "conversions_not_found"
    assert UPGRADE_REASONS.reason("11", "").code == "insufficient_granular_admin_permissions"
    assert MIGRATION_REASONS.reason("4", "").code == "subscription_add_ons_present"
