"""The queue and its dead-letter queue on Azure Service Bus: the only import of `azure.servicebus`.

The SDK's clients are not safe for concurrent use, so one sender lives behind a lock. A send that fails is no loss: the
operation keeps its alarm, and the wake timer sends again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.amqp import AmqpMessageBodyType
from azure.servicebus.exceptions import MessageLockLostError

from shared import telemetry
from shared.domain.errors import RetryLater
from shared.messaging.envelope import BrokerMessage

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential

_PEEK_PAGE = 100
_SEND_SECONDS = 10
_AWAY_SECONDS = 3.0


class ServiceBusQueue:
    """Sends to the queue; peeks and sweeps its dead-letter queue."""

    def __init__(self, *, queue: str, connection_string: str | None = None, namespace: str | None = None) -> None:
        self._queue = queue
        self._connection_string = connection_string
        self._namespace = namespace
        self._lock = asyncio.Lock()
        self._credential: DefaultAzureCredential | None = None
        self._away_until = 0.0
        self._client: ServiceBusClient | None = None
        self._sender: ServiceBusSender | None = None

    def _open(self) -> ServiceBusClient:
        if self._connection_string:
            return ServiceBusClient.from_connection_string(self._connection_string, retry_total=1)

        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - slow; a connection string needs none

        self._credential = self._credential or DefaultAzureCredential()
        return ServiceBusClient(cast("str", self._namespace), self._credential, retry_total=1)

    async def send(self, identifier: str, body: bytes) -> None:
        """Send one message. Raises RetryLater, at once for a moment after a failure: the alarms send again."""
        attributes: dict[str, telemetry.Attribute] = {
            "messaging.system": "servicebus",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": self._queue,
            "messaging.message.id": identifier,
        }
        with telemetry.span(f"send {self._queue}", attributes, kind=telemetry.Kind.PRODUCER) as span:
            message = ServiceBusMessage(
                body,
                message_id=identifier,
                content_type="application/cloudevents+json",
                application_properties={"traceparent": span.traceparent} if span.traceparent else None,
            )
            await self._send(message)

    async def _send(self, message: ServiceBusMessage) -> None:
        async with self._lock:
            if time.monotonic() < self._away_until:
                raise RetryLater("the queue did not answer a moment ago")
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    if self._sender is None:
                        self._client = self._client or self._open()
                        self._sender = self._client.get_queue_sender(self._queue)
                    await self._sender.send_messages(message)
            except Exception as error:
                self._away_until = time.monotonic() + _AWAY_SECONDS
                await self._drop()
                raise RetryLater(f"the queue does not answer ({type(error).__name__})") from error

    async def _drop(self) -> None:
        client, sender = self._client, self._sender
        self._client = self._sender = None
        if client is not None:
            try:
                async with asyncio.timeout(2):
                    if sender is not None:  # the client knows its senders only weakly; nobody else would close it
                        await sender.close()
                    await client.close()
            except Exception:  # noqa: BLE001 - a connection that is given up may fail in any way while closing
                return

    async def close(self) -> None:
        """Close the connections."""
        async with self._lock:
            await self._drop()
            if self._credential is not None:
                await self._credential.close()

    async def dead_letters(self, limit: int, *, after: int = 0) -> list[BrokerMessage]:
        """Peek at dead letters with a higher sequence number than `after`, the oldest first; locks nothing.

        Raises RetryLater.
        """
        client = self._open()
        found: list[BrokerMessage] = []
        try:
            async with (
                asyncio.timeout(_SEND_SECONDS),
                client,
                client.get_queue_receiver(self._queue, sub_queue="deadletter") as receiver,
            ):
                while len(found) < limit:
                    wanted = min(_PEEK_PAGE, limit - len(found))
                    page = await receiver.peek_messages(wanted, sequence_number=after + 1)
                    if not page:
                        break
                    found += [_message(message) for message in page]
                    after = found[-1].sequence_number
        except Exception as error:
            raise RetryLater(f"the queue does not answer ({type(error).__name__})") from error
        return found

    async def sweep(self, remove: Callable[[BrokerMessage], Awaitable[bool]], *, through: int) -> int:
        """Receive dead letters up to a sequence number and complete those that `remove` names; the others stay.

        Raises RetryLater.
        """
        client = self._open()
        removed = 0
        kept: list[Any] = []
        try:
            async with client, client.get_queue_receiver(self._queue, sub_queue="deadletter") as receiver:
                reached = 0
                while reached < through:
                    batch = await receiver.receive_messages(_PEEK_PAGE, max_wait_time=1)
                    if not batch:
                        break
                    for message in batch:
                        reached = max(reached, int(message.sequence_number or 0))
                        if await remove(_message(message)):
                            await receiver.complete_message(message)
                            removed += 1
                        else:
                            kept.append(message)
                for message in kept:  # a lock that ran out meanwhile has given the message back by itself
                    with contextlib.suppress(MessageLockLostError):
                        await receiver.abandon_message(message)
        except Exception as error:
            raise RetryLater(f"the queue does not answer ({type(error).__name__})") from error
        return removed


def _message(message: Any) -> BrokerMessage:
    return BrokerMessage(
        sequence_number=int(message.sequence_number),
        message_id=str(message.message_id or ""),
        enqueued_at=message.enqueued_time_utc,
        reason=str(message.dead_letter_reason or ""),
        description=str(message.dead_letter_error_description or ""),
        body=_body(message),
    )


def _body(message: Any) -> bytes:
    """The body as bytes; what somebody else sent as an AMQP value or sequence is shown as text and parsed by nobody."""
    if message.body_type is AmqpMessageBodyType.DATA:
        return b"".join(message.body)
    body = message.body if message.body_type is AmqpMessageBodyType.VALUE else list(message.body)
    return repr(body).encode(errors="replace")
