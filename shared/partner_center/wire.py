"""From Partner Center's raw JSON to the values of `shared.domain.subscription`; pure and tolerant.

The raw resource stays what is sent back in a PATCH; this reading of it is for decisions and lists only. Whatever is
missing, null, of an unknown word or in another letter case is read as far as it goes (reference 4.7, 6).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from typing import Any

from shared.domain.errors import Malformed
from shared.domain.known import canonical
from shared.domain.subscription import CustomerItem, Family, SeatBatch, State, Subscription

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_IDENTITY = re.compile(r"[0-9a-zA-Z._-]{1,64}")  # a GUID, or anything else that a path and a key can hold
_AZURE_PLAN_OFFER = "DZH318Z0BPS6:0001"
_RESERVATIONS = {"azurereservations", "azurereservation", "reservation", "savingsplan", "azuresavingsplan"}
_LEGACY = {Family.LEGACY_LICENSE, Family.LEGACY_AZURE}
_LICENSES = {Family.LEGACY_LICENSE, Family.NCE_LICENSE}


def parse_subscription(customer_id: str, raw: dict[str, Any]) -> Subscription:
    """One subscription resource of a customer.

    Raises:
        Malformed: its id or its quantity cannot be read.
    """
    offer_id = _text(raw, "offerId")
    family = classify(raw)
    status = _text(raw, "status")
    return Subscription(
        customer_id=customer_id.strip().lower(),
        id=_id(raw),
        offer_id=offer_id,
        offer_name=_text(raw, "offerName"),
        friendly_name=_text(raw, "friendlyName"),
        family=family,
        is_trial=raw.get("isTrial") is True,
        status_raw=status,
        state=_state(status, raw),
        quantity=_quantity(raw),
        unit_type=_text(raw, "unitType"),
        auto_renew=raw.get("autoRenewEnabled") is True,
        term_duration=_text(raw, "termDuration"),
        billing_cycle=_text(raw, "billingCycle"),
        creation_date=moment(raw.get("creationDate")),
        effective_start=moment(raw.get("effectiveStartDate")),
        commitment_end=_commitment_end(raw, family),
        cancel_until=moment(raw.get("cancellationAllowedUntilDate")),
        refundable=_refundable(raw.get("refundableQuantity")),
        parent_id=_text(raw, "parentSubscriptionId").lower() or None,
        promotion_id=_text(raw, "promotionId") or None,
        order_id=_text(raw, "orderId"),
        product_key=product_key(offer_id),
        schedule=canonical(raw.get("scheduledNextTermInstructions")),
        migrated_from=_text(raw, "migratedFromSubscriptionId").lower() or None,
    )


def parse_customer(raw: dict[str, Any]) -> CustomerItem:
    """One item of the list of customers.

    Raises:
        Malformed: it has no id.
    """
    profile = raw.get("companyProfile")
    company: dict[str, Any] = profile if isinstance(profile, dict) else {}
    identity = _text(raw, "id") or _text(company, "tenantId")
    if not _IDENTITY.fullmatch(identity):
        raise Malformed("a customer without a usable id")
    return CustomerItem(
        id=identity.lower(),
        name=_text(company, "companyName"),
        domain=_text(company, "domain"),
        relationship=_text(raw, "relationshipToPartner"),
    )


def classify(raw: dict[str, Any]) -> Family:
    """The product family; the first rule that fits wins (reference 6.3)."""
    family = _family(raw)
    return Family.TRIAL if raw.get("isTrial") is True and family in _LICENSES else family


def _family(raw: dict[str, Any]) -> Family:
    offer_id = _text(raw, "offerId")
    types = _product_types(raw)
    rules = (
        (Family.LEGACY_LICENSE, _GUID.fullmatch(offer_id) is not None),
        (Family.LEGACY_AZURE, offer_id.upper().startswith("MS-AZR-")),
        (Family.NCE_LICENSE, "onlineservicesnce" in types and ":" in offer_id),
        (Family.AZURE_PLAN, "azure" in types or offer_id.upper().startswith(_AZURE_PLAN_OFFER)),
        (Family.SOFTWARE, "software" in types),
        (Family.RESERVATION, bool(types & _RESERVATIONS) or _text(raw, "billingType").lower() == "benefit"),
        (Family.SAAS, raw.get("isMicrosoftProduct") is False or "saas" in types),
    )
    return next((family for family, fits in rules if fits), Family.UNKNOWN)


def _product_types(raw: dict[str, Any]) -> set[str]:
    product = raw.get("productType")
    if isinstance(product, dict):
        return {_text(product, "id").lower(), _text(product, "displayName").lower()} - {""}
    return {product.strip().lower()} if isinstance(product, str) else set()


def product_key(offer_id: str) -> str:
    """The key of a product mapping: "product:sku" of a catalogue offer, or the legacy offer's id."""
    if _GUID.fullmatch(offer_id):
        return offer_id.lower()
    return ":".join(offer_id.split(":")[:2])


def moment(value: object) -> datetime | None:
    """A UTC moment from any of Partner Center's date forms; no zone means UTC; None where there is none."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if parsed.year == 1 else parsed  # the year 1 is .NET's "no date"


def _commitment_end(raw: dict[str, Any], family: Family) -> datetime | None:
    """The last moment of the term. A bare date is inclusive, except for legacy offers (reference 4.7)."""
    exact = moment(raw.get("commitmentEndDateTime"))
    if exact is not None:
        return exact
    end = moment(raw.get("commitmentEndDate"))
    if end is None or family in _LEGACY or end.time() != time():
        return end
    return end.replace(hour=23, minute=59, second=59)


def _refundable(value: object) -> tuple[SeatBatch, ...] | None:
    """The seat batches, soonest deadline first. One without a readable deadline promises nothing: left out."""
    if not isinstance(value, dict):
        return None
    details = value.get("details")
    batches = [_batch(item) for item in details if isinstance(item, dict)] if isinstance(details, list) else []
    return tuple(sorted((batch for batch in batches if batch), key=lambda batch: batch.until))


def _batch(item: dict[str, Any]) -> SeatBatch | None:
    quantity, until = whole(item.get("quantity")), moment(item.get("allowedUntilDateTime"))
    return None if quantity is None or quantity <= 0 or until is None else SeatBatch(quantity, until)


def _state(status: str, raw: dict[str, Any]) -> State:
    """The state, in any spelling; a disabled one that names why it was suspended was suspended before."""
    word = re.sub(r"[^a-z]", "", status.lower())
    if word == "suspendeddisabled" or (word == "disabled" and raw.get("suspensionReasons")):
        return State.DISABLED_AFTER_SUSPENSION
    return next((state for state in State if state.value.replace("_", "") == word), State.UNKNOWN)


def _id(raw: dict[str, Any]) -> str:
    identity = _text(raw, "id").lower()
    if not _IDENTITY.fullmatch(identity):
        raise Malformed("a subscription without a usable id")
    return identity


def _quantity(raw: dict[str, Any]) -> int:
    quantity = whole(raw.get("quantity"))
    if quantity is None or quantity < 0:
        raise Malformed(f"subscription {_id(raw)} has no readable quantity")
    return quantity


def whole(value: object) -> int | None:
    """A whole number written as integer, float or digits; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*-?[0-9]{1,12}\s*", value) else None
    return value if isinstance(value, int) else None


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int) else ""
