"""Timer triggers: one loop per function that sleeps until the next occurrence of its NCRONTAB schedule and runs it.

A run that takes longer than the interval makes the loop miss occurrences: a function never overlaps itself here.
`host` starts the loops; runs on demand come from `http_server` and are independent of the schedule, as in the real
host.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from croniter import croniter  # type: ignore[import-untyped]  # the package has no stubs

from local.functions_host.conversion import timer_request
from local.functions_host.invocation import InvocationFailed

if TYPE_CHECKING:
    from local.functions_host.bindings import IndexedFunction
    from local.functions_host.invocation import Invoker

_FIELDS = 6


class ScheduleError(Exception):
    """The text is not an NCRONTAB schedule of six fields."""


class Schedule:
    """An NCRONTAB schedule (second minute hour day month weekday) in UTC."""

    def __init__(self, text: str) -> None:
        if len(text.split()) != _FIELDS or not croniter.is_valid(text, second_at_beginning=True):
            raise ScheduleError(f"{text!r} is not an NCRONTAB schedule of six fields (second first)")
        self._text = text

    def following(self, moment: datetime) -> datetime:
        """Return the first occurrence after a moment."""
        # NCRONTAB wants day and weekday both to match; cron itself would take either.
        occurrences = croniter(self._text, moment, second_at_beginning=True, day_or=False)
        occurrence: datetime = occurrences.get_next(datetime)
        return occurrence


class TimerListener:
    """Runs one timer function on its schedule until it is stopped."""

    def __init__(
        self, function: IndexedFunction, schedule: Schedule, invoker: Invoker, *, run_on_startup: bool
    ) -> None:
        self._function = function
        self._schedule = schedule
        self._invoker = invoker
        self._run_on_startup = run_on_startup
        self._last: datetime | None = None
        self._running = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the loop; needs a running event loop."""
        self._loop = asyncio.create_task(self._run(), name=f"timer {self._function.name}")

    async def stop(self, grace: float) -> None:
        """Stop sleeping at once; give a run that has begun `grace` seconds, then cancel it."""
        if self._loop is None:
            return
        with contextlib.suppress(TimeoutError):
            # Whoever holds the lock after the loop is asleep is this method: no further run can begin.
            await asyncio.wait_for(self._running.acquire(), grace)
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)

    async def run_on_demand(self) -> None:
        """Run once now, whatever the schedule says."""
        await self._invoke(datetime.now(UTC))

    async def _run(self) -> None:
        planned = datetime.now(UTC)
        if self._run_on_startup:
            await self._scheduled(planned)
        while True:
            # The wall clock can lag behind the sleep by a moment: never plan the same occurrence twice.
            planned = self._schedule.following(max(planned, datetime.now(UTC)))
            await asyncio.sleep((planned - datetime.now(UTC)).total_seconds())
            await self._scheduled(planned)

    async def _scheduled(self, planned: datetime) -> None:
        async with self._running:
            await self._invoke(planned)
            self._last = planned

    async def _invoke(self, planned: datetime) -> None:
        following = self._schedule.following(planned)
        with contextlib.suppress(InvocationFailed):
            await self._invoker.run(
                self._function, lambda: timer_request(past_due=False, last=self._last, following=following)
            )
