"""Fault rules: which request of a simulator fails, how, how often, and before or after its effect.

`control` creates and lists the rules, `gate` asks `match` once for every request and applies what it gets.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from local.simulation.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Mapping

BEHAVIOURS = ("timeout", "reset", "malformed", "slow")
_FIELDS = frozenset(
    {
        "method",
        "path",
        "when",
        "fault",
        "status",
        "body",
        "headers",
        "retryAfterSeconds",
        "delaySeconds",
        "times",
        "skip",
    }
)


@dataclass(slots=True)
class Fault:
    """One rule. `times` 0 means until deleted; `skip` lets that many matching requests pass first."""

    id: str
    kind: str
    path: re.Pattern[str]
    method: str | None = None
    when: Literal["before", "after"] = "before"
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 2.0
    times: int = 1
    skip: int = 0
    matched: int = 0
    fired: int = 0

    def fires_for(self, method: str, path: str) -> bool:
        """Count one request against the rule and tell whether it fails it."""
        if self.times and self.fired >= self.times:
            return False
        if self.method not in (None, method) or not self.path.search(path):
            return False
        self.matched += 1
        if self.matched <= self.skip:
            return False
        self.fired += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """Return the rule as the control path shows it, with how often it matched and fired."""
        return {
            "id": self.id,
            "method": self.method,
            "path": self.path.pattern,
            "when": self.when,
            "fault": self.kind,
            "status": self.status,
            "body": self.body,
            "headers": self.headers,
            "delaySeconds": self.delay_seconds,
            "times": self.times,
            "skip": self.skip,
            "matched": self.matched,
            "fired": self.fired,
        }


class Faults:
    """The rules in the order of their creation; the first one that fires decides."""

    def __init__(self) -> None:
        self._rules: dict[str, Fault] = {}
        self._ids = itertools.count(1)

    def add(self, wanted: Mapping[str, Any]) -> Fault:
        """Create a rule from the JSON of the control path.

        Raises:
            ControlError: a field is unknown or has a value that no rule can have.
        """
        fault = _parse(f"fault-{next(self._ids)}", wanted)
        self._rules[fault.id] = fault
        return fault

    def match(self, method: str, path: str) -> Fault | None:
        """Return the rule that fails this request, if any; counts the request against the rules asked."""
        for rule in self._rules.values():
            if rule.fires_for(method, path):
                return rule
        return None

    def all(self) -> list[Fault]:
        """Return every rule, used-up ones included."""
        return list(self._rules.values())

    def remove(self, fault_id: str) -> None:
        """Delete one rule.

        Raises:
            ControlError: there is no such rule.
        """
        if self._rules.pop(fault_id, None) is None:
            raise ControlError(f"there is no fault with the id {fault_id}")

    def clear(self) -> None:
        """Delete every rule."""
        self._rules.clear()


def _parse(fault_id: str, wanted: Mapping[str, Any]) -> Fault:
    unknown = sorted(set(wanted) - _FIELDS)
    if unknown:
        raise ControlError(f"unknown field {unknown[0]} in a fault; known are {', '.join(sorted(_FIELDS))}")
    kind = str(wanted.get("fault", ""))
    status = _status(kind, wanted.get("status"))
    when = wanted.get("when", "before")
    if when not in ("before", "after"):
        raise ControlError("when must be before or after")
    try:
        path = re.compile(str(wanted.get("path") or ""), re.IGNORECASE)
    except re.error as error:
        raise ControlError(f"path is not a regular expression: {error}") from error
    headers = wanted.get("headers") or {}
    if not isinstance(headers, dict):
        raise ControlError("headers must be an object")
    headers = {str(name): str(value) for name, value in headers.items()}
    if wanted.get("retryAfterSeconds") is not None:
        headers["Retry-After"] = f"{_number(wanted, 'retryAfterSeconds', 0):g}"
    method = wanted.get("method")
    return Fault(
        id=fault_id,
        kind=kind,
        path=path,
        method=str(method).upper() if method else None,
        when=when,
        status=status,
        body=wanted.get("body"),
        headers=headers,
        delay_seconds=_number(wanted, "delaySeconds", 2),
        times=int(_number(wanted, "times", 1)),
        skip=int(_number(wanted, "skip", 0)),
    )


def _status(kind: str, override: object) -> int | None:
    if override is not None:
        if not isinstance(override, int) or not 200 <= override <= 599:
            raise ControlError("status must be a number from 200 to 599")
        return override
    if kind.isdecimal() and 400 <= int(kind) <= 599:
        return int(kind)
    if kind in BEHAVIOURS:
        return None
    raise ControlError(f"fault must be one of {', '.join(BEHAVIOURS)} or a status from 400 to 599")


def _number(wanted: Mapping[str, Any], name: str, default: float) -> float:
    value = wanted.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ControlError(f"{name} must be a number, 0 or more")
    return value
