"""Runs a simulator on 127.0.0.1 until SIGTERM or SIGINT, and ends at once even while requests hang.

Its protocol puts the connection's transport into the request's state, which is how `gate` can reset a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from starlette.types import ASGIApp

HOST = "127.0.0.1"
TRANSPORT = "transport"


class TransportProtocol(H11Protocol):
    """HTTP/1.1 whose requests can reach their connection: `scope["state"]["transport"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in H11Protocol
        """Remember the transport for every request of this connection."""
        self.app_state = {**self.app_state, TRANSPORT: transport}
        super().connection_made(transport)


class _PromptServer(uvicorn.Server):
    """Prints a line when it listens; drops open connections and returns normally on a signal."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._ready, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        def leave(_signal: int, _frame: FrameType | None) -> None:
            self.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, leave)
        yield


def serve(
    app: ASGIApp, *, name: str, port: int, certificate: Path | None = None, private_key: Path | None = None
) -> None:
    """Serve the application until a signal comes; prints `{name} ready on {url}` once it listens.

    Args:
        app: the ASGI application.
        name: how the ready line calls it.
        port: on 127.0.0.1; 0 takes a free one, which the ready line tells.
        certificate: PEM chain for https; without it the server speaks http.
        private_key: PEM key of the certificate.

    Raises:
        OSError: the port is taken.
    """
    # The protocol number is not decoration: asyncio switches Nagle's delay off only where the socket names TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        scheme = "https" if certificate else "http"
        config = uvicorn.Config(
            app,
            http=TransportProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            date_header=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,
            ssl_certfile=certificate,
            ssl_keyfile=private_key,
        )
        ready = f"{name} ready on {scheme}://{HOST}:{listener.getsockname()[1]}"
        asyncio.run(_PromptServer(config, ready).serve(sockets=[listener]))
