"""Judges the body of `POST transitions` in the order in which Partner Center finds fault.

The source, the target, the term, then the destination. What an accepted one does is `transitions`'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from local.partner_center.eligibility import KINDS, REASONS, destination_errors, kind_error
from local.partner_center.errors import ApiError
from local.partner_center.given import Given, invalid
from local.partner_center.lifecycle import in_renewal
from local.partner_center.offers import SKUS, Path, Variant, check_term, months, paths_from, sku_of
from local.partner_center.patch import SMALL_BUSINESS_PRODUCTS, SMALL_BUSINESS_SEATS
from local.partner_center.subscription import Family, Subscription
from local.simulation.switches import Switches


@dataclass(frozen=True)
class Plan:
    """An accepted upgrade: what to do when its time has come."""

    item: str
    quantity: int
    kind: str
    term: str
    cycle: str
    destination: Subscription | None
    promotion: str | None


@dataclass(frozen=True)
class Surroundings:
    """What the rules look at besides source and body; `find` gives another subscription of the customer or raises."""

    now: datetime
    switches: Switches
    forced: Mapping[str, int]
    find: Callable[[str], Subscription]


def check_source(source: Subscription, now: datetime) -> None:
    """Judge whether this subscription can be upgraded by transitions at this moment.

    Raises:
        ApiError: 403/900263 legacy, 400/900127 another family, 409/900278 something is under way, 400/800012 it is not
            active.
    """
    if source.family is Family.LEGACY:
        raise ApiError(403, 900263, "This method is not supported for legacy subscriptions.")
    if source.family is not Family.NCE:
        raise ApiError(400, 900127, "The operation is not supported for this subscription.")
    if source.underway is not None or in_renewal(source, now):
        raise ApiError(409, 900278, "The subscription has a pending operation. Please retry after 24 hours.")
    if source.status != "active":
        raise ApiError(400, 800012, "The subscription is not an active subscription.")


def read_plan(source: Subscription, body: Given, around: Surroundings) -> Plan:
    """Read and judge the body.

    Raises:
        ApiError: the first rule that forbids it.
    """
    check_source(source, around.now)
    path, variant = _target(source, body)
    kind = body.text("transitionType") or ""
    if kind not in KINDS:
        raise ApiError(400, 900126, f"Unable to parse enum value '{kind}' of 'transitionType'.")
    quantity = _quantity(source, body, path)
    error = kind_error(source, path, kind, around.now, around.forced)
    if error is not None:
        raise ApiError(400, 800002, f"The request input is invalid: {REASONS.get(error, REASONS[0])}")
    term, cycle = _term(source, body, variant, around.switches)
    to_subscription = body.text("toSubscriptionId")
    destination = None if to_subscription is None else _destination(source, to_subscription, path, quantity, around)
    return Plan(variant.catalog_item_id, quantity, kind, term, cycle, destination, body.text("promotionId"))


def _target(source: Subscription, body: Given) -> tuple[Path, Variant]:
    wanted = (body.text("toCatalogItemId") or "").upper()
    echoes = {"fromCatalogItemId": str(source.properties["offerId"]), "fromSubscriptionId": source.id}
    for name, value in echoes.items():
        if (body.text(name) or value).upper() != value.upper():
            raise invalid(name)
    for path in paths_from(source, scheduled=False):
        for variant in SKUS[path.target]:
            if variant.catalog_item_id == wanted:
                return path, variant
    raise invalid("toCatalogItemId")


def _quantity(source: Subscription, body: Given, path: Path) -> int:
    quantity = body.count("quantity")
    if quantity is None or quantity < 1 or (source.is_trial and quantity < source.quantity):
        raise ApiError(400, 2002, "The quantity is outside the minimum and maximum.")
    small = path.target.startswith(SMALL_BUSINESS_PRODUCTS)
    if small and quantity > max(SMALL_BUSINESS_SEATS, source.quantity):
        raise ApiError(403, 800067, "The maximum number of seats would be exceeded.")
    return quantity


def _term(source: Subscription, body: Given, variant: Variant, switches: Switches) -> tuple[str, str]:
    asked = body.text("termDuration")
    term = (asked or variant.term).upper()
    if asked is not None and switches["transitionTerms"] == "of_the_item" and term != variant.term:
        raise ApiError(400, 900268, "The term duration is invalid.")
    stored = source.properties
    kept = str(stored["billingCycle"]) if term == stored["termDuration"] else "monthly"
    cycle = (body.text("billingCycle") or kept).lower()
    check_term(term, cycle, at_least=0 if source.is_trial else months(stored["termDuration"]))
    return term, cycle


def _destination(
    source: Subscription, subscription_id: str, path: Path, quantity: int, around: Surroundings
) -> Subscription:
    if subscription_id.lower() == source.key:
        raise ApiError(400, 900259, "The toSubscriptionId cannot be the id of the source subscription.")
    try:
        found = around.find(subscription_id)
    except ApiError as error:
        raise ApiError(400, 900258, "The toSubscriptionId is not an active subscription.") from error
    if sku_of(str(found.properties["offerId"])) != path.target:
        raise ApiError(400, 900260, "The toSubscriptionId is of another catalog item than toCatalogItemId.")
    codes = destination_errors(source, found, around.now)
    if 1 in codes:
        raise ApiError(400, 900258, "The toSubscriptionId is not an active subscription.")
    if found.underway is not None or in_renewal(found, around.now) or 2 in codes:
        raise ApiError(400, 900261, "The toSubscriptionId is not ready for the transition. Please retry later.")
    if 3 in codes:
        raise ApiError(400, 900267, "The term duration cannot be shorter than the source subscription's.")
    if 4 in codes:
        raise ApiError(400, 900236, "The end date of the toSubscriptionId must be later than the source's.")
    if path.target.startswith(SMALL_BUSINESS_PRODUCTS) and found.quantity + quantity > SMALL_BUSINESS_SEATS:
        raise ApiError(403, 800067, "The maximum number of seats would be exceeded.")
    return found
