"""Partner Center in memory: raw resources, PATCH with its side effects, a log of calls, faults around the effect.

Fulfils `PartnerCenterPort`. Whatever is not asked for in a PATCH stays; effects that are under way take place when the
clock has reached their moment. Upgrades and migrations are `tests.world.conversions`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from shared.domain.errors import NotFound, RetryLater
from shared.domain.known import Known
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
from shared.domain.subscription import CustomerItem, known_of
from shared.partner_center.wire import parse_subscription
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


class Underway(Protocol):
    """Something whose effect is still to come."""

    def take_effect(self, center: PartnerCenter, customer: str) -> None:
        """Its moment has come."""


@dataclass(frozen=True)
class Patch:
    """A PATCH that reached Microsoft: what it changed, from when on; None where it never changes anything."""

    subscription: str
    request_id: str
    wanted: Known
    at: datetime
    effective_at: datetime | None

    def take_effect(self, center: PartnerCenter, customer: str) -> None:
        center.become(customer, self.subscription, self.wanted, self.request_id)


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
        self._under_way: list[tuple[datetime, str, Underway]] = []
        self._working: dict[str, datetime] = {}
        self.faults: list[Fault] = []
        self.away_until: datetime | None = None
        self.calls = 0  #: changes that were asked for, those that did not get through too
        self.patches: list[Patch] = []
        self.effects: list[Effect] = []
        self._ids = 0

    def add(self, customer: str, resource: dict[str, Any]) -> None:
        """A subscription, and its customer with it."""
        self._resources.setdefault(customer, {})[resource["id"]] = resource

    def new_id(self) -> str:
        """An id of Microsoft's."""
        self._ids += 1
        return f"d0000000-0000-4000-8000-{self._ids:012x}"

    def resources(self, customer: str) -> dict[str, dict[str, Any]]:
        """The raw subscriptions of a customer by id, to look at and to change."""
        self.take_effect()
        return self._resources[customer]

    def known(self, customer: str, subscription: str) -> Known:
        """A subscription as it is now."""
        return known_of(parse_subscription(customer, self.resources(customer)[subscription]))

    def later(self, moment: datetime, customer: str, what: Underway) -> None:
        """Let something take effect at a moment."""
        self._under_way.append((moment, customer, what))
        self.take_effect()

    def edit(self, customer: str, subscription: str, *, status: str | None = None, quantity: int | None = None) -> None:
        """Somebody changes a subscription directly at Microsoft."""
        now = self.known(customer, subscription)
        wanted = replace(now, status=status or now.status, quantity=quantity or now.quantity)
        self.become(customer, subscription, wanted, None)

    def listed(self) -> list[str]:
        """The customers in the order of the list."""
        return list(self._resources)

    def put(self, customer: str, subscription: str, **properties: Any) -> None:
        """Properties of a subscription change at Microsoft, whatever the rules say."""
        before = self.known(customer, subscription)
        self._resources[customer][subscription] |= properties
        self.note(customer, subscription, before, None)

    def all(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Everything by customer, to look at."""
        return self._resources

    def replace_all(self, resources: dict[str, dict[str, dict[str, Any]]]) -> None:
        """Other customers, or in another order."""
        self._resources = resources

    def remove(self, customer: str, subscription: str | None = None) -> None:
        """A subscription is not listed any more, or the relationship with a customer ends."""
        if subscription is None:
            del self._resources[customer]
        else:
            del self._resources[customer][subscription]

    def next_effect(self) -> datetime | None:
        """When the next effect that is under way takes place."""
        self.take_effect()
        return min((moment for moment, *_ in self._under_way), default=None)

    def microsoft_now(self) -> datetime:
        """See PartnerCenterPort."""
        return self._clock.now()

    async def customers(self) -> AsyncIterator[list[CustomerItem]]:
        """See PartnerCenterPort."""
        self.require_presence()
        yield [CustomerItem(customer, f"Customer {customer}", "", "reseller") for customer in self._resources]

    async def subscriptions(self, customer: str) -> Listing:
        """See PartnerCenterPort."""
        self.require_presence()
        if customer not in self._resources:
            raise NotFound("customer", customer)
        return Listing(tuple(map(_answer, self._resources[customer].values())), self._clock.now())

    async def subscription(self, customer: str, subscription: str) -> Reading:
        """See PartnerCenterPort."""
        self.require_presence()
        if customer not in self._resources:
            raise NotFound("customer", customer)
        if subscription not in self._resources[customer]:
            raise NotFound("subscription", subscription)
        return Reading(_answer(self._resources[customer][subscription]), self._clock.now())

    async def change(
        self, customer: str, subscription: str, body: dict[str, Any], *, request_id: str, deadline: datetime
    ) -> ChangeOutcome:
        """See PartnerCenterPort."""
        fault = self.receive(deadline)
        if not isinstance(fault, Fault | None):
            return fault
        effective_at = effective_at_of(fault, self._clock.now(), deadline)
        wanted = known_of(parse_subscription(customer, body))
        patch = Patch(subscription, request_id, wanted, self._clock.now(), effective_at)
        return self._received(customer, patch, fault)

    def receive(self, deadline: datetime) -> Fault | Unreached | Busy | ChangeRefused | None:
        """A write arrives: what turns it away, or the fault that it meets."""
        self.take_effect()
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
        return fault

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
            self.later(patch.effective_at, customer, patch)
        if fault is None:
            return Applied(_answer(self._resources[customer][subscription]), now)
        if fault.kind is ChangeFault.WORKING and patch.effective_at is not None:
            self._working[subscription] = patch.effective_at
            return Working("")
        return Unknown("no answer")

    def take_effect(self) -> None:
        """Let happen what is due."""
        due = [item for item in self._under_way if item[0] <= self._clock.now()]
        self._under_way = [item for item in self._under_way if item not in due]
        for _, customer, what in due:
            what.take_effect(self, customer)

    def become(self, customer: str, subscription: str, wanted: Known, request_id: str | None) -> None:
        """A subscription becomes another one, with what Microsoft switches off by itself."""
        resource = self._resources[customer][subscription]
        before = known_of(parse_subscription(customer, resource))
        schedule, auto_renew = wanted.schedule, wanted.auto_renew
        if wanted.status == "suspended" and before.status != "suspended":
            auto_renew = False
        if (wanted.status, wanted.quantity) != (before.status, before.quantity) or not auto_renew:
            schedule = ""
        resource |= {"status": wanted.status, "quantity": wanted.quantity, "autoRenewEnabled": auto_renew}
        resource["scheduledNextTermInstructions"] = json.loads(schedule) if schedule else None
        self.note(customer, subscription, before, request_id)

    def note(self, customer: str, subscription: str, before: Known, request_id: str | None) -> None:
        """Log an effect, if there is one to be seen."""
        after = known_of(parse_subscription(customer, self._resources[customer][subscription]))
        if astuple(before) != astuple(after):
            self.effects.append(Effect(subscription, before, after, self._clock.now(), request_id))

    def require_presence(self) -> None:
        """A read arrives. Raises RetryLater while Partner Center is away."""
        self.take_effect()
        if self._is_away():
            raise RetryLater("Partner Center does not answer")

    def _is_away(self) -> bool:
        return self.away_until is not None and self._clock.now() < self.away_until


def _answer(resource: dict[str, Any]) -> dict[str, Any]:
    """A document of its own, as each answer is."""
    document: dict[str, Any] = json.loads(json.dumps(resource))
    return document


def effective_at_of(fault: Fault | None, now: datetime, deadline: datetime) -> datetime | None:
    match fault:
        case Fault(ChangeFault.LOST):
            return None
        case Fault(ChangeFault.LATE, seconds):
            return deadline + timedelta(seconds=seconds)
        case Fault(ChangeFault.WORKING, seconds):
            return now + timedelta(seconds=seconds)
    return now
