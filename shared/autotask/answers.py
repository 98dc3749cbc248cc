"""What an answer of Autotask means, from status and body alone; pure, used by the client.

Autotask reports its business rules as HTTP 500 with `{"errors": [...]}`, throttling sometimes without 429, and the
success of an adjustment as `{"itemId": null}` (Autotask reference 0, 5.1, 5.2).
"""

from __future__ import annotations

import json
from datetime import timedelta

from shared.domain.errors import CspError, Misconfigured, RetryLater, VendorError
from shared.domain.outcomes import (
    Accepted,
    AdjustmentRefused,
    AdjustOutcome,
    AdjustUnknown,
    RefusalKind,
    Unsent,
)

THROTTLED_DEFAULT = timedelta(seconds=60)
_TEXT_KEPT = 500


def errors_of(body: bytes) -> tuple[str, ...]:
    """The messages of an error body, as strings or as objects with a message; empty for any other body."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(parsed, dict):
        return ()
    items = next((value for key, value in parsed.items() if key.lower() == "errors"), None)
    return tuple(_message(item)[:_TEXT_KEPT] for item in items) if isinstance(items, list) else ()


def _message(item: object) -> str:
    if isinstance(item, dict):
        return str(next((value for key, value in item.items() if key.lower() == "message"), item))
    return str(item)


def is_throttled(status: int, body: bytes) -> bool:
    """Whether Autotask refuses for its request or thread limits; the thread limit comes with any status.

    In a success only its errors are looked at: what a row says is no message.
    """
    if status == 429:
        return True
    text = body[:4096].decode("utf-8", "replace") if status >= 400 else " ".join(errors_of(body))
    return any(words in text.lower() for words in ("itgenatr005", "thread threshold"))


def adjust_outcome(status: int, body: bytes, retry_after: timedelta | None = None) -> AdjustOutcome:
    """What the answer to the POST of an adjustment means.

    Only a 2xx with a JSON object is success, only an explicit error is a refusal. Whether a throttled request was
    executed is documented nowhere, so it counts as unknown, like every other answer.
    """
    if is_throttled(status, body):
        return AdjustUnknown(f"Autotask is throttling, status {status}", retry_after or THROTTLED_DEFAULT)
    if 200 <= status < 300:
        return Accepted() if _is_object(body) else AdjustUnknown("success, but without a readable body", retry_after)
    if status == 401:
        return Unsent("Autotask does not accept the credentials (401)")
    errors = errors_of(body)
    if (status == 500 and errors) or (400 <= status < 500 and status != 408):
        return AdjustmentRefused(status, errors or (f"status {status}",), refusal_kind(errors))
    return AdjustUnknown(f"Autotask answered with status {status}", retry_after)


def refusal_kind(errors: tuple[str, ...]) -> RefusalKind:
    """Which rule about dates or bundles a refusal names (messages: Autotask reference 5.1, 8.7)."""
    text = " ".join(errors).lower()
    if "contract_service_period" in text:
        return "duplicate"
    if "posted" in text:
        return "posted"
    if "between the start date and end date" in text:
        return "window"
    return "bundle" if "bundle" in text else "other"


def read_failure(status: int, body: bytes, retry_after: timedelta | None = None) -> CspError | None:
    """The error that an answer to a read means, None for success."""
    if is_throttled(status, body):
        return RetryLater("Autotask is throttling", retry_after or THROTTLED_DEFAULT)
    if 200 <= status < 300:
        return None
    if status == 401:
        return Misconfigured("Autotask does not accept the credentials (401)")
    errors = errors_of(body)
    if not is_permanent(status, body) and (status >= 500 or status == 408):
        return RetryLater(f"Autotask answered with status {status}", retry_after)
    return VendorError(status, "; ".join(errors) or "no error text")


def is_permanent(status: int, body: bytes) -> bool:
    """Whether a 500 is a rule or a faulty request, which no repetition changes."""
    return status == 500 and bool(errors_of(body)) and not is_throttled(status, body)


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
