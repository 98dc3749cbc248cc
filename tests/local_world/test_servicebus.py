"""The Service Bus emulator as its own process, used by the unmodified azure-servicebus SDK."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusError,
)

from local.servicebus import connection_string
from tests.local_world.servicebus_process import (
    MAX_DELIVERY_COUNT,
    QUEUES,
    Desk,
    Emulator,
    open_desks,
    running_emulator,
    take,
    take_one,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver

pytestmark = pytest.mark.anyio

SHORT_LOCK = timedelta(seconds=1.5)
DESKS, DESKS_WITH_SHORT_LOCKS = 14, 3


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with running_emulator() as running:
        yield running


@pytest.fixture(scope="module")
async def desks(emulator: Emulator) -> AsyncIterator[tuple[list[Desk], list[Desk]]]:
    """Desks with long and with short locks."""
    with running_emulator(SHORT_LOCK.total_seconds()) as short_locks:
        async with open_desks((emulator, DESKS), (short_locks, DESKS_WITH_SHORT_LOCKS)) as (long, short):
            yield long, short


@pytest.fixture
async def desk(desks: tuple[list[Desk], list[Desk]]) -> Desk:
    return desks[0].pop()


@pytest.fixture
async def short_desk(desks: tuple[list[Desk], list[Desk]]) -> Desk:
    return desks[1].pop()


async def test_a_message_arrives_as_it_was_sent(desk: Desk) -> None:
    properties: dict[str | bytes, Any] = {"text": "x", "flag": True, "ratio": 1.5, "number": 2**31 - 1}
    sent = ServiceBusMessage(
        '{"a": 1}',
        application_properties=properties,
        message_id="m-1",
        correlation_id="c-1",
        subject="cancel",
        content_type="application/json",
        reply_to="r",
        to="t",
        partition_key="p",
        time_to_live=timedelta(hours=1),
    )
    await desk.sender.send_messages(sent)
    message = await take_one(desk.receiver)
    assert str(message) == '{"a": 1}'
    assert (message.message_id, message.correlation_id, message.subject) == ("m-1", "c-1", "cancel")
    assert (message.content_type, message.reply_to, message.to) == ("application/json", "r", "t")
    assert (message.partition_key, message.time_to_live) == ("p", timedelta(hours=1))
    assert message.application_properties == {b"text": b"x", b"flag": True, b"ratio": 1.5, b"number": 2**31 - 1}
    assert (message.sequence_number, message.delivery_count) == (1, 0)
    assert message.locked_until_utc
    assert message.enqueued_time_utc
    assert message.locked_until_utc > datetime.now(UTC) >= message.enqueued_time_utc
    await desk.receiver.complete_message(message)
    assert await desk.is_empty()


def test_the_sync_client_sends_and_receives_too(emulator: Emulator) -> None:
    queue = QUEUES[-1]
    with ServiceBusClient.from_connection_string(connection_string(emulator.port), retry_total=0) as client:
        sender, receiver = client.get_queue_sender(queue), client.get_queue_receiver(queue)
        sender.send_messages(ServiceBusMessage("hello"))
        (message,) = receiver.receive_messages(max_wait_time=5)
        receiver.renew_message_lock(message)
        receiver.complete_message(message)
        assert str(message) == "hello"
        assert receiver.peek_messages(sequence_number=1) == []
        with ThreadPoolExecutor() as pool:
            closing = [pool.submit(sender.close), pool.submit(receiver.close)]
    assert [done.exception() for done in closing] == [None, None]


async def test_a_batch_arrives_whole_and_in_order(desk: Desk) -> None:
    batch = await desk.sender.create_message_batch()
    for number in range(100):
        batch.add_message(ServiceBusMessage(str(number)))
    await desk.sender.send_messages(batch)
    messages = await take(desk.receiver, 100)
    assert [str(message) for message in messages] == [str(number) for number in range(100)]
    assert [message.sequence_number for message in messages] == list(range(1, 101))
    for message in messages:
        await desk.receiver.complete_message(message)
    assert await desk.is_empty()


async def test_a_large_message_crosses_in_many_frames(desk: Desk) -> None:
    body = bytes(range(256)) * 800
    await desk.sender.send_messages(ServiceBusMessage(body))
    message = await take_one(desk.receiver)
    assert b"".join(message.body) == body


async def test_a_message_over_the_limit_is_refused(desk: Desk) -> None:
    with pytest.raises(MessageSizeExceededError):
        await desk.sender.send_messages(ServiceBusMessage(b"x" * 300_000))
    await desk.send("small")
    assert str(await take_one(desk.receiver)) == "small"


async def test_abandoned_up_to_the_maximum_it_becomes_a_dead_letter(desk: Desk) -> None:
    await desk.send("poison")
    deliveries = []
    for _ in range(MAX_DELIVERY_COUNT):
        message = await take_one(desk.receiver)
        deliveries.append((message.sequence_number, message.delivery_count))
        await desk.receiver.abandon_message(message)
    assert deliveries == [(1, 0), (1, 1), (1, 2)]
    dead = await take_one(desk.dead_letters)
    assert (dead.sequence_number, dead.dead_letter_reason) == (1, "MaxDeliveryCountExceeded")
    await desk.dead_letters.complete_message(dead)
    assert await desk.is_empty()


async def test_reason_and_description_of_a_dead_letter_survive(desk: Desk) -> None:
    await desk.sender.send_messages(ServiceBusMessage("bad", application_properties={"kept": "yes"}))
    message = await take_one(desk.receiver)
    await desk.receiver.dead_letter_message(message, reason="Validation", error_description="no such contract")
    dead = await take_one(desk.dead_letters)
    (peeked,) = await desk.dead_letters.peek_messages(sequence_number=1)
    for seen in (peeked, dead):
        assert (seen.sequence_number, seen.dead_letter_reason) == (1, "Validation")
        assert seen.dead_letter_error_description == "no such contract"
        assert (seen.application_properties or {})[b"kept"] == b"yes"
    with pytest.raises(ServiceBusError, match="cannot be dead-lettered"):
        await desk.dead_letters.dead_letter_message(dead)


async def test_a_copy_of_a_dead_letter_is_a_new_message(desk: Desk) -> None:
    await desk.sender.send_messages(ServiceBusMessage("again", message_id="m-1"))
    await desk.receiver.dead_letter_message(await take_one(desk.receiver), reason="first")
    dead = await take_one(desk.dead_letters)
    await desk.sender.send_messages(ServiceBusMessage(b"".join(dead.body), message_id=dead.message_id))
    await desk.dead_letters.complete_message(dead)
    copy = await take_one(desk.receiver)
    assert (str(copy), copy.message_id) == ("again", "m-1")
    assert (dead.sequence_number, copy.sequence_number, copy.delivery_count) == (1, 2, 0)
    await desk.receiver.complete_message(copy)
    assert await desk.is_empty()


async def test_a_received_message_can_be_sent_on_as_it_is(desk: Desk) -> None:
    await desk.send("on")
    await desk.sender.send_messages(await take_one(desk.receiver))
    (copy,) = await desk.receiver.peek_messages(sequence_number=2)
    assert (str(copy), copy.sequence_number, copy.locked_until_utc) == ("on", 2, None)


async def test_peeking_starts_at_a_sequence_number_and_takes_nothing(desk: Desk) -> None:
    await desk.send("1", "2", "3", "4", "5")
    first = await desk.receiver.peek_messages(max_message_count=2, sequence_number=1)
    rest = await desk.receiver.peek_messages(max_message_count=10, sequence_number=3)
    assert [str(message) for message in first + rest] == ["1", "2", "3", "4", "5"]
    assert [message.delivery_count for message in await take(desk.receiver, 5)] == [0] * 5


async def test_competing_consumers_share_the_messages_without_doubles(desk: Desk) -> None:
    both_have_some = asyncio.Barrier(2)
    another = await desk.another_receiver().__aenter__()

    async def work(receiver: ServiceBusReceiver) -> list[str]:
        done: list[str] = []
        while messages := await receiver.receive_messages(max_message_count=5, max_wait_time=0.3):
            if not done:
                await both_have_some.wait()
            for message in messages:
                await receiver.complete_message(message)
                done.append(str(message))
        return done

    await desk.send(*(str(number) for number in range(60)))
    async with asyncio.timeout(10):
        one, other = await asyncio.gather(work(desk.receiver), work(another))
    assert sorted(one + other, key=int) == [str(number) for number in range(60)]
    assert await desk.is_empty()


async def test_a_closed_receiver_gives_back_what_it_had_prefetched(desk: Desk) -> None:
    await desk.send(*(str(number) for number in range(8)))
    async with desk.another_receiver(prefetch_count=8) as receiver:
        await receiver.complete_message(await take_one(receiver))
    rest = await take(desk.receiver, 7)
    assert [(str(message), message.delivery_count) for message in rest] == [(str(n), 0) for n in range(1, 8)]


async def test_receive_and_delete_leaves_nothing(desk: Desk) -> None:
    await desk.send("1", "2")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    assert [str(message) for message in await take(desk.another_receiver(receive_mode=mode), 2)] == ["1", "2"]
    assert await desk.is_empty()


def locked_until(message: ServiceBusReceivedMessage) -> datetime:
    assert message.locked_until_utc
    return message.locked_until_utc


async def test_an_expired_lock_leads_to_redelivery(short_desk: Desk) -> None:
    receiver = short_desk.receiver
    await short_desk.send("slow")
    lost = await take_one(receiver)
    again = await take_one(receiver)
    assert locked_until(again) - SHORT_LOCK >= locked_until(lost)
    assert (again.sequence_number, again.delivery_count) == (lost.sequence_number, 1)
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(lost)
    await receiver.complete_message(again)
    assert await short_desk.is_empty()


async def test_a_renewed_lock_holds_on(short_desk: Desk) -> None:
    receiver = short_desk.receiver
    await short_desk.send("long")
    message = await take_one(receiver)
    first_end = locked_until(message)
    while datetime.now(UTC) < first_end:
        await asyncio.sleep(SHORT_LOCK.total_seconds() / 3)
        await receiver.renew_message_lock(message)
    assert locked_until(message) > first_end
    assert await receiver.receive_messages(max_wait_time=0.2) == []
    await receiver.complete_message(message)
    assert await short_desk.is_empty()


CONSUMER = """
import sys, time
from azure.servicebus import ServiceBusClient
receiver = ServiceBusClient.from_connection_string(sys.argv[1]).get_queue_receiver(sys.argv[2], prefetch_count=5)
(message,) = receiver.receive_messages(max_wait_time=5)
print(message, message.locked_until_utc.isoformat(), flush=True)
time.sleep(60)
"""


async def test_what_a_killed_consumer_held_is_redelivered(short_desk: Desk) -> None:
    await short_desk.send("held", "prefetched")
    arguments = [connection_string(short_desk.emulator.port), short_desk.queue]
    consumer = await asyncio.create_subprocess_exec(sys.executable, "-c", CONSUMER, *arguments, stdout=subprocess.PIPE)
    assert consumer.stdout
    body, first_end = (await consumer.stdout.readline()).decode().split()
    consumer.kill()
    await consumer.wait()
    messages = await take(short_desk.receiver, 2)
    assert body == "held"
    assert {(str(message), message.sequence_number, message.delivery_count) for message in messages} == {
        ("held", 1, 1),
        ("prefetched", 2, 1),
    }
    assert min(map(locked_until, messages)) - SHORT_LOCK >= datetime.fromisoformat(first_end)


async def test_what_the_service_refuses_is_refused(emulator: Emulator) -> None:
    client, stranger = emulator.client(), emulator.client(key="d3Jvbmc=")
    message = ServiceBusMessage("x")
    refused = await asyncio.gather(
        client.get_queue_sender("nobody-declared-this").send_messages(message),
        client.get_queue_receiver("nobody-declared-this").receive_messages(),
        client.get_queue_sender(f"{QUEUES[0]}/$DeadLetterQueue").send_messages(message),
        stranger.get_queue_sender(QUEUES[0]).send_messages(message),
        return_exceptions=True,
    )
    assert [type(error) for error in refused] == [
        MessagingEntityNotFoundError,
        MessagingEntityNotFoundError,
        ServiceBusError,
        ServiceBusAuthenticationError,
    ]


async def test_what_is_not_supported_is_refused_and_not_ignored(desk: Desk) -> None:
    later = ServiceBusMessage("later", scheduled_enqueue_time_utc=datetime.now(UTC) + timedelta(days=1))
    await desk.send("now")
    refused = await asyncio.gather(
        desk.sender.send_messages(later),
        desk.client.get_queue_receiver(desk.queue, session_id="s").receive_messages(),
        desk.receiver.defer_message(await take_one(desk.receiver)),
        return_exceptions=True,
    )
    assert [error for error in refused if not isinstance(error, ServiceBusError)] == []
    assert [text for text in map(str, refused) if "not supported" not in text] == []
