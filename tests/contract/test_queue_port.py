"""The queue: the fake broker of the crash tests and the adapter against the Service Bus emulator do the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any, Protocol

import pytest
from azure.servicebus.amqp import AmqpAnnotatedMessage

from local.servicebus import connection_string
from shared.domain.errors import RetryLater
from shared.messaging.envelope import BrokerMessage, Delivery, NotOurs, decode
from shared.messaging.queue import ServiceBusQueue
from shared.usecases.app import QueuePort
from tests.local_world.servicebus_process import QUEUES, Desk, Emulator, open_desks, running_emulator, take_one
from tests.world.clock import Clock
from tests.world.queue import MAX_DELIVERY_COUNT, Broker

pytestmark = pytest.mark.anyio


class Bench(Protocol):
    """A queue as the application sees it, and the host on its other side."""

    port: QueuePort

    def receive(self) -> Awaitable[Delivery]:
        """The next delivery, which stays locked."""

    def complete(self) -> Awaitable[None]:
        """Complete what was received last."""

    def abandon(self) -> Awaitable[None]:
        """Abandon what was received last."""


class FakeBench:
    def __init__(self) -> None:
        self._broker = Broker(Clock())
        self.port: QueuePort = self._broker

    async def receive(self) -> Delivery:
        message = self._broker.receive("host")
        assert message is not None
        self._held = message
        return message.delivery

    async def complete(self) -> None:
        self._broker.complete(self._held)

    async def abandon(self) -> None:
        self._broker.abandon(self._held)


class EmulatorBench:
    def __init__(self, port: QueuePort, desk: Desk) -> None:
        self.port = port
        self._desk = desk

    async def receive(self) -> Delivery:
        self._held = await take_one(self._desk.receiver)
        body = b"".join(self._held.body)
        number, count = self._held.sequence_number, self._held.delivery_count
        assert number is not None
        assert count is not None
        return Delivery(body, number, count + 1, self._held.enqueued_time_utc)  # the SDK counts failed deliveries

    async def complete(self) -> None:
        await self._desk.receiver.complete_message(self._held)

    async def abandon(self) -> None:
        await self._desk.receiver.abandon_message(self._held)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with running_emulator() as running:
        yield running


@pytest.fixture(params=["fake", "emulator"])
async def bench(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Bench]:
    if request.param == "fake":
        yield FakeBench()
        return
    emulator: Emulator = request.getfixturevalue("emulator")
    async with open_desks((emulator, 1)) as [[desk]]:
        queue = ServiceBusQueue(queue=QUEUES[0], connection_string=connection_string(emulator.port))
        yield EmulatorBench(queue, desk)
        await queue.close()


async def fail(bench: Bench) -> Delivery:
    """Let the host fail a message until the broker gives it up."""
    for expected in range(1, MAX_DELIVERY_COUNT + 1):
        delivery = await bench.receive()
        assert delivery.count == expected
        await bench.abandon()
    return delivery


async def test_messages_go_from_sending_to_the_dead_letter_queue_and_out_of_it(bench: Bench) -> None:
    await bench.port.send("first", b'{"n": 1}')
    await bench.port.send("second", b"\x00\xff")

    delivery = await bench.receive()
    assert (delivery.body, delivery.count) == (b'{"n": 1}', 1)
    assert delivery.enqueued_at is not None
    await bench.complete()

    failed = await fail(bench)
    assert failed.sequence_number > delivery.sequence_number
    await bench.port.send("third", b"3")
    await fail(bench)
    (dead,) = await bench.port.dead_letters(1)
    assert (dead.message_id, dead.body) == ("second", b"\x00\xff")
    assert dead.reason == "MaxDeliveryCountExceeded"

    seen: list[str] = []

    async def third(message: BrokerMessage) -> bool:
        seen.append(message.message_id)
        return message.message_id == "third"

    assert await bench.port.sweep(third, through=dead.sequence_number + 1) == 1
    assert seen == ["second", "third"]
    assert [message.message_id for message in await bench.port.dead_letters(10)] == ["second"]


async def test_dead_letters_are_read_on_from_a_sequence_number_and_swept_past_what_stays(bench: Bench) -> None:
    for name in ("older", "stale", "newer"):
        await bench.port.send(name, b"{}")
        await fail(bench)

    first, *_ = await bench.port.dead_letters(1)
    following = await bench.port.dead_letters(10, after=first.sequence_number)

    async def stale(message: BrokerMessage) -> bool:
        return message.message_id == "stale"

    assert [message.message_id for message in following] == ["stale", "newer"]
    assert await bench.port.sweep(stale, through=following[0].sequence_number) == 1
    assert [message.message_id for message in await bench.port.dead_letters(10)] == ["older", "newer"]


async def test_dead_letters_with_bodies_of_other_kinds_are_read_as_text(emulator: Emulator) -> None:
    bodies: list[dict[str, Any]] = [
        {"value_body": {"units": 3}},
        {"value_body": None},
        {"sequence_body": [[1, "two"], [b"\xff"]]},
    ]
    async with open_desks((emulator, 1)) as [[desk]]:
        for body in bodies:
            await desk.sender.send_messages(AmqpAnnotatedMessage(**body))
            await desk.receiver.dead_letter_message(await take_one(desk.receiver), reason="odd")
        queue = ServiceBusQueue(queue=desk.queue, connection_string=connection_string(emulator.port))

        dead = await queue.dead_letters(10)

    assert [message.reason for message in dead] == ["odd"] * len(bodies)
    for message in dead:
        with pytest.raises(NotOurs):
            decode(message.body)


async def test_a_queue_that_is_away_asks_to_come_later(unused_port_queue: QueuePort) -> None:
    with pytest.raises(RetryLater):
        await unused_port_queue.send("first", b"1")
    with pytest.raises(RetryLater):
        await unused_port_queue.dead_letters(1)


@pytest.fixture(params=["fake", "adapter"])
def unused_port_queue(request: pytest.FixtureRequest) -> QueuePort:
    """Nobody answers there."""
    if request.param == "adapter":
        return ServiceBusQueue(queue="any", connection_string=connection_string(1))
    broker = Broker(Clock())
    broker.away = True
    return broker
