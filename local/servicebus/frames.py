"""AMQP 1.0 frames: the performatives as dataclasses, and the eight-byte frame header (OASIS AMQP 1.0, part 2).

`connection.py` reads and writes frames with this module; `session.py` and `links.py` only see performatives.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, ClassVar, get_type_hints

from local.servicebus.codec import Array, Described, Reader, Symbol, UByte, UInt, ULong, UShort, encode
from local.servicebus.errors import AmqpError, DecodeError

if TYPE_CHECKING:
    from types import UnionType

MAX_FRAME_SIZE = 65536  # what the real service announces
AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
HEADER_SIZE = 8
_HEADER = struct.Struct(">IBBH")
_AMQP_FRAME, _SASL_FRAME = 0, 1

ACCEPTED, REJECTED, RELEASED, MODIFIED = ULong(0x24), ULong(0x25), ULong(0x26), ULong(0x27)
_ERROR = ULong(0x1D)


@dataclass(frozen=True, slots=True)
class Performative:
    """A frame's command. The fields of a subclass are those of the standard, in its order and by its names.

    A field that is not looked at is an `object`.
    """

    CODE: ClassVar[int]


@dataclass(frozen=True, slots=True)
class Open(Performative):
    """Begins a connection."""

    CODE = 0x10
    container_id: str
    hostname: str | None = None
    max_frame_size: UInt | None = None
    channel_max: UShort | None = None
    idle_time_out: UInt | None = None
    outgoing_locales: object = None
    incoming_locales: object = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


@dataclass(frozen=True, slots=True)
class Begin(Performative):
    """Begins a session on a channel."""

    CODE = 0x11
    remote_channel: UShort | None
    next_outgoing_id: UInt
    incoming_window: UInt
    outgoing_window: UInt
    handle_max: UInt | None = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


@dataclass(frozen=True, slots=True)
class Attach(Performative):
    """Begins a link."""

    CODE = 0x12
    name: str
    handle: UInt
    role: bool
    """True: the one who says this receives."""
    snd_settle_mode: UByte | None = None
    rcv_settle_mode: UByte | None = None
    source: Described | None = None
    target: Described | None = None
    unsettled: object = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: UInt | None = None
    max_message_size: ULong | None = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


@dataclass(frozen=True, slots=True)
class Flow(Performative):
    """Grants credit, asks to drain, or tells the state of a session or link."""

    CODE = 0x13
    next_incoming_id: UInt | None
    incoming_window: UInt
    next_outgoing_id: UInt
    outgoing_window: UInt
    handle: UInt | None = None
    delivery_count: UInt | None = None
    link_credit: UInt | None = None
    available: UInt | None = None
    drain: bool | None = None
    echo: bool | None = None
    properties: object = None


@dataclass(frozen=True, slots=True)
class Transfer(Performative):
    """Carries a message or a part of one; the bytes follow the performative."""

    CODE = 0x14
    handle: UInt
    delivery_id: UInt | None = None
    delivery_tag: bytes | None = None
    message_format: UInt | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: UByte | None = None
    state: Described | None = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


@dataclass(frozen=True, slots=True)
class Disposition(Performative):
    """Tells the outcome of deliveries."""

    CODE = 0x15
    role: bool
    first: UInt
    last: UInt | None = None
    settled: bool | None = None
    state: Described | None = None
    batchable: bool | None = None


@dataclass(frozen=True, slots=True)
class Detach(Performative):
    """Ends a link."""

    CODE = 0x16
    handle: UInt
    closed: bool | None = None
    error: Described | None = None


@dataclass(frozen=True, slots=True)
class End(Performative):
    """Ends a session."""

    CODE = 0x17
    error: Described | None = None


@dataclass(frozen=True, slots=True)
class Close(Performative):
    """Ends a connection."""

    CODE = 0x18
    error: Described | None = None


@dataclass(frozen=True, slots=True)
class SaslMechanisms(Performative):
    """The ways to authenticate that a server offers."""

    CODE = 0x40
    mechanisms: Array


@dataclass(frozen=True, slots=True)
class SaslInit(Performative):
    """The way the client chose."""

    CODE = 0x41
    mechanism: Symbol
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass(frozen=True, slots=True)
class SaslOutcome(Performative):
    """0: authenticated; 1: refused."""

    CODE = 0x44
    code: UByte
    additional_data: bytes | None = None


_FROM_PEER = {
    kind.CODE: kind for kind in (Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close, SaslInit)
}


@cache
def _field_types(kind: type[Performative]) -> tuple[type | UnionType, ...]:
    hints = get_type_hints(kind)
    return tuple(hints[field.name] for field in fields(kind))


def error(problem: AmqpError) -> Described:
    """The wire form of an error; azure-servicebus indexes all three fields, so all are sent."""
    return Described(_ERROR, [Symbol(problem.condition), problem.description, None])


def rejected(problem: AmqpError) -> Described:
    """The outcome of a delivery that was refused."""
    return Described(REJECTED, [error(problem)])


def frame(channel: int, performative: Performative, payload: bytes = b"") -> bytes:
    """A whole frame. All fields are sent, also trailing nulls: the SDK indexes past the end of short lists."""
    values = [getattr(performative, field.name) for field in fields(performative)]
    body = encode(Described(ULong(performative.CODE), values)) + payload
    kind = _SASL_FRAME if performative.CODE >= SaslMechanisms.CODE else _AMQP_FRAME
    return _HEADER.pack(HEADER_SIZE + len(body), 2, kind, channel) + body


def heartbeat() -> bytes:
    """A frame without a performative."""
    return _HEADER.pack(HEADER_SIZE, 2, _AMQP_FRAME, 0)


def frame_header(data: bytes) -> tuple[int, int, int]:
    """Size of what follows the eight bytes, how much of that is extended header, and the channel.

    Raises AmqpError where the size or the data offset cannot be.
    """
    size, offset, _, channel = _HEADER.unpack(data)
    if not HEADER_SIZE <= 4 * offset <= size <= MAX_FRAME_SIZE:
        raise AmqpError(
            "amqp:connection:framing-error", f"A frame of {size} bytes with data offset {offset} cannot be."
        )
    return size - HEADER_SIZE, 4 * offset - HEADER_SIZE, channel


def parse(body: bytes) -> tuple[Performative, bytes]:
    """The performative and the payload after it. Raises DecodeError for unknown ones and for fields of a wrong type."""
    reader = Reader(body)
    described = reader.value()
    if not isinstance(described, Described) or not isinstance(described.value, list):
        raise DecodeError("A frame must begin with a performative.")
    kind = _FROM_PEER.get(described.descriptor) if isinstance(described.descriptor, ULong) else None
    if kind is None:
        raise DecodeError("The performative is not known.")
    types, values = _field_types(kind), described.value
    values += [None] * (len(types) - len(values))
    if len(values) > len(types) or not all(map(isinstance, values, types)):
        raise DecodeError(f"The fields of {kind.__name__.lower()} are not what they must be.")
    return kind(*values), reader.take(reader.remaining)
