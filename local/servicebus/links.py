"""The two kinds of links of a session: one takes messages in, one hands them out.

Each ends at a queue, or at a node that answers requests (`$cbs`, `$management`). `session.py` owns the links and gives
them the way to send frames.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from local.servicebus.codec import UInt, ULong
from local.servicebus.errors import AmqpError
from local.servicebus.frames import Attach, Transfer
from local.servicebus.message import Message, Request, parse_batch, parse_content, write_message

if TYPE_CHECKING:
    from local.servicebus.broker import Queue

MAX_MESSAGE_SIZE = 262_144  # bytes; the standard tier's limit
BATCH_FORMAT = 0x80013700
SETTLED = 1  # sender settle mode: nothing is ever unsettled
_CREDIT = 1000
_SERIAL = 2**32  # counters of AMQP wrap here

Answerer = Callable[[Request], bytes]


class Sends(Protocol):
    """Sends a delivery and returns its id (`Session.send_delivery`)."""

    def __call__(self, handle: UInt, tag: bytes, payload: bytes, *, settled: bool) -> int:
        """Splits the payload over as many transfer frames as it needs."""


class IncomingLink:
    """The client sends, we receive."""

    def __init__(self, attach: Attach, address: str, node: Queue | Answerer) -> None:
        self.handle = attach.handle
        self.address = address
        self.node = node
        self.delivery_count = 0
        self.credit = _CREDIT
        self._first: Transfer | None = None
        self._payload = bytearray()

    def collect(self, transfer: Transfer, payload: bytes) -> tuple[Transfer, bytes] | None:
        """The first frame and the whole payload once the last frame of a delivery is here."""
        self._first = self._first or transfer
        if len(self._payload) <= MAX_MESSAGE_SIZE:  # what is too large is refused when whole, and not kept until then
            self._payload += payload
        if transfer.more:
            return None
        whole = self._first, bytes(self._payload)
        self._first = None
        self._payload.clear()
        self.delivery_count = (self.delivery_count + 1) % _SERIAL
        self.credit -= 1
        return whole

    def credit_to_grant(self) -> bool:
        """Whether the client should hear of new credit; grants it."""
        if self.credit > _CREDIT // 2:
            return False
        self.credit = _CREDIT
        return True


def enqueue(queue: Queue, message_format: UInt | None, payload: bytes) -> None:
    """Puts a message or all messages of a batch into the queue. Raises AmqpError; then none of them is in it."""
    if len(payload) > MAX_MESSAGE_SIZE:
        raise AmqpError("amqp:link:message-size-exceeded", f"A message may have {MAX_MESSAGE_SIZE} bytes at most.")
    contents = parse_batch(payload) if message_format == BATCH_FORMAT else [parse_content(payload)]
    for content in contents:
        queue.enqueue(content)


class OutgoingLink:
    """We send, the client receives. To a queue it is a consumer (`broker.Consumer`)."""

    def __init__(self, attach: Attach, address: str, node: Queue | Answerer, send: Sends) -> None:
        self.handle = attach.handle
        self.address = address
        self.node = node
        self.receives_and_deletes = attach.snd_settle_mode == SETTLED
        self.unsettled: dict[int, uuid.UUID] = {}
        self.delivery_count = 0
        self.credit = 0
        self._send = send

    def deliver(self, message: Message) -> None:
        """Sends a message; unless it is deleted by this, the client has to settle it by the delivery's id."""
        tag = message.lock.token if message.lock else uuid.uuid4()
        delivery_id = self._send(self.handle, tag.bytes_le, write_message(message), settled=message.lock is None)
        if message.lock:
            self.unsettled[delivery_id] = message.lock.token
        self._advance(1)

    def respond(self, payload: bytes) -> None:
        """Sends the answer to a request."""
        self._send(self.handle, uuid.uuid4().bytes_le, payload, settled=True)
        self._advance(1)

    def grant(self, delivery_count: UInt | None, link_credit: UInt | None) -> None:
        """Takes the client's word for the credit, less what is on its way to it."""
        credit = ((delivery_count or 0) + (link_credit or 0) - self.delivery_count) % _SERIAL
        self.credit = credit if credit < _SERIAL // 2 else 0

    def drain(self) -> None:
        """Uses up the credit that no message was there for."""
        self._advance(self.credit)

    def _advance(self, by: int) -> None:
        self.delivery_count = (self.delivery_count + by) % _SERIAL
        self.credit = max(0, self.credit - by)


def attach_reply(attach: Attach) -> Attach:
    """The same link, seen from this side."""
    return Attach(
        name=attach.name,
        handle=attach.handle,
        role=not attach.role,
        snd_settle_mode=attach.snd_settle_mode,
        rcv_settle_mode=attach.rcv_settle_mode,
        source=attach.source,
        target=attach.target,
        initial_delivery_count=UInt(0) if attach.role else None,
        max_message_size=ULong(MAX_MESSAGE_SIZE),
    )
