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
        self._tables: dict[str, dict[str, dict[str, Row]]] = {name: {} for name in TABLES}  # by partition and key
        self._etags = 0
        self.writes: list[tuple[str, str]] = []  #: every row that was ever written, by table and key

    def __deepcopy__(self, memo: dict[int, object]) -> Tables:
        """Tables of their own with the same rows, which nobody changes in place."""
        same = Tables()
        same._tables = {
            name: {partition: dict(rows) for partition, rows in partitions.items()}
            for name, partitions in self._tables.items()
        }
        same._etags, same.writes = self._etags, list(self.writes)
        return same

    def rows(self, table: str) -> list[Row]:
        """Everything in a table by partition and key, for those who look from outside."""
        partitions = self._tables[table]
        return [row for partition in sorted(partitions) for row in _sorted(partitions[partition])]

    def _rows_of(self, table: str, partition: str) -> list[Row]:
        return _sorted(self._tables[table].get(partition, {}))

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """See TableStore."""
        return self._tables[table].get(partition, {}).get(key)

    async def span(self, table: str, partition: str, start: str, end: str, *, limit: int | None = None) -> list[Row]:
        """See TableStore."""
        found = [row for row in self._rows_of(table, partition) if start <= row.key < end]
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
            for row in (self.rows(table) if partition is None else self._rows_of(table, partition))
            if (after is None or (row.partition, row.key) > after)
            and all(row.values.get(name) == value for name, value in equals.items())
        ]
        shown = found[:size]
        more = len(found) > size
        return Page(shown, f"{shown[-1].partition}\n{shown[-1].key}" if more else None)

    async def following(self, table: str, partition: str) -> str | None:
        """See TableStore."""
        return min((found for found, rows in self._tables[table].items() if rows and found > partition), default=None)

    async def write(self, table: str, writes: Sequence[Write]) -> list[str | None]:
        """See TableStore."""
        guard(writes)
        _require_one_transaction(writes)
        partition, _ = _key(writes[0])
        rows = dict(self._tables[table].get(partition, {}))
        alone = len(writes) == 1
        etags = [self._apply(rows, write, alone=alone) for write in writes]
        self._tables[table][partition] = rows
        self.writes += [(table, write.row.key) for write in writes if not isinstance(write, Delete)]
        return etags

    def _apply(self, rows: dict[str, Row], write: Write, *, alone: bool) -> str | None:
        _, key = _key(write)
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


def _sorted(rows: dict[str, Row]) -> list[Row]:
    return [rows[key] for key in sorted(rows)]


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
