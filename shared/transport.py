"""HTTP to the vendors; the only module that imports httpx.

What it guarantees to the adapters: a failure says whether the request can have reached the vendor, a read is repeated
only as the call's own `Retries` say, nothing is sent after the call's time is over, and no header, query or body is
ever logged or put into an error.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import json
import logging
import random
import time
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx

from shared import telemetry
from shared.domain.errors import Malformed, OutcomeUnknown, RetryLater
from shared.metrics import VENDOR_REQUESTS

logger = logging.getLogger(__name__)

_NAMES = {"partner_center": "Partner Center", "autotask": "Autotask", "entra": "Entra ID"}  # as sentences say it
_DEFAULT_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "csp-functions"}

# Evidence that a request has not left: these are raised before its first byte is written.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


class NotSent(RetryLater):
    """Retry later: no connection was made, or the time was over before; the vendor has seen nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    def json(self) -> Any:
        """The parsed body.

        Raises:
            Malformed: the body is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Malformed(f"the body of an answer with status {self.status} is not JSON") from None

    @property
    def date(self) -> datetime | None:
        """The server's clock (Date header), or None."""
        return _http_date(self.headers.get("date", ""))

    def retry_after(self, now: datetime) -> timedelta | None:
        """How long the server asks to be left alone (Retry-After in seconds or as a date), never negative, or None.

        A date is measured from the server's own Date header where there is one: the clocks may differ.
        """
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return timedelta(seconds=min(int(value[:9]), 30 * 86_400))
        until = _http_date(value)
        return None if until is None else max(until - (self.date or now), timedelta())


