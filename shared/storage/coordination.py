"""Coordination between instances: leases, stops (until when a vendor is left alone), facts that were found out.

owner A: acquire ──── renew ──── renew ───────────X dies
                                 │<── lease ──>│
owner B:                                       acquire (only now; A sends nothing after its own expiry)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from shared.storage import keys
from shared.storage.rows import text_of
from shared.storage.store import Delete, Insert, Replace, Row, TableStore, Upsert, WriteConflict

_TABLE = "coordination"


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lease; `expires` bounds everything that its holder may still send.

    `note` is what its holder wants its successor to know, who finds it where the holder dies.
    """

    name: str
    owner: str
    expires: datetime
    etag: str | None
    note: str = ""


class Coordination:
    """The repository of leases, stops and facts."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def acquire(self, name: str, owner: str, *, now: datetime, expires: datetime) -> Lease | None:
        """Take a lease that is free or has run out, with the note that was left; None where somebody holds it."""
        row = await self._store.get(_TABLE, "lease", name)
        if row is not None and datetime.fromisoformat(text_of(row.values, "expires")) > now:
            return None
        note = text_of(row.values, "note") if row else ""
        return await self._put(Lease(name, owner, expires, row.etag if row else None, note))

    async def renew(self, lease: Lease, *, expires: datetime) -> Lease | None:
        """Prolong a held lease and store its note; None where it was lost."""
        return await self._put(replace(lease, expires=expires))

    async def release(self, lease: Lease, *, now: datetime) -> None:
        """Give a lease back with its note; harmless where it was lost."""
        await self._put(replace(lease, expires=now))

    async def _put(self, lease: Lease) -> Lease | None:
        values = {"owner": lease.owner, "expires": lease.expires.isoformat(), "note": lease.note}
        row = Row("lease", lease.name, values, lease.etag)
        try:
            etags = await self._store.write(_TABLE, [Insert(row) if lease.etag is None else Replace(row)])
        except WriteConflict:
            return None
        return replace(lease, etag=etags[0])

    async def stopped_until(self, vendor: str) -> tuple[datetime, str] | None:
        """Until when calls to a vendor are stopped, and why."""
        row = await self._store.get(_TABLE, "stop", vendor)
        if row is None:
            return None
        return datetime.fromisoformat(text_of(row.values, "until")), text_of(row.values, "reason")

    async def stop(self, vendor: str, until: datetime, reason: str) -> None:
        """Stop calls to a vendor until a moment; an earlier stop that lasts longer stays."""
        present = await self.stopped_until(vendor)
        if present is not None and present[0] >= until:
            return
        row = Row("stop", vendor, {"until": until.isoformat(), "reason": reason})
        await self._store.write(_TABLE, [Upsert(row)])

    async def resume(self, vendor: str) -> None:
        """End a stop before its time."""
        await self._store.write(_TABLE, [Delete("stop", vendor)])

    async def fact(self, name: str) -> str:
        """What was found out about something, empty where nothing was."""
        row = await self._store.get(_TABLE, keys.FACTS, name)
        return text_of(row.values, "value") if row else ""

    async def remember(self, name: str, value: str) -> None:
        """Keep what was found out; empty to forget it."""
        await self._store.write(_TABLE, [Upsert(Row(keys.FACTS, name, {"value": value}))])
