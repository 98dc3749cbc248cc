"""What the Service Bus emulator does with bytes that the SDK would never send, and how it starts and ends."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from azure.servicebus import ServiceBusMessage

from local.servicebus.codec import Described, Symbol, UInt, ULong
from local.servicebus.frames import (
    AMQP_HEADER,
    SASL_HEADER,
    Attach,
    Begin,
    Close,
    Flow,
    Open,
    SaslInit,
    Transfer,
    frame,
)
from tests.local_world.servicebus_process import QUEUES, ROOT, Emulator, running_emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from azure.servicebus.aio import ServiceBusSender

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running_emulator() as running:
        yield running


@pytest.fixture(scope="module")
async def bystander(emulator: Emulator) -> AsyncIterator[ServiceBusSender]:
    async with emulator.client() as client, client.get_queue_sender(QUEUES[0]) as sender:
        yield sender


def raw_frame(body: bytes, *, size: int | None = None) -> bytes:
    return struct.pack(">IBBH", 8 + len(body) if size is None else size, 2, 0, 0) + body


GREETING = SASL_HEADER + frame(0, SaslInit(Symbol("ANONYMOUS"))) + AMQP_HEADER + frame(0, Open("test"))
BEGIN = frame(0, Begin(None, UInt(0), UInt(9), UInt(9)))
BEGIN_ON_300 = frame(300, Begin(None, UInt(0), UInt(9), UInt(9)))
FLOW = frame(0, Flow(None, UInt(1), UInt(0), UInt(1)))
TRANSFER = frame(0, Transfer(UInt(4), UInt(0), b"tag"), b"bytes")
MALFORMED = {
    "not AMQP": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", SASL_HEADER),
    "AMQP without SASL": (AMQP_HEADER, SASL_HEADER),
    "garbage in place of SASL": (SASL_HEADER + raw_frame(b"\xff"), b"amqp:decode-error"),
    "an enormous frame": (GREETING + raw_frame(b"", size=2**32 - 1), b"amqp:connection:framing-error"),
    "a frame smaller than its header": (GREETING + raw_frame(b"", size=3), b"amqp:connection:framing-error"),
    "a performative nobody knows": (GREETING + raw_frame(b"\x00\x53\x7f\x45"), b"amqp:decode-error"),
    "a value longer than its frame": (GREETING + raw_frame(b"\x00\x53\x10\xa1\xff"), b"amqp:decode-error"),
    "an array of billions": (
        GREETING + raw_frame(b"\x00\x53\x10\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x56"),
        b"amqp:decode-error",
    ),
    "endless nesting": (GREETING + raw_frame(b"\x00" * 20000), b"amqp:decode-error"),
    "a field of the wrong type": (GREETING + raw_frame(b"\x00\x53\x10\xc0\x03\x01\x54\x01"), b"amqp:decode-error"),
    "a flow without a session": (GREETING + FLOW, b"amqp:illegal-state"),
    "a transfer without a link": (GREETING + BEGIN + TRANSFER, b"amqp:session:unattached-handle"),
    "a session begun twice": (GREETING + BEGIN + BEGIN, b"amqp:not-allowed"),
    "a channel that cannot be": (GREETING + BEGIN_ON_300, b"amqp:not-allowed"),
}


@pytest.mark.parametrize(("sent", "answer"), MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_bytes_end_their_connection_only(
    emulator: Emulator, bystander: ServiceBusSender, sent: bytes, answer: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    writer.write(sent)
    assert answer in await asyncio.wait_for(reader.read(), 5)  # to the end of the stream: the emulator closed it
    writer.close()
    await bystander.send_messages(ServiceBusMessage("fine"))


async def test_a_client_that_leaves_in_the_middle_of_a_frame_harms_nobody(
    emulator: Emulator, bystander: ServiceBusSender
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    writer.write(GREETING + BEGIN[:5])
    await writer.drain()
    writer.transport.abort()
    await bystander.send_messages(ServiceBusMessage("fine"))


async def test_without_a_token_no_link_is_attached(emulator: Emulator) -> None:
    source = Described(ULong(0x28), [QUEUES[0]])
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    writer.write(GREETING + BEGIN + frame(0, Attach("link", UInt(0), role=True, source=source)) + frame(0, Close()))
    assert b"amqp:unauthorized-access" in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_it_ends_promptly_on_sigterm_with_clients_connected() -> None:
    with running_emulator() as own:
        reader, writer = await asyncio.open_connection("127.0.0.1", own.port)
        writer.write(GREETING)
        await reader.readuntil(b"local-servicebus")
        own.process.terminate()
        assert await asyncio.to_thread(own.process.wait, 3) == 0
        writer.close()


def test_a_port_in_use_is_reported_in_one_line(emulator: Emulator) -> None:
    command = [sys.executable, "-m", "local.servicebus", "--port", str(emulator.port), "--queue", "q"]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - this repository's own command
    assert second.returncode == 1
    assert second.stderr.startswith("The Service Bus emulator cannot listen")
    assert second.stderr.count("\n") == 1
