"""How the API refuses: a status with Autotask's body shapes."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refusal with its status and body (None: empty, str: HTML, else JSON)."""

    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


class RuleError(ApiError):
    """A broken rule: Autotask answers 500 with a list of sentences."""

    def __init__(self, *messages: str) -> None:
        super().__init__(500, {"errors": list(messages)})


def not_found() -> ApiError:
    """Return the refusal of a path that does not exist."""
    return ApiError(404, "<html><body><h2>404 - File or directory not found.</h2></body></html>")


def wrong_verb(method: str) -> ApiError:
    """Return the refusal of a verb that a path does not have."""
    return ApiError(405, {"Message": f"The requested resource does not support http method '{method}'."})


def no_such_reference(name: str) -> RuleError:
    """Return the refusal of an id that points to nothing."""
    return RuleError(f"Value does not reference an existing entity for {name} . ")
