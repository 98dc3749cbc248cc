"""Who calls, and what he may not: roles, verified identities, and the two ways to be turned away.

`shared.verifier` makes an identity of a token, `shared.gate` decides what it may do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.errors import CspError


class Role(StrEnum):
    """The app roles; each route declares the one it needs."""

    READ = "Subscriptions.Read"
    OPERATE = "Subscriptions.Operate"
    MAPPINGS = "Mappings.Manage"
    DEAD_LETTERS = "DeadLetters.Manage"
    ACCESS = "Access.Manage"


class Unauthenticated(CspError):
    """No token, or one that does not verify. The sentence says what is wrong and holds nothing of the token.

    `why` is a stable word for the log and the count of refusals.
    """

    def __init__(self, why: str, sentence: str) -> None:
        super().__init__(sentence)
        self.why = why


class Forbidden(CspError):
    """A verified caller without the role that the route needs, or beyond the customers that he may see."""

    def __init__(self, sentence: str, code: str = "forbidden") -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller; `id` is the lower-case object id in Entra ID, of a user or a service principal."""

    id: str
    name: str
    roles: frozenset[str]
