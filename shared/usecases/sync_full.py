"""The full sync as a run that any timer run goes on with (ADR 0016).

    begin ─▶ list the customers' pages into rows ─▶ read page by page ─▶ mark what is missing ─▶ ended
                     ▲ next token in the state        ▲ a row says how far each page is

Whoever dies leaves a state from which the next goes on; at most the customers since the last checkpoint are read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import datetime

from shared import telemetry
from shared.domain.errors import Misconfigured, RetryLater, VendorError
from shared.domain.listings import CustomerPage
from shared.domain.sync_run import Counts, Ending, Listed, PageList, Phase, Run
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.storage.sync_runs import FullSync, listing_of
from shared.usecases.app import App
from shared.usecases.pace import Pace, TooFar
from shared.usecases.sync_held import Held, RunLost, StandStill
from shared.usecases.sync_missing import mark_missing
from shared.usecases.sync_page import read_page

log = logging.getLogger(__name__)

_TRIES = 5
_LISTING_FAILURES = 5  # unexpected answers to one page, in as many timer runs, until the run has failed
_RUNS_KEPT = 20


async def begin(app: App, trigger: str, by: str) -> tuple[Run, bool]:
    """Start a run, or give the one that is open; says whether it was started. Raises RetryLater."""
    for _ in range(_TRIES):
        state = await app.sync.runs.state()
        if state.value.current is not None:
            return state.value.current, False
        run = _new(app, state.value, trigger, by)
        try:
            await app.sync.runs.save(Stored(replace(state.value, current=run), state.etag))
        except WriteConflict:
            continue
        return run, True
    raise RetryLater("the full sync is being started by somebody else")


def _new(app: App, state: FullSync, trigger: str, by: str) -> Run:
    now = app.now()
    identity = f"{now:%Y%m%dT%H%M%S}-{app.new_id()[-8:]}"
    return Run(identity, trigger, by, now, before=state.prints, before_pages=state.prints_pages)


async def go_on(app: App, *, start: tuple[str, str] | None = None) -> Run | None:
    """Work on the open run for one budget; with `start` (trigger, by) one is started where none is open.

    None where there is nothing to do now, or somebody else is at it. Raises RetryLater where storage is away.
    """
    held = await _free(app, start)
    if held is None:
        return None
    pace, prints, stop_at = Pace(app), _Prints(app, held.run), app.now() + app.policy.budget
    try:
        await held.save(replace(held.run, not_before=None))
        await pace.prepare()  # not before: turns of one who comes too late would be lost to all
        while held.run.phase is not Phase.ENDED and app.now() < stop_at:
            match held.run.phase:
                case Phase.LISTING:
                    await _list_page(app, held, pace, prints)
                case Phase.READING:
                    await _read(app, held, pace, stop_at)
                case _:
                    await asyncio.gather(_finish(app, held), pace.close())
        if held.run.phase is not Phase.ENDED:
            await held.release()
    except TooFar as error:
        why = "Partner Center asked us to slow down, or other syncs have the turns until then"
        await _stand_still(held, StandStill(error.until, why))
    except StandStill as error:
        await _stand_still(held, error)
    except RunLost:
        telemetry.tell(log, "full_sync_elsewhere")
        return None
    finally:
        await pace.close()
    return held.run


async def _free(app: App, start: tuple[str, str] | None) -> Held | None:
    """The run that may be worked on now; it is held once it is saved."""
    state = await app.sync.runs.state()
    now = app.now()
    run = state.value.current
    if run is None and start is not None:
        run = _new(app, state.value, *start)
    if run is None or (run.not_before is not None and now < run.not_before):
        return None
    if state.value.expires is not None and now < state.value.expires:
        return None
    return Held(app, state, run)


async def _stand_still(held: Held, error: StandStill) -> None:
    run = held.run
    still = replace(run, not_before=error.until, problem=error.why, stopped=error.stopped, failures=run.failures + 1)
    with contextlib.suppress(RunLost):  # whoever has taken it over finds out for itself
        await held.save(still)
        await held.release()


async def _list_page(app: App, held: Held, pace: Pace, prints: _Prints) -> None:
    """List the next page of customers into a row; a page that fails is asked for again from its token."""
    run = held.run
    await pace.turn()
    try:
        page, _ = await asyncio.gather(app.listings.customers(run.mark), prints.load_near(run.pages + 1))
    except RetryLater as error:
        if error.after is not None:
            await pace.slow_down(error.after)
        wait = error.after or app.times.backoff(run.failures)
        raise StandStill(app.now() + wait, f"page {run.pages + 1} of the customers: {error.reason}") from error
    except VendorError as error:
        if run.failures + 1 >= _LISTING_FAILURES:
            await _fail(app, held, error)
            return
        why = f"page {run.pages + 1} of the customers: {error}"
        raise StandStill(app.now() + app.times.backoff(run.failures), why) from error
    except Misconfigured as error:
        raise StandStill(app.now() + app.times.misconfigured, error.reason, stopped=True) from error
    if page.following is not None and page.following == run.mark:
        await _fail(app, held, VendorError(200, "paging does not come to an end: a continuation was given twice"))
        return
    number = run.pages + 1
    listed = replace(
        run,
        pages=number,
        total=run.total + len(page.customers),
        mark=page.following,
        phase=Phase.READING if page.following is None else Phase.LISTING,
        counts=run.counts.plus(Counts(unreadable=len(page.unreadable))),
        failures=0,
        problem="",
        stopped=False,
    )
    found = prints.on(page)
    await held.save(listed, listing_of(run.id, number, found))
    held.only_page = found if listed.phase is Phase.READING and number == 1 else None


async def _fail(app: App, held: Held, error: VendorError) -> None:
    await app.sync.runs.forget_pages(held.run.id, held.run.pages)
    held.run = replace(held.run, problem=str(error))
    await held.end(Ending.FAILED)


class _Prints:
    """The prints of the run before. Customers keep their place in the list, give or take a page, so three are kept."""

    def __init__(self, app: App, run: Run) -> None:
        self._app = app
        self._before = run.before
        self._pages = run.before_pages
        self._kept: dict[int, dict[str, tuple[str, str]]] = {}

    async def load_near(self, number: int) -> None:
        """Load what is near a page."""
        near = [one for one in (number - 1, number, number + 1) if 1 <= one <= self._pages]
        self._kept = {one: self._kept[one] if one in self._kept else await self._load(one) for one in near}

    def on(self, page: CustomerPage) -> PageList:
        """A page with what its customers left in the run before."""
        left = {identity: pair for found in self._kept.values() for identity, pair in found.items()}
        listed = (Listed(item.id, item.name, item.domain, *left.get(item.id, ("", ""))) for item in page.customers)
        return PageList(tuple(listed), page.unreadable)

    async def _load(self, number: int) -> dict[str, tuple[str, str]]:
        page, done = await self._app.sync.runs.page(self._before, number)
        pairs = done.prints if done is not None else ()
        return {item.id: pair for item, pair in zip(page.customers, pairs, strict=False)}


async def _read(app: App, held: Held, pace: Pace, stop_at: datetime) -> None:
    run = held.run
    if run.round_is_over:
        wait = app.times.retry_max if run.again else app.times.retry
        after = run.after_round(app.now() + wait)
        await held.save(after)
        if after.not_before is not None:
            raise StandStill(after.not_before, f"{run.counts.unread} customers could not be read")
        return
    await read_page(app, held, pace, stop_at)


async def _finish(app: App, held: Held) -> None:
    """Mark what was not seen, where every customer was; then end, and forget what no run needs any more."""
    run = held.run
    complete = run.counts.unread == 0
    if complete:
        held.run = replace(run, counts=run.counts.plus(await mark_missing(app, run)))
    await asyncio.gather(
        held.end(Ending.COMPLETE if complete else Ending.INCOMPLETE),
        app.sync.runs.forget_pages(run.before, run.before_pages),
        _forget_runs(app),
    )


async def _forget_runs(app: App) -> None:
    for old in (await app.sync.runs.ended())[_RUNS_KEPT:]:
        await app.sync.runs.forget_run(old.id)
