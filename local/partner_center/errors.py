"""The errors of the Partner Center API: HTTP status, code, sentence.

`local.partner_center.api` turns them into answers.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refusal with its code; the code is written as a number or as a string, by switch."""

    def __init__(self, status: int, code: int, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code
        self.description = description

    def body(self, *, code_as_text: bool) -> dict[str, Any]:
        """The documented error shape."""
        code = str(self.code) if code_as_text else self.code
        return {"code": code, "description": self.description, "data": [], "source": "PartnerFD"}


class ThrottledError(Exception):
    """Too many requests in this minute; answered with 429, `Retry-After` and a body unlike all other errors."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Rate limit is exceeded. Try again in {seconds} seconds.")
        self.seconds = seconds


class UnauthorizedError(Exception):
    """No token, or one that does not verify: 401 with an empty body."""


def gateway_fault_body(status: int) -> Any:
    """What an injected fault without a body of its own says: the shapes that a real outage shows."""
    if status == 429:
        return {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 57 seconds."}
    if status in (502, 503, 504):
        return f"<html><head><title>{status}</title></head><body><h1>{status} Gateway error</h1></body></html>"
    if status == 401:
        return ""
    return ApiError(status, 800003, "An unexpected error occurred in a service.").body(code_as_text=False)
