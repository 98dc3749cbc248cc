"""Collections of Partner Center, page by page; a list is complete only if reading it ends without an error.

Two shapes (reference 4.6, 11.4): an envelope with a next link and a continuation token, or a bare array with the token
in a header. A page that fails, or cannot be read, is never taken for the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from shared.domain.errors import Misconfigured, Refused, RetryLater, VendorError
from shared.domain.listings import Mark
from shared.partner_center.answers import parse_fault, ruled_out
from shared.partner_center.session import Session, readable
from shared.transport import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MOST_CHARACTERS = 16_384  # of a link or continuation, which go back as they came
_TOKEN_HEADER = "MS-ContinuationToken"  # noqa: S105 - the name of a header


@dataclass(frozen=True, slots=True)
class Page:
    """One page; `next_query` is what to ask for the next one with, None on the last."""

    items: list[dict[str, Any]]
    next_query: dict[str, str] | None
    token: str
    observed_at: datetime
    reply: Reply


@dataclass(frozen=True, slots=True)
class Collection:
    """What to list. `roots` are the keys that the items may stand under, in any letter case; `bare`: or under none.
    `refusable`: what is asked for may not exist for this subscription, which is `Refused` and no misconfiguration.
    """

    path: str
    query: dict[str, str]
    customer: str = ""
    subscription: str = ""
    roots: tuple[str, ...] = ("items",)
    bare: bool = False
    refusable: bool = False


async def pages(session: Session, collection: Collection) -> AsyncIterator[Page]:
    """All pages.

    Raises:
        NotFound: the customer, or the subscription, is unknown.
        Refused: only where the collection is refusable.
        VendorError: the pages do not come to an end, or lead elsewhere.
    """
    page = await one_page(session, collection, None)
    seen: set[tuple[str, str]] = set()
    while page is not None:
        yield page
        if page.next_query is None:
            return
        position = (page.token, str(sorted(page.next_query.items())))
        if position in seen:
            raise VendorError(200, "paging does not come to an end: a continuation was given twice")
        seen.add(position)
        page = await one_page(session, collection, Mark(page.next_query, page.token))


async def everything(session: Session, collection: Collection) -> list[dict[str, Any]]:
    """The items of all pages, raw."""
    found: list[dict[str, Any]] = []
    async for page in pages(session, collection):
        found.extend(page.items)
    return found


async def one_page(session: Session, collection: Collection, mark: Mark | None) -> Page | None:
    """The first page, or the one that a mark stands for.

    None past the end, which Partner Center may answer with 400 / 2000 (reference 4.6). Raises as `pages` does.
    """
    more, token = (mark.query, mark.token) if mark else ({}, "")
    reply = await session.get(collection.path, collection.query | more, {_TOKEN_HEADER: token} if token else {})
    if token and reply.status == 400 and parse_fault(reply.body).code == "2000":
        return None
    failure = session.failure(reply, customer=collection.customer, subscription=collection.subscription)
    if isinstance(failure, Misconfigured) and collection.refusable:
        failure = _refusal(reply) or failure
    if failure:
        raise failure
    return parse_page(reply, collection, session.observed_at(reply))


def _refusal(reply: Reply) -> Refused | None:
    why = ruled_out(reply.status, reply.body)
    if why is None:
        return None
    named = {"partnerCenterCode": why.code, "partnerCenterText": why.text}
    return Refused("refused_by_partner_center", why.sentence, status=409, **named)


def parse_page(reply: Reply, collection: Collection, observed_at: datetime) -> Page:
    """The page in a successful answer. Raises RetryLater where there is none; VendorError for a link elsewhere."""
    parsed = readable(reply)
    if isinstance(parsed, list) and collection.bare:
        token = _sendable(reply.headers.get(_TOKEN_HEADER.lower(), "").strip())
        return Page(_objects(parsed), {} if token else None, token, observed_at, reply)
    if not isinstance(parsed, dict):
        raise RetryLater("an answer is not a JSON object")
    envelope = {key.lower(): value for key, value in parsed.items()}
    items = _objects(next((envelope[root] for root in collection.roots if root in envelope), None))
    links = envelope.get("links")
    link = links.get("next") if isinstance(links, dict) else None
    uri = link.get("uri") if isinstance(link, dict) else None
    token = _link_token(link) if isinstance(link, dict) else ""
    token = _sendable(token or str(envelope.get("continuationtoken") or ""))
    if isinstance(uri, str) and uri:
        return Page(items, _link_query(uri, collection.path), token, observed_at, reply)
    return Page(items, {"seekOperation": "Next"} if token else None, token, observed_at, reply)


def _objects(items: object) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RetryLater("an answer is not a collection")
    return items


def _link_token(link: dict[str, Any]) -> str:
    headers = link.get("headers")
    for header in headers if isinstance(headers, list) else ():
        if isinstance(header, dict) and str(header.get("key", "")).lower() == _TOKEN_HEADER.lower():
            return str(header.get("value") or "")
    return ""


def _sendable(text: str) -> str:
    """A link or continuation as it is; VendorError for one that no request can carry."""
    if len(text) > _MOST_CHARACTERS or not (text.isascii() and text.isprintable()):
        raise VendorError(200, "a continuation cannot be sent back")
    return text


def _link_query(uri: str, path: str) -> dict[str, str]:
    """The parameters of a next link; it must lead to the same collection, with or without `/v1` in front."""
    try:
        parts = urlsplit(_sendable(uri))
    except ValueError:
        raise VendorError(200, "a next link cannot be read") from None
    target = parts.path.removeprefix("/v1").strip("/")
    if parts.netloc or target.lower() != path.lower():
        raise VendorError(200, "a next link leads to another resource")
    return dict(parse_qsl(parts.query, keep_blank_values=True))
