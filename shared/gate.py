"""The gate before every route: who calls, how often, with which role, and to which customers.

Refusals are counted and logged in one line each, without names, tokens or paths: a path is the caller's own text.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from shared import telemetry
from shared.access import Access, Reach
from shared.domain.errors import CspError
from shared.identity import Forbidden, Identity, Role, Unauthenticated
from shared.metrics import REFUSED
from shared.rate_limit import RateLimit, TooManyRequests

log = logging.getLogger(__name__)


class Identifies(Protocol):
    """What makes an identity of an Authorization header; `shared.verifier` does."""

    async def identify(self, authorization: str | None) -> Identity:
        """The verified identity. Raises Unauthenticated, RetryLater."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may call this route; `id` is the object id in Entra ID."""

    id: str
    name: str
    roles: frozenset[str]
    reach: Reach


@dataclass(slots=True)
class Gate:
    """Admits callers. `refusals` counts those who were not, by reason, since this process began."""

    verifier: Identifies
    limit: RateLimit
    access: Access
    refusals: Counter[str] = field(default_factory=Counter)

    async def admit(self, authorization: str | None, role: Role, *, door: str, customer: str | None) -> Caller:
        """The caller of a route that needs a role and, where it names one, concerns a customer.

        `door` is the function's name, for the log. Raises Unauthenticated, TooManyRequests, Forbidden, RetryLater.
        """
        identity: Identity | None = None
        try:
            identity = await self.verifier.identify(authorization)
            self.limit.take(identity.id)
            reach = await self._reach(identity, role, customer)
        except (Unauthenticated, TooManyRequests, Forbidden) as refusal:
            self.note(refusal, door=door, caller=identity.id if identity else "-")
            raise
        return Caller(identity.id, identity.name, identity.roles, reach)

    async def _reach(self, identity: Identity, role: Role, customer: str | None) -> Reach:
        if role.value not in identity.roles:
            raise Forbidden(f"This needs the role {role.value}.")
        reach = await self.access.reach(identity.id)
        if customer is not None:
            reach.require(customer)
        return reach

    def note(self, refusal: CspError, *, door: str, caller: str) -> None:
        """Count a refusal and log it."""
        reason = _reason(refusal)
        self.refusals[reason] += 1
        telemetry.measure(REFUSED, 1, {"reason": reason})
        telemetry.tell(
            log,
            "refused",
            level=logging.WARNING,
            reason=reason,
            function=door,
            caller=caller,
            total=self.refusals[reason],
        )


def _reason(refusal: CspError) -> str:
    match refusal:
        case Unauthenticated():
            return f"unauthenticated_{refusal.why}"
        case Forbidden():
            return refusal.code
        case _:
            return "too_many_requests"
