"""What the token service knows and decides: clients, refresh tokens, grants, claims.

No HTTP here; `local.entra.application` is the door. Shapes and errors are those of the Microsoft identity platform
(token responses, AADSTS error bodies).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.entra.clients import Clients
from local.entra.identities import (
    AGENT_NAME,
    AGENT_OBJECT_ID,
    API_AUDIENCE,
    PARTNER_CENTER_APP,
    PARTNER_TENANT,
    REFRESH_TOKEN_EXPIRED,
    REFRESH_TOKEN_WITH_MFA,
    REFRESH_TOKEN_WITHOUT_MFA,
    ClientApplication,
)
from local.entra.refusals import GrantRefusedError
from local.entra.sign_ins import Sent, SignIns
from local.entra.signing import SigningKey, unsigned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography import x509

TOKEN_SECONDS = 3600
TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass
class RefreshToken:
    """Whose it is, and whether a second factor was given when it was obtained (that never changes by using it)."""

    client_id: str
    mfa: bool
    expired: bool = False


@dataclass
class PortalTokenRequest:
    """What a test asks for through /_control/tokens."""

    name: str = "Local operator"
    oid: str = "0a000000-0000-4000-8000-000000000001"
    roles: list[str] = field(default_factory=list)
    audience: str = API_AUDIENCE
    tenant: str = PARTNER_TENANT
    expires_in_seconds: int = 28_800
    signed_by: str = "us"
    issuer: str | None = None
    algorithm: str = "RS256"
    starts_in_seconds: int | None = None
    application: bool = False
    version: str = "2.0"


class Authority:
    """Issues tokens of one directory. `setting` reads a switch by name; `now` is wall-clock time.

    `certificate` is the one that the applications may sign their assertions with.
    """

    def __init__(
        self,
        base_url: str,
        *,
        setting: Callable[[str], object],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        certificate: x509.Certificate | None = None,
    ) -> None:
        self.base_url = base_url
        self.now = now
        self._setting = setting
        self._key = SigningKey()
        self._older_keys: list[SigningKey] = []
        self._stranger: SigningKey | None = None
        self._clients = Clients(certificate)
        self._sign_ins = SignIns(self._clients, setting=setting, now=now)
        owner = PARTNER_CENTER_APP.client_id
        self.refresh_tokens = {
            REFRESH_TOKEN_WITH_MFA: RefreshToken(owner, mfa=True),
            REFRESH_TOKEN_WITHOUT_MFA: RefreshToken(owner, mfa=False),
            REFRESH_TOKEN_EXPIRED: RefreshToken(owner, mfa=True, expired=True),
        }

    def key_set(self) -> dict[str, Any]:
        """The JSON Web Key Set."""
        return {"keys": [key.public_jwk() for key in (self._key, *self._older_keys)]}

    def roll_over(self, *, keep_old: bool) -> str:
        """Sign with a new key from now on; the old ones stay published or go at once. The new key's id."""
        self._older_keys = [self._key, *self._older_keys] if keep_old else []
        self._key = SigningKey()
        return self._key.key_id

    def metadata(self, tenant: str, *, version: int) -> dict[str, Any]:
        """The OpenID configuration of a tenant, in the form of endpoint version 1 or 2."""
        base = f"{self.base_url}/{tenant}"
        oauth = f"{base}/oauth2/v2.0" if version == 2 else f"{base}/oauth2"
        return {
            "issuer": self.issuer(tenant, version=version),
            "token_endpoint": self._token_endpoint(tenant, version=version),
            "authorization_endpoint": f"{oauth}/authorize",
            "device_authorization_endpoint": f"{oauth}/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token", "code id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
        }

    def _token_endpoint(self, tenant: str, *, version: int) -> str:
        return f"{self.base_url}/{tenant}/oauth2/{'v2.0/' if version == 2 else ''}token"

    def issuer(self, tenant: str, *, version: int) -> str:
        """The `iss` of this directory's tokens."""
        return f"{self.base_url}/{tenant}/v2.0" if version == 2 else f"{self.base_url}/{tenant}/"

    def authorize(self, tenant: str, query: Mapping[str, str]) -> Sent:
        """Where the browser of a person who signs in is sent, or `GrantRefusedError` for a page of this directory."""
        _require_tenant(tenant)
        return self._sign_ins.authorize(query)

    def grant(self, tenant: str, form: Mapping[str, str], *, version: int) -> dict[str, Any]:
        """Answer a token request, or raise `GrantRefusedError`. Version 1 names a `resource`, version 2 a `scope`."""
        _require_tenant(tenant)
        audience = self._audience(form, version=version)
        client = self._clients.authenticate(form, self._token_endpoint(tenant, version=version))
        kind = form.get("grant_type", "")
        if kind == "client_credentials":
            answer = self._app_token(tenant, client, audience)
        elif kind == "refresh_token":
            answer = self._refreshed(tenant, client, audience, form.get("refresh_token", ""))
        elif kind == "authorization_code":
            answer = self._signed_in(tenant, client, audience, form)
        else:
            raise GrantRefusedError(400, "unsupported_grant_type", 70003, f"The app requested '{kind}'.")
        if version == 1:
            seconds = int(answer["expires_in"])
            moment = int(self.now().timestamp())
            answer |= {"expires_in": str(seconds), "ext_expires_in": str(seconds), "resource": audience}
            answer |= {"not_before": str(moment - 300), "expires_on": str(moment + seconds)}
        return answer

    def portal_token(self, wanted: PortalTokenRequest) -> str:
        """An access token (version 2 claims) for a person with app roles, valid or spoilt as asked."""
        moment = int(self.now().timestamp())
        # An expired token was once valid: it began before it ended
        begun = min(moment, moment + wanted.expires_in_seconds - 60)
        claims = {
            "aud": wanted.audience,
            "iss": wanted.issuer or self.issuer(wanted.tenant, version=1 if wanted.version == "1.0" else 2),
            "iat": begun,
            "nbf": begun if wanted.starts_in_seconds is None else moment + wanted.starts_in_seconds,
            "exp": moment + wanted.expires_in_seconds,
            **(_of_application() if wanted.application else _of_person(wanted.name)),
            "oid": wanted.oid,
            "sub": wanted.oid,
            "tid": wanted.tenant,
            "roles": wanted.roles,
            "ver": wanted.version,
            "uti": secrets.token_urlsafe(12),
        }
        if wanted.algorithm == "none":
            return unsigned(claims)
        if wanted.algorithm == "HS256":
            return self._key.hs256(claims)
        if wanted.signed_by == "stranger":
            self._stranger = self._stranger or SigningKey()
            return self._stranger.rs256(claims, key_id=self._key.key_id)
        return self._key.rs256(claims)

    def _audience(self, form: Mapping[str, str], *, version: int) -> str:
        if version == 1:
            resource = form.get("resource", "")
            if not resource:
                raise GrantRefusedError(400, "invalid_request", 900144, "The request body must contain 'resource'.")
            return resource.rstrip("/")
        resources = [scope for scope in form.get("scope", "").split() if "/" in scope]
        if len(resources) != 1:
            raise GrantRefusedError(
                400, "invalid_scope", 70011, f"The provided value for scope '{form.get('scope', '')}' is not valid."
            )
        audience, _, permission = resources[0].rpartition("/")
        if form.get("grant_type") == "client_credentials" and permission != ".default":
            raise GrantRefusedError(
                400, "invalid_scope", 1002012, "Client credential flows must have a scope value with /.default."
            )
        return audience

    def _app_token(self, tenant: str, client: ClientApplication, audience: str) -> dict[str, Any]:
        identity = str(uuid.uuid5(uuid.UUID(client.client_id), tenant))
        claims = {"idtyp": "app", "oid": identity, "sub": identity}
        return self._answer(self._access_token(tenant, client, audience, claims))

    def _refreshed(self, tenant: str, client: ClientApplication, audience: str, presented: str) -> dict[str, Any]:
        known = self.refresh_tokens.get(presented)
        if known is None or known.expired or known.client_id != client.client_id:
            raise GrantRefusedError(
                400,
                "invalid_grant",
                700082,
                "The refresh token has expired due to inactivity. The token was inactive for 90.00:00:00.",
                "bad_token",
            )
        if not known.mfa and self._setting("refreshWithoutMfa") == "refused":
            raise GrantRefusedError(
                400,
                "invalid_grant",
                50076,
                "Due to a configuration change made by your administrator, or because you moved to a new location, "
                f"you must use multi-factor authentication to access '{audience}'.",
                "basic_action",
            )
        if self._setting("oldRefreshToken") == "dies":
            known.expired = True
        return self._user_token(tenant, client, audience, mfa=known.mfa)

    def _signed_in(
        self, tenant: str, client: ClientApplication, audience: str, form: Mapping[str, str]
    ) -> dict[str, Any]:
        """The answer to an authorization code: an id token, and a refresh token where offline access was asked for."""
        code = self._sign_ins.redeem(client, form)
        answer = self._user_token(tenant, client, audience, mfa=code.mfa)
        if "offline_access" not in code.scopes:
            self.refresh_tokens.pop(answer.pop("refresh_token"))
        person = {"uid": AGENT_OBJECT_ID, "utid": tenant}
        client_info = base64.urlsafe_b64encode(json.dumps(person).encode()).rstrip(b"=").decode()
        return answer | {"id_token": self._id_token(tenant, client, code.nonce), "client_info": client_info}

    def _user_token(self, tenant: str, client: ClientApplication, audience: str, *, mfa: bool) -> dict[str, Any]:
        """An access token of the one agent, and a new refresh token of the same strength."""
        refresh_token = f"0.local-{secrets.token_urlsafe(24)}"
        self.refresh_tokens[refresh_token] = RefreshToken(client.client_id, mfa=mfa)
        claims = {
            "scp": "user_impersonation",
            "amr": ["pwd", "mfa"] if mfa else ["pwd"],
            "idtyp": "user",
            "oid": AGENT_OBJECT_ID,
            "sub": AGENT_OBJECT_ID,
            "upn": AGENT_NAME,
            "unique_name": AGENT_NAME,
        }
        answer = self._answer(self._access_token(tenant, client, audience, claims))
        return answer | {"scope": f"{audience}/user_impersonation", "refresh_token": refresh_token}

    def _id_token(self, tenant: str, client: ClientApplication, nonce: str) -> str:
        moment = int(self.now().timestamp())
        return self._key.rs256(
            {
                "aud": client.client_id,
                "iss": self.issuer(tenant, version=2),
                "iat": moment,
                "nbf": moment,
                "exp": moment + TOKEN_SECONDS,
                "nonce": nonce,
                "name": "Partner agent",
                "preferred_username": AGENT_NAME,
                "oid": AGENT_OBJECT_ID,
                "sub": AGENT_OBJECT_ID,
                "tid": tenant,
                "ver": "2.0",
            }
        )

    def _access_token(self, tenant: str, client: ClientApplication, audience: str, claims: Mapping[str, Any]) -> str:
        moment = int(self.now().timestamp())
        return self._key.rs256(
            {
                "aud": audience,
                "iss": self.issuer(tenant, version=1),
                "iat": moment,
                "nbf": moment,
                "exp": moment + TOKEN_SECONDS,
                "appid": client.client_id,
                "app_displayname": client.display_name,
                "tid": tenant,
                "ver": "1.0",
                "uti": secrets.token_urlsafe(12),
                **claims,
            }
        )

    @staticmethod
    def _answer(token: str) -> dict[str, Any]:
        return {
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "ext_expires_in": TOKEN_SECONDS,
            "access_token": token,
        }


def _of_person(name: str) -> dict[str, str]:
    """What a token says of a signed-in user."""
    return {
        "name": name,
        "preferred_username": f"{name.lower().replace(' ', '.')}@partnersim.example",
        "scp": "access_as_user",
    }


def _of_application() -> dict[str, str]:
    """What a token says of a service principal, which has neither a name nor a delegated permission."""
    return {"idtyp": "app", "azp": str(uuid.uuid4()), "azpacr": "1"}


def _require_tenant(tenant: str) -> None:
    if not TENANT.fullmatch(tenant):
        raise GrantRefusedError(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
