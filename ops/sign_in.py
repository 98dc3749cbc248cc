"""Where the application is, and as whom the command line calls it.

In this order: the ready file of a local stack (`--ready` or CSP_READY), a token of one's own (CSP_TOKEN), a device code
(`--device-code`), whatever the machine is signed in with (`az login`, a managed identity, environment variables).
"""

from __future__ import annotations

import asyncio
import json
import os
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.core.credentials import TokenCredential

from shared.domain.errors import Misconfigured

_LOCAL = {"desk": "deadletters", "operator": "operator"}  # the callers of a local stack, by what is done


@dataclass(frozen=True)
class SignIn:
    """The API's base address and how to come by a token; tokens are never shown or stored."""

    base: str
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    credential: TokenCredential | None = field(default=None, repr=False)
    scope: str = ""

    async def token(self, who: str) -> str:
        """A bearer token for what somebody does."""
        if self.credential is None:
            return self.tokens.get(who) or self.tokens["desk"]
        found = await asyncio.to_thread(self.credential.get_token, self.scope)  # it keeps the token until it runs out
        return found.token


def sign_in(arguments: Namespace) -> SignIn:
    """What the arguments and the environment say. Raises Misconfigured naming what is missing."""
    ready = arguments.ready or os.environ.get("CSP_READY")
    if ready:
        return _of_stack(Path(ready))
    base = arguments.api or os.environ.get("CSP_API", "")
    if not base:
        raise Misconfigured("--api or CSP_API is needed: the address of the application, such as https://…/api")
    if own := os.environ.get("CSP_TOKEN"):
        return SignIn(base, {"desk": own})
    audience = arguments.audience or os.environ.get("CSP_AUDIENCE", "")
    if not audience:
        raise Misconfigured("--audience or CSP_AUDIENCE is needed: the client id of the API's registration")
    scope = audience if audience.endswith("/.default") else f"{audience}/.default"
    return SignIn(base, credential=_credential(arguments), scope=scope)


def _of_stack(file: Path) -> SignIn:
    try:
        ready: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        tokens = {who: str(ready["tokens"][name]) for who, name in _LOCAL.items()}
        return SignIn(str(ready["api"]), tokens)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{file} is no ready file of a local stack ({type(error).__name__})") from None


def _credential(arguments: Namespace) -> TokenCredential:
    from azure.identity import DefaultAzureCredential, DeviceCodeCredential  # noqa: PLC0415 - slow, and seldom needed

    tenant = arguments.tenant or os.environ.get("CSP_TENANT")
    if not arguments.device_code:
        return DefaultAzureCredential(exclude_interactive_browser_credential=True)
    client = arguments.client_id or os.environ.get("CSP_CLIENT_ID")
    if not client:
        raise Misconfigured("--client-id or CSP_CLIENT_ID is needed for a device code: a public client's id")
    return DeviceCodeCredential(client_id=client, tenant_id=tenant or "organizations")
