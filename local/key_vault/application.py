"""The https door of the Key Vault simulator: the challenge, the token check, `GET` and `PUT` of a secret.

Clock, faults, request log and switches come from `local.simulation`; the secrets are in `local.key_vault.vault`.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import jwt
from starlette.responses import JSONResponse
from starlette.routing import Route

from local.entra.identities import PARTNER_TENANT
from local.entra.keys import DirectoryKeys, KeysUnavailableError
from local.key_vault.vault import Vault, VaultError
from local.simulation.app import simulator_app
from local.simulation.clock import SimulatedClock
from local.simulation.faults import Faults
from local.simulation.requests_log import RequestsLog
from local.simulation.switches import Switch, Switches

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.requests import Request

log = logging.getLogger(__name__)

RESOURCE = "https://vault.azure.net"
SWITCHES = (
    Switch(
        "access",
        "read_and_write",
        ("read_and_write", "read_only", "denied"),
        "What the caller's role allows: to read and write secrets, to read them, or nothing.",
    ),
)


class _Doors:
    """The endpoints over one vault."""

    def __init__(self, vault: Vault, entra: str, keys: DirectoryKeys) -> None:
        self._vault = vault
        self._challenge = f'Bearer authorization="{entra.rstrip("/")}/{PARTNER_TENANT}", resource="{RESOURCE}"'
        self._keys = keys

    async def secret(self, request: Request) -> JSONResponse:
        if not await self._is_authorised(request.headers.get("authorization", "")):
            refused = VaultError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
            return JSONResponse(refused.body(), 401, {"WWW-Authenticate": self._challenge})
        if not request.query_params.get("api-version"):
            return JSONResponse(VaultError(400, "BadParameter", "api-version must be specified").body(), 400)
        name, version = request.path_params["name"], request.path_params.get("version", "")
        try:
            if request.method == "PUT":
                return JSONResponse(self._vault.write(name, _parsed(await request.body())))
            return JSONResponse(self._vault.read(name, version))
        except VaultError as refused:
            return JSONResponse(refused.body(), refused.status)

    async def _is_authorised(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return False
        try:
            key = await self._keys.find(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                return False
            jwt.decode(token, key, algorithms=["RS256"], audience=RESOURCE)
        except (jwt.InvalidTokenError, KeysUnavailableError) as error:
            log.warning("a token was refused: %s", error)
            return False
        return True


def key_vault_app(base_url: str, *, entra: str, ca_file: Path) -> Starlette:
    """The application of the simulator; tokens of the directory at `entra` are accepted."""
    clock = SimulatedClock()
    switches = Switches(SWITCHES)
    vault = Vault(base_url, setting=switches.__getitem__, now=clock.now)
    doors = _Doors(vault, entra, DirectoryKeys(entra, ca_file))
    return simulator_app(
        routes=[
            Route("/secrets/{name}", doors.secret, methods=["GET", "PUT"]),
            Route("/secrets/{name}/", doors.secret, methods=["GET"]),
            Route("/secrets/{name}/{version}", doors.secret, methods=["GET"]),
        ],
        clock=clock,
        faults=Faults(),
        log=RequestsLog(),
        switches=switches,
        state=vault.state,
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
