"""Starts the Service Bus emulator as its own process and opens what tests need there, with the unmodified SDK.

Opening and closing a sender or a receiver takes the SDK half a second each. So a module's tests open all of theirs at
once: each test takes a desk of its own, at a queue that nobody used before.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from local.servicebus import connection_string

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROOT = Path(__file__).parents[2]
QUEUES = [f"queue-{number}" for number in range(20)]
MAX_DELIVERY_COUNT = 3


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    process: subprocess.Popen[str]
    port: int

    def client(self, **options: str) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(connection_string(self.port, **options), retry_total=0)


@contextlib.contextmanager
def running_emulator(lock_seconds: float = 30) -> Iterator[Emulator]:
    queues = [argument for name in QUEUES for argument in ("--queue", name)]
    limits = ["--max-delivery-count", str(MAX_DELIVERY_COUNT), "--lock-seconds", str(lock_seconds)]
    command = [sys.executable, "-m", "local.servicebus", "--port", "0", *queues, *limits]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        assert process.stdout
        ready = process.stdout.readline()
        try:
            yield Emulator(process, int(ready.split("127.0.0.1:")[1].split()[0]))
        finally:
            process.kill()


@dataclass(frozen=True)
class Desk:
    """A queue with a sender, a receiver, and a receiver of its dead letters."""

    emulator: Emulator
    client: ServiceBusClient
    queue: str
    sender: ServiceBusSender
    receiver: ServiceBusReceiver
    dead_letters: ServiceBusReceiver
    opened: list[ServiceBusSender | ServiceBusReceiver]

    def another_receiver(self, **options: Any) -> ServiceBusReceiver:
        """One more receiver of the queue; it is closed together with all others."""
        receiver = self.client.get_queue_receiver(self.queue, **options)
        self.opened.append(receiver)
        return receiver

    async def send(self, *bodies: str) -> None:
        await self.sender.send_messages([ServiceBusMessage(body) for body in bodies])

    async def is_empty(self) -> bool:
        """Nothing is in the queue, ready or locked, nor in its dead-letter queue."""
        waiting = await self.receiver.peek_messages(sequence_number=1)
        return not waiting and not await self.dead_letters.peek_messages(sequence_number=1)


@contextlib.asynccontextmanager
async def open_desks(*wanted: tuple[Emulator, int]) -> AsyncIterator[list[list[Desk]]]:
    """So many desks at each emulator."""
    opened: list[ServiceBusSender | ServiceBusReceiver] = []
    desks = [[_desk(emulator, queue, opened) for queue in QUEUES[:number]] for emulator, number in wanted]
    await asyncio.gather(*(handler.__aenter__() for handler in opened))
    try:
        yield desks
    finally:
        await asyncio.gather(*(handler.close() for handler in opened))


def _desk(emulator: Emulator, queue: str, opened: list[ServiceBusSender | ServiceBusReceiver]) -> Desk:
    client = emulator.client()
    sender, receiver = client.get_queue_sender(queue), client.get_queue_receiver(queue)
    dead_letters = client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    opened += [sender, receiver, dead_letters]
    return Desk(emulator, client, queue, sender, receiver, dead_letters, opened)


async def take(receiver: ServiceBusReceiver, wanted: int = 1) -> list[ServiceBusReceivedMessage]:
    """As many messages as wanted; fails if they do not come."""
    taken: list[ServiceBusReceivedMessage] = []
    while len(taken) < wanted:
        more = await receiver.receive_messages(max_message_count=wanted - len(taken), max_wait_time=5)
        assert more, f"{len(taken)} of {wanted} messages came"
        taken += more
    return taken


async def take_one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    """The next message; fails if none comes."""
    return (await take(receiver))[0]
