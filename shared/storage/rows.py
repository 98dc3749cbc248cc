"""Maps domain values to table rows and back.

A row carries the whole value as one JSON document (`document`, and `document1`, … where it is longer than a property
may be), its schema version, and the few properties that queries filter on. Documents are read tolerantly: a field that
is missing takes its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from shared.storage.store import MAX_STRING, Row, Scalar

SCHEMA = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A value with the etag that it was read with."""

    value: T
    etag: str | None


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}  # building one is slow; there are about ten


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def to_row(partition: str, key: str, value: Any, *, etag: str | None = None, **extra: Scalar | None) -> Row:
    """The row of a value; `extra` are properties for queries (None leaves one out)."""
    text = document(value)
    values: dict[str, Scalar] = {"schema": SCHEMA, "document": text[:MAX_STRING]}
    for number, start in enumerate(range(MAX_STRING, len(text), MAX_STRING), start=1):
        values[f"document{number}"] = text[start : start + MAX_STRING]
    values.update({name: item for name, item in extra.items() if item is not None})
    return Row(partition, key, values, etag)


def document(value: Any) -> str:
    """A value as its JSON document."""
    return _adapter(type(value)).dump_json(value).decode()


def parse(kind: type[T], text: str) -> T:
    """A JSON document as a value."""
    result: T = _adapter(kind).validate_json(text)
    return result


def from_row(kind: type[T], row: Row) -> Stored[T]:
    """The value of a row."""
    return Stored(parse(kind, _whole(row.values)), row.etag)


def _whole(values: Mapping[str, Scalar]) -> str:
    text = text_of(values, "document")
    number = 1
    while (piece := text_of(values, f"document{number}")) != "":
        text += piece
        number += 1
    return text


def text_of(values: Mapping[str, Scalar], name: str) -> str:
    """A text property; empty where it is missing."""
    value = values.get(name, "")
    return value if isinstance(value, str) else str(value)
