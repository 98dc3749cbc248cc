"""The port to table storage: rows, writes, and what a store can do.

Repositories (`ledger`, `alarms`, `coordination`, `mappings`, `read_models`) speak only this port. Its adapters are
`azure_tables` and the in-process fake of the crash tests; both pass the same contract suite.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

TABLES = ("ledger", "mappings", "alarms", "coordination", "customers", "subscriptions", "views", "access")

Scalar = str | int | bool | datetime

MAX_ROWS = 100  # limits of an entity group transaction and of an entity; Azurite does not enforce them all
MAX_PROPERTIES = 252
MAX_ENTITY_BYTES = 1024 * 1024
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
MAX_STRING = 32 * 1024
_KEY = re.compile(r"[^/\\#?\x00-\x1f\x7f-\x9f]{0,512}")


@dataclass(frozen=True, slots=True)
class Row:
    """One entity. `etag` is None for a row that was not read from storage."""

    partition: str
    key: str
    values: Mapping[str, Scalar]
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Insert:
    """Add a row; conflicts where the key exists."""

    row: Row


@dataclass(frozen=True, slots=True)
class Replace:
    """Exchange a row that was read; conflicts where it changed since (its etag)."""

    row: Row


@dataclass(frozen=True, slots=True)
class Upsert:
    """Write a row whatever is there."""

    row: Row


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a row; with an etag only if unchanged. A missing row is no conflict where there is no etag."""

    partition: str
    key: str
    etag: str | None = None


Write = Insert | Replace | Upsert | Delete


class WriteConflict(Exception):
    """A write of a transaction found another state than it expected; nothing of the transaction was written."""


class TooLarge(ValueError):
    """A row or transaction is beyond what table storage takes, or a key is spelled as it takes none."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows and the opaque mark to go on from (None: that was all)."""

    rows: list[Row]
    continuation: str | None


class TableStore(Protocol):
    """What the repositories need of table storage."""

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """One row, or None."""

    async def span(self, table: str, partition: str, start: str, end: str, *, limit: int | None = None) -> list[Row]:
        """Rows of a partition with start <= key < end, ascending by key."""

    async def page(
        self,
        table: str,
        *,
        partition: str | None,
        equals: Mapping[str, Scalar],
        size: int,
        continuation: str | None = None,
    ) -> Page:
        """At most `size` rows, optionally of one partition and with the given property values."""

    async def following(self, table: str, partition: str) -> str | None:
        """The first partition that sorts after another one, which need not exist; None where there is none."""

    async def write(self, table: str, writes: Sequence[Write]) -> list[str | None]:
        """Write all or nothing, in one partition. Returns the new etags. Raises WriteConflict, TooLarge."""


def guard(writes: Sequence[Write]) -> None:
    """Refuse what Azure would refuse, and what Azurite takes all the same. Raises TooLarge."""
    if len(writes) > MAX_ROWS:
        raise TooLarge(f"{len(writes)} rows in one transaction; {MAX_ROWS} is the limit")
    total = 0
    for write in writes:
        if isinstance(write, Delete):
            guard_keys(write.partition, write.key)
            continue
        guard_keys(write.row.partition, write.row.key)
        if len(write.row.values) > MAX_PROPERTIES:
            raise TooLarge(f"{len(write.row.values)} properties in row {write.row.key}")
        size = 0
        for name, value in write.row.values.items():
            if isinstance(value, str) and len(value) > MAX_STRING:
                raise TooLarge(f"property {name} of row {write.row.key} has {len(value)} characters")
            size += 2 * len(name) + 8 + (2 * len(value) if isinstance(value, str) else 8)
        if size > MAX_ENTITY_BYTES:
            raise TooLarge(f"row {write.row.key} has {size} bytes")
        total += size
    if total > MAX_TRANSACTION_BYTES:
        raise TooLarge(f"a transaction of {total} bytes")


def guard_keys(partition: str, key: str) -> None:
    """Refuse keys that table storage has no place for. Raises TooLarge."""
    for name in (partition, key):
        if not _KEY.fullmatch(name):
            raise TooLarge(f"a key has {len(name)} characters, or one that table storage takes in none: {name[:80]!r}")
