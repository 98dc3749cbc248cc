"""Relays between a functions host and what it talks to, so that a test sees each step and can stop the host at it.

One understands HTTP/1.1 (Table storage and both vendors), one AMQP 1.0 frames (the queue). Each request or frame that
changes something is a `Step`; a `Watcher` is asked before it is passed on and again when its answer has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

_HOST = "127.0.0.1"
_AMQP_HEADER = b"AMQP"
_PERFORMATIVE = re.compile(rb"\x00(?:\x53|\x80\x00{7})(.)", re.DOTALL)
_WORDS = {b"\x14": "send", b"\x15": "settle"}
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_BUFFER = 2**22
_BROKER_SECONDS = 0.1  # the broker has acted on a frame long before
_TABLE_CHANGE = re.compile(rb"(POST|PUT|PATCH|MERGE|DELETE) \S*/devstoreaccount1/([$\w]+)")

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """One thing that a host does to the world outside."""

    channel: str
    what: str
    content: bytes


class Watcher(Protocol):
    """Looks at the steps, in the order in which they come. A step that is held is never answered."""

    def before(self, step: Step) -> bool:
        """Whether to pass the step on; else it is held."""
        ...

    def holds_answer(self, step: Step) -> bool:
        """Whether the answer of a step that was passed on will be held."""
        ...

    def after(self, step: Step) -> None:
        """The answer has come."""
        ...


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
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def http(self, channel: str, port: int, watcher: Watcher) -> int:
        """Relay HTTP to a port of this machine; the port to use instead."""
        return self._run(self._listen(_Http(channel, port, watcher)))

    def amqp(self, channel: str, port: int, watcher: Watcher) -> int:
        """Relay AMQP to a port of this machine; the port to use instead."""
        return self._run(self._listen(_Amqp(channel, port, watcher)))

    async def _listen(self, relay: _Http | _Amqp) -> int:
        server = await asyncio.start_server(relay.serve, _HOST, 0, limit=_BUFFER)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def _between(writer: asyncio.StreamWriter, port: int, talk: Talk) -> None:
    """Talk to the target; whatever happens, both ends are closed and nobody hears of a broken one."""
    try:
        answers, target = await asyncio.open_connection(_HOST, port, limit=_BUFFER)
        try:
            await talk(answers, target)
        finally:
            target.transport.abort()
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        return
    finally:
        writer.transport.abort()


class _Http:
    """Passes on whole requests and whole answers, one after the other on each connection."""

    def __init__(self, channel: str, port: int, watcher: Watcher) -> None:
        self._channel = channel
        self._port = port
        self._watcher = watcher
        self._never = asyncio.Event()  # what waits for it is held, and kept alive by it

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def talk(answers: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while True:
                request = await _message(reader)
                step = self._step(request)
                if step and not self._watcher.before(step):
                    await self._never.wait()
                target.write(request)
                answer = await _message(answers)
                if step:
                    self._watcher.after(step)
                    if self._watcher.holds_answer(step):
                        await self._never.wait()
                writer.write(answer)
                await writer.drain()

        await _between(writer, self._port, talk)

    def _step(self, request: bytes) -> Step | None:
        """The change that a request makes; None for one that only reads."""
        line = request.partition(b"\r\n")[0].decode("latin-1")
        method, path, _ = line.split(" ")
        if method == "GET" or path.endswith(("/query", "/Tables")):
            return None
        if self._channel != "tables":
            return Step(self._channel, f"{method} {path}", request)
        found = _TABLE_CHANGE.findall(request)
        changes = [f"{verb.decode()} {name.decode()}" for verb, name in found if name != b"$batch"]
        return Step(self._channel, " + ".join(dict.fromkeys(changes)) or f"{method} {path}", request)


class _Amqp:
    """Passes on frames from the host one by one, and what the broker says as it comes."""

    def __init__(self, channel: str, port: int, watcher: Watcher) -> None:
        self._channel = channel
        self._port = port
        self._watcher = watcher
        self._never = asyncio.Event()  # what waits for it is held, and kept alive by it

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def talk(answers: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            back = asyncio.create_task(_pump(answers, writer))
            try:
                await self._forward(reader, target, back)
            finally:
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)

        await _between(writer, self._port, talk)

    async def _forward(
        self, reader: asyncio.StreamReader, target: asyncio.StreamWriter, back: asyncio.Task[None]
    ) -> None:
        while True:
            frame = await reader.readexactly(8)
            if not frame.startswith(_AMQP_HEADER):
                frame += await reader.readexactly(int.from_bytes(frame[:4]) - 8)
            step = self._step(frame)
            if step and not self._watcher.before(step):
                await self._never.wait()
            held = step is not None and self._watcher.holds_answer(step)
            if held:
                back.cancel()  # the host does not hear what the broker answers
            target.write(frame)
            await target.drain()
            if step and held:
                await asyncio.sleep(_BROKER_SECONDS)
                self._watcher.after(step)
                await self._never.wait()

    def _step(self, frame: bytes) -> Step | None:
        """The message that is sent or settled by a frame; None for all others."""
        performative = _PERFORMATIVE.match(frame, 8)
        what = _WORDS.get(performative[1]) if performative else None
        return Step(self._channel, what, frame) if what else None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
        writer.transport.abort()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One request or answer, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length:
        return head + await reader.readexactly(int(length[1]))
    if not _CHUNKED.search(head):
        return head
    parts = [head]
    while True:
        size = await reader.readuntil(b"\r\n")
        parts += [size, await reader.readexactly(int(size.partition(b";")[0], 16) + 2)]
        if int(size.partition(b";")[0], 16) == 0:
            return b"".join(parts)
