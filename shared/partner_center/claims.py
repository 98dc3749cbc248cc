"""What an access token says about itself, checked before it is used: for whom, from where, with a second factor or not.

The signature is Partner Center's to verify. What cannot be read is not judged: a token is opaque by right.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import Misconfigured

_API = "fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd"  # "Microsoft Partner Center", the audience of tokens of version 2
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say: the partner's tenant, the API as its audience, and for a user a second factor."""

    tenant: str
    audience: str
    user: bool

    def check(self, token: str) -> None:
        """Raises Misconfigured naming the claim that is wrong, without its value."""
        claims = claims_of(token)
        audience = str(claims.get("aud", self.audience)).rstrip("/").lower()
        if audience not in {self.audience.rstrip("/").lower(), _API}:
            raise Misconfigured("the token is for another API than Partner Center (aud)")
        tenant = str(claims.get("tid", self.tenant)).lower()
        if _GUID.fullmatch(self.tenant) and tenant != self.tenant.lower():
            raise Misconfigured("the token is from another tenant than the partner's (tid)")
        if self.user and second_factor(claims) is False:
            raise Misconfigured(
                "the sign-in was made without a second factor (amr), which Partner Center refuses; "
                "run the consent command again and use one"
            )


def audience_of(scope: str) -> str:
    """The API that a scope belongs to."""
    return scope.removesuffix("/.default").rstrip("/")


def second_factor(claims: dict[str, Any]) -> bool | None:
    """Whether a second factor was given; None where the token does not tell."""
    methods = claims.get("amr")
    return "mfa" in methods if isinstance(methods, list) else None


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JSON web token; none for anything else."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
