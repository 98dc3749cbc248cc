"""How the simulator says no: an OAuth error with its AADSTS number, as a JSON body or as the query of a redirect."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


class GrantRefusedError(Exception):
    """The directory says no: HTTP status, OAuth error, AADSTS number and its sentence."""

    def __init__(self, status: int, error: str, number: int, sentence: str, suberror: str | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.error = error
        self.number = number
        self.sentence = sentence
        self.suberror = suberror

    def body(self, moment: datetime) -> dict[str, Any]:
        """The JSON body of the refusal."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        stamp = moment.strftime("%Y-%m-%d %H:%M:%SZ")
        told = f"AADSTS{self.number}: {self.sentence}"
        return {
            "error": self.error,
            "error_description": f"{told} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
            "error_codes": [self.number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
            **({"suberror": self.suberror} if self.suberror else {}),
        }
