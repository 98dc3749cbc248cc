"""A check of schemathesis: what the document allows is understood.

It may be refused by a rule that no schema says (there is no such contract, the key was used before), but never as
unreadable or of a wrong shape.
"""

from __future__ import annotations

from typing import Any

import schemathesis

# Codes of requests that were not understood
SHAPELESS = frozenset(
    {"not_json", "not_an_object", "invalid_body", "parameter_invalid", "page_size_invalid", "days_invalid"}
)
_RULES = ("Value error", "is the same as")  # what comes before a sentence of our own, about several members together


class NotUnderstood(AssertionError):
    """A request that the document allows was refused for its shape."""


@schemathesis.check
def understood(ctx: Any, response: Any, case: Any) -> None:
    """Raise NotUnderstood where a request as documented was refused for its shape."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in {400, 422}:
        return
    problem = response.json()
    errors = problem.get("errors", [])
    if problem["code"] in SHAPELESS and not any(error["message"].startswith(_RULES) for error in errors):
        raise NotUnderstood(f"{case.method} {case.path}: {problem['code']} {errors}")


@schemathesis.hook
def filter_query(context: Any, query: dict[str, Any]) -> bool:
    """No empty parameters: the host gives the app none of them, so that they count as left out."""
    return all(value not in ("", [""]) for value in (query or {}).values())
