"""Partner Center's answers as tables: error shapes, changes, reads."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.domain.errors import Denied, Misconfigured, NotFound, RetryLater, VendorError
from shared.domain.outcomes import Applied, Busy, ChangeOutcome, ChangeRefused, Unknown, Working
from shared.partner_center.answers import Fault, change_outcome, never_heals, parse_fault, read_failure, throttle_pause
from tests.adapters.conftest import NOW

RESOURCE = {"id": "S", "status": "active", "quantity": 3}


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (body(code=800090, description="Subscription quantity cannot be decreased.", data=[], source="PartnerFD"),
         Fault("800090", "Subscription quantity cannot be decreased.")),
        (body(code="2055", description="Etag is no longer valid"), Fault("2055", "Etag is no longer valid")),
        (body(code=800003.0), Fault("800003", "")),
        (body(statusCode=429, message="Rate limit is exceeded. Try again in 57 seconds."),
         Fault("", "Rate limit is exceeded. Try again in 57 seconds.")),
        (body(Message="The requested resource does not support http method 'GET'."),
         Fault("", "The requested resource does not support http method 'GET'.")),
        (body(error={"code": "Unauthorized", "message": "no"}), Fault("Unauthorized", "no")),
        (body(code=None, description=None), Fault("", "")),
        (b"", Fault("", "")),
        (b"<html><body>Bad Gateway</body></html>", Fault("", "")),
        (b"upstream timed out", Fault("", "upstream timed out")),
        (b"[1]", Fault("", "[1]")),
        (b"\xff\xfe", Fault("", "\ufffd\ufffd")),
    ],
)  # fmt: skip
def test_every_known_error_shape_is_read(content: bytes, expected: Fault) -> None:
    assert parse_fault(content) == expected


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (200, body(**RESOURCE), Applied(RESOURCE, NOW)),
        (200, b"", Unknown("success, but without a readable subscription")),
        (200, b"not json", Unknown("success, but without a readable subscription")),
        (200, b"[]", Unknown("success, but without a readable subscription")),
        (200, b"{}", Unknown("success, but without a readable subscription")),
        (202, b"", Working("/customers/c/subscriptions/s")),
        (400, body(code=2055, description="Etag"), ChangeRefused(400, "2055", "Etag")),
        (412, b"", ChangeRefused(412, "", "")),
        (417, body(code=800036), ChangeRefused(417, "800036", "")),
        (400, body(code="900117", description="passed"), ChangeRefused(400, "900117", "passed")),
        (403, body(code=900150, description="role"), ChangeRefused(403, "900150", "role")),
        (404, body(code=20003, description="none"), ChangeRefused(404, "20003", "none")),
        (409, body(code=27009, description="parent"), ChangeRefused(409, "27009", "parent")),
        (409, body(code=800060), Busy("800060", "", timedelta(minutes=2))),
        (409, body(code="800082"), Busy("800082", "", timedelta(minutes=2))),
        (409, body(code=800014), Busy("800014", "", timedelta(minutes=2))),
        (409, body(code=800064), Busy("800064", "", timedelta(minutes=5))),
        (409, body(code=900278), Busy("900278", "", timedelta(hours=24))),
        (409, b"", Busy("409", "", timedelta(minutes=2))),
        (429, body(statusCode=429, message="Try again in 57 seconds."),
         Busy("429", "Try again in 57 seconds.", timedelta(seconds=57))),
        (429, b"", Busy("429", "", timedelta(seconds=60))),
        (408, b"", Unknown("Partner Center answered with status 408")),
        (500, body(code=800094), Unknown("Partner Center answered with status 500, code 800094")),
        (502, b"<html>", Unknown("Partner Center answered with status 502")),
        (503, b"", Unknown("Partner Center answered with status 503")),
        (302, b"", Unknown("Partner Center answered with status 302")),
    ],
)  # fmt: skip
def test_the_answer_to_a_change(status: int, content: bytes, expected: ChangeOutcome) -> None:
    location = "/customers/c/subscriptions/s"
    assert change_outcome(status, content, observed_at=NOW, location=location) == expected


def test_the_header_decides_the_pause_before_the_text_does() -> None:
    outcome = change_outcome(
        429, body(message="Try again in 57 seconds."), observed_at=NOW, retry_after=timedelta(seconds=3)
    )
    assert isinstance(outcome, Busy)
    assert outcome.after == timedelta(seconds=3)
    assert throttle_pause(b"", None) == timedelta(seconds=60)


@pytest.mark.parametrize(
    ("status", "code", "what"),
    [
        (404, 20003, "subscription"),
        (404, 1000, "subscription"),
        (404, 60003, "customer"),
        (403, 20002, "customer"),
        (404, 20002, "customer"),
        (400, 900118, "customer"),
    ],
)
def test_what_is_not_found(status: int, code: int, what: str) -> None:
    failure = read_failure(status, body(code=code), customer="c", subscription="s")
    assert isinstance(failure, NotFound)
    assert (failure.what, failure.id) == (what, what[0])


def test_a_list_that_is_not_found_is_an_unknown_customer() -> None:
    failure = read_failure(404, b"", customer="c")
    assert isinstance(failure, NotFound)
    assert (failure.what, failure.id) == ("customer", "c")


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (401, b"", Misconfigured),
        (403, body(code=900150), Denied),
        (408, b"", RetryLater),
        (429, b"", RetryLater),
        (500, body(code=800003), RetryLater),
        (503, b"<html>", RetryLater),
        (400, body(code=3000), VendorError),
        (404, b"", VendorError),
        (301, b"", VendorError),
    ],
)
def test_a_failed_read(status: int, content: bytes, expected: type[Exception]) -> None:
    assert type(read_failure(status, content)) is expected


def test_a_successful_read_is_no_failure() -> None:
    assert read_failure(200, b"") is None


def test_some_401_are_never_healed_by_a_new_token() -> None:
    assert never_heals(body(code="900421"))
    assert never_heals(body(code=900420))
    assert not never_heals(b"")
