"""The requests that may run at once: whoever waits for an answer goes before background work (ADR 0037)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from shared.priority import in_background


class Slots:
    """So many requests at once. Those that wait are served in order, the interactive ones before the others."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._interactive: deque[asyncio.Future[None]] = deque()
        self._background: deque[asyncio.Future[None]] = deque()

    @contextlib.asynccontextmanager
    async def one(self, *, within: float) -> AsyncIterator[None]:
        """Hold a slot. Raises TimeoutError where none is free within so many seconds."""
        async with asyncio.timeout(within):
            await self._acquire()
        try:
            yield
        finally:
            self._release()

    async def _acquire(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        queue = self._background if in_background() else self._interactive
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                queue.remove(turn)
            else:
                self._release()  # it was its turn at the very moment at which it gave up
            raise

    def _release(self) -> None:
        for queue in (self._interactive, self._background):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1
