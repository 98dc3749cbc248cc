"""A vendor's requests per minute, shared by all instances: each reserves a stretch of time and paces itself inside it.

    instance A:  |1 2 3 4 5|         |11 …
    instance B:            |6 7 8 9 10|
                 ──────── time ────────▶   one slot per request, no slot twice

The row holds the first moment that nobody has reserved. Some seconds are reserved at once, so that the table is not
asked for each request. A slot that passed unused is lost, so that no instance saves up for a burst.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.errors import RetryLater
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import Insert, Replace, TableStore, WriteConflict

_TABLE = "coordination"
_PARTITION = "rate"
_TRIES = 12
_SLOWEST = 8  # a throttled rate is never lower than an eighth
_RECOVERY = timedelta(minutes=1)  # after each such time without a complaint a throttled rate rises by a quarter


@dataclass(frozen=True, slots=True)
class Rate:
    """The row: nothing is reserved from `free_from` on; `per_minute` is lower than wanted after a complaint."""

    free_from: datetime
    per_minute: float
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Block:
    """A reserved stretch: `count` slots from `start`, one each `interval`."""

    start: datetime
    interval: timedelta
    count: int
    stored: Stored[Rate]

    @property
    def end(self) -> datetime:
        """The first moment after the block."""
        return self.start + self.interval * self.count


class Rates:
    """The repository of shared rates."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def reserve(self, name: str, *, now: datetime, per_minute: float, span: timedelta) -> Block:
        """Reserve the next free stretch of about `span`. Raises RetryLater where others are always faster."""
        for _ in range(_TRIES):
            stored = await self._read(name)
            rate = _recovered(stored.value, now, per_minute) if stored else Rate(now, per_minute, now)
            interval = timedelta(minutes=1) / rate.per_minute
            count = max(1, int(span / interval))
            start = max(rate.free_from, now)
            taken = replace(rate, free_from=start + interval * count)
            written = await self._write(name, Stored(taken, stored.etag if stored else None))
            if written is not None:
                return Block(start, interval, count, written)
        raise RetryLater("the shared rate of requests is contended")

    async def give_back(self, name: str, block: Block, *, unused_from: datetime) -> None:
        """Free the rest of a block, where nobody has reserved after it."""
        await self._write(name, Stored(replace(block.stored.value, free_from=unused_from), block.stored.etag))

    async def slow_down(self, name: str, *, now: datetime, until: datetime, per_minute: float) -> None:
        """After a complaint: nobody reserves anything before `until`, and the rate is halved."""
        for _ in range(_TRIES):
            stored = await self._read(name)
            rate = stored.value if stored else Rate(now, per_minute, now)
            lowered = max(min(rate.per_minute, per_minute) / 2, per_minute / _SLOWEST)
            slowed = Rate(max(rate.free_from, until), lowered, max(now, until))
            if await self._write(name, Stored(slowed, stored.etag if stored else None)) is not None:
                return

    async def _read(self, name: str) -> Stored[Rate] | None:
        row = await self._store.get(_TABLE, _PARTITION, name)
        return from_row(Rate, row) if row else None

    async def _write(self, name: str, stored: Stored[Rate]) -> Stored[Rate] | None:
        row = to_row(_PARTITION, name, stored.value, etag=stored.etag)
        try:
            etags = await self._store.write(_TABLE, [Insert(row) if stored.etag is None else Replace(row)])
        except WriteConflict:
            return None
        return Stored(stored.value, etags[0])


def _recovered(rate: Rate, now: datetime, wanted: float) -> Rate:
    """A throttled rate rises step by step; one that was set higher falls at once."""
    if rate.per_minute >= wanted:
        return replace(rate, per_minute=wanted)
    steps = int((now - rate.changed_at) / _RECOVERY) if now > rate.changed_at else 0
    if steps == 0:
        return rate
    return replace(rate, per_minute=min(wanted, rate.per_minute * 1.25 ** min(steps, 16)), changed_at=now)
