"""The ASGI layer around a simulator: records each request, applies faults, stamps the simulated `Date`.

It sits outside the routes, so that a fault strikes whatever the simulator would have answered; control paths pass.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from local.simulation.control import PREFIX
from local.simulation.serve import TRANSPORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from local.simulation.clock import SimulatedClock
    from local.simulation.faults import Fault, Faults
    from local.simulation.requests_log import LoggedRequest, RequestsLog

HOLD_SECONDS = 120


def gateway_page(status: int) -> str:
    """Return the body of a status that a fault names without a body: the page of a gateway, not of the API."""
    return f"<html><body><h1>{status} {HTTPStatus(status).phrase}</h1></body></html>"


class Gate:
    """ASGI middleware; `fault_body` gives the vendor's own body for a status (str: HTML, else JSON)."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: SimulatedClock,
        faults: Faults,
        log: RequestsLog,
        fault_body: Callable[[int], Any] = gateway_page,
    ) -> None:
        self._app = app
        self._clock = clock
        self._faults = faults
        self._log = log
        self._fault_body = fault_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        dated = self._dated(send)
        path: str = scope["path"]
        if path == PREFIX or path.startswith(PREFIX + "/"):
            await self._app(scope, receive, dated)
            return
        body = await _read(receive)
        if body is None:
            return
        method: str = scope["method"]
        entry = self._log.record(
            self._clock.now(), method, path, scope["query_string"].decode("latin-1"), scope["headers"], body
        )
        fault = self._faults.match(method, path)
        replayed = _replayed(body, receive)
        answer = _noting_status(entry, dated)
        if fault is None:
            await self._app(scope, replayed, answer)
            return
        entry.fault = fault.kind
        if fault.kind == "slow" and fault.when == "before":
            await asyncio.sleep(fault.delay_seconds)
            await self._app(scope, replayed, answer)
            return
        held = [] if fault.when == "before" else await self._run_to_completion(scope, replayed)
        await self._spoil(fault, held, scope, receive, answer)

    async def _run_to_completion(self, scope: Scope, receive: Receive) -> list[Message]:
        messages: list[Message] = []

        async def hold(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, hold)
        return messages

    async def _spoil(self, fault: Fault, held: list[Message], scope: Scope, receive: Receive, send: Send) -> None:
        if fault.kind == "slow":
            await asyncio.sleep(fault.delay_seconds)
            for message in held:
                await send(message)
        elif fault.kind == "timeout":
            await _hold_until_client_leaves(receive)
            await reset_connection(scope, receive)
        elif fault.kind == "reset":
            await reset_connection(scope, receive)
        else:
            await self._fault_answer(fault)(scope, receive, send)

    def _fault_answer(self, fault: Fault) -> Response:
        body = fault.body
        if fault.kind == "malformed":
            status = fault.status or 200
            text = body if isinstance(body, str) else '{"items": [{"id": 1, "broken'
            return Response(text, status, fault.headers, "application/json")
        status = fault.status or 500
        if body is None:
            body = self._fault_body(status)
        if isinstance(body, str):
            return Response(body, status, fault.headers, "text/html")
        return Response(json.dumps(body), status, fault.headers, "application/json")

    def _dated(self, send: Send) -> Send:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._clock.now().timestamp(), usegmt=True).encode()
                message["headers"] = [*message.get("headers", []), (b"date", date)]
            await send(message)

        return stamped


async def reset_connection(scope: Scope, receive: Receive) -> None:
    """Close the TCP connection of this request with RST and without an answer (needs `serve`'s protocol)."""
    transport: asyncio.Transport = scope["state"][TRANSPORT]
    if not transport.is_closing():
        connection = transport.get_extra_info("socket")
        # Lingering for zero seconds makes the close a reset; a plain close would look like an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _hold_until_client_leaves(receive: Receive) -> None:
    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(left(), HOLD_SECONDS)
    except TimeoutError:
        return


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or None when the client left while sending it."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message.get("body", b""))
    chunks = []
    while message["type"] == "http.request":
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()
    return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    delivered = False

    async def replay() -> Message:
        nonlocal delivered
        if delivered:
            return await receive()
        delivered = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _noting_status(entry: LoggedRequest, send: Send) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            entry.status = message["status"]
        await send(message)

    return noting
