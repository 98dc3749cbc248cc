"""Tokens for Partner Center as the application itself (client credentials), through MSAL in a thread.

One token at a time is kept until five minutes before its end; the client asks for a forced renewal after a 401.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.domain.errors import Misconfigured, RetryLater

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

_EARLY = timedelta(minutes=5)
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
# What only a person can put right: wrong secret, wrong registration, missing consent.
_PERMANENT = frozenset({"invalid_client", "invalid_grant", "unauthorized_client", "invalid_scope", "invalid_resource"})


class AppToken:
    """The application's own token, from a client secret.

    `ca_file` replaces the trusted authorities for the token endpoint; it is meant for a local authority.
    """

    def __init__(
        self,
        *,
        authority: str,
        tenant: str,
        client_id: str,
        client_secret: str,
        scope: str,
        now: Callable[[], datetime],
        ca_file: str | None = None,
    ) -> None:
        self._authority = f"{authority.rstrip('/')}/{tenant}"
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope
        self._now = now
        self._ca_file = ca_file
        self._lock = asyncio.Lock()
        self._token = ""
        self._fresh_until: datetime | None = None
        self._renewals = 0

    async def token(self, *, force: bool = False) -> str:
        """A token that is good for at least five minutes; `force` for one newer than the caller has.

        Raises:
            Misconfigured: the authority does not accept the credential.
            RetryLater: the authority could not be asked.
        """
        seen = self._renewals
        if not force and self._is_fresh():
            return self._token
        async with self._lock:
            renewed_meanwhile = self._renewals != seen
            if not (renewed_meanwhile and self._is_fresh()):
                await self._renew()
            return self._token

    def _is_fresh(self) -> bool:
        return self._fresh_until is not None and self._now() < self._fresh_until

    async def _renew(self) -> None:
        asked = self._now()
        answer = await asyncio.to_thread(self._ask)
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise _failure(answer)
        self._token = token
        self._fresh_until = asked + timedelta(seconds=int(answer.get("expires_in") or 0)) - _EARLY
        self._renewals += 1

    def _ask(self) -> dict[str, Any]:
        """Ask the authority. A new MSAL application each time: it keeps tokens, but error answers as well."""
        import msal.exceptions  # type: ignore[import-untyped]  # noqa: PLC0415 - no types; slow to import
        import requests  # noqa: PLC0415 - as above; MSAL's own HTTP library

        session = _session(self._ca_file)
        try:
            application = msal.ConfidentialClientApplication(
                self._client_id,
                client_credential=self._client_secret,
                authority=self._authority,
                instance_discovery=None if urlsplit(self._authority).hostname in _MICROSOFT_HOSTS else False,
                http_client=session,
            )
            answer = application.acquire_token_for_client(scopes=[self._scope])
        except (requests.RequestException, msal.exceptions.MsalError, ValueError, RuntimeError) as error:
            raise RetryLater(f"no answer from the token authority ({type(error).__name__})") from None
        finally:
            session.close()
        return dict(answer) if isinstance(answer, dict) else {}


def _session(ca_file: str | None) -> requests.Session:
    """An HTTP session with a time limit of its own, since MSAL sets none on a session it is given.

    With a CA file the environment is not trusted: REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE would override `verify`.
    """
    import requests  # noqa: PLC0415 - see AppToken

    class Session(requests.Session):
        def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            return super().send(request, **{**options, "timeout": _SECONDS})

    session = Session()
    if ca_file:
        session.trust_env = False
        session.verify = ca_file
    return session


def _failure(answer: dict[str, Any]) -> Misconfigured | RetryLater:
    """The reaction to an error answer. Only Entra's number is told: its sentences name accounts."""
    error = str(answer.get("error", ""))
    number = re.search(r"AADSTS\d+", str(answer.get("error_description", "")))
    told = number[0] if number else error or "no error code"
    if error in _PERMANENT:
        return Misconfigured(f"the token authority refuses the Partner Center credential ({told})")
    return RetryLater(f"the token authority gave no token ({told})")
