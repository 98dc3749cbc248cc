"""Scheduled next-term instructions: which are accepted, and what the renewal makes of them.

`patch` asks whether a PATCH may store them, `lifecycle` follows them when the term has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.partner_center.errors import ApiError
from local.partner_center.given import Given, invalid, read_moment
from local.partner_center.moments import DAY, TERM_MONTHS, midnight, term_end
from local.partner_center.offers import check_term, paths_from, sku_of, take_offer

if TYPE_CHECKING:
    from datetime import datetime

    from local.partner_center.subscription import Subscription


def check_instructions(subscription: Subscription, wanted: dict[str, Any]) -> None:
    """Judge new instructions.

    Raises:
        ApiError: 400/3000 a product that is neither the present one nor a scheduled upgrade; 400/900267 to 900270 term
            or billing; 400/2002 no seats; 400/800107 the term of a trial; 400/900244 to 900246 the custom end date.
    """
    instructions = Given(wanted)
    product = instructions.part("product") or Given({})
    item = _catalog_item(product)
    targets = {path.target for path in paths_from(subscription, scheduled=True)}
    if item is not None and sku_of(item) not in targets | {sku_of(str(subscription.properties["offerId"]))}:
        raise invalid("scheduledNextTermInstructions.product")
    stored = subscription.properties
    term = product.text("termDuration") or str(stored["termDuration"])
    check_term(term, (product.text("billingCycle") or str(stored["billingCycle"])).lower())
    if subscription.is_trial and item is None and term != stored["termDuration"]:
        raise ApiError(400, 800107, "The term of a trial cannot be changed.")
    quantity = instructions.count("quantity")
    if quantity is not None and quantity < 1:
        raise ApiError(400, 2002, "The quantity is outside the minimum and maximum.")
    _check_custom_end(subscription, instructions, term)


def follow(subscription: Subscription, instructions: dict[str, Any]) -> datetime | None:
    """Change product, term, billing and seats at the renewal.

    Returns:
        The first moment after the next term, where the instructions name an end of their own.
    """
    product = instructions.get("product") or {}
    properties = subscription.properties
    if item := _catalog_item(Given(product)):
        take_offer(subscription, item)
    if product.get("billingCycle"):
        properties["billingCycle"] = str(product["billingCycle"]).lower()
    for name in ("termDuration", "promotionId"):
        if product.get(name):
            properties[name] = product[name]
    if isinstance(instructions.get("quantity"), int) and instructions["quantity"] > 0:
        properties["quantity"] = instructions["quantity"]
    custom = instructions.get("customTermEndDate")
    return _after(read_moment("customTermEndDate", str(custom))) if custom else None


def _catalog_item(product: Given) -> str | None:
    wanted = [product.text(name) for name in ("productId", "skuId", "availabilityId")]
    return ":".join(part for part in wanted if part) if all(wanted) else None


def _check_custom_end(subscription: Subscription, instructions: Given, term: str) -> None:
    custom, start = instructions.text("customTermEndDate"), subscription.term_end
    if custom is None or start is None:
        return
    try:
        end = _after(read_moment("customTermEndDate", custom))
    except ApiError as error:
        raise ApiError(400, 900244, "The custom term end date is invalid.") from error
    if end <= start:
        raise ApiError(400, 900245, "The custom term end date must lie after the start of the next term.")
    if term in TERM_MONTHS and end > term_end(start, term):
        raise ApiError(400, 900246, "The custom term end date must not lie after the end of a full term.")


def _after(last: datetime) -> datetime:
    """The first moment after the (inclusive) last day of a term."""
    return midnight(last.date()) + DAY
