"""Who may use what: the shared access key, and the `$cbs` node to which a client puts its tokens.

A token is a shared access signature as Service Bus defines it: `SharedAccessSignature sr=..&sig=..&se=..&skn=..`,
where `sig` is the base64 of HMAC-SHA256 with the key over the URL-encoded resource, a line feed and the expiry. A
session asks here before it attaches a link.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus

from local.servicebus.codec import Int
from local.servicebus.errors import UnauthorizedError
from local.servicebus.message import Request, write_response

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

CBS_NODE = "$cbs"
_PREFIX = "SharedAccessSignature "


@dataclass(frozen=True, slots=True)
class SharedAccessKey:
    """The one key of the namespace; it grants everything, on the resource that a token was signed for."""

    name: str
    key: str

    def verify(self, token: str, now: datetime) -> str:
        """The resource that a token was signed for. Raises UnauthorizedError."""
        if not token.startswith(_PREFIX):
            raise UnauthorizedError("Only shared access signatures are accepted.")
        parts = dict(parse_qsl(token.removeprefix(_PREFIX)))
        resource, expiry = parts.get("sr", ""), parts.get("se", "")
        signed = f"{quote_plus(resource)}\n{expiry}".encode()
        signature = base64.b64encode(hmac.digest(self.key.encode(), signed, hashlib.sha256))
        if parts.get("skn") != self.name or not hmac.compare_digest(signature, parts.get("sig", "").encode()):
            raise UnauthorizedError("InvalidSignature: The token has an invalid signature.")
        if not expiry.isdecimal() or int(expiry) <= now.timestamp():
            raise UnauthorizedError("ExpiredToken: The token is expired.")
        return resource


class Access:
    """What the tokens put on one connection allow."""

    def __init__(self, key: SharedAccessKey, now: Callable[[], datetime]) -> None:
        self._key = key
        self._now = now
        self._granted: set[str] = set()

    def answer(self, request: Request) -> bytes:
        """The `$cbs` node: takes a `put-token` request."""
        try:
            resource = entity_path(self._key.verify(str(request.value), self._now()))
        except UnauthorizedError as problem:
            return write_response(request, _status(401, problem.description), None)
        self._granted.add(resource.lower())
        return write_response(request, _status(202, "Accepted"), None)

    def check(self, path: str) -> None:
        """Raises UnauthorizedError unless a token was put for this path, for what is above it, or for the namespace."""
        if not any(f"{path.lower()}/".startswith(f"{granted}/" if granted else "") for granted in self._granted):
            raise UnauthorizedError("Unauthorized access. 'Send' or 'Listen' claim(s) are required.")


def entity_path(address: str) -> str:
    """`orders/$deadletterqueue` of `amqps://host:port/orders/$deadletterqueue` or of that path itself."""
    _, scheme, rest = address.partition("://")
    return (rest.partition("/")[2] if scheme else address).strip("/")


def _status(code: int, description: str) -> dict[str, Any]:
    return {"status-code": Int(code), "status-description": description}
