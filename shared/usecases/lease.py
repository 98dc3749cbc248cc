"""The pusher's lease while it is held: prolonged when a deadline comes near its end (ADR 0003).

One pusher at a time per Autotask tenant. Nothing is sent unless the lease outlives the request's deadline. The lease's
row says which lines its holder is working on, so that whoever takes it after a crash counts their attempts (ADR 0048).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.operation import Reason
from shared.storage.coordination import Lease
from shared.usecases.app import App
from shared.usecases.work import LineKey

PUSHER = "autotask-pusher"
_REQUESTS_AT_ONCE = 3  # per integration and endpoint (autotask reference 6)


class LeaseLost(Exception):
    """Another pusher holds the lease now; nothing more may be sent."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why nothing more is sent under this lease, and until when; None leaves it to each operation's back-off."""

    until: datetime | None
    reason: Reason


class Held:
    """A held lease; `slots` bounds the requests at once, `stopped` ends the sending of all lines together."""

    def __init__(self, app: App, lease: Lease) -> None:
        self._app = app
        self._lease = lease
        self._renewing = asyncio.Lock()
        self.slots = asyncio.Semaphore(_REQUESTS_AT_ONCE)
        self.stopped: Stopped | None = None

    @property
    def at_work_on(self) -> list[LineKey]:
        """The lines that were begun under this lease, by us or by a holder before us, and have not come to an end."""
        return [LineKey.parse(text) for text in self._lease.note.splitlines()]

    @classmethod
    async def take(cls, app: App) -> Held | None:
        """Take the pusher's lease if it is free."""
        now = app.now()
        lease = await app.coordination.acquire(PUSHER, app.new_id(), now=now, expires=now + app.times.lease)
        return cls(app, lease) if lease else None

    async def outlive(self, deadline: datetime) -> None:
        """Make sure that the lease lasts beyond a deadline. Raises LeaseLost."""
        async with self._renewing:
            if self._lease.expires <= deadline:
                await self._renew(self._lease, max(deadline, self._app.now()) + self._app.times.lease)

    async def begin(self, lines: Iterable[LineKey]) -> None:
        """Store which lines are worked on from now; the lease outlives one request. Raises LeaseLost."""
        async with self._renewing:
            deadline = self._app.now() + self._app.times.autotask_timeout
            noted = replace(self._lease, note="\n".join(str(line) for line in lines))
            await self._renew(noted, noted.expires if noted.expires > deadline else deadline + self._app.times.lease)

    async def _renew(self, lease: Lease, expires: datetime) -> None:
        alive = self._app.now() < self._lease.expires
        renewed = await self._app.coordination.renew(lease, expires=expires) if alive else None
        if renewed is None:
            raise LeaseLost
        self._lease = renewed

    def end(self) -> None:
        """No line is worked on any more; stored with what is stored next."""
        self._lease = replace(self._lease, note="")

    async def release(self) -> None:
        """Give the lease back. Where the work was broken off, its row goes on naming the lines."""
        await self._app.coordination.release(self._lease, now=self._app.now())
