"""The seeded world: three fixed customers whose subscriptions show every family and state.

Generated customers and subscriptions are made from their number. All dates are relative to the start of the
simulator. The ids are listed in docs/local.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from local.partner_center import catalogue
from local.partner_center.customers import Customer
from local.partner_center.moments import add_months, midnight
from local.partner_center.offers import ENTERPRISE_3

if TYPE_CHECKING:
    from datetime import datetime

    from local.partner_center.subscription import Subscription

NORTHWIND = Customer("0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101", "Northwind Simulation Ltd", "northwindsim.onmicrosoft.com")
FABRIKAM = Customer("2e4d8c11-7a90-4c1c-a1b5-0f6e3b2d7a02", "Fabrikam Simulation GmbH", "fabrikamsim.onmicrosoft.com")
CONTOSO = Customer(
    "3a0c0000-0000-4000-8000-00000000c0de", "Contoso Simulation", "contososim.onmicrosoft.com", delegated=False
)
CUSTOMERS = (NORTHWIND, FABRIKAM, CONTOSO)

GENERATED_ID = re.compile(r"5([0-9a-f]{7})-0000-4000-8000-([0-9a-f]{12})")


def seeded_subscriptions(start: datetime) -> list[Subscription]:
    """The subscriptions of the fixed customers, as they are at the start."""
    return [*_northwind(start), *_fabrikam(start)]


@dataclass(frozen=True)
class Regenerated:
    """How the generated subscriptions differ from their number: every n-th customer's have so many seats more."""

    every: int = 1
    seats: int = 0

    def seats_of(self, place: int) -> int:
        """The further seats of each subscription of customer `place`."""
        return self.seats if place % self.every == 0 else 0


def generated_subscription(start: datetime, customer: Customer, number: int, more: Regenerated) -> Subscription:
    """Subscription `number` (from 1) of a generated customer: even sums were bought 3 days ago, odd ones 100."""
    place = customer.number or 0
    bought = start - timedelta(days=3 if (place + number) % 2 == 0 else 100)
    return catalogue.nce(
        f"5{place:07x}-0000-4000-8000-{number:012x}",
        customer.id,
        catalogue.BUSINESS_STANDARD,
        [(5 + (place + number) % 20 + more.seats_of(place), bought)],
        order_id=f"{place:06x}{number:06x}",
    )


def generated_number(customer: Customer, subscription_key: str) -> int | None:
    """Which generated subscription of this customer has that id, if it can be one."""
    match = GENERATED_ID.fullmatch(subscription_key)
    if match is None or int(match[1], 16) != customer.number:
        return None
    return int(match[2], 16)


def _northwind(start: datetime) -> list[Subscription]:
    def identity(last: int) -> str:
        return f"7c1e2a34-90ab-4cde-8f01-23456789ab{last:02x}"

    def ago(days: float) -> datetime:
        return start - timedelta(days=days)

    customer = NORTHWIND.id
    closed = catalogue.nce(
        identity(2),
        customer,
        catalogue.BUSINESS_PREMIUM,
        [(10, ago(12))],
        term="P1M",
        order_id="5d01c8a2b7e4",
        actions=["Cancel", "Edit"],
    )
    closed.created = ago(104)
    trial = catalogue.nce(
        identity(4),
        customer,
        catalogue.PREMIUM_TRIAL,
        [(25, ago(9))],
        term="P1M",
        order_id="9a3be0017c55",
        isTrial=True,
        scheduledNextTermInstructions=instructions(catalogue.BUSINESS_PREMIUM[0], 25, "P1Y"),
    )
    return [
        catalogue.nce(identity(1), customer, catalogue.BUSINESS_STANDARD, [(20, ago(4)), (5, ago(1))]),
        closed,
        catalogue.nce(
            identity(3),
            customer,
            catalogue.EXCHANGE_PLAN_1,
            [(6, ago(2))],
            order_id="c41f7d20e9b3",
            status="suspended",
            autoRenewEnabled=False,
            suspensionReasons=["PartnerRequest"],
        ),
        trial,
        catalogue.azure_plan("9f30c2de-6f70-4a3e-bb1a-6a7cd0d1f0a3", customer, ago(450)),
        catalogue.nce(
            identity(6),
            customer,
            catalogue.EXCHANGE_PLAN_1,
            [(3, ago(40))],
            order_id="77e0b1c2d3f4",
            status="in_review",
        ),
        catalogue.saas(identity(7), customer, catalogue.BACKUP_SERVICE, 4, ago(20)),
        catalogue.nce(
            identity(8),
            customer,
            catalogue.BUSINESS_PREMIUM,
            [(5, ago(60))],
            term="P3Y",
            order_id="8e2f30415263",
            friendlyName="Business Premium, three years",
        ),
    ]


def _fabrikam(start: datetime) -> list[Subscription]:
    def identity(last: int) -> str:
        return f"d3b7c9a2-9a4b-40b2-b075-6e442909e3{last:02d}"

    def ago(days: float) -> datetime:
        return start - timedelta(days=days)

    customer = FABRIKAM.id
    base = "1C2B75C1-74A5-472A-A729-7F8CEFC47701"
    scheduled = catalogue.nce(
        identity(5),
        customer,
        catalogue.BUSINESS_PREMIUM,
        [(8, ago(60))],
        order_id="a1b2c3d4e5f6",
        scheduledNextTermInstructions=instructions(catalogue.BUSINESS_PREMIUM[0], 6, "P1Y"),
        futureField={"introduced": "after this was written", "values": [1, 2, 3]},
    )
    young = catalogue.legacy("1C2B75C1-74A5-472A-A729-7F8CEFC47703", customer, catalogue.LEGACY_STANDARD, 7, ago(10))
    young.zoneless = True
    return [
        catalogue.legacy(base, customer, catalogue.LEGACY_EXCHANGE, 12, ago(90)),
        catalogue.legacy(
            "1C2B75C1-74A5-472A-A729-7F8CEFC47702",
            customer,
            catalogue.LEGACY_ARCHIVING,
            12,
            ago(89),
            parentSubscriptionId=base,
        ),
        young,
        catalogue.software(identity(4), customer, catalogue.REMOTE_DESKTOP, 10, ago(2), friendlyName="RDS CALs"),
        scheduled,
        _ended(identity(6), customer, start, days=10, status="expired"),
        _ended(identity(7), customer, start, days=60, status="disabled"),
        catalogue.nce(
            identity(8), customer, catalogue.EXCHANGE_PLAN_1, [(2, ago(25))], order_id="0d1e2f3a4b5c", status="deleted"
        ),
        catalogue.nce(identity(9), customer, ENTERPRISE_3, [(4, ago(30))], order_id="9b8a7c6d5e4f"),
    ]


def _ended(identity: str, customer: str, start: datetime, *, days: int, status: str) -> Subscription:
    """A yearly term that ran out so many days ago without renewal."""
    end = (start - timedelta(days=days)).date()
    bought = midnight(add_months(end, -12)) + timedelta(hours=9)
    return catalogue.nce(
        identity,
        customer,
        catalogue.EXCHANGE_PLAN_1,
        [(4, bought)],
        order_id="e0e1e2e3e4e5",
        status=status,
        autoRenewEnabled=False,
    )


def instructions(offer_id: str, quantity: int, term: str) -> dict[str, Any]:
    """Scheduled next-term instructions to this offer, billed monthly."""
    product, sku, availability = offer_id.split(":")
    return {
        "product": {
            "productId": product,
            "skuId": sku,
            "availabilityId": availability,
            "billingCycle": "monthly",
            "termDuration": term,
        },
        "quantity": quantity,
    }
