"""The Partner Center API as this application uses it: list, read, and change a subscription.

Reads raise the errors of `shared.domain.errors`; a change answers with a `ChangeOutcome` and is never repeated here,
except once after a 401, which executes nothing. What an answer means is decided in `shared.partner_center.answers`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

from shared.domain.errors import Malformed, Misconfigured, OutcomeUnknown, RetryLater, VendorError
from shared.domain.outcomes import ChangeOutcome, Listing, Reading, Unknown, Unreached
from shared.partner_center.answers import (
    change_outcome,
    never_heals,
    parse_fault,
    read_failure,
    throttle_pause,
)
from shared.partner_center.wire import parse_customer
from shared.transport import NotSent, Reply, Request, Retries, Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shared.domain.subscription import CustomerItem

PAGE_SIZE = 500  # the largest that Partner Center gives (reference 4.6)
_READ_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class TokenSource(Protocol):
    """Where the bearer token comes from."""

    async def token(self, *, force: bool = False) -> str:
        """A valid token; with `force` a new one."""
        ...


@dataclass(frozen=True, slots=True)
class _Page:
    items: list[dict[str, Any]]
    next_query: dict[str, str] | None
    token: str
    observed_at: datetime


class PartnerCenter:
    """One partner's Partner Center.

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

    async def customers(self) -> AsyncIterator[list[CustomerItem]]:
        """All customers, in pages of 500. The list is complete only if the iteration ends without an error."""
        async for items in self._pages("customers", {"size": str(PAGE_SIZE)}, customer=""):
            yield [parse_customer(item) for item in items.items]

    async def subscriptions(self, customer: str) -> Listing:
        """All subscriptions of a customer, of any state, as raw resources.

        Raises:
            NotFound: the customer is unknown or not ours.
        """
        found: list[dict[str, Any]] = []
        observed_at: datetime | None = None
        path = f"customers/{_segment(customer)}/subscriptions"
        async for page in self._pages(path, {}, customer=customer):
            found.extend(page.items)
            observed_at = observed_at or page.observed_at
        return Listing(tuple(found), observed_at or self._now())

    async def subscription(self, customer: str, subscription: str) -> Reading:
        """One subscription, raw, with Microsoft's clock.

        Raises:
            NotFound: "customer" or "subscription", whichever is unknown.
        """
        path = f"customers/{_segment(customer)}/subscriptions/{_segment(subscription)}"
        reply = await self._get(path)
        failure = read_failure(
            reply.status,
            reply.body,
            customer=customer,
            subscription=subscription,
            retry_after=reply.retry_after(self._now()),
        )
        if failure:
            raise failure
        return Reading(_json_object(reply), self._observed_at(reply))

    async def change(
        self, customer: str, subscription: str, body: dict[str, Any], *, request_id: str, deadline: datetime
    ) -> ChangeOutcome:
        """PATCH the whole raw resource, with one intention changed in it; nothing is sent after `deadline`.

        `request_id` is the MS-RequestId, Partner Center's idempotency key: the same for the same write (reference 4.1).

        Raises:
            Misconfigured: Partner Center does not accept our credentials; nothing was executed.
        """
        stop = time.monotonic() + (deadline - self._now()).total_seconds()
        path = f"customers/{_segment(customer)}/subscriptions/{_segment(subscription)}"
        headers = {"MS-RequestId": request_id} | _if_match(body)
        try:
            reply = await self._authorised(self._request("PATCH", path, headers, body=body), stop)
        except OutcomeUnknown as error:
            return Unknown(error.reason)
        except RetryLater as error:
            return Unreached(error.reason)
        return change_outcome(
            reply.status,
            reply.body,
            observed_at=self._observed_at(reply),
            location=reply.headers.get("location", ""),
            retry_after=reply.retry_after(self._now()),
        )

    async def _pages(self, path: str, query: dict[str, str], *, customer: str) -> AsyncIterator[_Page]:
        page = await self._page(path, query, "", customer=customer)
        seen: set[tuple[str, str]] = set()
        while page is not None:
            yield page
            if page.next_query is None:
                return
            position = (page.token, str(sorted(page.next_query.items())))
            if position in seen:
                raise VendorError(200, "paging does not come to an end: a continuation was given twice")
            seen.add(position)
            page = await self._page(path, query | page.next_query, page.token, customer=customer)

    async def _page(self, path: str, query: dict[str, str], token: str, *, customer: str) -> _Page | None:
        """One page; None past the end, which Partner Center may answer with 400 / 2000 (reference 4.6)."""
        reply = await self._get(path, query, {"MS-ContinuationToken": token} if token else {})
        if token and reply.status == 400 and parse_fault(reply.body).code == "2000":
            return None
        failure = read_failure(reply.status, reply.body, customer=customer, retry_after=reply.retry_after(self._now()))
        if failure:
            raise failure
        return _parse_page(_json_object(reply), path, self._observed_at(reply))

    async def _get(
        self, path: str, query: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        stop = time.monotonic() + self._read_seconds
        named = {"MS-RequestId": str(uuid.uuid4())} | (headers or {})
        return await self._authorised(self._request("GET", path, named, query=query), stop)

    def _request(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> Request:
        return Request(
            method,
            f"/v1/{path}",
            write=method != "GET",
            within=0,  # set when it is sent: waiting for the token takes its share
            timeout=self._timeout,
            headers=headers,
            query=query,
            body=body,
            retries=replace(self._retries, hint=self._hint),
        )

    def _hint(self, reply: Reply) -> timedelta | None:
        asked = reply.retry_after(self._now())
        return throttle_pause(reply.body, asked) if reply.status == 429 else asked

    async def _authorised(self, request: Request, stop: float) -> Reply:
        """Send with a token; after a 401, which executes nothing, once more with a new one."""
        reply = await self._send(request, stop, force=False)
        if reply.status == 401 and not never_heals(reply.body):
            reply = await self._send(request, stop, force=True)
        if reply.status == 401:
            code = parse_fault(reply.body).code or "none"
            raise Misconfigured(f"Partner Center does not accept the token (401, code {code})")
        return reply

    async def _send(self, request: Request, stop: float, *, force: bool) -> Reply:
        try:
            async with asyncio.timeout(stop - time.monotonic()):
                token = await self._tokens.token(force=force)
        except TimeoutError:
            raise NotSent("no time was left after waiting for a token") from None
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "MS-CorrelationId": str(uuid.uuid4()),
            "X-Locale": "en-US",
            "MS-PartnerCenter-Application": "csp-functions",
        }
        return await self._transport.send(
            replace(request, headers={**request.headers, **headers}, within=stop - time.monotonic())
        )

    def microsoft_now(self) -> datetime:
        """Microsoft's clock as the last answer showed it, running on since; our own before the first answer."""
        return self._now() + self._ahead

    def _observed_at(self, reply: Reply) -> datetime:
        if reply.date is None:
            return self._now()
        self._ahead = reply.date - self._now()
        return reply.date


def _segment(identity: str) -> str:
    return quote(identity, safe="")


def _if_match(body: dict[str, Any]) -> dict[str, str]:
    """If-Match in double quotes, only where the resource carries an etag (reference 4.2)."""
    attributes = body.get("attributes")
    etag = attributes.get("etag") if isinstance(attributes, dict) else None
    return {"If-Match": '"{}"'.format(etag.strip('"'))} if isinstance(etag, str) and etag.strip('"') else {}


def _json_object(reply: Reply) -> dict[str, Any]:
    """The object in a successful answer to a read; an unreadable one is worth another read."""
    try:
        parsed = reply.json()
    except Malformed as error:
        raise RetryLater(str(error)) from None
    if not isinstance(parsed, dict):
        raise RetryLater("an answer is not a JSON object")
    return parsed


def _parse_page(envelope: dict[str, Any], path: str, observed_at: datetime) -> _Page:
    items = envelope.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RetryLater("an answer is not a collection")
    links = envelope.get("links")
    link = links.get("next") if isinstance(links, dict) else None
    uri = link.get("uri") if isinstance(link, dict) else None
    token = _link_token(link) if isinstance(link, dict) else ""
    token = token or str(envelope.get("continuationToken") or "")
    if isinstance(uri, str) and uri:
        return _Page(items, _link_query(uri, path), token, observed_at)
    return _Page(items, {"seekOperation": "Next"} if token else None, token, observed_at)


def _link_token(link: dict[str, Any]) -> str:
    headers = link.get("headers")
    for header in headers if isinstance(headers, list) else ():
        if isinstance(header, dict) and str(header.get("key", "")).lower() == "ms-continuationtoken":
            return str(header.get("value") or "")
    return ""


def _link_query(uri: str, path: str) -> dict[str, str]:
    """The parameters of a next link; it must lead to the same collection, with or without `/v1` in front."""
    parts = urlsplit(uri)
    target = parts.path.removeprefix("/v1").strip("/")
    if parts.netloc or target.lower() != path.lower():
        raise VendorError(200, "a next link leads to another resource")
    return dict(parse_qsl(parts.query, keep_blank_values=True))
