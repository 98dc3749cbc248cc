"""AMQP 1.0 type system: bytes to Python values and back (OASIS AMQP 1.0, part 1).

A decoded value keeps its wire type (`UInt`, `Long`, `Symbol`, ...), so that re-encoding a sender's annotations gives
the receiver the types the sender chose. Frames (`frames.py`) and messages (`message.py`) are built on this module.
"""

from __future__ import annotations

import struct
import uuid
from typing import TYPE_CHECKING, Any

from local.servicebus.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable


class UByte(int):
    """8 bits, unsigned."""


class UShort(int):
    """16 bits, unsigned."""


class UInt(int):
    """32 bits, unsigned."""


class ULong(int):
    """64 bits, unsigned."""


class Byte(int):
    """8 bits, signed."""


class Short(int):
    """16 bits, signed."""


class Int(int):
    """32 bits, signed."""


class Long(int):
    """64 bits, signed."""


class Timestamp(int):
    """Milliseconds since 1970-01-01T00:00Z."""


class Float(float):
    """32 bits; a plain `float` has 64."""


class Symbol(str):
    """An ASCII name from a constrained domain."""

    __slots__ = ()


class Array(list[Any]):
    """Values of one fixed or variable width type."""


class Verbatim(bytes):
    """A value that is only passed on (char, decimals): its constructor and its bytes."""


class Described:
    """A value with a descriptor that says what it stands for."""

    __slots__ = ("descriptor", "value")

    def __init__(self, descriptor: object, value: Any) -> None:
        self.descriptor = descriptor
        self.value = value


_LENGTH = struct.Struct(">I")

# constructor -> Python type and layout
_FIXED: dict[int, tuple[Callable[[Any], Any], struct.Struct]] = {
    0x50: (UByte, struct.Struct(">B")),
    0x51: (Byte, struct.Struct(">b")),
    0x52: (UInt, struct.Struct(">B")),
    0x53: (ULong, struct.Struct(">B")),
    0x54: (Int, struct.Struct(">b")),
    0x55: (Long, struct.Struct(">b")),
    0x56: (bool, struct.Struct(">B")),
    0x60: (UShort, struct.Struct(">H")),
    0x61: (Short, struct.Struct(">h")),
    0x70: (UInt, struct.Struct(">I")),
    0x71: (Int, struct.Struct(">i")),
    0x72: (Float, struct.Struct(">f")),
    0x80: (ULong, struct.Struct(">Q")),
    0x81: (Long, struct.Struct(">q")),
    0x82: (float, struct.Struct(">d")),
    0x83: (Timestamp, struct.Struct(">q")),
    0x98: (lambda raw: uuid.UUID(bytes=raw), struct.Struct(">16s")),
}
_EMPTY: dict[int, Callable[[], Any]] = {
    0x40: lambda: None,
    0x41: lambda: True,
    0x42: lambda: False,
    0x43: lambda: UInt(0),
    0x44: lambda: ULong(0),
    0x45: list,
}
_VERBATIM_WIDTH = {0x73: 4, 0x74: 4, 0x84: 8, 0x94: 16}
_VARIABLE: dict[int, Callable[[bytes], Any]] = {
    0xA0: bytes,
    0xA1: lambda raw: raw.decode("utf-8"),
    0xA3: lambda raw: Symbol(raw.decode("ascii")),
}
_WIDE = 0x10  # added to a constructor whose sizes have 4 bytes in place of 1
_UUID, _LIST, _MAP, _ARRAY = 0x98, 0xC0, 0xC1, 0xE0


