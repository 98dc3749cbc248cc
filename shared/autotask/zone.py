"""Which Autotask server holds the tenant: discovered by the API user's name, kept, and asked again after a 401.

Autotask answers 401 for a wrong zone as for wrong credentials (reference 1), so the client asks once more before it
believes the latter, and repeats a request only if the zone has really moved: repeated 401s lock the API user out.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.autotask.answers import read_failure
from shared.domain.errors import Malformed, Misconfigured, RetryLater
from shared.transport import NotSent, Reply, Request, Transport

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_PATH = "/atservicesrest/v1.0/zoneInformation"


class Zone:
    """The zone of one API user. `transport` leads to the discovery host."""

    def __init__(self, transport: Transport, user: str, *, now: Callable[[], datetime], timeout: float) -> None:
        self._transport = transport
        self._user = user
        self._now = now
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._url: str | None = None

    async def url(self, stop: float, *, instead_of: str | None = None) -> str:
        """The zone's base URL up to and without `v1.0`; with `instead_of`, asked anew unless another caller just did.

        `stop` is the end of the caller's time on the monotonic clock.

        Raises:
            Misconfigured: Autotask knows no zone for this user, or names one that credentials must not go to.
            RetryLater: it could not be asked.
        """
        if self._url is not None and self._url != instead_of:
            return self._url
        try:
            async with asyncio.timeout(stop - time.monotonic()):
                async with self._lock:
                    if self._url is None or self._url == instead_of:
                        self._url = await self._discover(stop)
                    return self._url
        except TimeoutError:
            raise NotSent("no time was left after looking for the Autotask zone") from None

    async def _discover(self, stop: float) -> str:
        reply = await self._transport.send(
            Request(
                "GET",
                _PATH,
                write=False,
                within=stop - time.monotonic(),
                timeout=self._timeout,
                query={"user": self._user},
            )
        )
        failure = read_failure(reply.status, reply.body, reply.retry_after(self._now()))
        if failure:
            raise failure
        return self._accepted(reply)

    def _accepted(self, reply: Reply) -> str:
        try:
            answer = reply.json()
        except Malformed as error:
            raise RetryLater(f"zone: {error}") from None
        url = answer.get("url") if isinstance(answer, dict) else None
        if not isinstance(url, str) or not url.strip():
            raise Misconfigured("Autotask names no zone for the API user")
        try:
            parts = urlsplit(url.strip())
        except ValueError:
            raise Misconfigured("Autotask names a zone that is no address") from None
        discovery = urlsplit(self._transport.base_url)
        if not parts.hostname or parts.scheme != discovery.scheme:
            raise Misconfigured("Autotask names a zone that is not reached as securely as the discovery host")
        if _site(parts.hostname) != _site(discovery.hostname or ""):
            raise Misconfigured("Autotask names a zone outside its own domain; the credentials are not sent there")
        return url.strip().rstrip("/")


def _site(host: str) -> str:
    """What hosts of one owner have in common: the last two labels, or the whole of an address."""
    return host if host.replace(".", "").isdigit() or ":" in host else ".".join(host.lower().split(".")[-2:])
