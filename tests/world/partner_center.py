"""Partner Center in memory: raw resources, PATCH of status and quantity, a log of calls, faults around the effect.

Fulfils `PartnerCenterPort`. Whatever is not asked for in a PATCH stays; effects that are under way take place when the
clock has reached their moment.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.errors import NotFound, RetryLater
from shared.domain.operation import Known
from shared.domain.outcomes import (
    Applied,
    Busy,
    ChangeOutcome,
    ChangeRefused,
    Listing,
    Reading,
    Unknown,
    Unreached,
    Working,
)
from shared.domain.subscription import CustomerItem
from tests.world.clock import Clock

_OFFER = "CFQ7TTC0LDPB:0001:CFQ7TTC0SIM1"


class ChangeFault(StrEnum):
    """What goes wrong with one PATCH."""

    LOST = "lost"  #: no answer, no effect
    ANSWER_LOST = "answer_lost"  #: the effect, but no answer
    LATE = "late"  #: no answer; the effect comes `seconds` after the deadline
    UNREACHED = "unreached"
    BUSY = "busy"
    WORKING = "working"  #: 202; the effect comes `seconds` later
    REFUSED = "refused"


@dataclass(frozen=True)
class Fault:
    """One fault of one PATCH."""

    kind: ChangeFault
    seconds: float = 0


@dataclass(frozen=True)
class Patch:
    """A PATCH that reached Microsoft: what it changed, from when on; None where it never changes anything."""

    subscription: str
    request_id: str
    wanted: Known
    at: datetime
    effective_at: datetime | None


@dataclass(frozen=True)
class Effect:
    """A subscription that became another one, by a PATCH or (without a request id) by somebody at Microsoft."""

    subscription: str
    before: Known
    after: Known
    at: datetime
    request_id: str | None


def nce(identity: str, quantity: int, *, status: str = "active", until: datetime) -> dict[str, Any]:
    """A raw licence of new commerce whose windows are open until a moment."""
    return {
        "id": identity,
        "offerId": _OFFER,
        "offerName": "Microsoft 365 Business Standard",
        "friendlyName": "Microsoft 365 Business Standard",
        "productType": {"id": "OnlineServicesNCE", "displayName": "OnlineServicesNCE"},
        "quantity": quantity,
        "unitType": "Licenses",
        "status": status,
        "autoRenewEnabled": True,
        "termDuration": "P1Y",
        "billingCycle": "monthly",
        "cancellationAllowedUntilDate": until.isoformat(),
        "refundableQuantity": {
            "totalQuantity": 1000,
            "details": [{"quantity": 1000, "allowedUntilDateTime": until.isoformat()}],
        },
        "orderId": "order-1",
    }


class PartnerCenter:
    """One partner's customers and their subscriptions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._resources: dict[str, dict[str, dict[str, Any]]] = {}
        self._under_way: list[tuple[datetime, str, Patch]] = []
        self._working: dict[str, datetime] = {}
        self.faults: list[Fault] = []
        self.away_until: datetime | None = None
        self.calls = 0  #: changes that were asked for, those that did not get through too
        self.patches: list[Patch] = []
        self.effects: list[Effect] = []

    def add(self, customer: str, resource: dict[str, Any]) -> None:
        """A subscription, and its customer with it."""
        self._resources.setdefault(customer, {})[resource["id"]] = resource

    def known(self, customer: str, subscription: str) -> Known:
        """A subscription as it is now."""
        self._take_effect()
        resource = self._resources[customer][subscription]
        return Known(resource["status"], resource["quantity"])

    def edit(self, customer: str, subscription: str, *, status: str | None = None, quantity: int | None = None) -> None:
        """Somebody changes a subscription directly at Microsoft."""
        now = self.known(customer, subscription)
        self._change(customer, subscription, Known(status or now.status, quantity or now.quantity), None)

    def next_effect(self) -> datetime | None:
        """When the next effect that is under way takes place."""
        self._take_effect()
        return min((moment for moment, *_ in self._under_way), default=None)

    def microsoft_now(self) -> datetime:
        """See PartnerCenterPort."""
        return self._clock.now()

    async def customers(self) -> AsyncIterator[list[CustomerItem]]:
        """See PartnerCenterPort."""
        self._require_presence()
        yield [CustomerItem(customer, f"Customer {customer}", "", "reseller") for customer in self._resources]

    async def subscriptions(self, customer: str) -> Listing:
        """See PartnerCenterPort."""
        self._require_presence()
        if customer not in self._resources:
            raise NotFound("customer", customer)
        return Listing(tuple(copy.deepcopy(list(self._resources[customer].values()))), self._clock.now())

    async def subscription(self, customer: str, subscription: str) -> Reading:
        """See PartnerCenterPort."""
        self._require_presence()
        if customer not in self._resources:
            raise NotFound("customer", customer)
        if subscription not in self._resources[customer]:
            raise NotFound("subscription", subscription)
        return Reading(copy.deepcopy(self._resources[customer][subscription]), self._clock.now())

    async def change(
        self, customer: str, subscription: str, body: dict[str, Any], *, request_id: str, deadline: datetime
    ) -> ChangeOutcome:
        """See PartnerCenterPort."""
        self._take_effect()
        self.calls += 1
        if self._clock.now() >= deadline or self._is_away():
            return Unreached("no connection")
        fault = self.faults.pop(0) if self.faults else None
        match fault:
            case Fault(ChangeFault.UNREACHED):
                return Unreached("no connection")
            case Fault(ChangeFault.BUSY, seconds):
                return Busy("429", "too many requests", timedelta(seconds=seconds or 60))
            case Fault(ChangeFault.REFUSED):
                return ChangeRefused(400, "800091", "The subscription cannot be updated.")
        effective_at = _effective_at(fault, self._clock.now(), deadline)
        patch = Patch(
            subscription, request_id, Known(body["status"], body["quantity"]), self._clock.now(), effective_at
        )
        return self._received(customer, patch, fault)

    def _received(self, customer: str, patch: Patch, fault: Fault | None) -> ChangeOutcome:
        subscription = patch.subscription
        present = self._resources.get(customer, {}).get(subscription)
        if present is None:
            return ChangeRefused(404, "60003", "There is no such subscription.")
        if present["status"] == "deleted":
            return ChangeRefused(400, "2011", "A deleted subscription cannot be updated.")
        now = self._clock.now()
        if self._working.get(subscription, now) > now:
            return Busy("800060", "Another operation is in progress.", timedelta(minutes=2))
        self.patches.append(patch)
        if patch.effective_at is not None:
            self._under_way.append((patch.effective_at, customer, patch))
            self._take_effect()
        if fault is None:
            return Applied(copy.deepcopy(self._resources[customer][subscription]), now)
        if fault.kind is ChangeFault.WORKING and patch.effective_at is not None:
            self._working[subscription] = patch.effective_at
            return Working("")
        return Unknown("no answer")

    def _take_effect(self) -> None:
        due = [item for item in self._under_way if item[0] <= self._clock.now()]
        self._under_way = [item for item in self._under_way if item not in due]
        for _, customer, patch in due:
            self._change(customer, patch.subscription, patch.wanted, patch.request_id)

    def _change(self, customer: str, subscription: str, wanted: Known, request_id: str | None) -> None:
        resource = self._resources[customer][subscription]
        before = Known(resource["status"], resource["quantity"])
        resource |= {"status": wanted.status, "quantity": wanted.quantity}
        if before != wanted:
            self.effects.append(Effect(subscription, before, wanted, self._clock.now(), request_id))

    def _require_presence(self) -> None:
        self._take_effect()
        if self._is_away():
            raise RetryLater("Partner Center does not answer")

    def _is_away(self) -> bool:
        return self.away_until is not None and self._clock.now() < self.away_until


def _effective_at(fault: Fault | None, now: datetime, deadline: datetime) -> datetime | None:
    match fault:
        case Fault(ChangeFault.LOST):
            return None
        case Fault(ChangeFault.LATE, seconds):
            return deadline + timedelta(seconds=seconds)
        case Fault(ChangeFault.WORKING, seconds):
            return now + timedelta(seconds=seconds)
    return now
