"""What a route says of itself next to its decorator: what it takes, what it answers, and what it refuses (ADR 0046).

The OpenAPI document is made of this and of the routes; nothing here decides anything while a request is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from shared.identity import Role

F = TypeVar("F", bound=Callable[..., Any])

_DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class Declared:
    """A route's declaration.

    `answers` are the types of the JSON documents by status, None for an answer without one; a single type is that of
    200. `texts` are the media types that 200 may have instead of JSON, `headers` what an answer may carry. `keyed`: it
    needs an Idempotency-Key, and answers with the place of the operation. `refuses` are the codes of problems beyond
    those that every route of its kind may answer with. A `body` that is no model is a text of this media type.
    """

    answers: Any = None
    body: type[BaseModel] | str | None = None
    query: type[BaseModel] | None = None
    keyed: bool = False
    refuses: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    role: Role | None = field(default=None)

    @property
    def by_status(self) -> Mapping[int, Any]:
        """The type of the answer for each status."""
        if isinstance(self.answers, Mapping):
            return self.answers
        return {} if self.answers is None else {200: self.answers}


def declares(declared: Declared) -> Callable[[F], F]:
    """Attach a declaration to a function."""

    def attach(function: F) -> F:
        setattr(function, _DECLARED, declared)
        return function

    return attach


def declared_by(function: Callable[..., Any]) -> Declared | None:
    """The declaration of a function, if it has one."""
    found = getattr(function, _DECLARED, None)
    return found if isinstance(found, Declared) else None
