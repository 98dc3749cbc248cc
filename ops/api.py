"""The application's API as the command line uses it: read to the last page, and written with a key of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from shared.domain.errors import CspError, OutcomeUnknown, RetryLater
from shared.transport import Reply, Request, Retries, Transport

_SECONDS = 120.0
_WRITES = 3
_READ = Retries(attempts=4, statuses=frozenset({429, 502, 503, 504}), base_seconds=0.5)

Document = dict[str, Any]
Token = Callable[[str], Awaitable[str]]


class ApiProblem(CspError):
    """The API refused; `document` is its problem document."""

    def __init__(self, status: int, document: Document) -> None:
        super().__init__(str(document.get("detail") or document.get("title") or f"status {status}"))
        self.status = status
        self.document = document


class Api:
    """One application; `token` gives a bearer token for what somebody does (`desk` or `operator`)."""

    def __init__(
        self, transport: Transport, token: Token, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._transport = transport
        self._token = token
        self._sleep = sleep

    async def get(self, path: str, **query: str) -> Document:
        """A document. Raises ApiProblem, RetryLater."""
        document: Document = (await self._ask("GET", path, query=query)).json()
        return document

    async def text(self, path: str, **query: str) -> str:
        """A file. Raises ApiProblem, RetryLater."""
        return (await self._ask("GET", path, query=query)).body.decode()

    async def items(self, path: str, **query: str) -> AsyncIterator[Document]:
        """Every item of a list, page after page. Raises ApiProblem, RetryLater."""
        following: str | None = None
        while True:
            page: Document = (await self._ask("GET", following or path, query={} if following else query)).json()
            for item in page["value"]:
                yield item
            link = page.get("nextLink")
            if not link:
                return
            following = str(link).removeprefix("/api/")

    async def post(
        self, path: str, body: Document | None = None, *, who: str = "desk", key: str | None = None
    ) -> Document:
        """What a request is answered with.

        One without an answer is repeated with its own key, so that it is carried out once. Raises ApiProblem,
        OutcomeUnknown, RetryLater.
        """
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        for attempt in range(1, _WRITES + 1):
            try:
                document: Document = (await self._ask("POST", path, body=body or {}, who=who, headers=headers)).json()
            except (OutcomeUnknown, RetryLater):
                if attempt == _WRITES:
                    raise
                await self._sleep(attempt)
            else:
                return document
        raise AssertionError("unreachable")

    async def planned(self, body: Document) -> AsyncIterator[Document]:
        """What a re-submission of many would do, page after page. Raises ApiProblem."""
        path = "dead-letters/resubmit"
        while True:
            page = await self.post(path, body)
            for item in page["value"]:
                yield item
            link = page.get("nextLink")
            if not link:
                return
            path = str(link).removeprefix("/api/")

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Document | None = None,
        who: str = "desk",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        reply = await self._transport.send(
            Request(
                method,
                path,
                write=method != "GET",
                within=_SECONDS,
                timeout=_SECONDS,
                headers={"Authorization": f"Bearer {await self._token(who)}", **(headers or {})},
                query={name: value for name, value in (query or {}).items() if value} or None,
                body=body,
                retries=_READ,
            )
        )
        if reply.status >= 400:
            raise ApiProblem(reply.status, _problem(reply))
        return reply


def _problem(reply: Reply) -> Document:
    try:
        document = reply.json()
    except CspError:
        document = None
    return document if isinstance(document, dict) else {"title": f"status {reply.status}"}
