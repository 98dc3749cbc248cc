"""Keep all instances together under Microsoft's limit: every request of a sync waits for its turn (ADR 0015).

A stretch of turns is reserved for some seconds at a time (`shared.storage.rates`). A complaint (429) is told to all:
nobody gets a turn before its time is over, and the rate is halved and recovers slowly.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta

from shared.storage.rates import Block
from shared.usecases.app import App

PARTNER_CENTER = "partner-center"
_PATIENCE = timedelta(seconds=30)  # a longer wait is left to a later timer run, as is one that a lease may not outlive
_WORTH_GIVING_BACK = timedelta(milliseconds=250)


class TooFar(Exception):
    """The next turn is so far away that this run ends; `until` is when to go on."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"no turn before {until.isoformat()}")
        self.until = until


class Pace:
    """The turns of one timer run."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._block: Block | None = None
        self._used = 0
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for a turn. Raises TooFar; RetryLater where storage does not answer."""
        async with self._lock:
            at = await self._next()
        wait = (at - self._app.now()).total_seconds()
        if wait > 0:
            await self._app.sleep(wait)

    async def prepare(self) -> None:
        """Reserve turns ahead of the first one that is needed."""
        async with self._lock:
            if self._block is None:
                with contextlib.suppress(TooFar):  # whoever asks for a turn is told so
                    self._block = await self._reserved(self._app.now())

    async def slow_down(self, wait: timedelta) -> None:
        """Microsoft complains: nobody sends before the wait is over, and all more slowly after it."""
        now, wanted = self._app.now(), self._app.policy.per_minute
        self._block = None
        await self._app.sync.rates.slow_down(PARTNER_CENTER, now=now, until=now + wait, per_minute=wanted)

    async def close(self) -> None:
        """Give unused turns back."""
        block, self._block = self._block, None
        if block is None:
            return
        unused_from = max(self._app.now(), block.start + block.interval * self._used)
        if block.end - unused_from > _WORTH_GIVING_BACK:
            await self._app.sync.rates.give_back(PARTNER_CENTER, block, unused_from=unused_from)

    async def _next(self) -> datetime:
        now = self._app.now()
        if self._block is not None and now > self._block.start:
            self._used = max(self._used, int((now - self._block.start) / self._block.interval))
        if self._block is None or self._used >= self._block.count:
            self._block, self._used = await self._reserved(now), 0
        at = self._block.start + self._block.interval * self._used
        self._used += 1
        return at

    async def _reserved(self, now: datetime) -> Block:
        policy = self._app.policy
        block = await self._app.sync.rates.reserve(
            PARTNER_CENTER, now=now, per_minute=policy.per_minute, span=policy.block
        )
        if block.start > now + min(_PATIENCE, self._app.times.lease / 4):
            await self._app.sync.rates.give_back(PARTNER_CENTER, block, unused_from=block.start)
            raise TooFar(block.start)
        return block