class Reader:
    """A cursor over bytes that hold AMQP values. Every method raises DecodeError where the bytes are malformed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    @property
    def remaining(self) -> int:
        """Number of bytes not yet read."""
        return len(self._data) - self.position

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.remaining:
            raise DecodeError("The value is longer than the data.")
        self.position += size
        return self._data[self.position - size : self.position]

    def value(self) -> Any:
        """The next value."""
        try:
            return self._value()
        except (ValueError, TypeError, RecursionError) as error:  # not UTF-8; a map's key that cannot be one; too deep
            raise DecodeError(f"The value is malformed ({type(error).__name__}).") from error

    def _value(self) -> Any:
        constructor = self.take(1)[0]
        if constructor == 0x00:
            descriptor = self._value()
            return Described(descriptor, self._value())
        return self._of(constructor)

    def _of(self, constructor: int) -> Any:
        if constructor in _EMPTY:
            return _EMPTY[constructor]()
        if constructor in _FIXED:
            convert, layout = _FIXED[constructor]
            return convert(layout.unpack(self.take(layout.size))[0])
        if constructor in _VERBATIM_WIDTH:
            return Verbatim(bytes((constructor,)) + self.take(_VERBATIM_WIDTH[constructor]))
        wide = bool(constructor & _WIDE)
        narrow = constructor & ~_WIDE
        if narrow in _VARIABLE:
            return _VARIABLE[narrow](self.take(self._size(wide=wide)))
        if narrow in (_LIST, _MAP, _ARRAY):
            return self._compound(narrow, wide=wide)
        raise DecodeError(f"The constructor 0x{constructor:02x} is not known.")

    def _size(self, *, wide: bool) -> int:
        size: int = _LENGTH.unpack(self.take(4))[0] if wide else self.take(1)[0]
        return size

    def _compound(self, kind: int, *, wide: bool) -> list[Any] | dict[Any, Any]:
        inner = Reader(self.take(self._size(wide=wide)))
        count = inner._size(wide=wide)
        if count > inner.remaining:  # also keeps a count of billions from being believed
            raise DecodeError("The value announces more items than it has bytes.")
        if kind == _ARRAY:
            return inner._array(count)
        items = [inner._value() for _ in range(count)]
        if kind == _LIST:
            return items
        return dict(zip(items[::2], items[1::2], strict=True))

    def _array(self, count: int) -> Array:
        constructor = self.take(1)[0]
        if count == 0:
            return Array()
        if constructor not in _FIXED and constructor & ~_WIDE not in _VARIABLE:
            raise DecodeError("Arrays of this type are not supported.")
        return Array(self._of(constructor) for _ in range(count))


# Python type -> widest constructor and layout
_FIXED_OUT: dict[type, tuple[int, struct.Struct]] = {
    UByte: (0x50, struct.Struct(">B")),
    Byte: (0x51, struct.Struct(">b")),
    UShort: (0x60, struct.Struct(">H")),
    Short: (0x61, struct.Struct(">h")),
    UInt: (0x70, struct.Struct(">I")),
    Int: (0x71, struct.Struct(">i")),
    Float: (0x72, struct.Struct(">f")),
    ULong: (0x80, struct.Struct(">Q")),
    Long: (0x81, struct.Struct(">q")),
    float: (0x82, struct.Struct(">d")),
    Timestamp: (0x83, struct.Struct(">q")),
    bool: (0x56, struct.Struct(">B")),
}
_SMALL_OUT: dict[type, int] = {UInt: 0x52, ULong: 0x53}
_VARIABLE_OUT: dict[type, tuple[int, Callable[[Any], bytes]]] = {
    bytes: (0xA0, bytes),
    str: (0xA1, lambda text: text.encode("utf-8")),
    Symbol: (0xA3, lambda text: text.encode("ascii")),
}


def encode(value: Any) -> bytes:
    """The bytes of a value made of this module's types, None, bool, float, str, bytes, UUID, list and dict.

    A plain `int` has no wire type and is refused with TypeError, as is any other type.
    """
    write = _WRITERS.get(type(value))
    if write:
        return write(value)
    if type(value) in _SMALL_OUT and value < 256:  # the SDK reads descriptors in this form only
        return bytes((_SMALL_OUT[type(value)], value))
    constructor, raw = _encode_scalar(value)
    if type(value) not in _VARIABLE_OUT:
        return bytes((constructor,)) + raw
    if len(raw) < 256:
        return bytes((constructor, len(raw))) + raw
    return bytes((constructor | _WIDE,)) + _LENGTH.pack(len(raw)) + raw


def _encode_scalar(value: Any) -> tuple[int, bytes]:
    """Constructor and content (without length) of a value of fixed or variable width."""
    kind = type(value)
    if kind in _FIXED_OUT:
        constructor, layout = _FIXED_OUT[kind]
        return constructor, layout.pack(value)
    if kind in _VARIABLE_OUT:
        constructor, to_bytes = _VARIABLE_OUT[kind]
        return constructor, to_bytes(value)
    if kind is uuid.UUID:
        return _UUID, value.bytes
    raise TypeError(f"AMQP has no type for {kind.__name__}")


def _sized(constructor: int, body: bytes, count: int) -> bytes:
    if len(body) < 255 and count < 256:
        return bytes((constructor, len(body) + 1, count)) + body
    return bytes((constructor | _WIDE,)) + _LENGTH.pack(len(body) + 4) + _LENGTH.pack(count) + body


def _encode_array(values: Array) -> bytes:
    constructor, body = 0x40, b""  # an empty array still names a type
    for value in values:
        constructor, raw = _encode_scalar(value)
        if type(value) in _VARIABLE_OUT:
            constructor |= _WIDE
            raw = _LENGTH.pack(len(raw)) + raw
        body += raw
    return _sized(_ARRAY, bytes((constructor,)) + body, len(values))


def _encode_list(values: list[Any]) -> bytes:
    return _sized(_LIST, b"".join(map(encode, values)), len(values))


def _encode_map(values: dict[Any, Any]) -> bytes:
    return _sized(_MAP, b"".join(encode(part) for item in values.items() for part in item), 2 * len(values))


# where the type alone does not give the constructor
_WRITERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    Verbatim: bytes,
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
    list: _encode_list,
    dict: _encode_map,
    Array: _encode_array,
}
