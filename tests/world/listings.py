"""The listings of the Partner Center in memory: pages, one call per customer, audit records; a log of every request.

Fulfils `ListingsPort` on the resources of `tests.world.partner_center`.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from shared.domain.errors import CspError, NotFound
from shared.domain.listings import AuditPage, AuditRecord, CustomerPage, Mark
from shared.domain.subscription import CustomerItem
from tests.world.clock import Clock
from tests.world.partner_center import PartnerCenter


@dataclass
class Answer:
    """A customer's subscriptions as they were answered."""

    body: str
    observed_at: datetime

    @property
    def fingerprint(self) -> str:
        return self.body

    def items(self) -> tuple[dict[str, Any], ...]:
        return tuple(json.loads(self.body))


@dataclass(frozen=True)
class Asked:
    """A request that reached Microsoft: `what` is customers, subscriptions or audit, `about` the page or customer."""

    what: str
    about: str
    at: datetime


@dataclass
class Listings:
    """`failures` are raised one after the other by the requests about them, by `what` and `about`."""

    partner_center: PartnerCenter
    clock: Clock
    page_size: int = 2
    log: list[Asked] = field(default_factory=list)
    failures: dict[tuple[str, str], list[CspError]] = field(default_factory=dict)
    audit_records: list[AuditRecord] = field(default_factory=list)
    unreadable_customers: list[str] = field(default_factory=list)

    def microsoft_now(self) -> datetime:
        """See ListingsPort."""
        return self.clock.now()

    async def customers(self, mark: Mark | None) -> CustomerPage:
        """See ListingsPort."""
        start = int(mark.token) if mark else 0
        self._received("customers", str(start // self.page_size + 1))
        found = self.partner_center.listed()
        shown = found[start : start + self.page_size]
        end = start + self.page_size
        following = Mark({"seekOperation": "Next"}, str(end)) if end < len(found) else None
        items = tuple(
            CustomerItem(customer, f"Customer {customer[-4:]}", "c.example", "reseller") for customer in shown
        )
        return CustomerPage(items, () if start else tuple(self.unreadable_customers), following)

    async def subscriptions(self, customer: str) -> Answer:
        """See ListingsPort."""
        self._received("subscriptions", customer)
        if customer not in self.partner_center.listed():
            raise NotFound("customer", customer)
        return Answer(json.dumps(list(self.partner_center.resources(customer).values())), self.clock.now())

    async def audit(self, first: date, last: date, mark: Mark | None) -> AuditPage:
        """See ListingsPort."""
        start = int(mark.token) if mark else 0
        self._received("audit", str(start // self.page_size + 1))
        found = [record for record in self.audit_records if record.at and first <= record.at.date() <= last]
        end = start + self.page_size
        following = Mark({}, str(end)) if end < len(found) else None
        return AuditPage(tuple(copy.copy(found[start:end])), 0, following, self.clock.now())

    def _received(self, what: str, about: str) -> None:
        self.partner_center.require_presence()
        self.log.append(Asked(what, about, self.clock.now()))
        failures = self.failures.get((what, about))
        if failures:
            raise failures.pop(0)
