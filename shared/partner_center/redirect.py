"""A listener on this machine for the one form that the browser sends at the end of a sign-in.

It takes the answer whose `state` is that of the flow, tells the person to close the page, and is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

from shared.domain.errors import Misconfigured, RetryLater

_HOST = "127.0.0.1"
_LONGEST = 64 * 1024
_READ_SECONDS = 10.0


class Redirect:
    """The address that the browser is sent to, and the answer that it brings. Set `state` before opening a browser."""

    def __init__(self) -> None:
        self.uri = ""
        self.state = ""
        self._answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def answer(self, seconds: float) -> dict[str, str]:
        """The form with the state. Raises RetryLater if none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                return await self._answer
        except TimeoutError:
            raise RetryLater("nobody has signed in in time") from None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of a browser."""
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_READ_SECONDS):
                writer.write(_page(*await self._take(reader)))
                await writer.drain()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> tuple[str, str]:
        request, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target = request.split(" ")[:2]
        if (method, target) != ("POST", "/"):
            return "404 Not Found", "There is nothing here."
        fields = dict(line.lower().split(":", 1) for line in headers if ":" in line)
        length = int(fields.get("content-length", "0"))
        if length > _LONGEST:
            return "413 Content Too Large", "This is too long for the answer to a sign-in."
        answer = dict(parse_qsl((await reader.readexactly(length)).decode("latin-1")))
        if not self.state or answer.get("state") != self.state:
            return "400 Bad Request", "This answer does not belong to the sign-in that is waited for."
        if not self._answer.done():
            self._answer.set_result(answer)
        return "200 OK", "The sign-in is over. Look at the command for its result; this page can be closed."


def query_of(pasted: str) -> dict[str, str]:
    """The query of a redirect that a person has pasted, as a whole address or as its query alone."""
    text = pasted.strip()
    return dict(parse_qsl(urlsplit(text).query or text.lstrip("?")))


@contextlib.asynccontextmanager
async def listening(port: int) -> AsyncIterator[Redirect]:
    """Listen on a port of this machine, 0 for a free one. Raises Misconfigured where it is taken."""
    redirect = Redirect()
    try:
        server = await asyncio.start_server(redirect.serve, _HOST, port, limit=_LONGEST)
    except OSError as error:
        reason = f"port {port} cannot be listened on ({type(error).__name__}); name another with --port"
        raise Misconfigured(reason) from None
    redirect.uri = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield redirect


def _page(status: str, sentence: str) -> bytes:
    body = f"<!doctype html><meta charset=utf-8><title>csp-functions</title><p>{sentence}</p>".encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
