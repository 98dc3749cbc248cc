"""Who calls: the app itself verifies each Entra ID token, so that a mis-set platform switch cannot open it.

Signature (RS256 only, keys of the tenant's JWKS), issuer (version 2 of this tenant), audience, tenant, expiry;
everything else is refused (docs/adr/0020). What a verified caller may do is `shared.gate`'s. Imported with the first
request only: what it needs takes a third of a second.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import jwt

from shared.domain.errors import RetryLater
from shared.identity import Identity, Unauthenticated
from shared.transport import Request, Retries, Transport

_KEYS_FOR_SECONDS = 24 * 3600
_ASK_AGAIN_AFTER_SECONDS = 30  # a stranger's token must not make us hammer Entra ID
_LEEWAY_SECONDS = 60
_LONGEST_TOKEN = 16 * 1024
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Verifier:
    """Verifies bearer tokens of one tenant; `monotonic` (seconds) tells the age of the cached keys.

    `tenant` is the tenant's GUID. `audience` is what the tokens carry as `aud`: in version 2 the client id of the
    API's registration, never its application id URI.
    """

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

    async def identify(self, authorization: str | None) -> Identity:
        """The caller behind an Authorization header. Raises Unauthenticated, RetryLater."""
        claims = await self._claims(_bearer(authorization))
        if str(claims.get("tid", "")).lower() != self._tenant.lower():
            raise Unauthenticated("tenant", "The token is of another tenant.")
        identity = str(claims.get("oid", "")).lower()
        if not _GUID.fullmatch(identity):
            raise Unauthenticated("nobody", "The token names nobody.")
        roles = claims.get("roles")
        held = frozenset(str(name) for name in roles) if isinstance(roles, list) else frozenset[str]()
        return Identity(identity, str(claims.get("name") or claims.get("preferred_username") or identity), held)

    async def _claims(self, token: str) -> dict[str, Any]:
        key = await self._key(_key_id(token))
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
            raise Unauthenticated("expired", "The token has expired.") from None
        except jwt.ImmatureSignatureError:
            raise Unauthenticated("not_yet", "The token is not valid yet.") from None
        except jwt.InvalidAudienceError:
            raise Unauthenticated("audience", "The token is for another application.") from None
        except jwt.InvalidIssuerError:
            sentence = "The token was not issued by version 2 of this tenant (requestedAccessTokenVersion must be 2)."
            raise Unauthenticated("issuer", sentence) from None
        except jwt.InvalidTokenError:
            raise Unauthenticated("invalid", "The token does not verify for this application.") from None
        return claims

    async def _key(self, kid: str) -> jwt.PyJWK:
        if not self._fresh() or kid not in self._keys:
            async with self._lock:
                if not self._fresh() or (kid not in self._keys and self._age() > _ASK_AGAIN_AFTER_SECONDS):
                    await self._read_keys()
        if kid not in self._keys:
            raise Unauthenticated("key", "The token is signed with a key that the tenant does not have.")
        return self._keys[kid]

    def _age(self) -> float:
        return float("inf") if self._read_at is None else self._monotonic() - self._read_at

    def _fresh(self) -> bool:
        return self._age() < _KEYS_FOR_SECONDS

    async def _read_keys(self) -> None:
        configuration = await self._get(f"{self._tenant}/v2.0/.well-known/openid-configuration")
        keys = await self._get(self._path_of_keys(configuration))
        found = dict(item for item in map(_public_key, keys.get("keys", [])) if item is not None)
        if not found:
            raise RetryLater("Entra ID gave no signing keys")
        self._issuer = str(configuration.get("issuer", ""))
        self._keys, self._read_at = found, self._monotonic()

    def _path_of_keys(self, configuration: dict[str, Any]) -> str:
        """The keys' path at the authority itself: what the metadata names elsewhere is not asked."""
        named = urlsplit(str(configuration.get("jwks_uri", "")))
        own = urlsplit(self._transport.base_url)
        if (named.scheme, named.netloc) != (own.scheme, own.netloc):
            raise RetryLater("Entra ID names signing keys at another host")
        return named.path

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
        raise Unauthenticated("no_token", "A bearer token is needed.")
    if len(token) > _LONGEST_TOKEN:
        raise Unauthenticated("unreadable", "The token cannot be read.")
    return token.strip()


def _key_id(token: str) -> str:
    """The key that a token says it is signed with. Only RS256 is read on, whatever the token itself asks for."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise Unauthenticated("unreadable", "The token cannot be read.") from None
    if header.get("alg") != "RS256":
        raise Unauthenticated("algorithm", "The token is not signed with RS256.")
    if "crit" in header:  # RFC 7515 4.1.11: whoever does not understand an extension must refuse
        raise Unauthenticated("algorithm", "The token asks for an extension that is not known here.")
    return str(header.get("kid") or "")


def _public_key(item: Any) -> tuple[str, jwt.PyJWK] | None:
    """One key of the tenant's set, None where it is of a kind that signs nothing for us."""
    if not isinstance(item, dict) or item.get("kty") != "RSA" or item.get("use", "sig") != "sig":
        return None
    try:
        return str(item.get("kid")), jwt.PyJWK(item, algorithm="RS256")
    except jwt.PyJWTError:
        return None
