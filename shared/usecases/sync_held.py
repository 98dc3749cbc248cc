"""The full sync's run while one process works on it: its state's row is the lease, renewed with everything stored."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from shared.domain.sync_run import Ending, PageList, Run
from shared.storage.rows import Stored
from shared.storage.store import Write, WriteConflict
from shared.storage.sync_runs import FullSync, ending_of
from shared.usecases.app import App


class RunLost(Exception):
    """Somebody else works on the run now; nothing more may be written."""


class StandStill(Exception):
    """The run cannot go on before a moment; `stopped`: a person is needed for that."""

    def __init__(self, until: datetime, why: str, *, stopped: bool = False) -> None:
        super().__init__(why)
        self.until = until
        self.why = why
        self.stopped = stopped


class Held:
    """The run while this process works on it; `run` is as it was stored last."""

    def __init__(self, app: App, state: Stored[FullSync], run: Run) -> None:
        self._app = app
        self._state = state
        self._owner = app.new_id()
        self._since = app.now()
        self._saving = asyncio.Lock()
        self.run = run
        self.only_page: PageList | None = None  # the one page of a small partner, just listed

    async def save(self, run: Run, *more: Write) -> None:
        """Store the run and with it further rows, and hold it for longer. Raises RunLost."""
        async with self._saving:
            now = self._app.now()
            run = replace(run, worked_seconds=run.worked_seconds + (now - self._since).total_seconds())
            state = replace(self._state.value, current=run, owner=self._owner, expires=now + self._app.times.lease)
            await self._write(state, *more)
            self._since, self.run = now, run

    async def end(self, ending: Ending) -> None:
        """Store the end of the run. Raises RunLost."""
        run = self.run.ended(ending, self._app.now())
        state = FullSync(prints=run.id, prints_pages=run.pages, complete_since=self._state.value.complete_since)
        if ending is Ending.FAILED:  # nothing was read
            state = replace(state, prints=run.before, prints_pages=run.before_pages)
        if ending is Ending.COMPLETE:
            state = replace(state, complete_since=run.started_at)
        await self._write(state, ending_of(run))
        self.run = run

    async def release(self) -> None:
        """Let whoever comes next go on. Raises RunLost."""
        await self._write(replace(self._state.value, owner="", expires=None))

    async def _write(self, state: FullSync, *more: Write) -> None:
        try:
            self._state = await self._app.sync.runs.save(Stored(state, self._state.etag), *more)
        except WriteConflict:
            raise RunLost from None
