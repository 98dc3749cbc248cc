"""The full sync in storage: its state, the pages of its runs, and the runs that have ended.

Everything lies in one partition, so that a page and the state that counts it are written together. A page is two rows:
the customers as they were listed, and how far the page is. The next run reads both as its prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.sync_run import PageDone, PageList, Run
from shared.storage import keys
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import MAX_ROWS, Delete, Insert, Replace, TableStore, Upsert, Write, WriteConflict

_TABLE = "coordination"


@dataclass(frozen=True, slots=True)
class FullSync:
    """The open run, who works on it until when, and the last run that read, whose prints the next one compares.

    `complete_since` is when the last complete run began: everything that it saw unchanged was read after it.
    """

    current: Run | None = None
    owner: str = ""
    expires: datetime | None = None
    prints: str = ""
    prints_pages: int = 0
    complete_since: datetime | None = None


class SyncRuns:
    """The repository of full syncs."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def state(self) -> Stored[FullSync]:
        """The full sync as it stands; one that never ran has no etag."""
        row = await self._store.get(_TABLE, keys.SYNC, keys.sync_state())
        return from_row(FullSync, row) if row else Stored(FullSync(), None)

    async def save(self, state: Stored[FullSync], *more: Write) -> Stored[FullSync]:
        """Write the state under its etag, together with pages or an ended run. Raises WriteConflict."""
        row = to_row(keys.SYNC, keys.sync_state(), state.value, etag=state.etag)
        etags = await self._store.write(_TABLE, [Insert(row) if state.etag is None else Replace(row), *more])
        return Stored(state.value, etags[0])

    async def page(self, run: str, number: int) -> tuple[PageList, PageDone | None]:
        """A page and how far it is; an empty one where there is none."""
        rows = {row.key: row for row in await self._store.span(_TABLE, keys.SYNC, *keys.sync_page(run, number))}
        listed, done = rows.get(keys.sync_page_list(run, number)), rows.get(keys.sync_page_done(run, number))
        return (
            from_row(PageList, listed).value if listed else PageList(()),
            from_row(PageDone, done).value if done else None,
        )

    async def page_list(self, run: str, number: int) -> PageList:
        """The customers of a page."""
        row = await self._store.get(_TABLE, keys.SYNC, keys.sync_page_list(run, number))
        return from_row(PageList, row).value if row else PageList(())

    async def page_done(self, run: str, number: int) -> PageDone | None:
        """How far a page is; None where nothing of it was begun."""
        row = await self._store.get(_TABLE, keys.SYNC, keys.sync_page_done(run, number))
        return from_row(PageDone, row).value if row else None

    async def ended(self) -> list[Run]:
        """The runs that have ended, the newest first."""
        rows = await self._store.span(_TABLE, keys.SYNC, *keys.sync_runs())
        return [from_row(Run, row).value for row in reversed(rows)]

    async def forget_pages(self, run: str, pages: int) -> None:
        """Remove the pages of a run."""
        gone = [
            Delete(keys.SYNC, key)
            for number in range(1, pages + 1)
            for key in (keys.sync_page_done(run, number), keys.sync_page_list(run, number))
        ]
        for start in range(0, len(gone), MAX_ROWS):
            await self._delete(gone[start : start + MAX_ROWS])

    async def forget_run(self, run: str) -> None:
        """Remove an ended run from the history."""
        await self._store.write(_TABLE, [Delete(keys.SYNC, keys.sync_run(run))])

    async def _delete(self, gone: Sequence[Delete]) -> None:
        try:
            await self._store.write(_TABLE, gone)
        except WriteConflict:  # one of them was gone already
            for one in gone:
                await self._store.write(_TABLE, [one])


def listing_of(run: str, number: int, page: PageList) -> Write:
    """The write of a page as it was listed."""
    return Upsert(to_row(keys.SYNC, keys.sync_page_list(run, number), page))


def progress_of(run: str, number: int, done: PageDone) -> Write:
    """The write of how far a page is."""
    return Upsert(to_row(keys.SYNC, keys.sync_page_done(run, number), done))


def ending_of(run: Run) -> Write:
    """The write of a run into the history."""
    return Upsert(to_row(keys.SYNC, keys.sync_run(run.id), run))
