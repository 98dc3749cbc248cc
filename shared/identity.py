"""Who calls: the app itself verifies each Entra ID token, so that a mis-set platform switch cannot open it (design 8).

Signature (RS256, keys of the tenant's JWKS), issuer, audience, expiry and app role; everything else is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jwt

from shared.domain.errors import CspError, RetryLater
from shared.transport import Request, Retries, Transport

_KEYS_FOR_SECONDS = 24 * 3600
_ASK_AGAIN_AFTER_SECONDS = 30  # a stranger's token must not make us hammer Entra ID
_LEEWAY_SECONDS = 60


class Role(StrEnum):
    """The app roles; each route declares the one it needs."""

    READ = "Subscriptions.Read"
    OPERATE = "Subscriptions.Operate"
    MAPPINGS = "Mappings.Manage"
    DEAD_LETTERS = "DeadLetters.Manage"


class Unauthenticated(CspError):
    """No token, or one that does not verify. The sentence says what is wrong and holds nothing of the token."""


class Forbidden(CspError):
    """A verified caller without the role that the route needs."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller; `id` is the object id in Entra ID."""

    id: str
    name: str
    roles: frozenset[str]


class Verifier:
    """Verifies bearer tokens of one tenant; `monotonic` (seconds) tells the age of the cached keys."""

    def __init__(
        self,
        transport: Transport,
        *,
        tenant: str,
        audience: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._tenant = tenant
        self._audience = audience
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._issuer = ""
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None

    async def caller(self, authorization: str | None, role: Role) -> Caller:
        """The caller behind an Authorization header. Raises Unauthenticated, Forbidden, RetryLater."""
        claims = await self._claims(_bearer(authorization))
        roles = claims.get("roles")
        held = frozenset(str(name) for name in roles) if isinstance(roles, list) else frozenset[str]()
        if role.value not in held:
            raise Forbidden(f"This needs the role {role.value}.")
        identity = str(claims.get("oid") or claims.get("sub") or "")
        if not identity:
            raise Unauthenticated("The token names nobody.")
        return Caller(identity, str(claims.get("name") or claims.get("preferred_username") or identity), held)

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise Unauthenticated("The token cannot be read.") from None
        if header.get("alg") != "RS256":
            raise Unauthenticated("The token is not signed with RS256.")
        key = await self._key(str(header.get("kid") or ""))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key=key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired.") from None
        except jwt.InvalidTokenError:
            raise Unauthenticated("The token does not verify for this application.") from None
        return claims

    async def _key(self, kid: str) -> jwt.PyJWK:
        if not self._fresh() or kid not in self._keys:
            async with self._lock:
                if not self._fresh() or (kid not in self._keys and self._age() > _ASK_AGAIN_AFTER_SECONDS):
                    await self._read_keys()
        if kid not in self._keys:
            raise Unauthenticated("The token is signed with a key that the tenant does not have.")
        return self._keys[kid]

    def _age(self) -> float:
        return float("inf") if self._read_at is None else self._monotonic() - self._read_at

    def _fresh(self) -> bool:
        return self._age() < _KEYS_FOR_SECONDS

    async def _read_keys(self) -> None:
        configuration = await self._get(f"{self._tenant}/v2.0/.well-known/openid-configuration")
        keys = await self._get(str(configuration["jwks_uri"]))
        found = {str(item.get("kid")): jwt.PyJWK(item) for item in keys.get("keys", []) if item.get("kty") == "RSA"}
        if not found:
            raise RetryLater("Entra ID gave no signing keys")
        self._issuer = str(configuration["issuer"]).replace("{tenantid}", self._tenant)
        self._keys, self._read_at = found, self._monotonic()

    async def _get(self, path: str) -> dict[str, Any]:
        reply = await self._transport.send(
            Request("GET", path, write=False, within=10, timeout=5, retries=Retries(attempts=2))
        )
        document = reply.json() if reply.status == 200 else None
        if not isinstance(document, dict):
            raise RetryLater(f"Entra ID answered {reply.status} when asked for its keys")
        return document


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("A bearer token is needed.")
    return token.strip()
