"""Autotask's answers as tables: adjustments, kinds of refusal, reads."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.autotask.answers import adjust_outcome, errors_of, read_failure, refusal_kind
from shared.domain.errors import Misconfigured, RetryLater, VendorError
from shared.domain.outcomes import Accepted, AdjustmentRefused, AdjustOutcome, AdjustUnknown, Unsent

MINUTE = timedelta(seconds=60)
WINDOW = (
    "ContractServiceAdjustment effectiveDate must be between the start date and end date of the Contract "
    "referenced by contractID."
)
DUPLICATE = "Attempt to insert duplicate data into contract_service_period"
POSTED = (
    "Unable to make changes as it would result in the deletion/modification of an already approved and posted "
    "contract period"
)
THREADS = "Itgenatr005: The thread threshold for this object endpoint has been exceeded."


def errors(*messages: object) -> bytes:
    return json.dumps({"errors": messages}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"itemId": null}', Accepted()),
        (200, b'{"itemId": 5}', Accepted()),
        (201, b"{}", Accepted()),
        (200, b"not json", AdjustUnknown("success, but without a readable body")),
        (200, b"", AdjustUnknown("success, but without a readable body")),
        (200, b"[]", AdjustUnknown("success, but without a readable body")),
        (500, errors(DUPLICATE), AdjustmentRefused(500, (DUPLICATE,), "duplicate")),
        (500, errors(WINDOW), AdjustmentRefused(500, (WINDOW,), "window")),
        (500, errors(POSTED), AdjustmentRefused(500, (POSTED,), "posted")),
        (500, errors("a", {"message": "b", "field": "c"}), AdjustmentRefused(500, ("a", "b"), "other")),
        (404, b"<html>", AdjustmentRefused(404, ("status 404",), "other")),
        (405, b'{"Message": "no"}', AdjustmentRefused(405, ("status 405",), "other")),
        (409, errors("conflict"), AdjustmentRefused(409, ("conflict",), "other")),
        (401, b"", Unsent("Autotask does not accept the credentials (401)")),
        (429, errors("slow down"), AdjustUnknown("Autotask is throttling, status 429", MINUTE)),
        (500, errors(THREADS), AdjustUnknown("Autotask is throttling, status 500", MINUTE)),
        (409, errors(THREADS), AdjustUnknown("Autotask is throttling, status 409", MINUTE)),
        (401, errors(THREADS), AdjustUnknown("Autotask is throttling, status 401", MINUTE)),
        (200, errors(THREADS), AdjustUnknown("Autotask is throttling, status 200", MINUTE)),
        (200, b'{"itemId": null, "note": "thread threshold"}', Accepted()),
        (408, b"", AdjustUnknown("Autotask answered with status 408")),
        (500, b"", AdjustUnknown("Autotask answered with status 500")),
        (500, errors(), AdjustUnknown("Autotask answered with status 500")),
        (502, b"<html>", AdjustUnknown("Autotask answered with status 502")),
        (503, b"", AdjustUnknown("Autotask answered with status 503")),
        (503, errors("Service unavailable"), AdjustUnknown("Autotask answered with status 503")),
        (302, b"", AdjustUnknown("Autotask answered with status 302")),
    ],
)
def test_the_answer_to_an_adjustment(status: int, body: bytes, expected: AdjustOutcome) -> None:
    assert adjust_outcome(status, body) == expected


def test_the_wait_that_autotask_asks_for_is_told() -> None:
    pause = timedelta(seconds=7)
    assert adjust_outcome(429, b"", pause) == AdjustUnknown("Autotask is throttling, status 429", pause)
    assert adjust_outcome(503, b"", pause) == AdjustUnknown("Autotask answered with status 503", pause)


@pytest.mark.parametrize(
    ("messages", "kind"),
    [
        ((DUPLICATE,), "duplicate"),
        ((POSTED,), "posted"),
        ((WINDOW,), "window"),
        (("It is part of a ContractServiceBundle.",), "bundle"),
        (("x",), "other"),
        ((), "other"),
    ],
)
def test_kinds_of_refusal(messages: tuple[str, ...], kind: str) -> None:
    assert refusal_kind(messages) == kind


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"{}", None),
        (429, b"", RetryLater),
        (500, errors(THREADS), RetryLater),
        (500, b"", RetryLater),
        (503, errors("x"), RetryLater),
        (408, b"", RetryLater),
        (401, b"", Misconfigured),
        (500, errors("Unable to find projectID in the TimeEntry Entity"), VendorError),
        (404, b"<html>", VendorError),
        (405, b'{"Message": "no"}', VendorError),
    ],
)
def test_a_failed_read(status: int, body: bytes, expected: type[Exception] | None) -> None:
    failure = read_failure(status, body)
    assert (None if failure is None else type(failure)) is expected


def test_a_throttled_read_says_when_to_come_back() -> None:
    failure = read_failure(429, b"")
    assert isinstance(failure, RetryLater)
    assert failure.after == MINUTE


def test_a_rule_is_told_in_autotasks_own_words() -> None:
    failure = read_failure(500, errors("one", "two"))
    assert isinstance(failure, VendorError)
    assert failure.text == "one; two"


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b'{"errors": "text"}', b'{"Message": "x"}'])
def test_bodies_without_an_errors_array(body: bytes) -> None:
    assert errors_of(body) == ()
