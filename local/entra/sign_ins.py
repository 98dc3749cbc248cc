"""What a person's sign-in leads to: a code at the redirect address, which the application exchanges once.

Nobody is asked: whether a second factor is given, or the consent declined, is the switch `signIn`.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from local.entra.refusals import GrantRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.entra.clients import Clients
    from local.entra.identities import ClientApplication

CODE_LIFE = timedelta(minutes=10)
RESPONSE_MODES = ("query", "form_post")
REDIRECT_URIS = ("https://localhost/consent",)  # besides http://localhost on any port


@dataclass
class Code:
    """What an authorization code stands for."""

    client_id: str
    redirect_uri: str
    challenge: str
    scopes: frozenset[str]
    nonce: str
    mfa: bool
    expires: datetime
    used: bool = False


@dataclass(frozen=True)
class Sent:
    """Where a browser is sent, with what: in the query of the address, or by a form that sends itself."""

    uri: str
    answer: Mapping[str, str]
    by_form: bool

    @property
    def location(self) -> str:
        """The address with the answer in its query."""
        return f"{self.uri}?{urlencode(self.answer)}"

    @property
    def page(self) -> str:
        """A page whose form sends itself."""
        fields = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in self.answer.items()
        )
        return (
            '<!doctype html><meta charset="utf-8"><title>Sign-in</title><body onload="document.forms[0].submit()">'
            f'<form method="post" action="{escape(self.uri)}">{fields}<button>Continue</button></form></body>'
        )


class SignIns:
    """Authorization codes of one directory."""

    def __init__(self, clients: Clients, *, setting: Callable[[str], object], now: Callable[[], datetime]) -> None:
        self._clients = clients
        self._setting = setting
        self._now = now
        self._codes: dict[str, Code] = {}

    def authorize(self, query: Mapping[str, str]) -> Sent:
        """Where the browser is sent after the sign-in; `GrantRefusedError` where it must not be sent anywhere."""
        client = self._clients.find(query.get("client_id", ""))
        redirect_uri = query.get("redirect_uri", "")
        if not _registered(redirect_uri):
            raise GrantRefusedError(
                400,
                "invalid_client",
                50011,
                f"The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs "
                f"configured for the application '{client.client_id}'.",
            )
        state = {"state": query["state"]} if "state" in query else {}
        try:
            answer = {"code": self._code(client, redirect_uri, query), "session_state": secrets.token_hex(16)}
        except GrantRefusedError as refused:
            answer = {"error": refused.error, "error_description": f"AADSTS{refused.number}: {refused.sentence}"}
        return Sent(redirect_uri, answer | state, by_form=query.get("response_mode") == "form_post")

    def redeem(self, client: ClientApplication, form: Mapping[str, str]) -> Code:
        """The sign-in behind a code, once, for the application, address and verifier that it was made for."""
        code = self._codes.get(form.get("code", ""))
        if code is None or code.client_id != client.client_id:
            raise GrantRefusedError(400, "invalid_grant", 70000, "The provided value for 'code' is not valid.")
        if code.used:
            raise GrantRefusedError(400, "invalid_grant", 54005, "OAuth2 Authorization code was already redeemed.")
        if self._now() > code.expires:
            raise GrantRefusedError(400, "invalid_grant", 70008, "The provided authorization code has expired.")
        if form.get("redirect_uri") != code.redirect_uri:
            raise GrantRefusedError(400, "invalid_grant", 50148, "The redirect URI is not that of the code.")
        if code.challenge != _challenge(form.get("code_verifier", "")):
            raise GrantRefusedError(
                400, "invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied."
            )
        code.used = True
        return code

    def _code(self, client: ClientApplication, redirect_uri: str, query: Mapping[str, str]) -> str:
        if query.get("response_type") != "code" or query.get("response_mode", "query") not in RESPONSE_MODES:
            raise GrantRefusedError(
                400, "unsupported_response_type", 700051, "Only a code in a query or form is supported."
            )
        if not query.get("code_challenge") or query.get("code_challenge_method") != "S256":
            raise GrantRefusedError(
                400, "invalid_request", 9002325, "Proof Key for Code Exchange with S256 is required."
            )
        if self._setting("signIn") == "declined":
            raise GrantRefusedError(400, "access_denied", 65004, "User declined to consent to access the app.")
        code = secrets.token_urlsafe(32)
        self._codes[code] = Code(
            client_id=client.client_id,
            redirect_uri=redirect_uri,
            challenge=query["code_challenge"],
            scopes=frozenset(query.get("scope", "").split()),
            nonce=query.get("nonce", ""),
            mfa=self._setting("signIn") == "second_factor",
            expires=self._now() + CODE_LIFE,
        )
        return code


def _registered(redirect_uri: str) -> bool:
    """Entra ignores the port of http://localhost."""
    parts = urlsplit(redirect_uri)
    return redirect_uri in REDIRECT_URIS or (parts.scheme, parts.hostname) == ("http", "localhost")


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
