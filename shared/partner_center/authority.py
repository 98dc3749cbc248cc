"""The sign-in authority (Entra ID) through MSAL in a thread: the three exchanges that end in tokens.

What fails is told by Entra's number and our sentence for it, never by Entra's own sentences: they name accounts.
"""

from __future__ import annotations

import asyncio
import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.domain.errors import Misconfigured, RetryLater
from shared.partner_center.credential import CredentialSource

if TYPE_CHECKING:
    import requests

_SECONDS = 20.0
_MICROSOFT_HOSTS = frozenset(
    {
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "login.chinacloudapi.cn",
        "login.microsoft.com",
        "login.windows.net",
        "sts.windows.net",
    }
)
_INVALID_GRANT = "invalid_grant"
# What only a person can put right: wrong secret, wrong registration, missing consent.
_PERMANENT = frozenset(
    {
        _INVALID_GRANT,
        "access_denied",
        "interaction_required",
        "consent_required",
        "invalid_client",
        "unauthorized_client",
        "invalid_scope",
        "invalid_resource",
    }
)
_CONSENT = "run the consent command again"
_ADVICE = {
    "50057": "the account that gave the consent is disabled",
    "50072": f"the account has not set up its second factor; do so, then {_CONSENT}",
    "50074": f"a second factor is needed; {_CONSENT}",
    "50076": f"a second factor is needed; {_CONSENT}",
    "50079": f"the account has not set up its second factor; do so, then {_CONSENT}",
    "50173": f"the refresh token was revoked, as by a new password; {_CONSENT}",
    "53003": "Conditional Access blocks the sign-in",
    "65004": "the consent was declined",
    "65001": f"nobody has consented to the application's permissions; {_CONSENT}",
    "700016": "the tenant does not know the client id",
    "700027": "the client certificate is not registered with the application, or has expired",
    "700082": f"the refresh token has expired or was used up; {_CONSENT}",
    "7000215": "the client secret is wrong",
    "7000222": "the client secret has expired",
    "90002": "there is no such tenant",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """What an exchange gave: an access token, how long it lives from the asking, and a refresh token or none."""

    access_token: str = field(repr=False)
    lifetime: timedelta
    refresh_token: str = field(default="", repr=False)


class SignInRefused(Misconfigured):
    """Call a person: Entra ID does not accept the application, the account, or what was presented for it.

    `about_the_token` says that it is the presented refresh token or code that is not accepted.
    """

    def __init__(self, reason: str, *, about_the_token: bool) -> None:
        super().__init__(reason)
        self.about_the_token = about_the_token


class Authority:
    """One application's way to tokens for one scope.

    `ca_file` replaces the trusted authorities for the token endpoint; it is meant for a local authority.
    All exchanges raise Misconfigured (mostly as SignInRefused) and RetryLater.
    """

    def __init__(
        self,
        *,
        authority: str,
        tenant: str,
        client_id: str,
        credential: CredentialSource,
        scope: str,
        ca_file: str | None = None,
    ) -> None:
        self._authority = f"{authority.rstrip('/')}/{tenant}"
        self._client_id = client_id
        self._credential = credential
        self._scope = scope
        self._ca_file = ca_file
        _quiet_msal()

    async def as_application(self) -> Grant:
        """A token of the application itself (client credentials)."""
        return _grant(await self._ask(lambda client: client.acquire_token_for_client(scopes=[self._scope])))

    async def redeem(self, refresh_token: str) -> Grant:
        """A user's token for a refresh token, with the refresh token that follows it."""
        return _grant(
            await self._ask(lambda client: client.acquire_token_by_refresh_token(refresh_token, scopes=[self._scope]))
        )

    async def begin(self, redirect_uri: str, *, by_form: bool) -> dict[str, Any]:
        """Begin an authorization-code flow with PKCE; `auth_uri` is where a person signs in, `state` names the flow.

        The answer comes `by_form` in the body of a POST, which leaves no code in the browser's history, or in the query
        of the redirect, which a person can copy.
        """

        def initiate(client: Any) -> dict[str, Any]:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "response_mode='form_post' is recommended")  # a form cannot be copied
                flow: dict[str, Any] = client.initiate_auth_code_flow(
                    scopes=[self._scope],
                    redirect_uri=redirect_uri,
                    prompt="login",
                    response_mode="form_post" if by_form else "query",
                )
            return flow

        return await self._ask(initiate)

    async def finish(self, flow: dict[str, Any], answer: dict[str, str]) -> Grant:
        """The tokens for the answer that came back; its state must be that of the flow."""
        return _grant(await self._ask(lambda client: client.acquire_token_by_auth_code_flow(flow, answer)))

    async def _ask(self, exchange: Callable[[Any], Any]) -> dict[str, Any]:
        credential = await self._credential()
        return await asyncio.to_thread(self._ask_now, credential, exchange)

    def _ask_now(self, credential: object, exchange: Callable[[Any], Any]) -> dict[str, Any]:
        """Ask the authority. A new MSAL application each time: it keeps tokens, but error answers as well."""
        import msal.exceptions  # type: ignore[import-untyped]  # noqa: PLC0415 - no types; slow to import
        import requests  # noqa: PLC0415 - as above; MSAL's own HTTP library

        session = _session(self._ca_file)
        try:
            application = msal.ConfidentialClientApplication(
                self._client_id,
                client_credential=credential,
                authority=self._authority,
                instance_discovery=None if urlsplit(self._authority).hostname in _MICROSOFT_HOSTS else False,
                http_client=session,
            )
            answer = exchange(application)
        except (requests.RequestException, msal.exceptions.MsalError, ValueError, RuntimeError) as error:
            # MSAL hides what discovery of the tenant answered in the context of its own error
            if number := _number(str(error.__context__)):
                raise _refused(number, "", about_the_token=False) from None
            raise RetryLater(f"no answer from the token authority ({type(error).__name__})") from None
        finally:
            session.close()
        return dict(answer) if isinstance(answer, dict) else {}


