"""Audit records: one for every successful write, readable by day, filterable, paged.

`resourceOldValue` and `resourceNewValue` are JSON strings with PascalCase keys, as at Microsoft.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.entra.identities import PARTNER_TENANT
from local.partner_center.moments import with_ticks

if TYPE_CHECKING:
    from local.partner_center.subscription import Subscription


@dataclass(frozen=True)
class Actor:
    """Who writes: an application, for itself or for a user; a user of the portal has no application."""

    user: str = ""
    application: str = ""


PORTAL_USER = Actor(user="colleague@partnersim.example", application="Partner Center Web")


@dataclass(frozen=True)
class AuditRecord:
    """One write. `number` grows by one with each record and is what paging holds on to."""

    number: int
    at: datetime
    actor: Actor
    operation: str
    customer_id: str
    customer_name: str
    subscription_id: str
    before: str
    after: str

    def resource(self) -> dict[str, Any]:
        """The JSON item of the list."""
        kind = self.operation.replace("_", "")
        return {
            "id": f"{PARTNER_TENANT}_{self.customer_id}_{kind}_{639_000_000_000_000_000 + self.number}",
            "partnerId": PARTNER_TENANT,
            "customerId": self.customer_id,
            "customerName": self.customer_name,
            "userPrincipalName": self.actor.user,
            "applicationId": self.actor.application,
            "resourceType": "subscription" if "subscription" in self.operation else "order",
            "resourceOldValue": self.before,
            "resourceNewValue": self.after,
            "operationType": self.operation,
            "operationDate": with_ticks(self.at),
            "operationStatus": "succeeded",
            "customizedData": [{"key": "SubscriptionId", "value": self.subscription_id}],
            "attributes": {"objectType": "AuditRecord"},
        }


def summary(subscription: Subscription) -> str:
    """The value of a subscription as an audit record keeps it."""
    kept = ("id", "offerId", "friendlyName", "quantity", "status", "autoRenewEnabled", "termDuration", "billingCycle")
    properties = subscription.properties
    return json.dumps({name[0].upper() + name[1:]: properties[name] for name in kept if name in properties})
