"""The virtual clock of the world: nothing waits in real time; sleeping moves the clock on."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)


class Clock:
    """Aware UTC moments; `advance` wakes whoever waits in `until`, in the order of their moments."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._number = 0

    def now(self) -> datetime:
        return self._now

    def advance(self, span: timedelta) -> None:
        self._now += span
        while self._waiting and self._waiting[0][0] <= self._now:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """The `App.sleep` of the world."""
        self.advance(timedelta(seconds=seconds))

    async def until(self, moment: datetime) -> None:
        """Freeze: come back when somebody else has moved the clock to this moment."""
        if moment <= self._now:
            return
        future = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._waiting, (moment, self._number, future))
        await future

    def next_waking(self) -> datetime | None:
        """The earliest moment that somebody is frozen until."""
        return self._waiting[0][0] if self._waiting else None
