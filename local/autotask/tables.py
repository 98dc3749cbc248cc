"""Rows by id with indexes, over a generated population that is computed when asked and stored only once changed.

`query` reads through `select`; `writes` puts rows; `generated` describes populations.
"""

from __future__ import annotations

import bisect
import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Row = dict[str, Any]


@dataclass(slots=True)
class Selection:
    """What a filter says that an index can use: wanted values per field, ids above `after`, bounds of ISO dates.

    It only narrows; the filter itself still decides on each row.
    """

    keys: dict[str, set[Any]] = field(default_factory=dict)
    after: int = -1
    starts_until: str | None = None
    ends_from: str | None = None


class Source(Protocol):
    """Where the rows of an entity come from, ascending by id."""

    def get(self, row_id: int) -> Row | None:
        """Return one row."""
        ...

    def select(self, selection: Selection) -> Iterator[Row]:
        """Yield at least the rows that the selection allows."""
        ...


class Population(Protocol):
    """Rows that exist by rule instead of by storage."""

    def get(self, row_id: int) -> Row | None:
        """Compute one row."""
        ...

    def ids_above(self, after: int) -> Iterable[int]:
        """Yield the ids above a number, ascending."""
        ...

    def ids_with(self, name: str, value: Any) -> Iterable[int]:
        """Yield the ids whose indexed field has a value."""
        ...


class NoPopulation:
    """The population of a table that has stored rows only."""

    def get(self, row_id: int) -> Row | None:  # noqa: ARG002  # Population's signature
        """Return None."""
        return None

    def ids_above(self, after: int) -> Iterable[int]:  # noqa: ARG002  # Population's signature
        """Return nothing."""
        return ()

    def ids_with(self, name: str, value: Any) -> Iterable[int]:  # noqa: ARG002  # Population's signature
        """Return nothing."""
        return ()


class Table:
    """Stored rows over a population; ids of new rows come from `next_id`."""

    def __init__(self, *, first_id: int = 1, indexed: Sequence[str] = (), population: Population | None = None) -> None:
        self._rows: dict[int, Row] = {}
        self._ids: list[int] = []
        self._indexes: dict[str, dict[Any, set[int]]] = {name: defaultdict(set) for name in indexed}
        self._population = population or NoPopulation()
        self._next = first_id

    def next_id(self) -> int:
        """Return an unused id."""
        self._next += 1
        return self._next - 1

    def get(self, row_id: int) -> Row | None:
        """Return a row; to change it, pass a changed copy to `put`."""
        row = self._rows.get(row_id)
        return self._population.get(row_id) if row is None else row

    def put(self, row: Row) -> None:
        """Store a row under its `id`."""
        row_id = row["id"]
        before = self._rows.get(row_id)
        if before is None:
            bisect.insort(self._ids, row_id)
        for name, index in self._indexes.items():
            if before is not None:
                index[index_key(before[name])].discard(row_id)
            index[index_key(row[name])].add(row_id)
        self._rows[row_id] = row

    def stored(self) -> list[Row]:
        """Return the rows that are stored, ascending by id, without the untouched population."""
        return [self._rows[row_id] for row_id in self._ids]

    def with_value(self, name: str, value: Any) -> list[Row]:
        """Return the rows whose indexed field has a value, ascending by id."""
        return [row for row in self.select(Selection({name: {value}})) if index_key(row[name]) == index_key(value)]

    def select(self, selection: Selection) -> Iterator[Row]:
        """Yield rows ascending by id through the best index, or all of them."""
        for row_id in self._candidates(selection):
            row = self.get(row_id)
            if row is not None:
                yield row

    def _candidates(self, selection: Selection) -> Iterable[int]:
        if "id" in selection.keys:
            return sorted(key for key in selection.keys["id"] if isinstance(key, int) and key > selection.after)
        for name, index in self._indexes.items():
            if name in selection.keys:
                found: set[int] = set()
                for value in selection.keys[name]:
                    found.update(index.get(index_key(value), ()), self._population.ids_with(name, value))
                return sorted(row_id for row_id in found if row_id > selection.after)
        stored = self._ids[bisect.bisect_right(self._ids, selection.after) :]
        generated = (row_id for row_id in self._population.ids_above(selection.after) if row_id not in self._rows)
        return heapq.merge(stored, generated)


def index_key(value: Any) -> Any:
    """Return the value as the indexes compare it: text without case."""
    return value.lower() if isinstance(value, str) else value
