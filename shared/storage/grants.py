"""Grants: which customers a caller may see and act on, with the history of who changed that.

One partition, so that a grant and its change are written together. A caller is named by its object id in Entra ID.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.storage import keys
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import Delete, Insert, Replace, TableStore, Write

_TABLE = "access"
MOST_CUSTOMERS = 500  # one row holds them, and a list page may have to look at each


@dataclass(frozen=True, slots=True)
class Grant:
    """What a caller may see: all customers, or these and no other."""

    caller: str
    customers: tuple[str, ...]
    changed_at: datetime
    changed_by: str
    all_customers: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class GrantChange:
    """One change of a grant; `grant` is None where it was removed."""

    at: datetime
    by: str
    grant: Grant | None = None


class Grants:
    """The repository of grants."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def get(self, caller: str) -> Stored[Grant] | None:
        """A caller's grant, None where it has none of its own."""
        row = await self._store.get(_TABLE, keys.GRANTS, keys.grant(caller))
        return from_row(Grant, row) if row else None

    async def page(self, size: int, continuation: str | None) -> tuple[list[Grant], str | None]:
        """A page of grants."""
        page = await self._store.page(
            _TABLE, partition=keys.GRANTS, equals={"kind": "G"}, size=size, continuation=continuation
        )
        return [from_row(Grant, row).value for row in page.rows], page.continuation

    async def changes(self, caller: str) -> list[GrantChange]:
        """Everything that was ever changed of a caller's grant, the oldest first."""
        rows = await self._store.span(_TABLE, keys.GRANTS, *keys.grant_changes(caller))
        return [from_row(GrantChange, row).value for row in rows]

    async def put(self, old: Stored[Grant] | None, new: Grant) -> None:
        """Give or change a grant. Raises WriteConflict where somebody else did meanwhile."""
        row = to_row(keys.GRANTS, keys.grant(new.caller), new, etag=old.etag if old else None, kind="G")
        change = GrantChange(new.changed_at, new.changed_by, new)
        await self._write(Insert(row) if old is None else Replace(row), new.caller, change)

    async def remove(self, old: Stored[Grant], change: GrantChange) -> None:
        """Take a grant away. Raises WriteConflict where somebody else changed it meanwhile."""
        caller = old.value.caller
        await self._write(Delete(keys.GRANTS, keys.grant(caller), old.etag), caller, change)

    async def _write(self, write: Write, caller: str, change: GrantChange) -> None:
        row = to_row(keys.GRANTS, keys.grant_change(caller, change.at), change, kind="C")
        await self._store.write(_TABLE, [write, Insert(row)])
