"""The parts of the Service Bus emulator: its queues, with a clock that the tests turn, its access check, its codec."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.servicebus import management
from local.servicebus.access import Access, SharedAccessKey
from local.servicebus.broker import Broker, Queue
from local.servicebus.codec import (
    Array,
    Int,
    Long,
    Reader,
    Symbol,
    Timestamp,
    UInt,
    ULong,
    encode,
)
from local.servicebus.errors import AmqpError, DecodeError, EntityNotFoundError, LockLostError, UnauthorizedError
from local.servicebus.message import Content, Message, Request, parse_content, parse_request

START = datetime(2030, 1, 1, tzinfo=UTC)
LOCK = timedelta(seconds=30)


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass(eq=False)
class Taker:
    """A consumer that keeps what it is given."""

    credit: int = 0
    receives_and_deletes: bool = False
    got: list[Message] = field(default_factory=list)

    def deliver(self, message: Message) -> None:
        self.credit -= 1
        self.got.append(message)

    @property
    def numbers(self) -> list[int]:
        return [message.sequence_number for message in self.got]

    def token(self, index: int = -1) -> uuid.UUID:
        lock = self.got[index].lock
        assert lock
        return lock.token


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(clock: Clock) -> Broker:
    return Broker(["Orders", "other"], lock_duration=LOCK, max_delivery_count=2, now=clock)


@pytest.fixture
def queue(broker: Broker) -> Queue:
    return broker.find("orders")


def taker(queue: Queue, credit: int = 1) -> Taker:
    consumer = Taker(credit)
    queue.subscribe(consumer)
    return consumer


def fill(queue: Queue, number: int) -> None:
    for _ in range(number):
        queue.enqueue(Content())


def test_no_more_is_delivered_than_there_is_credit_for(queue: Queue) -> None:
    fill(queue, 3)
    assert taker(queue, 2).numbers == [1, 2]


def test_consumers_take_turns(queue: Queue) -> None:
    one, other = taker(queue, 3), taker(queue, 3)
    fill(queue, 4)
    assert (one.numbers, other.numbers) == ([1, 3], [2, 4])


def test_an_unsubscribed_consumer_gets_nothing_more_and_keeps_its_locks(queue: Queue) -> None:
    gone = taker(queue, 5)
    fill(queue, 1)
    queue.unsubscribe(gone)
    fill(queue, 1)
    assert (gone.numbers, taker(queue, 5).numbers) == ([1], [2])


def test_what_is_given_back_comes_before_what_came_later(queue: Queue) -> None:
    fill(queue, 2)
    first = taker(queue)
    queue.abandon(first.token())
    assert taker(queue).numbers == [1]


def test_a_released_message_has_not_been_delivered(queue: Queue) -> None:
    fill(queue, 1)
    for _ in range(5):
        consumer = taker(queue)
        assert consumer.got[0].delivery_count == 0
        queue.release(consumer.token())


def test_a_lock_holds_to_its_end_and_not_longer(queue: Queue, broker: Broker, clock: Clock) -> None:
    fill(queue, 1)
    token = taker(queue).token()
    waiting = taker(queue)
    clock.now = START + LOCK - timedelta(milliseconds=1)
    broker.expire_locks()
    assert waiting.numbers == []
    clock.now = START + LOCK
    broker.expire_locks()
    assert waiting.numbers == [1]
    assert waiting.got[0].delivery_count == 1
    with pytest.raises(LockLostError):
        queue.complete(token)


def test_settling_after_the_lock_fails_also_before_anybody_noticed_its_end(queue: Queue, clock: Clock) -> None:
    fill(queue, 1)
    token = taker(queue).token()
    clock.now = START + LOCK
    with pytest.raises(LockLostError):
        queue.complete(token)
    assert taker(queue).got[0].delivery_count == 1


def test_renewing_moves_the_end_of_a_lock(queue: Queue, broker: Broker, clock: Clock) -> None:
    fill(queue, 1)
    token = taker(queue).token()
    clock.now = START + LOCK / 2
    assert queue.renew(token) == clock.now + LOCK
    clock.now = START + LOCK
    broker.expire_locks()
    queue.complete(token)
    assert queue.peek(1, 10) == []


def test_expired_locks_up_to_the_maximum_make_a_dead_letter(queue: Queue, broker: Broker, clock: Clock) -> None:
    fill(queue, 1)
    for _ in range(2):
        taker(queue)
        clock.now += LOCK
        broker.expire_locks()
    assert queue.peek(1, 10) == []
    (dead,) = taker(broker.find("orders/$DeadLetterQueue")).got
    assert dead.dead_lettering
    assert (dead.sequence_number, dead.dead_lettering.reason) == (1, "MaxDeliveryCountExceeded")


def test_a_dead_letter_may_be_abandoned_without_end(queue: Queue, broker: Broker) -> None:
    dead_letters = broker.find("orders/$deadletterqueue")
    fill(queue, 1)
    queue.dead_letter(taker(queue).token(), "reason", None)
    for _ in range(5):
        dead_letters.abandon(taker(dead_letters).token())
    assert taker(dead_letters).numbers == [1]


def test_queues_do_not_share_messages_and_unknown_ones_are_not_found(broker: Broker) -> None:
    fill(broker.find("ORDERS"), 2)
    assert taker(broker.find("other")).numbers == []
    with pytest.raises(EntityNotFoundError):
        broker.find("nobody")


def test_management_settles_what_a_lost_link_received(queue: Queue, broker: Broker) -> None:
    fill(queue, 3)
    consumer = taker(queue, 3)

    def settle(index: int, status: str, **more: str) -> Request:
        arguments = {"lock-tokens": Array([consumer.token(index)]), "disposition-status": status, **more}
        properties = {"operation": "com.microsoft:update-disposition"}
        return parse_request(management.answer(queue, Request("id", properties, arguments)))

    reason = {"deadletter-reason": "why", "deadletter-description": "because"}
    assert settle(0, "completed").properties["statusCode"] == 200
    assert settle(1, "suspended", **reason).properties["statusCode"] == 200
    again = settle(2, "defered")
    assert (again.properties["statusCode"], again.properties["errorCondition"]) == (501, "amqp:not-implemented")
    queue.abandon(consumer.token(2))
    assert [message.sequence_number for message in queue.peek(1, 10)] == [3]
    (dead,) = broker.find("orders/$deadletterqueue").peek(1, 10)
    assert dead.dead_lettering
    assert (dead.dead_lettering.reason, dead.dead_lettering.description) == ("why", "because")


@pytest.mark.parametrize(
    "operation", ["com.microsoft:renew-lock", "com.microsoft:peek-message", "com.microsoft:nothing"]
)
def test_management_refuses_requests_without_sense(queue: Queue, operation: str) -> None:
    answer = parse_request(management.answer(queue, Request("id", {"operation": operation}, None)))
    assert answer.properties["statusCode"] in (400, 501)


KEY = SharedAccessKey("policy", "secret")
RESOURCE = "sb://127.0.0.1:5672/orders"
LATER = int((START + timedelta(hours=1)).timestamp())


def signed(resource: str, expiry: int, policy: str = "policy", key: str = "secret") -> str:
    """As Microsoft documents it for Python."""
    to_sign = f"{quote_plus(resource)}\n{expiry}".encode()
    signature = base64.b64encode(hmac.new(key.encode(), to_sign, hashlib.sha256).digest())
    return f"SharedAccessSignature sr={quote_plus(resource)}&sig={quote_plus(signature)}&se={expiry}&skn={policy}"


def granted(token: str, path: str, clock: Clock) -> bool:
    access = Access(KEY, clock)
    answer = parse_request(access.answer(Request("id", {}, token)))
    try:
        access.check(path)
    except UnauthorizedError:
        return False
    assert answer.properties["status-code"] == 202
    return True


@pytest.mark.parametrize(
    ("resource", "path"),
    [(RESOURCE, "orders"), (RESOURCE, "Orders/$DeadLetterQueue"), ("sb://127.0.0.1:5672/", "orders")],
)
def test_a_token_grants_what_it_was_signed_for(clock: Clock, resource: str, path: str) -> None:
    assert granted(signed(resource, LATER), path, clock)


@pytest.mark.parametrize(
    ("token", "path"),
    [
        (signed(RESOURCE, LATER), "orders-of-others"),
        (signed(RESOURCE, LATER), "other"),
        (signed(RESOURCE, LATER, key="wrong"), "orders"),
        (signed(RESOURCE, LATER, policy="another"), "orders"),
        (signed(RESOURCE, int(START.timestamp())), "orders"),
        (signed(RESOURCE, LATER).replace("orders", "other"), "other"),
        (signed(RESOURCE, LATER).replace(str(LATER), str(LATER + 1)), "orders"),
        ("", "orders"),
        ("Bearer x", "orders"),
        ("SharedAccessSignature ", "orders"),
        ("SharedAccessSignature sr=\u00e9&sig=\u00e9&se=\u00e9&skn=policy", "orders"),
    ],
)
def test_any_other_token_grants_nothing(clock: Clock, token: str, path: str) -> None:
    assert not granted(token, path, clock)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8")),
    st.binary(),
    st.uuids(),
    st.integers(0, 2**32 - 1).map(UInt),
    st.integers(0, 2**64 - 1).map(ULong),
    st.integers(-(2**31), 2**31 - 1).map(Int),
    st.integers(-(2**63), 2**63 - 1).map(Long),
    st.integers(-(2**63), 2**63 - 1).map(Timestamp),
    st.text(st.characters(codec="ascii")).map(Symbol),
    st.lists(st.integers(0, 2**32 - 1).map(UInt)).map(Array),
    st.lists(st.text(st.characters(codec="utf-8"))).map(Array),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=8
)


@settings(max_examples=40)
@given(values)
def test_a_value_survives_the_wire_with_its_type(value: Any) -> None:
    reader = Reader(encode(value))
    decoded = reader.value()
    assert (decoded, type(decoded), reader.remaining) == (value, type(value), 0)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        Reader(data).value()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_amqp_error(data: bytes) -> None:
    for raw in (data, b"\x00\x53\x72" + data, b"\x00\x53\x75" + data):
        with contextlib.suppress(AmqpError):
            parse_content(raw)
