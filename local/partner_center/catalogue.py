"""Makes subscriptions: one function per product family.

The seed, the generated customers and purchases through the control path use them. Each takes when it was bought and
derives term, windows and links; the raw properties follow Microsoft's samples.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from local.partner_center.moments import DAY, WINDOW, midnight, term_end
from local.partner_center.subscription import Family, SeatBatch, Subscription

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

BUSINESS_STANDARD = ("CFQ7TTC0LDPB:0001:CFQ7TTC0SIM1", "Microsoft 365 Business Standard")
BUSINESS_PREMIUM = ("CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2", "Microsoft 365 Business Premium")
EXCHANGE_PLAN_1 = ("CFQ7TTC0LH16:0001:CFQ7TTC0SIM3", "Exchange Online (Plan 1)")
PREMIUM_TRIAL = ("CFQ7TTC0LCHC:000T:CFQ7TTC0SIM4", "Microsoft 365 Business Premium Trial")
LEGACY_EXCHANGE = ("195416C1-3447-423A-B37B-EE59A99A19C4", "Exchange Online (Plan 1)")
LEGACY_ARCHIVING = ("2828BE46-46BA-4F91-B2FD-0BEF192ECF60", "Exchange Online Archiving for Exchange Online")
LEGACY_STANDARD = ("031C9E47-4802-4248-838E-778FB1D2CC05", "Office 365 Business Premium")
REMOTE_DESKTOP = ("DG7GMGF0DVSV:000P:DG7GMGF0F3Q9", "Windows Server Remote Desktop Services CAL - 1 User CAL - 3 year")
AZURE_PLAN = ("DZH318Z0BPS6:0001:DZH318Z0BML7", "Azure plan")
BACKUP_SERVICE = ("DZH318Z0BXYZ:0001:DZH318Z0BX01", "Contoso Backup for Microsoft 365")

Product = tuple[str, str]


def nce(
    identity: str,
    customer_id: str,
    product: Product,
    bought: Sequence[tuple[int, datetime]],
    *,
    term: str = "P1Y",
    order_id: str = "34b37d7340cc",
    **overrides: Any,
) -> Subscription:
    """A new commerce licence; `bought` lists the seat batches, the first of which starts the term."""
    start = bought[0][1]
    quantity = sum(count for count, _ in bought)
    properties = _properties(identity, customer_id, product, quantity, order_id)
    properties |= {
        "productType": {"id": "OnlineServicesNCE", "displayName": "OnlineServicesNCE"},
        "termDuration": term,
        "renewalTermDuration": "",
        "refundOptions": [{"type": "Full", "expiresAt": f"{start + DAY:%Y-%m-%d}T00:00:00Z"}],
        "publisherName": "Microsoft Corporation",
        **overrides,
    }
    return Subscription(
        id=identity,
        customer_id=customer_id,
        family=Family.NCE,
        properties=properties,
        created=start,
        term_start=start,
        term_end=term_end(start, term),
        cancel_until=start + WINDOW,
        batches=[SeatBatch(count, moment) for count, moment in bought],
        suspended_at=start if properties["status"] == "suspended" else None,
    )


def legacy(
    identity: str, customer_id: str, product: Product, quantity: int, bought: datetime, **overrides: Any
) -> Subscription:
    """A legacy seat subscription: upper-case ids, an etag, no windows, no `productType`."""
    order_id = str(uuid.uuid5(uuid.UUID(identity), "order")).upper()
    properties = _properties(identity.upper(), customer_id, product, quantity, order_id)
    start = midnight(bought.date())
    properties |= {"hasPurchasableAddons": "parentSubscriptionId" not in overrides, "termDuration": "P1Y", **overrides}
    return Subscription(
        id=identity.upper(),
        customer_id=customer_id,
        family=Family.LEGACY,
        properties=properties,
        created=bought,
        term_start=start,
        term_end=term_end(start, "P1Y"),
    )


def software(
    identity: str, customer_id: str, product: Product, quantity: int, bought: datetime, **overrides: Any
) -> Subscription:
    """A software subscription: a cancellation window for the whole, no refundable seats."""
    properties = _properties(identity, customer_id, product, quantity, "123456789101")
    properties |= {
        "productType": {"id": "Software", "displayName": "Software"},
        "billingCycle": "triennial",
        "termDuration": "P3Y",
        "renewalTermDuration": "",
        "publisherName": "Microsoft",
        **overrides,
    }
    return _single(Family.SOFTWARE, identity, customer_id, properties, bought)


def saas(
    identity: str, customer_id: str, product: Product, quantity: int, bought: datetime, **overrides: Any
) -> Subscription:
    """A third-party marketplace subscription."""
    properties = _properties(identity, customer_id, product, quantity, "ImxjLNL4_fOc-9bd0a1")
    properties |= {
        "productType": {"id": "SaaS", "displayName": "SaaS"},
        "isMicrosoftProduct": False,
        "termDuration": "P1M",
        "publisherName": "Contoso Software",
        **overrides,
    }
    return _single(Family.SAAS, identity, customer_id, properties, bought)


def azure_plan(identity: str, customer_id: str, bought: datetime, **overrides: Any) -> Subscription:
    """An Azure plan: usage-based, never ends."""
    properties = _properties(identity, customer_id, AZURE_PLAN, 1, "b8a1f35d2c11")
    properties |= {
        "productType": {"id": "Azure", "displayName": "Azure"},
        "unitType": "Usage-based",
        "billingType": "usage",
        "autoRenewEnabled": False,
        "termDuration": "",
        "publisherName": "Microsoft",
        **overrides,
    }
    return Subscription(
        id=identity,
        customer_id=customer_id,
        family=Family.AZURE_PLAN,
        properties=properties,
        created=bought,
        term_start=bought,
        term_end=None,
    )


def _single(
    family: Family, identity: str, customer_id: str, properties: dict[str, Any], bought: datetime
) -> Subscription:
    return Subscription(
        id=identity,
        customer_id=customer_id,
        family=family,
        properties=properties,
        created=bought,
        term_start=bought,
        term_end=term_end(bought, str(properties["termDuration"])),
        cancel_until=bought + WINDOW,
    )


def _properties(identity: str, customer_id: str, product: Product, quantity: int, order_id: str) -> dict[str, Any]:
    offer_id, name = product
    return {
        "id": identity,
        "offerId": offer_id,
        "offerName": name,
        "friendlyName": name,
        "quantity": quantity,
        "unitType": "Licenses",
        "hasPurchasableAddons": False,
        "status": "active",
        "autoRenewEnabled": True,
        "isTrial": False,
        "billingType": "license",
        "billingCycle": "monthly",
        "isMicrosoftProduct": True,
        "partnerId": "",
        "attentionNeeded": False,
        "actionTaken": False,
        "contractType": "subscription",
        "links": links(identity, customer_id, offer_id),
        "orderId": order_id,
    }


def links(identity: str, customer_id: str, offer_id: str) -> dict[str, Any]:
    """The links of a subscription to itself and to its offer."""
    itself = f"/customers/{customer_id}/subscriptions/{identity}"
    product, _, rest = offer_id.partition(":")
    sku, _, availability = rest.partition(":")
    if rest:
        uris = {
            "product": f"/products/{product}?country=GB",
            "sku": f"/products/{product}/skus/{sku}?country=GB",
            "availability": f"/products/{product}/skus/{sku}/availabilities/{availability}?country=GB",
        }
    else:
        uris = {"offer": f"/offers/{offer_id}?country=GB"}
    return {name: {"uri": uri, "method": "GET", "headers": []} for name, uri in (uris | {"self": itself}).items()}
