"""Errors as RFC 9457 problem documents: one table from the class of an error to a status and a title.

`type` is `urn:csp-functions:problem:{code}` and stable. Nothing of a stack trace or a secret is ever shown.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from shared.domain.errors import (
    Conflict,
    CspError,
    Malformed,
    Misconfigured,
    NotFound,
    NotSigned,
    OutcomeUnknown,
    Refused,
    RetryLater,
)
from shared.identity import Forbidden, Unauthenticated
from shared.rate_limit import TooManyRequests
from shared.storage.store import TooLarge, WriteConflict

MEDIA_TYPE = "application/problem+json"
_DEFAULT_WAIT = timedelta(seconds=30)
_NAMED = 20  # fields in a sentence; the list has them all


class BadRequest(CspError):
    """The request itself is wrong: a stable code, a sentence, and the field where there is one."""

    def __init__(self, code: str, sentence: str, *, name: str = "", status: int = 400) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.name = name
        self.status = status


class InvalidBody(CspError):
    """Fields of the body are wrong: each with its name and what is wrong with it."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("the body is wrong")
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document to be."""

    status: int
    code: str
    detail: str
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self, instance: str, trace: str) -> dict[str, Any]:
        """The body."""
        return {
            "type": f"urn:csp-functions:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "instance": instance,
            "traceId": trace,
            **{name: plain(value) for name, value in self.more.items() if value not in (None, (), [])},
        }


def plain(value: Any) -> Any:
    """A value as JSON takes it; dataclasses become objects."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"  # money is text: a JSON number is a float to most readers
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def camel(document: Any) -> Any:
    """A JSON document with its member names in camelCase."""
    if isinstance(document, dict):
        return {to_camel(str(name)): camel(value) for name, value in document.items()}
    return [camel(item) for item in document] if isinstance(document, list) else document


def retry_after(wait: timedelta | None) -> dict[str, str]:
    """The Retry-After header in whole seconds."""
    return {"Retry-After": str(max(1, math.ceil((wait or _DEFAULT_WAIT).total_seconds())))}


def problem_of(error: Exception) -> Problem:  # noqa: C901, PLR0911, PLR0912 - a table of classes reads best as one
    """The problem that an error stands for."""
    match error:
        case BadRequest():
            named = [{"field": error.name, "message": error.sentence}] if error.name else []
            return Problem(error.status, error.code, error.sentence, {"errors": named})
        case ValidationError():
            return _invalid(wrong_fields(error))
        case InvalidBody():
            return _invalid(error.errors)
        case NotSigned():
            return Problem(401, "not_signed", f"This is not a webhook of Partner Center: {error}.")
        case Unauthenticated():
            return Problem(401, "unauthenticated", str(error), headers={"WWW-Authenticate": "Bearer"})
        case Forbidden():
            return Problem(403, error.code, str(error))
        case TooManyRequests():
            return Problem(429, "too_many_requests", str(error), headers=retry_after(error.after))
        case Refused():
            details = dict(error.details)
            status = int(str(details.pop("status", 409)))
            return Problem(status if 400 <= status < 500 else 409, error.code, error.sentence, details)
        case NotFound():
            sentence = f"The {error.what} {error.id} is not known to Partner Center or Autotask."
            return Problem(404, f"{error.what}_not_found", sentence)
        case Conflict() | WriteConflict():
            return Problem(409, "changed_meanwhile", "It changed at the same moment; look again.")
        case RetryLater():
            return Problem(503, "unavailable", error.reason, headers=retry_after(error.after))
        case OutcomeUnknown():
            return Problem(503, "outcome_unknown", error.reason, headers=retry_after(None))
        case Misconfigured():
            sentence = "The application needs a person to correct its settings or permissions."
            return Problem(503, "misconfigured", sentence, {"reason": error.reason}, retry_after(timedelta(minutes=5)))
        case Malformed():
            return Problem(502, "vendor_answer_unreadable", str(error))
        case TooLarge():
            return Problem(422, "too_large", str(error))
        case _:
            return Problem(500, "internal_error", "Something went wrong on our side; the log has the trace id.")


def wrong_fields(error: ValidationError, inside: str = "") -> list[dict[str, str]]:
    """Every field that is wrong by its name, such as `items[3].quantity`, with what is wrong; `inside` an object."""
    return [
        {"field": _name(inside, item["loc"]), "message": item["msg"]}
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _name(inside: str, parts: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return f"{inside}{path}".lstrip(".") or "body"


def _invalid(errors: list[dict[str, str]]) -> Problem:
    """422, since the JSON itself could be read."""
    names = ", ".join(item["field"] for item in errors[:_NAMED])
    more = f" and {len(errors) - _NAMED} more" if len(errors) > _NAMED else ""
    return Problem(422, "invalid_body", f"The body is wrong in: {names}{more}.", {"errors": errors})
