"""Checks the caller's token like Partner Center does.

Signature against Entra's keys, audience, expiry, tenant, second factor. Tokens are real time's, whatever the
simulated clock shows. A token that was verified is remembered until it expires, so that a request costs no signature
check.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from local.entra.identities import PARTNER_CENTER_AUDIENCE, PARTNER_TENANT
from local.entra.keys import DirectoryKeys, KeysUnavailableError
from local.partner_center.audit import Actor
from local.partner_center.errors import ApiError, UnauthorizedError

if TYPE_CHECKING:
    from pathlib import Path

API_APPLICATION = "fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd"
AUDIENCES = (PARTNER_CENTER_AUDIENCE, API_APPLICATION)
REMEMBERED = 1_000


@dataclass(frozen=True)
class Caller:
    """A verified caller: its tenant (throttled by it), who audit records name, and whether a user signed in."""

    tenant: str
    actor: Actor
    expires: float
    delegated: bool


class Access:
    """Verifies bearer tokens with the keys of an Entra directory, fetched over https."""

    def __init__(self, entra_url: str, ca_file: Path) -> None:
        self._keys = DirectoryKeys(entra_url, ca_file)
        self._verified: dict[str, Caller] = {}

    async def caller(self, authorization: str | None) -> Caller:
        """The caller behind an Authorization header.

        Raises:
            UnauthorizedError: there is no bearer token, or it does not verify or has expired.
            ApiError: 401/900420 another audience; 401/900421 a user without mfa; 401/400 another tenant.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise UnauthorizedError
        caller = self._verified.get(token)
        if caller is None:
            caller = await self._verify(token)
            if len(self._verified) >= REMEMBERED:
                self._verified.clear()
            self._verified[token] = caller
        if time.time() >= caller.expires:
            raise UnauthorizedError
        return caller

    async def _verify(self, token: str) -> Caller:
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=["RS256"], options={"verify_aud": False, "require": ["exp", "aud"]}
            )
        except jwt.InvalidTokenError as error:
            raise UnauthorizedError from error
        if claims["aud"] not in AUDIENCES:
            raise ApiError(401, 900420, "The audience of the token is no longer supported.")
        if str(claims.get("tid", "")).lower() != PARTNER_TENANT:
            raise ApiError(401, 400, "Access denied.")
        if "scp" in claims and "mfa" not in claims.get("amr", []):
            raise ApiError(401, 900421, "MFA is required for app and user calls; the claim is missing in the token.")
        user = str(claims.get("upn", ""))
        application = str(claims.get("app_displayname") or claims.get("appid", ""))
        return Caller(str(claims["tid"]), Actor(user, application), float(claims["exp"]), "scp" in claims)

    async def _key(self, key_id: str) -> jwt.PyJWK:
        try:
            key = await self._keys.find(key_id)
        except KeysUnavailableError as error:
            raise ApiError(500, 800003, str(error)) from error
        if key is None:
            raise UnauthorizedError
        return key
