"""Relays between a functions host and what it talks to, so that a test sees each step and can stop the world at it.

One understands HTTP/1.1 (Table storage and both vendors), one AMQP 1.0 frames (the queue). Each request or frame that
changes something is a `Step`; a `Watcher` is asked before it is passed on and again when its answer has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

_HOST = "127.0.0.1"
_AMQP_HEADER = b"AMQP"
_PERFORMATIVES = {0x14: "transfer", 0x15: "disposition"}
_BROKER_SECONDS = 0.1  # the broker has acted on a frame long before
_TABLE_CHANGE = re.compile(rb"(POST|PUT|PATCH|MERGE|DELETE) \S*/devstoreaccount1/(\w+)")


@dataclass(frozen=True)
class Step:
    """One thing that a host does to the world outside."""

    channel: str
    what: str
    content: bytes


class Watcher(Protocol):
    """Looks at the steps; False ends the connection at once."""

    def before(self, step: Step) -> bool:
        """Whether to pass the step on."""
        ...

    def after(self, step: Step) -> bool:
        """Whether to pass its answer back."""
        ...


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Relays:
    """Any number of relays on one event loop in a thread of its own; a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Relays:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def http(self, channel: str, port: int, watcher: Watcher) -> int:
        """Relay HTTP to a port of this machine; the port to use instead."""
        return self._listen(_Http(channel, port, watcher).serve)

    def amqp(self, channel: str, port: int, watcher: Watcher) -> int:
        """Relay AMQP to a port of this machine; the port to use instead."""
        return self._listen(_Amqp(channel, port, watcher).serve)

    def _listen(self, serve: Serve) -> int:
        async def start() -> int:
            server = await asyncio.start_server(_quiet(serve), _HOST, 0, limit=2**22)
            self._servers.append(server)
            port: int = server.sockets[0].getsockname()[1]
            return port

        return self._run(start()).result()

    def _run[T](self, work: asyncio.Future[T] | object) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)  # type: ignore[arg-type]  # a coroutine, see callers

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
