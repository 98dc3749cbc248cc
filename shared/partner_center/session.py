"""One authorised connection to the Partner Center API: tokens, headers, times, repetitions, Microsoft's clock.

`shared.partner_center.client`, `transitions` and `migrations` share one session. It knows no resources: what an answer
means is decided by them, with `shared.partner_center.answers`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from shared.domain.errors import Malformed, Misconfigured, OutcomeUnknown, RetryLater
from shared.domain.outcomes import Unknown, Unreached
from shared.partner_center.answers import never_heals, parse_fault, read_failure, throttle_pause
from shared.transport import NotSent, Reply, Request, Retries, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class TokenSource(Protocol):
    """Where the bearer token comes from."""

    async def token(self, *, rejected: str = "") -> str:
        """A valid token, another one than `rejected`. Raises Misconfigured, RetryLater."""
        ...

    async def refused(self, token: str, reason: str, *, lasting: bool) -> None:
        """Tell that Partner Center does not accept a token, and whether that can heal by itself.

        Raises Misconfigured, unless there is another sign-in by now, so that it is worth another call.
        """
        ...


class Session:
    """One partner's access to Partner Center.

    `timeout` is the time of one attempt in seconds, `read_seconds` the whole time of a read with its repetitions.
    """

    def __init__(
        self,
        transport: Transport,
        tokens: TokenSource,
        *,
        now: Callable[[], datetime],
        timeout: float = 30.0,
        read_seconds: float = 60.0,
        retries: Retries | None = None,
    ) -> None:
        self._transport = transport
        self._tokens = tokens
        self._now = now
        self._timeout = timeout
        self._read_seconds = read_seconds
        self._ahead = timedelta()
        self._retries = retries or Retries(attempts=3, statuses=_READ_STATUSES, longest_wait=timedelta(seconds=5))

    def microsoft_now(self) -> datetime:
        """Microsoft's clock as the last answer showed it, running on since; our own before the first answer."""
        return self._now() + self._ahead

    def observed_at(self, reply: Reply) -> datetime:
        """Microsoft's clock in this answer, ours where it shows none."""
        return reply.date or self._now()

    def retry_after(self, reply: Reply) -> timedelta | None:
        """How long the answer asks to be left alone."""
        return reply.retry_after(self._now())

    def failure(self, reply: Reply, *, customer: str = "", subscription: str = "") -> Exception | None:
        """The error that the answer to a read means, None for success."""
        after = self.retry_after(reply)
        return read_failure(reply.status, reply.body, customer=customer, subscription=subscription, retry_after=after)

    async def get(self, path: str, query: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Reply:
        """The answer to a GET, whatever its status; repeated while it is worth it and there is time."""
        return await self._ask(self._request("GET", path, _new_id() | (headers or {}), query=query, write=False))

    async def ask(self, path: str, body: dict[str, Any]) -> Reply:
        """The answer to a POST that changes nothing at Microsoft, treated as a read."""
        return await self._ask(self._request("POST", path, _new_id(), body=body, write=False))

    async def _ask(self, request: Request) -> Reply:
        return await self._authorised(request, time.monotonic() + self._read_seconds)

    async def write(
        self,
        method: str,
        path: str,
        body: object,
        *,
        request_id: str,
        deadline: datetime,
        headers: dict[str, str] | None = None,
    ) -> Reply | Unreached | Unknown:
        """The answer to a write, never repeated except once after a 401; nothing is sent after `deadline`.

        `request_id` is the MS-RequestId, Partner Center's idempotency key: the same for the same write (reference 4.1).

        Raises:
            Misconfigured: Partner Center does not accept our credentials; nothing was executed.
        """
        stop = time.monotonic() + (deadline - self._now()).total_seconds()
        named = {"MS-RequestId": request_id} | (headers or {})
        try:
            return await self._authorised(self._request(method, path, named, body=body, write=True), stop)
        except OutcomeUnknown as error:
            return Unknown(error.reason)
        except RetryLater as error:
            return Unreached(error.reason)

    def _request(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        write: bool,
        query: dict[str, str] | None = None,
        body: object = None,
    ) -> Request:
        return Request(
            method,
            f"/v1/{path}",
            write=write,
            within=0,  # set when it is sent: waiting for the token takes its share
            timeout=self._timeout,
            headers=headers,
            query=query,
            body=body,
            retries=replace(self._retries, hint=self._hint),
        )

    def _hint(self, reply: Reply) -> timedelta | None:
        asked = self.retry_after(reply)
        return throttle_pause(reply.body, asked) if reply.status == 429 else asked

    async def _authorised(self, request: Request, stop: float) -> Reply:
        """Send with a token; after a 401, which executes nothing, once more with a new one."""
        reply, token = await self._send(request, stop)
        if reply.status == 401:
            if never_heals(reply.body):
                await self._tokens.refused(token, _not_accepted(reply), lasting=True)
            reply, token = await self._send(request, stop, rejected=token)
        if reply.status == 401:
            await self._tokens.refused(token, _not_accepted(reply), lasting=never_heals(reply.body))
            raise Misconfigured(_not_accepted(reply))
        return reply

    async def _send(self, request: Request, stop: float, *, rejected: str = "") -> tuple[Reply, str]:
        try:
            async with asyncio.timeout(stop - time.monotonic()):
                token = await self._tokens.token(rejected=rejected)
        except TimeoutError:
            raise NotSent("no time was left after waiting for a token") from None
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "MS-CorrelationId": str(uuid.uuid4()),
            "X-Locale": "en-US",
            "MS-PartnerCenter-Application": "csp-functions",
        }
        reply = await self._transport.send(
            replace(request, headers={**request.headers, **headers}, within=stop - time.monotonic())
        )
        if reply.date is not None:
            self._ahead = reply.date - self._now()
        return reply, token


_ADVICE = {
    "900420": "its audience is not supported any more; correct PARTNER_CENTER_SCOPE",
    "900421": "its sign-in was made without a second factor; run the consent command again and use one",
}


def _not_accepted(reply: Reply) -> str:
    code = parse_fault(reply.body).code
    reason = f"Partner Center does not accept the token (401, code {code or 'none'})"
    return f"{reason}: {_ADVICE[code]}" if code in _ADVICE else reason


def _new_id() -> dict[str, str]:
    return {"MS-RequestId": str(uuid.uuid4())}


def segment(identity: str) -> str:
    """An id as one segment of a path; it cannot leave its place."""
    quoted = quote(identity, safe="", errors="replace")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted  # dots alone would be the place above


def subscription_path(customer: str, subscription: str) -> str:
    """The path of a subscription."""
    return f"customers/{segment(customer)}/subscriptions/{segment(subscription)}"


def readable(reply: Reply) -> Any:
    """The JSON in a successful answer to a read; an unreadable one is worth another read."""
    try:
        return reply.json()
    except Malformed as error:
        raise RetryLater(str(error)) from None
