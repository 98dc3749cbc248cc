"""The https door of the Entra simulator: metadata, keys and tokens per tenant, and `POST /_control/tokens`.

Clock, faults, request log and switches come from `local.simulation`; the decisions are `local.entra.authority`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from local.entra.authority import TENANT, Authority, PortalTokenRequest
from local.entra.refusals import GrantRefusedError
from local.simulation.app import simulator_app
from local.simulation.clock import SimulatedClock
from local.simulation.control import control_route, json_object
from local.simulation.errors import ControlError
from local.simulation.faults import Faults
from local.simulation.requests_log import RequestsLog
from local.simulation.switches import Switch, Switches

if TYPE_CHECKING:
    from cryptography import x509
    from starlette.applications import Starlette
    from starlette.requests import Request

SWITCHES = (
    Switch(
        "signIn",
        "second_factor",
        ("second_factor", "password_only", "declined"),
        "What a person does who is sent to sign in: gives a second factor, none, or declines the consent.",
    ),
    Switch(
        "oldRefreshToken",
        "stays_valid",
        ("stays_valid", "dies"),
        "Whether a refresh token can be used again after it was exchanged for a new one (Entra: it can).",
    ),
    Switch(
        "refreshWithoutMfa",
        "token_without_mfa",
        ("token_without_mfa", "refused"),
        "What a refresh token that was obtained without a second factor gets: a token without mfa, or AADSTS50076.",
    ),
)
TOKEN_FIELDS = {
    "name": ("name", str),
    "oid": ("oid", str),
    "roles": ("roles", list),
    "audience": ("audience", str),
    "tenant": ("tenant", str),
    "expiresInSeconds": ("expires_in_seconds", int),
    "signedBy": ("signed_by", str),
    "issuer": ("issuer", str),
    "algorithm": ("algorithm", str),
    "startsInSeconds": ("starts_in_seconds", int),
    "application": ("application", bool),
    "version": ("version", str),
}
CHOICES = {"signedBy": ("us", "stranger"), "algorithm": ("RS256", "none", "HS256"), "version": ("1.0", "2.0")}


class _Doors:
    """The endpoints over one authority."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    async def metadata_v1(self, request: Request) -> JSONResponse:
        return self._metadata(request, version=1)

    async def metadata_v2(self, request: Request) -> JSONResponse:
        return self._metadata(request, version=2)

    async def keys(self, _: Request) -> JSONResponse:
        return JSONResponse(self._authority.key_set())

    async def authorize(self, request: Request) -> Response:
        try:
            sent = self._authority.authorize(request.path_params["tenant"], dict(request.query_params))
        except GrantRefusedError as refused:
            return JSONResponse(refused.body(self._authority.now()), refused.status)
        return HTMLResponse(sent.page) if sent.by_form else RedirectResponse(sent.location, 302)

    async def token_v1(self, request: Request) -> JSONResponse:
        return await self._token(request, version=1)

    async def token_v2(self, request: Request) -> JSONResponse:
        return await self._token(request, version=2)

    async def portal_token(self, request: Request) -> dict[str, Any]:
        wanted = _portal_request(await json_object(request))
        return {
            "access_token": self._authority.portal_token(wanted),
            "token_type": "Bearer",
            "expires_in": wanted.expires_in_seconds,
        }

    async def roll_over(self, request: Request) -> dict[str, Any]:
        body = await json_object(request)
        keep_old = body.pop("keepOld", True)
        if body or not isinstance(keep_old, bool):
            raise ControlError("a roll-over takes keepOld, true or false, and nothing else")
        return {"keyId": self._authority.roll_over(keep_old=keep_old)}

    def state(self) -> dict[str, Any]:
        return {
            "issuerVersion2": self._authority.issuer("{tenant}", version=2),
            "refreshTokens": [
                {"token": token, "clientId": known.client_id, "mfa": known.mfa, "expired": known.expired}
                for token, known in self._authority.refresh_tokens.items()
            ],
        }

    def _metadata(self, request: Request, *, version: int) -> JSONResponse:
        tenant = request.path_params["tenant"]
        if TENANT.fullmatch(tenant):
            return JSONResponse(self._authority.metadata(tenant, version=version))
        refused = GrantRefusedError(400, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")
        return JSONResponse(refused.body(self._authority.now()), refused.status)

    async def _token(self, request: Request, *, version: int) -> JSONResponse:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        try:
            answer = self._authority.grant(request.path_params["tenant"], form, version=version)
        except GrantRefusedError as refused:
            return JSONResponse(refused.body(self._authority.now()), refused.status)
        return JSONResponse(answer, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def entra_app(base_url: str, certificate: x509.Certificate | None = None) -> Starlette:
    """The application of the simulator; `base_url` is what its issuers and metadata say, without a trailing slash.

    `certificate` is registered with the client application.
    """
    clock = SimulatedClock()
    switches = Switches(SWITCHES)
    doors = _Doors(Authority(base_url, setting=switches.__getitem__, now=clock.now, certificate=certificate))
    routes = [
        Route("/{tenant}/.well-known/openid-configuration", doors.metadata_v1),
        Route("/{tenant}/v2.0/.well-known/openid-configuration", doors.metadata_v2),
        Route("/{tenant}/discovery/keys", doors.keys),
        Route("/{tenant}/discovery/v2.0/keys", doors.keys),
        Route("/{tenant}/oauth2/v2.0/authorize", doors.authorize),
        Route("/{tenant}/oauth2/token", doors.token_v1, methods=["POST"]),
        Route("/{tenant}/oauth2/v2.0/token", doors.token_v2, methods=["POST"]),
    ]
    return simulator_app(
        routes=routes,
        clock=clock,
        faults=Faults(),
        log=RequestsLog(),
        switches=switches,
        state=doors.state,
        state_routes=[
            control_route("/tokens", "POST", doors.portal_token),
            control_route("/keys/roll-over", "POST", doors.roll_over),
        ],
        fault_body=_unavailable,
    )


def _unavailable(status: int) -> dict[str, Any]:
    """The body of a fault that names none: Entra says `temporarily_unavailable` in its own shape."""
    return {
        "error": "temporarily_unavailable",
        "error_description": f"AADSTS90033: A transient error has occurred. Please try again. ({status})",
        "error_codes": [90033],
    }


def _portal_request(body: dict[str, Any]) -> PortalTokenRequest:
    values: dict[str, Any] = {}
    for name, value in body.items():
        if name not in TOKEN_FIELDS:
            raise ControlError(f"unknown field {name} in a token request; known are {', '.join(TOKEN_FIELDS)}")
        attribute, kind = TOKEN_FIELDS[name]
        if type(value) is not kind:  # true is no number here
            raise ControlError(f"{name} must be of type {kind.__name__}")
        if value not in CHOICES.get(name, (value,)):
            raise ControlError(f"{name} must be one of {', '.join(CHOICES[name])}")
        values[attribute] = value
    return PortalTokenRequest(**values)
