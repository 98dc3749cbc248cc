"""Which customers a caller reaches: his grant, or the default for those who have none (docs/adr/0021).

Kept per instance for a short while, so that a request costs no reading of its own; whoever changes a grant sees it at
once on the instance that did it, and on the others after that while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shared.identity import Forbidden
from shared.storage.grants import Grants

_MOST_REMEMBERED = 10_000

Default = Literal["all", "none"]


@dataclass(frozen=True, slots=True)
class Reach:
    """The customers that a caller may see and act on; None is all of them."""

    customers: frozenset[str] | None = None

    @property
    def unlimited(self) -> bool:
        """Whether the caller reaches every customer, and what belongs to none."""
        return self.customers is None

    def covers(self, customer: str) -> bool:
        """Whether the caller reaches a customer (lower-case id)."""
        return self.customers is None or customer in self.customers

    def require(self, customer: str) -> None:
        """Raises Forbidden, the same whether the customer exists or not."""
        if not self.covers(customer):
            raise Forbidden("You have no access to this customer.", "customer_forbidden")

    def require_all(self) -> None:
        """For what concerns every customer at once. Raises Forbidden."""
        if not self.unlimited:
            raise Forbidden("This concerns all customers, and you have access to some only.", "customer_forbidden")


class Access:
    """Looks up the reach of callers; `monotonic` (seconds) tells the age of what is remembered."""

    def __init__(
        self,
        grants: Grants,
        *,
        default: Default,
        remember_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.grants = grants
        self.default = default
        self._remember = remember_seconds
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Reach]] = {}

    async def reach(self, caller: str) -> Reach:
        """The reach of a caller. Raises RetryLater where it cannot be read: nobody gets in on a guess."""
        known = self._known.get(caller)
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        asked = self._monotonic()
        stored = await self.grants.get(caller)
        if stored is None:
            reach = Reach() if self.default == "all" else Reach(frozenset())
        else:
            reach = Reach() if stored.value.all_customers else Reach(frozenset(stored.value.customers))
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[caller] = asked + self._remember, reach
        return reach

    def forget(self, caller: str) -> None:
        """A grant was changed here."""
        self._known.pop(caller, None)
