"""Service Bus queue triggers on the unmodified azure-servicebus SDK: peek-lock, lock renewal, complete or abandon.

A dispatcher waits for one message at a time while a slot (`maxConcurrentCalls`) is free and hands it to a task of its
own, so that a free slot takes the next message at once. Each message keeps the receiver that it came from until it is
settled: the SDK's receivers block one another's frames if they wait and settle at once. `host` starts and stops the
listeners.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient

from local.functions_host.conversion import message_from_input, received_message
from local.functions_host.invocation import InvocationFailed

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver

    from local.functions_host.bindings import IndexedFunction
    from local.functions_host.host_json import ServiceBusOptions
    from local.functions_host.invocation import Invoker
    from local.functions_host.settings import ServiceBusConnection

log = logging.getLogger("functions_host.queues")

WAIT_SECONDS = 5.0
"""How long one call of the SDK waits for a message; only bounds how late a dead connection is noticed."""
BACKOFF_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts while the broker is away; the last one repeats."""
_RETRY: dict[str, Any] = {"retry_total": 1, "retry_backoff_factor": 0.1}
"""The SDK's own retry heals a detached link unseen; a broker that is away is this module's business."""
CLOSE_SECONDS = 2.0
"""A receiver whose broker is gone may never finish closing."""
SETTLE_SECONDS = 5.0
"""A broker that is gone confirms nothing, and the SDK would wait a minute for it."""


class QueueListener:
    """Feeds one function with the messages of one queue until it is stopped."""

    def __init__(
        self,
        function: IndexedFunction,
        queue: str,
        connection: ServiceBusConnection,
        options: ServiceBusOptions,
        invoker: Invoker,
    ) -> None:
        self._function = function
        self._queue = queue
        self._connection = connection
        self._options = options
        self._invoker = invoker
        self._slots = asyncio.Semaphore(options.max_concurrent_calls)
        self._idle: list[ServiceBusReceiver] = []
        self._deliveries: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._failures = 0

    def start(self) -> None:
        """Open the SDK's client and start the dispatcher; needs a running event loop."""
        self._client, self._credential = _open_client(self._connection)
        seconds = self._options.lock_renewal_seconds
        self._renewer = AutoLockRenewer(seconds, on_lock_renew_failure=self._lock_lost) if seconds else None
        self._dispatcher = asyncio.create_task(self._dispatch(), name=f"queue {self._queue}")

    async def stop(self, grace: float) -> None:
        """Take no further message, give those in work `grace` seconds, cancel (and abandon) the rest, close the SDK."""
        while not self._dispatcher.done():
            # Python 3.11 loses a cancellation that meets an arriving frame inside `wait_for`.
            self._dispatcher.cancel()
            await asyncio.wait({self._dispatcher}, timeout=0.5)
        if self._deliveries:
            _, late = await asyncio.wait(self._deliveries, timeout=grace)
            for delivery in late:
                delivery.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._discard_idle()
        await asyncio.gather(*self._closing, self._close_shared(), return_exceptions=True)

    async def run_on_demand(self, text: str) -> None:
        """Run once with a message made of a text, without the broker."""
        with contextlib.suppress(InvocationFailed):
            await self._invoker.run(self._function, lambda: message_from_input(text))

    async def _dispatch(self) -> None:
        while True:
            await self._slots.acquire()
            receiver, message = await self._next_message()
            delivery = asyncio.create_task(self._deliver(receiver, message))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._delivered)

    def _delivered(self, delivery: asyncio.Task[None]) -> None:
        self._deliveries.discard(delivery)
        self._slots.release()

    async def _next_message(self) -> tuple[ServiceBusReceiver, ServiceBusReceivedMessage]:
        while True:
            receiver = self._idle.pop() if self._idle else self._open_receiver()
            try:
                messages = await receiver.receive_messages(max_message_count=1, max_wait_time=WAIT_SECONDS)
            except asyncio.CancelledError:
                self._discard(receiver)
                raise
            except Exception as error:  # noqa: BLE001 - a listener outlives whatever its broker does
                self._discard(receiver)
                await self._back_off(error)
                continue
            self._reachable()
            if messages:
                return receiver, messages[0]
            self._idle.append(receiver)

    async def _deliver(self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
        try:
            await self._invoker.run(
                self._function,
                lambda: received_message(message),
                trace_parent=_trace_parent(message),
            )
        except InvocationFailed:
            await self._settle(receiver, message, completed=False)
        except asyncio.CancelledError:
            await self._settle(receiver, message, completed=False)
            raise
        else:
            await self._settle(receiver, message, completed=True)

    async def _settle(
        self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage, *, completed: bool
    ) -> None:
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                if completed:
                    await receiver.complete_message(message)
                else:
                    await receiver.abandon_message(message)
        except Exception as error:  # noqa: BLE001 - the broker will deliver it again, and the app expects that
            verb = "completed" if completed else "abandoned"
            log.warning(
                "message %s of %s could not be %s: %s", message.sequence_number, self._queue, verb, _brief(error)
            )
            self._discard(receiver)
        else:
            self._idle.append(receiver)

    def _open_receiver(self) -> ServiceBusReceiver:
        return self._client.get_queue_receiver(self._queue, prefetch_count=0, auto_lock_renewer=self._renewer)

    async def _back_off(self, error: Exception) -> None:
        # The connections of all idle receivers ended with the broker.
        self._discard_idle()
        if self._failures == 0:
            log.warning("queue %s cannot be read, trying again until it can: %s", self._queue, _brief(error))
        await asyncio.sleep(BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)])
        self._failures += 1

    def _reachable(self) -> None:
        if self._failures:
            log.warning("queue %s can be read again after %d attempts", self._queue, self._failures)
        self._failures = 0

    async def _lock_lost(self, renewed: object, error: Exception | None) -> None:
        number = getattr(renewed, "sequence_number", "?")
        log.warning("lock of message %s of %s is not renewed any longer: %s", number, self._queue, _brief(error))

    def _discard_idle(self) -> None:
        while self._idle:
            self._discard(self._idle.pop())

    def _discard(self, receiver: ServiceBusReceiver) -> None:
        closing = asyncio.create_task(_close(receiver))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_shared(self) -> None:
        if self._renewer is not None:
            await self._renewer.close()
        await self._client.close()
        if self._credential is not None:
            await self._credential.close()


def _open_client(connection: ServiceBusConnection) -> tuple[ServiceBusClient, DefaultAzureCredential | None]:
    if connection.connection_string is not None:
        return ServiceBusClient.from_connection_string(connection.connection_string, **_RETRY), None
    # azure-identity is only needed, and only slow to import, where there is no connection string.
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - see above

    credential = DefaultAzureCredential()
    return ServiceBusClient(str(connection.fully_qualified_namespace), credential, **_RETRY), credential


async def _close(receiver: ServiceBusReceiver) -> None:
    try:
        await asyncio.wait_for(receiver.close(), CLOSE_SECONDS)
    except Exception as error:  # noqa: BLE001 - closing what is already broken may fail in any way
        log.debug("a receiver did not close: %s", _brief(error))


def _trace_parent(message: ServiceBusReceivedMessage) -> str:
    properties = message.application_properties or {}
    value = properties.get(b"Diagnostic-Id", b"")
    return value.decode() if isinstance(value, bytes) else str(value)


def _brief(error: object) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"
