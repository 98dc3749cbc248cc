"""The queue as an operations person sees it with the plain azure-servicebus SDK: send, peek, and the sub-queue."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiver,
    ServiceBusSubQueue,
)

if TYPE_CHECKING:
    from types import TracebackType

_MOST = 250


@dataclass(frozen=True)
class Seen:
    """A message as peeked."""

    sequence_number: int
    body: bytes
    properties: str


class Broker:
    """One queue of one namespace; a context manager that keeps its connections, since closing one takes a second."""

    def __init__(self, connection: str, queue: str) -> None:
        self._open = contextlib.ExitStack()
        client = self._open.enter_context(ServiceBusClient.from_connection_string(connection))
        self._sender = self._open.enter_context(client.get_queue_sender(queue))
        self._queue = self._open.enter_context(client.get_queue_receiver(queue))
        self._dead = self._open.enter_context(
            client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        )

    def __enter__(self) -> Broker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def send(self, *bodies: bytes) -> None:
        """Send messages one after the other."""
        for body in bodies:
            self._sender.send_messages(ServiceBusMessage(body))

    def waiting(self) -> list[Seen]:
        """Messages in the queue, locked ones too."""
        return _peek(self._queue)

    def dead(self) -> list[Seen]:
        """Messages in the dead-letter queue."""
        return _peek(self._dead)

    def dead_about(self, operation: str) -> list[Seen]:
        """Dead-lettered messages that name an operation."""
        return [message for message in self.dead() if operation.encode() in message.body]


def _peek(receiver: ServiceBusReceiver) -> list[Seen]:
    return [_seen(message) for message in receiver.peek_messages(_MOST, sequence_number=1)]


def _seen(message: ServiceBusReceivedMessage) -> Seen:
    body = message.body
    return Seen(
        sequence_number=int(message.sequence_number or 0),
        body=body if isinstance(body, bytes) else b"".join(body),
        properties=str(message.application_properties or {}),
    )