@functools.lru_cache(maxsize=64)  # the answers of a second have the same Date
def _http_date(value: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


WaitHint = Callable[[Reply], timedelta | None]


def _never(_reply: Reply) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and when one call is repeated; belongs to the call, because only the call knows what repeating does.

    `statuses` are repeated unless `final` says that this very answer is not worth it. A wait that the server asks for
    is kept up to `longest_wait`; a longer one ends the call at once with `RetryLater`. Without such a request the
    pause doubles from `base_seconds`, shortened at random by up to a half.
    """

    attempts: int = 1
    statuses: frozenset[int] = frozenset()
    final: Callable[[Reply], bool] = _never
    hint: WaitHint | None = None
    longest_wait: timedelta = timedelta(seconds=5)
    base_seconds: float = 0.25
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after the given attempt (1-based)."""
        return float(self.base_seconds * 2 ** (attempt - 1) * (1 - self.jitter() / 2))


ONCE = Retries()


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `write`: a lost answer is `OutcomeUnknown`, and nothing is ever repeated here.

    `path` is relative to the transport's base, or an absolute URL; redirects are never followed. `most_bytes` is how
    long an answer may be, for one from a stranger. `within` is the whole time in seconds, waits and
    repetitions included; `timeout` the time of each attempt.
    """

    method: str
    path: str
    write: bool
    within: float
    timeout: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] | None = field(default=None, repr=False)
    body: object = field(default=None, repr=False)
    retries: Retries = ONCE
    most_bytes: int | None = None


class _Progress:
    """How far one attempt came, from httpcore's trace events. Only positive evidence says that nothing was sent:
    events of connecting were seen, and no other.
    """

    def __init__(self) -> None:
        self._events: set[str] = set()

    async def __call__(self, event: str, _info: Mapping[str, object]) -> None:
        self._events.add(event.partition(".")[0])

    @property
    def connecting(self) -> bool:
        return self._events == {"connection"}


class Transport:
    """One connection pool to one vendor, opened on first use inside the running event loop.

    `vendor` is its name in traces and metrics.
    """

    def __init__(
        self,
        base_url: str,
        *,
        now: Callable[[], datetime],
        wire: httpx.AsyncBaseTransport | None = None,
        ca_file: str | None = None,
        vendor: str = "vendor",
        connections: int = 20,
        connect_seconds: float = 5.0,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._now = now
        self._wire = wire
        self._ca_file = ca_file
        self._vendor = vendor
        self._name = _NAMES.get(vendor, "the server")
        self._connections = connections
        self._connect_seconds = connect_seconds

    @property
    def base_url(self) -> str:
        """What paths are relative to, without a trailing slash."""
        return self._base

    @property
    def scheme(self) -> str:
        """https, or http for a server on this machine."""
        return urlsplit(self._base).scheme

    async def send(self, request: Request) -> Reply:
        """The answer, whatever its status.

        Raises:
            NotSent: nothing reached the server.
            OutcomeUnknown: a write may have reached it, and there is no answer.
            RetryLater: a read got no answer, or the server wants to be left alone for longer than the call may wait.
        """
        stop = time.monotonic() + request.within
        attempts = 1 if request.write else max(1, request.retries.attempts)
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                reply = await self._observed(request, stop, attempt)
            except (RetryLater, OutcomeUnknown) as error:
                if last or not await self._pause(request, request.retries.backoff(attempt), stop):
                    raise
                logger.debug("repeating", extra={"reason": str(error), "attempt": attempt})
                continue
            if last or not self._worth_repeating(request, reply):
                return reply
            if not await self._pause(request, self._wait(request, reply, attempt), stop):
                return reply
        raise AssertionError("unreachable")

    def _worth_repeating(self, request: Request, reply: Reply) -> bool:
        return reply.status in request.retries.statuses and not request.retries.final(reply)

    def _wait(self, request: Request, reply: Reply, attempt: int) -> float:
        asked = request.retries.hint(reply) if request.retries.hint else reply.retry_after(self._now())
        if asked is None:
            return request.retries.backoff(attempt)
        if asked > request.retries.longest_wait:
            raise RetryLater(f"{self._name} asks for a pause, status {reply.status}", asked)
        return asked.total_seconds()

    @staticmethod
    async def _pause(request: Request, seconds: float, stop: float) -> bool:
        """Wait, if the time of the call allows it."""
        if time.monotonic() + seconds >= stop:
            return False
        await request.retries.sleep(seconds)
        return True

    async def _observed(self, request: Request, stop: float, attempt: int) -> Reply:
        """One attempt as a span and a count; neither sees the query, a header or a body."""
        url = urlsplit(self._url(request.path))
        attributes: dict[str, telemetry.Attribute] = {
            "http.request.method": request.method,
            "server.address": url.hostname or "",
            "server.port": url.port or {"https": 443}.get(url.scheme, 80),
            "url.full": f"{url.scheme}://{url.netloc}{url.path}",
            "peer.service": self._vendor,
        }
        if attempt > 1:
            attributes["http.request.resend_count"] = attempt - 1
        status = "no_answer"
        try:
            with telemetry.span(f"{request.method} {self._vendor}", attributes, kind=telemetry.Kind.CLIENT) as span:
                reply = await self._attempt(request, stop)
                status = str(reply.status)
                span.note({"http.response.status_code": reply.status})
                if reply.status >= 400:
                    span.fail(status)
        except NotSent:
            status = "not_sent"
            raise
        finally:
            telemetry.measure(VENDOR_REQUESTS, 1, {"vendor": self._vendor, "status": status})
        return reply

    async def _attempt(self, request: Request, stop: float) -> Reply:
        wire = self._opened()
        started = time.monotonic()
        seconds = min(request.timeout, stop - started)
        if seconds <= 0:
            raise NotSent("no time was left to send it")
        progress = _Progress()
        status: int | None = None
        try:
            async with asyncio.timeout(seconds):
                timeout = httpx.Timeout(seconds, connect=min(seconds, self._connect_seconds))
                extensions: dict[str, Any] = {"timeout": timeout.as_dict()}
                if request.write:  # only of a write is it asked how far it came, and tracing takes its time
                    extensions["trace"] = progress
                response = await wire.handle_async_request(self._prepared(request, extensions))
                status = response.status_code
                body = await _read(response, request.most_bytes)
            return Reply(status, _plain(response.headers.raw), body)
        except (httpx.RequestError, TimeoutError) as error:
            _raise_lost(self._name, request, error, connecting=progress.connecting)
        finally:
            _log(request, status, started)

    def _prepared(self, request: Request, extensions: dict[str, Any]) -> httpx.Request:
        """The request as it goes out. Raises NotSent where no request can carry what it shall say."""
        try:
            return httpx.Request(
                request.method,
                self._url(request.path),
                params=request.query,
                headers={**_DEFAULT_HEADERS, **request.headers},
                json=request.body,
                extensions=extensions,
            )
        except (ValueError, httpx.InvalidURL) as error:  # letters that a header, an address or UTF-8 has no room for
            raise NotSent(f"the request cannot be written ({type(error).__name__})") from None

    def _url(self, path: str) -> str:
        return path if path.startswith(("https://", "http://")) else f"{self._base}/{path.lstrip('/')}"

    def _opened(self) -> httpx.AsyncBaseTransport:
        """The connection pool itself, and not httpx's client around it: cookies, redirects and authentication flows are
        not wanted here, and cost a quarter of a request.
        """
        if self._wire is None:
            _quiet_httpx()
            context = httpx.create_ssl_context()
            if self._ca_file:
                context.load_verify_locations(cafile=self._ca_file)
            limits = httpx.Limits(max_connections=self._connections, max_keepalive_connections=self._connections)
            self._wire = httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=_proxy(self._base))
        return self._wire

    async def aclose(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._wire is not None:
            wire, self._wire = self._wire, None
            await wire.aclose()


def _proxy(base: str) -> str | None:
    """The proxy that the environment names for this vendor, if it names one."""
    parts = urlsplit(base)
    if parts.hostname is None or urllib.request.proxy_bypass(parts.hostname):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


async def _read(response: httpx.Response, most_bytes: int | None) -> bytes:
    """The body; Malformed where it is longer than it may be."""
    try:
        if most_bytes is None:
            return await response.aread()
        body = b""
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > most_bytes:
                raise Malformed(f"the answer is longer than {most_bytes} bytes")
        return body
    finally:
        await response.aclose()


def _plain(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; several of one name are joined."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _raise_lost(vendor: str, request: Request, error: Exception, *, connecting: bool) -> NoReturn:
    name = type(error).__name__
    if isinstance(error, _NOT_SENT) or connecting:
        raise NotSent(f"no connection to {vendor} ({name})") from None
    if request.write:
        raise OutcomeUnknown(f"no answer from {vendor} ({name})") from None
    raise RetryLater(f"no answer from {vendor} ({name})") from None


def _log(request: Request, status: int | None, started: float) -> None:
    if not logger.isEnabledFor(logging.DEBUG):
        return
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    path = urlsplit(request.path).path
    logger.debug(
        "%s %s %s %s ms",
        request.method,
        path,
        status,
        milliseconds,
        extra={"method": request.method, "path": path, "status": status, "ms": milliseconds},
    )


def _quiet_httpx() -> None:
    """Httpx logs each URL with its query (the Autotask user is in one) and httpcore logs headers; neither is wanted."""
    for name in ("httpx", "httpcore"):
        library = logging.getLogger(name)
        library.setLevel(max(library.level, logging.WARNING))
