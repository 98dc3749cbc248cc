"""A message: what the sender gave, what the broker adds, and its wire form (OASIS AMQP 1.0, part 3).

Sections that the broker never changes (properties, body) stay the bytes that the sender gave. The annotations are those
of the Service Bus AMQP protocol guide. `broker.py` keeps messages; `links.py` reads and writes them.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from local.servicebus.codec import Described, Int, Long, Reader, Symbol, Timestamp, UInt, ULong, encode
from local.servicebus.errors import AmqpError, DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA, SEQUENCE, VALUE, FOOTER = (
    ULong(code) for code in range(0x70, 0x79)
)
_SEQUENCE_NUMBER = Symbol("x-opt-sequence-number")
_ENQUEUED = Symbol("x-opt-enqueued-time")
_LOCKED_UNTIL = Symbol("x-opt-locked-until")
_LOCK_TOKEN = Symbol("x-opt-lock-token")
_STATE = Symbol("x-opt-message-state")
_SCHEDULED = Symbol("x-opt-scheduled-enqueue-time")
_ACTIVE = Int(0)


@dataclass(frozen=True, slots=True)
class Content:
    """What the sender gave."""

    header: list[Any] = field(default_factory=list)
    annotations: dict[Any, Any] = field(default_factory=dict)
    properties: bytes = b""
    application_properties: dict[Any, Any] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Lock:
    """The right of one receiver to settle a message, until a moment."""

    token: uuid.UUID
    until: datetime


@dataclass(frozen=True, slots=True)
class DeadLettering:
    """Why a message is in the dead-letter queue."""

    reason: str | None
    description: str | None


@dataclass(slots=True)
class Message:
    """A message in a queue. `delivery_count` counts the deliveries that have failed so far, as AMQP does."""

    content: Content
    sequence_number: int
    enqueued_at: datetime
    delivery_count: int = 0
    lock: Lock | None = None
    dead_lettering: DeadLettering | None = None


class Request(NamedTuple):
    """A request to `$cbs` or `$management`."""

    message_id: Any
    properties: dict[Any, Any]
    value: Any


class _Section(NamedTuple):
    code: ULong
    value: Any
    raw: bytes


def _sections(raw: bytes) -> Iterator[_Section]:
    reader = Reader(raw)
    while reader.remaining:
        start = reader.position
        section = reader.value()
        if not isinstance(section, Described) or not isinstance(section.descriptor, ULong):
            raise DecodeError("A message consists of described sections.")
        kind = {HEADER: list, PROPERTIES: list, DATA: bytes}.get(section.descriptor)
        if section.descriptor in (DELIVERY_ANNOTATIONS, ANNOTATIONS, APPLICATION_PROPERTIES, FOOTER):
            kind = dict
        if not HEADER <= section.descriptor <= FOOTER or (kind and not isinstance(section.value, kind)):
            raise DecodeError("A section of the message is not what it must be.")
        yield _Section(section.descriptor, section.value, raw[start : reader.position])


def parse_content(raw: bytes) -> Content:
    """A sent message. Delivery annotations end here, as they do at the service; so do annotations only a broker sets.

    Raises AmqpError for malformed bytes, and for a scheduled message, which would else arrive before its time.
    """
    first: dict[int, _Section] = {}
    body = b""
    for section in _sections(raw):
        first.setdefault(section.code, section)
        if section.code >= DATA:
            body += section.raw
    annotations = first[ANNOTATIONS].value if ANNOTATIONS in first else {}
    if annotations.get(_SCHEDULED) is not None:
        raise AmqpError("amqp:not-implemented", "Scheduled messages are not supported.")
    return Content(
        header=first[HEADER].value if HEADER in first else [],
        annotations={key: value for key, value in annotations.items() if key not in (_LOCKED_UNTIL, _STATE)},
        properties=first[PROPERTIES].raw if PROPERTIES in first else b"",
        application_properties=first[APPLICATION_PROPERTIES].value if APPLICATION_PROPERTIES in first else {},
        body=body,
    )


def parse_batch(raw: bytes) -> list[Content]:
    """The messages of a batch: each is one data section. Raises AmqpError for malformed bytes."""
    return [parse_content(section.value) for section in _sections(raw) if section.code == DATA]


def parse_request(raw: bytes) -> Request:
    """A request to a node that answers. Raises DecodeError for malformed bytes."""
    message_id, properties, value = None, {}, None
    for section in _sections(raw):
        if section.code == PROPERTIES and section.value:
            message_id = section.value[0]
        elif section.code == APPLICATION_PROPERTIES:
            properties = section.value
        elif section.code == VALUE:
            value = section.value
    return Request(message_id, properties, value)


def write_response(request: Request, properties: dict[str, Any], value: Any) -> bytes:
    """The answer to a request: it correlates by the request's message id."""
    return (
        _section(PROPERTIES, [None, None, None, None, None, request.message_id])
        + _section(APPLICATION_PROPERTIES, properties)
        + _section(VALUE, value)
    )


def write_message(message: Message) -> bytes:
    """A delivered or peeked message."""
    content = message.content
    header = [*content.header, *[None] * 5][:5]
    header[4] = UInt(message.delivery_count)
    annotations = content.annotations | {
        _SEQUENCE_NUMBER: Long(message.sequence_number),
        _ENQUEUED: milliseconds(message.enqueued_at),
        _STATE: _ACTIVE,
    }
    parts = [_section(HEADER, header)]
    if message.lock:
        parts.append(_section(DELIVERY_ANNOTATIONS, {_LOCK_TOKEN: message.lock.token}))
        annotations[_LOCKED_UNTIL] = milliseconds(message.lock.until)
    parts += [_section(ANNOTATIONS, annotations), content.properties]
    if application_properties := content.application_properties | _dead_letter_properties(message):
        parts.append(_section(APPLICATION_PROPERTIES, application_properties))
    return b"".join([*parts, content.body])


def milliseconds(moment: datetime) -> Timestamp:
    """A moment as AMQP writes it."""
    return Timestamp(int(moment.timestamp() * 1000))


def _dead_letter_properties(message: Message) -> dict[Any, Any]:
    why = message.dead_lettering
    if why is None:
        return {}
    pairs = {"DeadLetterReason": why.reason, "DeadLetterErrorDescription": why.description}
    return {name: text for name, text in pairs.items() if text}


def _section(code: ULong, value: Any) -> bytes:
    return encode(Described(code, value))
