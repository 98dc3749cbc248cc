"""The tenant's request budget as it was read lately, so that asking for it does not use it up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from shared.domain.contract import Threshold
from shared.domain.errors import CspError


class Remembered:
    """One reading, kept for so many seconds; a failed one too, and then the budget is unknown."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._read_at: float | None = None
        self._reading: Threshold | None = None
        self._sent_before = 0

    async def plus(self, read: Callable[[], Awaitable[Threshold]], sent: Callable[[], int]) -> Threshold | None:
        """The reading with what `sent` has counted since; None where it is not known."""
        async with self._lock:
            if self._read_at is None or time.monotonic() - self._read_at >= self._seconds:
                try:
                    self._reading = await read()
                except CspError:
                    self._reading = None  # it limits nothing; what is sent finds out what Autotask thinks of it
                self._read_at, self._sent_before = time.monotonic(), sent()
        return replace(self._reading, used=self._reading.used + sent() - self._sent_before) if self._reading else None
