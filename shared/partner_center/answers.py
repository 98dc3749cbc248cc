"""What an answer of Partner Center means, from status, headers and body alone; pure, used by the client.

Codes and reactions: Partner Center reference 4.4 and 14. The parser takes every error shape that has been seen: code
as number or string, the throttling body, the ASP.NET form, an empty body, a gateway's HTML page.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.domain.errors import CspError, Denied, Misconfigured, NotFound, RetryLater, VendorError
from shared.domain.outcomes import Applied, Busy, ChangeOutcome, ChangeRefused, Unknown, Working
from shared.domain.vendor_codes import Category, Explanation, explain

THROTTLED_DEFAULT = timedelta(seconds=60)
PENDING = timedelta(minutes=2)

# Conflicts that pass by themselves, and when; any other conflict without a code of its own does so too (renewal).
_BUSY_AFTER = {
    "800014": PENDING,
    "800060": PENDING,
    "800064": timedelta(minutes=5),
    "800082": PENDING,
    "900278": timedelta(hours=24),
}
_NOT_READY = {"900261"}  # a refusal by its status, but the target of the transition only needs time
_NEVER_HEALS = {"900420", "900421"}  # token audience not supported; MFA claim missing
_TEXT_KEPT = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """Code and text of an error body; both empty where it says nothing."""

    code: str
    text: str


def parse_fault(body: bytes) -> Fault:
    """The fault in an error body of any known shape; never raises."""
    text = body.decode("utf-8", "replace").strip()
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return Fault("", "" if text.startswith("<") else text[:_TEXT_KEPT])
    if not isinstance(parsed, dict):
        return Fault("", text[:_TEXT_KEPT])
    fields = _lower_keys(parsed)
    inner = fields.get("error")
    if isinstance(inner, dict):
        fields |= _lower_keys(inner)
    code = fields.get("code", fields.get("errorcode"))
    words = next((fields[key] for key in ("description", "message", "error_description") if fields.get(key)), "")
    return Fault(_code(code), str(words).strip()[:_TEXT_KEPT])


def _lower_keys(fields: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in fields.items()}


def _code(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def throttle_pause(body: bytes, retry_after: timedelta | None) -> timedelta:
    """How long to wait after a 429: the header, else the number in the text, else a minute (reference 4.4)."""
    if retry_after is not None:
        return retry_after
    named = re.search(r"try again in (\d{1,6}) second", parse_fault(body).text, re.IGNORECASE)
    return timedelta(seconds=int(named[1])) if named else THROTTLED_DEFAULT


def never_heals(body: bytes) -> bool:
    """Whether a 401 is a fault of the registration, so that a new token changes nothing."""
    return parse_fault(body).code in _NEVER_HEALS


def change_outcome(
    status: int, body: bytes, *, observed_at: datetime, location: str = "", retry_after: timedelta | None = None
) -> ChangeOutcome:
    """What the answer to a PATCH of a subscription means (401 excepted: the client refreshes its token first).

    Anything that does not clearly say done, working, busy or refused is `Unknown`.
    """
    if status == 202:
        return Working(location)
    if 200 <= status < 300:
        raw = _resource(body)
        return Unknown("success, but without a readable subscription") if raw is None else Applied(raw, observed_at)
    return not_done(status, body, retry_after=retry_after)


def not_done(status: int, body: bytes, *, retry_after: timedelta | None = None) -> ChangeRefused | Busy | Unknown:
    """What the answer to any write means that is not a success."""
    fault = parse_fault(body)
    named = f"status {status}" + (f", code {fault.code}" if fault.code else "")
    if status == 429:
        return Busy(fault.code or "429", fault.text, throttle_pause(body, retry_after))
    if status == 409 and (fault.code in _BUSY_AFTER or not fault.code):
        return Busy(fault.code or "409", fault.text, retry_after or _BUSY_AFTER.get(fault.code, PENDING))
    if fault.code in _NOT_READY and 400 <= status < 500:
        return Busy(fault.code, fault.text, retry_after or PENDING)
    if status == 408 or not 400 <= status < 500:
        return Unknown(f"Partner Center answered with {named}")
    return ChangeRefused(status, fault.code, fault.text)


def ruled_out(status: int, body: bytes) -> Explanation | None:
    """Why Partner Center refuses a read because of what was asked for, not because of who asks; None for any other.

    Only codes that are known to mean that: a legacy subscription where it wants new commerce, a state that forbids it.
    """
    fault = parse_fault(body)
    why = explain(status, fault.code, fault.text)
    return why if 400 <= status < 500 and why.known and why.category is not Category.MISCONFIGURED else None


def json_of(body: bytes) -> Any:
    """The JSON in a body, None where there is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _resource(body: bytes) -> dict[str, Any] | None:
    parsed = json_of(body)
    return parsed if isinstance(parsed, dict) and isinstance(parsed.get("id"), str) and "status" in parsed else None


def read_failure(
    status: int, body: bytes, *, customer: str = "", subscription: str = "", retry_after: timedelta | None = None
) -> CspError | None:
    """The error that an answer to a GET means, None for success; customer and subscription name what was asked for."""
    if 200 <= status < 300:
        return None
    fault = parse_fault(body)
    if status == 429:
        return RetryLater("Partner Center is throttling", throttle_pause(body, retry_after))
    if status == 408 or status >= 500:
        return RetryLater(f"Partner Center answered with status {status}", retry_after)
    if customer and (missing := _missing(status, fault.code, customer, subscription)):
        return missing
    if status in (401, 403):
        reason = f"Partner Center refuses access, status {status}, code {fault.code or 'none'}: {fault.text}"
        reason = reason.rstrip(": ")
        return Denied(reason) if status == 403 else Misconfigured(reason)
    return VendorError(status, f"{fault.code} {fault.text}".strip())


def _missing(status: int, code: str, customer: str, subscription: str) -> NotFound | None:
    """No relationship with the customer, a tenant that does not exist, an invalid id; or the subscription."""
    if (status, code) in {(403, "20002"), (404, "20002"), (404, "60003"), (400, "900118")}:
        return NotFound("customer", customer)
    if status == 404:
        return NotFound("subscription", subscription) if subscription else NotFound("customer", customer)
    return None
