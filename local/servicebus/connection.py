"""One AMQP connection over TCP: protocol headers, SASL ANONYMOUS, open, sessions, heartbeats, close.

`server.py` runs one `Connection` per client. A frame that cannot be understood ends this connection with an AMQP error,
and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from local.servicebus.codec import Array, Symbol, UByte, UInt, UShort
from local.servicebus.errors import AmqpError
from local.servicebus.frames import (
    AMQP_HEADER,
    HEADER_SIZE,
    MAX_FRAME_SIZE,
    SASL_HEADER,
    Begin,
    Close,
    End,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    error,
    frame,
    frame_header,
    heartbeat,
    parse,
)
from local.servicebus.session import WINDOW, Session

if TYPE_CHECKING:
    from local.servicebus.access import Access
    from local.servicebus.broker import Broker

_ANONYMOUS = Symbol("ANONYMOUS")
_CHANNEL_MAX = UShort(255)
_MIN_FRAME_SIZE = 512  # by the standard


class Connection:
    """A client's connection. `serve` runs it to its end."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, broker: Broker, access: Access
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._broker = broker
        self._access = access
        self._sessions: dict[int, Session] = {}
        self._max_frame_size = MAX_FRAME_SIZE
        self._heartbeats: asyncio.Task[None] | None = None
        self._outgoing = bytearray()

    async def serve(self) -> None:
        """Serves the client until it closes, breaks a rule of AMQP, or is gone."""
        try:
            if await self._authenticate():
                await self._open()
                while await self._next():
                    pass
        except AmqpError as problem:
            self._send(0, Close(error(problem)))
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client is gone; its locks run out by themselves
        finally:
            for session in self._sessions.values():
                session.end()
            if self._heartbeats:
                self._heartbeats.cancel()
            self._flush()
            self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _authenticate(self) -> bool:
        if not await self._exchange_header(SASL_HEADER):
            return False
        self._send(0, SaslMechanisms(Array([_ANONYMOUS])))
        _, init, _ = await self._read()
        anonymous = isinstance(init, SaslInit) and init.mechanism == _ANONYMOUS
        self._send(0, SaslOutcome(UByte(0 if anonymous else 1)))
        return anonymous and await self._exchange_header(AMQP_HEADER)

    async def _exchange_header(self, expected: bytes) -> bool:
        """Answers with the header that is expected, also to a wrong one: so the client learns what would be right."""
        header = await self._reader.readexactly(len(expected))
        self._write(expected)
        return header == expected

    async def _open(self) -> None:
        _, performative, _ = await self._read()
        if not isinstance(performative, Open):
            raise AmqpError("amqp:illegal-state", "A connection begins with open.")
        self._max_frame_size = max(_MIN_FRAME_SIZE, min(performative.max_frame_size or MAX_FRAME_SIZE, MAX_FRAME_SIZE))
        self._send(0, Open("local-servicebus", max_frame_size=UInt(MAX_FRAME_SIZE), channel_max=_CHANNEL_MAX))
        if performative.idle_time_out:
            self._heartbeats = asyncio.create_task(self._beat(performative.idle_time_out / 2000))

    async def _beat(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self._write(heartbeat())

    async def _next(self) -> bool:
        """Handles one frame; False after a close."""
        channel, performative, payload = await self._read()
        match performative:
            case Close():
                self._send(0, Close())
                return False
            case Begin():
                self._begin(channel, performative)
            case End():
                self._session(channel).end()
                del self._sessions[channel]
                self._send(channel, End())
            case _:
                self._session(channel).handle(performative, payload)
        await self._writer.drain()
        return True

    def _begin(self, channel: int, begin: Begin) -> None:
        if channel in self._sessions or channel > _CHANNEL_MAX:
            raise AmqpError("amqp:not-allowed", "The channel is in use or too high.")

        def send(performative: Performative, payload: bytes) -> None:
            self._send(channel, performative, payload)

        self._sessions[channel] = Session(begin, self._broker, self._access, self._max_frame_size, send)
        self._send(channel, Begin(UShort(channel), UInt(0), WINDOW, WINDOW, UInt(255)))

    def _session(self, channel: int) -> Session:
        if channel not in self._sessions:
            raise AmqpError("amqp:illegal-state", "There is no session on the channel.")
        return self._sessions[channel]

    async def _read(self) -> tuple[int, Performative, bytes]:
        """The next frame that is not a heartbeat: channel, performative, payload."""
        while True:
            size, extended, channel = frame_header(await self._reader.readexactly(HEADER_SIZE))
            body = await self._reader.readexactly(size)
            if size > extended:
                return channel, *parse(body[extended:])

    def _send(self, channel: int, performative: Performative, payload: bytes = b"") -> None:
        self._write(frame(channel, performative, payload))

    def _write(self, data: bytes) -> None:
        """Sends at the end of this turn of the event loop, so that frames that belong together go out together."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing += data

    def _flush(self) -> None:
        self._writer.write(bytes(self._outgoing))
        self._outgoing.clear()
