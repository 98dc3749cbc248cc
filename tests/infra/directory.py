"""A directory that answers like Microsoft Graph does for applications and service principals, over real HTTP."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from infra.registrations import PARTNER_CENTER
from tests.adapters.conftest import Answer, Received

_BY_NAME = re.compile(r"/v1\.0/applications\(uniqueName='([\w-]+)'\)")
_BY_ID = re.compile(r"/v1\.0/(applications|servicePrincipals)/([\w-]+)")
_PRINCIPAL = re.compile(r"/v1\.0/servicePrincipals\(appId='([\w-]+)'\)")
# What Graph adds to a role or permission that it is given
_ADDED = {"appRoles": {"origin": "Application"}, "oauth2PermissionScopes": {}}


@dataclass
class Directory:
    """Applications by unique name and service principals by application id. `unknown_for` delays a new one."""

    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    principals: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    unknown_for: int = 0
    forbidden: bool = False

    def __post_init__(self) -> None:
        self.principals[PARTNER_CENTER] = {
            "id": str(uuid.uuid4()),
            "appId": PARTNER_CENTER,
            "oauth2PermissionScopes": [{"id": "11111111-1111-4111-8111-111111111111", "value": "user_impersonation"}],
        }

    def answer(self, request: Received) -> Answer:  # noqa: PLR0911 - one return per path
        if request.headers.get("authorization") != "Bearer directory-token":
            return _refused(401, "InvalidAuthenticationToken")
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.path}")
            if self.forbidden:
                return _refused(403, "Authorization_RequestDenied")
        if found := _BY_NAME.fullmatch(request.path):
            return self._application(request, found[1])
        if found := _PRINCIPAL.fullmatch(request.path):
            present = self.principals.get(found[1])
            return Answer(200, present) if present else _refused(404, "Request_ResourceNotFound")
        if request.method == "PATCH" and (found := _BY_ID.fullmatch(request.path)):
            return self._changed(found[2], request.body)
        if request.method == "POST" and request.path == "/v1.0/servicePrincipals":
            return self._new_principal(request.body)
        return _refused(400, "BadRequest")

    def _application(self, request: Received, name: str) -> Answer:
        present = self.applications.get(name)
        if request.method == "GET":
            return Answer(200, present) if present else _refused(404, "Request_ResourceNotFound")
        if present is None and request.headers.get("prefer") == "create-if-missing":
            made = {"id": str(uuid.uuid4()), "appId": str(uuid.uuid4()), "identifierUris": [], "uniqueName": name}
            made |= {"keyCredentials": [], **_as_stored(request.body)}
            self.applications[name] = made
            return Answer(201, made)
        return Answer(204, b"")

    def _changed(self, identity: str, body: dict[str, Any]) -> Answer:
        for present in (*self.applications.values(), *self.principals.values()):
            if present["id"] == identity:
                present.update(_as_stored(body))
                return Answer(204, b"")
        return _refused(404, "Request_ResourceNotFound")

    def _new_principal(self, body: dict[str, Any]) -> Answer:
        if self.unknown_for:
            self.unknown_for -= 1
            text = f"The appId '{body['appId']}' does not reference a valid application object."
            return Answer(400, {"error": {"code": "Request_BadRequest", "message": text}})
        made = {"id": str(uuid.uuid4()), **body}
        self.principals[str(body["appId"])] = made
        return Answer(201, made)


def _as_stored(body: dict[str, Any]) -> dict[str, Any]:
    """A body as the directory shows it afterwards: with members that nobody sent."""
    stored = dict(body)
    if "appRoles" in stored:
        stored["appRoles"] = [{**role, **_ADDED["appRoles"]} for role in stored["appRoles"]]
    if "api" in stored:
        stored["api"] = {"acceptMappedClaims": None, "knownClientApplications": [], **stored["api"]}
    if "web" in stored:
        stored["web"] = {"homePageUrl": None, "logoutUrl": None, **stored["web"]}
    return stored


def _refused(status: int, code: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": "The directory says no."}})
