"""Reads the body of a PATCH: which writable fields it carries, with which values, and what it leaves out.

Omission is destructive at Partner Center, so "absent" is decided here once; the rules about the values are `patch`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.partner_center.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.partner_center.subscription import Subscription

STATUSES = frozenset({"none", "active", "pending", "suspended", "expired", "disabled", "deleted"})
DOCUMENTED = frozenset(
    {
        "id",
        "offerid",
        "entitlementid",
        "offername",
        "friendlyname",
        "producttype",
        "quantity",
        "unittype",
        "parentsubscriptionid",
        "creationdate",
        "effectivestartdate",
        "commitmentenddate",
        "commitmentenddatetime",
        "cancellationalloweduntildate",
        "billingcycleenddate",
        "billingcycleenddatetime",
        "status",
        "autorenewenabled",
        "istrial",
        "billingtype",
        "billingcycle",
        "termduration",
        "renewaltermduration",
        "refundoptions",
        "refundablequantity",
        "haspurchasableaddons",
        "ismicrosoftproduct",
        "publishername",
        "actions",
        "partnerid",
        "additionalpartnerids",
        "suspensionreasons",
        "contracttype",
        "attentionneeded",
        "actiontaken",
        "promotionid",
        "consumptiontype",
        "migratedfromsubscriptionid",
        "schedulednextterminstructions",
        "nextchargeinstructions",
        "orderid",
        "productorderid",
        "lineitems",
        "links",
        "attributes",
    }
)


@dataclass(frozen=True)
class WantedFields:
    """The writable fields as the body wants them; a value that the body may leave out falls back to the stored one."""

    quantity: int
    status: str
    friendly_name: str
    partner_id: str
    auto_renew: bool
    next_term: dict[str, Any] | None
    next_charge: dict[str, Any] | None
    additional_partner_ids: list[Any] | None
    undocumented: dict[str, Any]
    etag: str | None


def read_fields(body: object, subscription: Subscription) -> WantedFields:
    """Read the body against the stored subscription; property names match in any case.

    Raises:
        ApiError: 400/800002 not an object, no id or another id; 400/3000 a value of the wrong type; 400/900126 a status
            that is no status.
    """
    if not isinstance(body, dict):
        raise ApiError(400, 800002, "The request input is invalid: an object is expected.")
    given = {str(name).lower(): value for name, value in body.items()}
    if str(given.get("id", "")).lower() != subscription.key:
        raise ApiError(400, 800002, "The request input is invalid: the id does not match the path.")
    stored = subscription.properties
    return WantedFields(
        quantity=_typed(given, "quantity", int, subscription.quantity),
        status=_status(given, subscription.status),
        friendly_name=_typed(given, "friendlyName", str, stored.get("friendlyName", "")),
        partner_id=_typed(given, "partnerId", str, stored.get("partnerId", "")),
        auto_renew=bool(_typed(given, "autoRenewEnabled", bool, None)),
        next_term=_typed(given, "scheduledNextTermInstructions", dict, None),
        next_charge=_typed(given, "nextChargeInstructions", dict, None),
        additional_partner_ids=_typed(given, "additionalPartnerIds", list, None),
        undocumented={name: given[name.lower()] for name in undocumented(stored) if name.lower() in given},
        etag=_etag(given.get("attributes")),
    )


def undocumented(properties: Mapping[str, Any]) -> list[str]:
    """The names of stored fields that the documentation does not know."""
    return [name for name in properties if name.lower() not in DOCUMENTED]


def _typed(given: Mapping[str, Any], name: str, kind: type, fallback: Any) -> Any:
    value = given.get(name.lower())
    if value is None:
        return fallback
    # Python's bool is an int, JSON's is not
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ApiError(400, 3000, f"The property '{name}' is invalid.")
    return value


def _status(given: Mapping[str, Any], stored: str) -> str:
    wanted = str(_typed(given, "status", str, stored))
    if wanted.lower() == stored.lower():
        return stored
    if wanted.lower() not in STATUSES:
        raise ApiError(400, 900126, f"Unable to parse enum value '{wanted}' of 'status'.")
    return wanted.lower()


def _etag(attributes: object) -> str | None:
    etag = attributes.get("etag") if isinstance(attributes, dict) else None
    return str(etag) if etag else None
