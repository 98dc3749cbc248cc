"""What reached a simulator: the newest requests with their answers' status, for tests and for the guided tour.

`gate` writes it, `control` reads it. Bodies are kept as bytes and parsed only when somebody looks.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.simulation.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Iterable

CAPACITY = 10_000
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "secret", "apiintegrationcode"})


@dataclass(slots=True)
class LoggedRequest:
    """One request; `status` stays None where no answer was sent."""

    number: int
    at: datetime
    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    status: int | None = None
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the request as the control path shows it: secrets redacted, a JSON body parsed."""
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": {
                (name := raw.decode("latin-1").lower()): "(redacted)"
                if name in SECRET_HEADERS
                else value.decode("latin-1")
                for raw, value in self.headers
            },
            "body": _readable(self.body),
            "status": self.status,
            "fault": self.fault,
        }


class RequestsLog:
    """The newest requests, oldest first; numbers go on across `clear`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._entries: deque[LoggedRequest] = deque(maxlen=capacity)
        self._number = 0

    @property
    def total(self) -> int:
        """How many requests were ever recorded, those forgotten or cleared included."""
        return self._number

    def record(
        self, at: datetime, method: str, path: str, query: str, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> LoggedRequest:
        """Add a request that just arrived; the caller fills in status and fault later."""
        self._number += 1
        entry = LoggedRequest(self._number, at, method, path, query, list(headers), body)
        self._entries.append(entry)
        return entry

    def find(self, method: str | None = None, path: str | None = None) -> list[LoggedRequest]:
        """Return requests of a method (None: any) whose path contains a match of the pattern, case ignored.

        Raises:
            ControlError: `path` is not a regular expression.
        """
        try:
            pattern = re.compile(path or "", re.IGNORECASE)
        except re.error as error:
            raise ControlError(f"path is not a regular expression: {error}") from error
        wanted = method.upper() if method else None
        return [entry for entry in self._entries if wanted in (None, entry.method) and pattern.search(entry.path)]

    def clear(self) -> None:
        """Forget every request."""
        self._entries.clear()


def _readable(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
