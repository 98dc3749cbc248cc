"""What a new commerce subscription can be upgraded to, into which existing subscriptions, and why not.

`GET transitionEligibilities` shows it; `transition_rules` judges a POST by the same functions. The error numbers are
those of Microsoft's TransitionErrorCode and of the destinations' own list.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from local.partner_center.lifecycle import in_renewal
from local.partner_center.offers import SKUS, Path, Variant, months, paths_from, sku_of
from local.partner_center.subscription import Family

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from local.partner_center.subscription import Subscription
    from local.simulation.switches import Switches

TRANSITION_ONLY = "transition_only"
WITH_TRANSFER = "transition_with_license_transfer"
KINDS = (TRANSITION_ONLY, WITH_TRANSFER)
REASONS = {
    0: "The subscription cannot be transitioned.",
    1: "Delegated admin permissions are disabled.",
    2: "Subscription cannot be transitioned because it is not active.",
    3: "Subscription cannot be transitioned because there are conflicting services.",
    4: "Subscription cannot be transitioned because another operation is in progress.",
    5: "A user context is required.",
    6: "Subscription cannot be transitioned because add-ons are present.",
    7: "The subscription does not have any transition paths.",
    8: "The target offer was not found.",
    9: "Subscription cannot be transitioned because it is not provisioned yet.",
    10: "The offer does not support the billing cycle.",
    11: "No conversions were found.",
    12: "License reassignment failed for one or more users.",
    13: "Granular admin permissions are insufficient.",
}
DESTINATION_REASONS = {
    1: "The subscription is not active.",
    2: "The subscription is within its cancellation window.",
    3: "The subscription's term duration is shorter than the source subscription's term duration.",
    4: "The subscription's term ends before the source subscription's term.",
}


def source_error(source: Subscription, now: datetime) -> int | None:
    """Why nothing can be upgraded from this subscription at this moment."""
    if source.underway is not None or in_renewal(source, now):
        return 4
    if source.status == "pending":
        return 9
    return None if source.status == "active" else 2


def kind_error(source: Subscription, path: Path, kind: str, now: datetime, forced: Mapping[str, int]) -> int | None:
    """Why this kind of upgrade cannot be made on this path; `forced` has reasons by target (`product:sku`)."""
    if (error := source_error(source, now)) is not None:
        return error
    if path.target in forced:
        return forced[path.target]
    return path.transfer_error if kind == WITH_TRANSFER else None


def destination_errors(source: Subscription, destination: Subscription, now: datetime) -> list[int]:
    """Why an existing subscription cannot take the seats."""
    own, others = source.term_end, destination.term_end
    until = destination.cancel_until
    found = {
        1: destination.status != "active",
        2: until is not None and now < until,
        3: months(destination.properties["termDuration"]) < months(source.properties["termDuration"]),
        4: own is not None and others is not None and others < own,
    }
    return [code for code, holds in found.items() if holds]


def variants(source: Subscription, path: Path, switches: Switches, *, scheduled: bool) -> list[Variant]:
    """The availabilities of a target; an immediate upgrade cannot shorten the term."""
    least = 0 if scheduled else months(source.properties["termDuration"])
    # A trial converts into a term of its own
    found = [one for one in SKUS[path.target] if source.is_trial or months(one.term) >= least]
    if switches["transitionVariants"] == "by_term":
        return found
    own = [one for one in found if one.term == source.properties["termDuration"]]
    return (own or found)[:1]


def eligible_items(
    source: Subscription,
    others: Iterable[Subscription],
    now: datetime,
    switches: Switches,
    forced: Mapping[str, int],
    *,
    scheduled: bool,
) -> list[dict[str, Any]]:
    """The items of `GET transitionEligibilities`; `others` are the customer's subscriptions."""
    if source.family is not Family.NCE:
        return []
    candidates = [one for one in others if one.family is Family.NCE and one.key != source.key and not one.is_trial]
    items: list[dict[str, Any]] = []
    for path in paths_from(source, scheduled=scheduled):
        existing = [one for one in candidates if sku_of(str(one.properties["offerId"])) == path.target]
        for variant in variants(source, path, switches, scheduled=scheduled):
            item = _item(source, path, variant, now, forced)
            if not (source.is_trial or scheduled):
                item["subscriptionEligibilities"] = [_destination(source, one, now) for one in existing]
            elif switches["subscriptionEligibilitiesWhenNone"] == "empty":
                item["subscriptionEligibilities"] = []
            items.append(item)
    return items


def errors(codes: Iterable[int], reasons: Mapping[int, str] = REASONS) -> list[dict[str, Any]]:
    """Error numbers as the API writes them."""
    return [{"code": code, "description": reasons.get(code, reasons[min(reasons)])} for code in codes]


def _item(
    source: Subscription, path: Path, variant: Variant, now: datetime, forced: Mapping[str, int]
) -> dict[str, Any]:
    found = {kind: kind_error(source, path, kind, now, forced) for kind in KINDS}
    return {
        "operationId": str(uuid.uuid4()),
        "catalogItemId": variant.catalog_item_id,
        "title": variant.name,
        "description": "Simulated target SKU",
        "quantity": source.quantity,
        "eligibilities": [
            {
                "isEligible": error is None,
                "transitionType": kind,
                "errors": errors([] if error is None else [error]),
            }
            for kind, error in found.items()
        ],
        "attributes": {"objectType": "TransitionEligibility"},
    }


def _destination(source: Subscription, destination: Subscription, now: datetime) -> dict[str, Any]:
    codes = destination_errors(source, destination, now)
    properties = destination.properties
    return {
        "isEligible": not codes,
        "subscriptionId": destination.id,
        "subscriptionFriendlyName": properties["friendlyName"],
        "subscriptionTermDuration": properties["termDuration"],
        "subscriptionBillingCycle": properties["billingCycle"],
        "errors": errors(codes, DESTINATION_REASONS),
    }
