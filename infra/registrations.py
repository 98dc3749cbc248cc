"""What the two registrations in Entra ID must be, and what one that is there lacks of it. No HTTP here."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from shared.identity import Role

# Microsoft Partner Center, an application of Microsoft's that every partner's tenant knows by this id
PARTNER_CENTER = "fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd"
PARTNER_CENTER_PERMISSION = "user_impersonation"
SCOPE = "access_as_user"

# Ids of roles and permissions must stay the same from run to run; they are made from their names
_NAMES = uuid.UUID("3c1f4c0a-5b57-4a0e-9a8b-0f1c2d7e6b5a")
_ROLES = {
    Role.READ: "See customers, subscriptions and operations",
    Role.OPERATE: "Suspend, reactivate, cancel, upgrade, migrate and sync subscriptions",
    Role.MAPPINGS: "Map customers, products and subscriptions to Autotask",
    Role.DEAD_LETTERS: "See, re-submit and dismiss dead letters",
    Role.ACCESS: "Say which callers reach which customers",
}


def api_registration(name: str) -> dict[str, Any]:
    """The registration that portals and services get tokens for."""
    return {
        "displayName": name,
        "signInAudience": "AzureADMyOrg",
        "appRoles": [_role(role) for role in Role],
        "api": {"requestedAccessTokenVersion": 2, "oauth2PermissionScopes": [_scope()]},
        "optionalClaims": {
            "accessToken": [{"name": "idtyp", "source": None, "essential": False, "additionalProperties": []}]
        },
    }


def client_registration(name: str, permission: str, redirect_uri: str) -> dict[str, Any]:
    """The registration that acts at Partner Center; `permission` is the id of what it asks for there."""
    return {
        "displayName": name,
        "signInAudience": "AzureADMyOrg",
        "requiredResourceAccess": [
            {"resourceAppId": PARTNER_CENTER, "resourceAccess": [{"id": permission, "type": "Scope"}]}
        ],
        "web": {"redirectUris": [redirect_uri]},
    }


def lacking(wanted: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """The properties to send so that a registration has what is wanted; empty where nothing is to be done.

    What is there beside it stays: further roles, permissions and addresses belong to somebody else.
    """
    changes = {}
    for name, value in wanted.items():
        merged = _merged(value, present.get(name))
        if merged != present.get(name):
            changes[name] = merged
    return changes


def _merged(wanted: Any, present: Any) -> Any:
    if isinstance(wanted, dict):
        there = present if isinstance(present, dict) else {}
        return {**there, **{name: _merged(value, there.get(name)) for name, value in wanted.items()}}
    if isinstance(wanted, list):
        return _merged_list(wanted, present if isinstance(present, list) else [])
    return wanted


def _merged_list(wanted: list[Any], present: list[Any]) -> list[Any]:
    """The present items, each with what is wanted of it, then those that are missing."""
    missing = list(wanted)
    result = []
    for item in present:
        same = next((one for one in missing if _key(one) == _key(item)), None)
        if same is not None:
            missing.remove(same)
        result.append(item if same is None else _kept_id(_merged(same, item), item))
    return result + missing


def _kept_id(merged: Any, present: Any) -> Any:
    """Whoever made a role by hand gave it another id, and assignments refer to that."""
    return {**merged, "id": present["id"]} if isinstance(merged, dict) and "value" in present else merged


def _key(item: Any) -> Any:
    """What makes two items of a list the same thing."""
    if isinstance(item, dict):
        return next((item[name] for name in ("value", "resourceAppId", "id", "name") if item.get(name)), None)
    return item


def _role(role: Role) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(_NAMES, role.value)),
        "value": role.value,
        "displayName": role.value,
        "description": _ROLES[role],
        "allowedMemberTypes": ["User", "Application"],
        "isEnabled": True,
    }


def _scope() -> dict[str, Any]:
    text = "Call csp-functions as the signed-in user"
    return {
        "id": str(uuid.uuid5(_NAMES, SCOPE)),
        "value": SCOPE,
        "type": "User",
        "isEnabled": True,
        "adminConsentDisplayName": text,
        "adminConsentDescription": f"{text}; what he may do is said by his app roles.",
        "userConsentDisplayName": text,
        "userConsentDescription": f"{text}.",
    }


def permission_id(service_principal: dict[str, Any]) -> str | None:
    """The id of the delegated permission at Partner Center, from its service principal in this tenant."""
    scopes: Iterable[dict[str, Any]] = service_principal.get("oauth2PermissionScopes", [])
    return next((str(one["id"]) for one in scopes if one.get("value") == PARTNER_CENTER_PERMISSION), None)