def _session(ca_file: str | None) -> requests.Session:
    """An HTTP session with a time limit of its own, since MSAL sets none on a session it is given.

    With a CA file the environment is not trusted: REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE would override `verify`.
    """
    import requests  # noqa: PLC0415 - see Authority

    class Session(requests.Session):
        def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            return super().send(request, **{**options, "timeout": _SECONDS})

    session = Session()
    if ca_file:
        session.trust_env = False
        session.verify = ca_file
    return session


def _grant(answer: dict[str, Any]) -> Grant:
    token = answer.get("access_token")
    if not isinstance(token, str) or not token:
        raise _failure(answer)
    lifetime = timedelta(seconds=int(answer.get("expires_in") or 0))
    return Grant(token, lifetime, str(answer.get("refresh_token") or ""))


def _failure(answer: dict[str, Any]) -> Misconfigured | RetryLater:
    error = str(answer.get("error", ""))
    number = _number(str(answer.get("error_description", "")))
    if error in _PERMANENT:
        return _refused(number, error, about_the_token=error == _INVALID_GRANT)
    return RetryLater(f"the token authority gave no token ({_told(number, error)})")


def _refused(number: str, error: str, *, about_the_token: bool) -> SignInRefused:
    advice = _ADVICE.get(number, _CONSENT if about_the_token else "")
    reason = f"Entra ID refuses the sign-in to Partner Center ({_told(number, error)})"
    return SignInRefused(f"{reason}: {advice}" if advice else reason, about_the_token=about_the_token)


def _number(text: str) -> str:
    found = re.search(r"AADSTS(\d+)", text)
    return found[1] if found else ""


def _told(number: str, error: str) -> str:
    return f"AADSTS{number}" if number else error or "no error code"


def _quiet_msal() -> None:
    """MSAL logs its requests at debug level, with the authorization code and the signed assertion in them."""
    library = logging.getLogger("msal")
    library.setLevel(max(library.level, logging.WARNING))
