"""Table storage in memory: the port of `shared.storage.store` with its etags, transactions, ordering and paging."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shared.storage.store import TABLES, Delete, Insert, Page, Replace, Row, Scalar, Upsert, Write, WriteConflict, guard

_FORBIDDEN = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")  # in keys, by the rules of Azure

Key = tuple[str, str]


class Tables:
    """All tables of one account. Fulfils `TableStore`."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[Key, Row]] = {name: {} for name in TABLES}
        self._etags = 0
        self.writes: list[tuple[str, str]] = []  #: every row that was ever written, by table and key

    def rows(self, table: str) -> list[Row]:
        """Everything in a table by partition and key, for those who look from outside."""
        return [self._tables[table][key] for key in sorted(self._tables[table])]

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """See TableStore."""
        return self._tables[table].get((partition, key))

    async def span(self, table: str, partition: str, start: str, end: str, *, limit: int | None = None) -> list[Row]:
        """See TableStore."""
        found = [row for row in self.rows(table) if row.partition == partition and start <= row.key < end]
        return found[: limit or None]

    async def page(
        self,
        table: str,
        *,
        partition: str | None,
        equals: Mapping[str, Scalar],
        size: int,
        continuation: str | None = None,
    ) -> Page:
        """See TableStore."""
        after: Key | None = None
        if continuation is not None:
            first, _, second = continuation.partition("\n")
            after = (first, second)
        found = [
            row
            for row in self.rows(table)
            if (partition is None or row.partition == partition)
            and (after is None or (row.partition, row.key) > after)
            and all(row.values.get(name) == value for name, value in equals.items())
        ]
        shown = found[:size]
        more = len(found) > size
        return Page(shown, f"{shown[-1].partition}\n{shown[-1].key}" if more else None)

    async def following(self, table: str, partition: str) -> str | None:
        """See TableStore."""
        return next((row.partition for row in self.rows(table) if row.partition > partition), None)

    async def write(self, table: str, writes: Sequence[Write]) -> list[str | None]:
        """See TableStore."""
        guard(writes)
        _require_one_transaction(writes)
        rows = dict(self._tables[table])
        alone = len(writes) == 1
        etags = [self._apply(rows, write, alone=alone) for write in writes]
        self._tables[table] = rows
        self.writes += [(table, write.row.key) for write in writes if not isinstance(write, Delete)]
        return etags

    def _apply(self, rows: dict[Key, Row], write: Write, *, alone: bool) -> str | None:
        key = _key(write)
        present = rows.get(key)
        match write:
            case Insert() if present is not None:
                raise WriteConflict("EntityAlreadyExists")
            case Replace(row) if present is None or present.etag != row.etag:
                raise WriteConflict("UpdateConditionNotSatisfied")
            case Delete(_, _, expected):
                if present is None and not (alone and expected is None):
                    raise WriteConflict("ResourceNotFound")
                if present is not None and expected is not None and present.etag != expected:
                    raise WriteConflict("UpdateConditionNotSatisfied")
                rows.pop(key, None)
                return None
            case Insert(row) | Replace(row) | Upsert(row):
                self._etags += 1
                rows[key] = replace(row, values=dict(row.values), etag=f'W/"{self._etags}"')
        return f'W/"{self._etags}"'


def _key(write: Write) -> Key:
    return (write.partition, write.key) if isinstance(write, Delete) else (write.row.partition, write.row.key)


def _require_one_transaction(writes: Sequence[Write]) -> None:
    """What Azure refuses whatever is stored: an empty transaction, several partitions, a row twice, a bad key."""
    keys = [_key(write) for write in writes]
    if not keys or len(set(keys)) < len(keys) or len({partition for partition, _ in keys}) > 1:
        raise ValueError(f"this is no transaction: {keys}")
    bad = [text for key in keys for text in key if _FORBIDDEN.search(text)]
    if bad:
        raise ValueError(f"characters that no key may have: {bad}")
