"""Legacy upgrades: `GET` and `POST upgrades`, all seats or nothing, answered 200 even when refused.

The source ends and a new legacy subscription takes its place at once. Error numbers are those of Microsoft's
UpgradeErrorCode, written as numbers or names by switch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.partner_center import catalogue
from local.partner_center.audit import summary
from local.partner_center.errors import ApiError
from local.partner_center.given import Given, invalid
from local.partner_center.lifecycle import in_renewal
from local.partner_center.offers import LEGACY_UPGRADES
from local.partner_center.subscription import Family

if TYPE_CHECKING:
    from datetime import datetime

    from local.partner_center.account import Account
    from local.partner_center.calls import Call
    from local.partner_center.customers import Customer
    from local.partner_center.subscription import Subscription
    from local.partner_center.transitions import TransitionOutcome

KINDS = ("none", "upgrade_only", "upgrade_with_license_transfer")
NAMES = (
    "other",
    "delegated_admin_permissions_disabled",
    "subscription_status_not_active",
    "conflicting_service_types",
    "concurrency_conflicts",
    "user_context_required",
    "subscription_add_ons_present",
    "subscription_does_not_have_any_upgrade_paths",
    "subscription_target_offer_not_found",
    "subscription_not_provisioned",
    "offer_does_not_support_billing_cycle",
    "insufficient_granular_admin_permissions",
)


def upgrade_items(
    account: Account, customer: Customer, source: Subscription, *, delegated: bool
) -> list[dict[str, Any]]:
    """What a legacy subscription can become; other families have none. `delegated`: a user asks."""
    return [
        {
            "targetOffer": _offer(product),
            "upgradeType": kind,
            "isEligible": not codes,
            "quantity": source.quantity,
            "upgradeErrors": _errors(account, codes),
            "attributes": {"objectType": "Upgrade"},
        }
        for product in _targets(source)
        for kind in KINDS[1:]
        for codes in [_codes(account, customer, source, kind, delegated=delegated)]
    ]


def upgrade(
    account: Account, customer: Customer, source: Subscription, call: Call, outcome: TransitionOutcome
) -> dict[str, Any]:
    """Do the upgrade that the body (an item of the GET) names.

    Raises:
        ApiError: the body is wrong, or 400/2002 it does not name all seats.
    """
    body = call.given()
    kind = _kind(body)
    if body.count("quantity") != source.quantity:
        raise ApiError(400, 2002, "The quantity is outside the minimum and maximum: all seats are upgraded or none.")
    offer = (body.part("targetOffer") or Given({})).text("id") or ""
    target = next((product for product in _targets(source) if product[0] == offer.upper()), None)
    codes = _codes(account, customer, source, kind, delegated=call.caller.delegated)
    if not codes and target is None:
        codes = [8 if _targets(source) else 7]
    if not codes and outcome == "failed":
        codes = [0]
    result: dict[str, Any] = {"sourceSubscriptionId": source.id, "upgradeType": kind}
    if not codes and target is not None:
        made = _replace(account, source, target, call, account.now())
        result["targetSubscriptionId"] = made.id
    licences = [_licence_error()] if not codes and outcome == "license_failed" else []
    result |= {"upgradeErrors": _errors(account, codes), "licenseErrors": licences}
    return result | {"attributes": {"objectType": "UpgradeResult"}}


def _targets(source: Subscription) -> tuple[catalogue.Product, ...]:
    if source.family is not Family.LEGACY:
        return ()
    return LEGACY_UPGRADES.get(str(source.properties["offerId"]).upper(), ())


def _kind(body: Given) -> str:
    wanted = body.raw("upgradeType")
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 < wanted < len(KINDS):
        return KINDS[wanted]
    if wanted not in KINDS[1:]:
        raise invalid("upgradeType")
    return str(wanted)


def _codes(account: Account, customer: Customer, source: Subscription, kind: str, *, delegated: bool) -> list[int]:
    found = {
        1: not customer.delegated,
        2: source.status != "active",
        4: source.underway is not None or in_renewal(source, account.now()),
        5: kind == KINDS[2] and not delegated,
        6: any(add_on.status == "active" for add_on in account.add_ons(customer, source)),
    }
    return [code for code, holds in found.items() if holds]


def _errors(account: Account, codes: list[int]) -> list[dict[str, Any]]:
    named = account.switches["upgradeErrorCodes"] == "name"
    return [
        {
            "code": NAMES[code] if named else code,
            "description": f"The subscription cannot be upgraded: {NAMES[code].replace('_', ' ')}.",
            "attributes": {"objectType": "UpgradeError"},
        }
        for code in codes
    ]


def _replace(
    account: Account, source: Subscription, target: catalogue.Product, call: Call, at: datetime
) -> Subscription:
    made = catalogue.legacy(account.new_id(), source.customer_id, target, source.quantity, at)
    for name in ("billingCycle", "autoRenewEnabled", "partnerId"):
        made.properties[name] = source.properties[name]
    made.term_end = source.term_end
    before = summary(source)
    account.keep(source)
    source.set_status(account.switches["emptiedSourceStatus"], at)
    source.version += 1
    account.buy(made, call.caller.actor, at)
    account.record(source, "update_subscription", call.caller.actor, at, before=before)
    return made


def _licence_error() -> dict[str, Any]:
    return {
        "userObjectId": "482e2152-4b49-48ec-b715-823365ce3d4c",
        "name": "Sample User",
        "email": "sample.user@fabrikamsim.example",
        "errors": [],
        "attributes": {"objectType": "UserLicenseError"},
    }


def _offer(product: catalogue.Product) -> dict[str, Any]:
    identity, name = product
    return {
        "id": identity,
        "name": name,
        "description": "Simulated legacy offer",
        "minimumQuantity": 1,
        "maximumQuantity": 10_000_000,
        "rank": 61,
        "uri": f"/3c95518e-8c37-41e3-9627-0ca339200f53/Offers/{identity}",
        "locale": "en-us",
        "country": "GB",
        "prerequisiteOffers": [],
        "isAddOn": False,
        "isAvailableForPurchase": True,
        "billing": "license",
        "isAutoRenewable": True,
        "unitType": "Licenses",
        "attributes": {"objectType": "Offer"},
    }
