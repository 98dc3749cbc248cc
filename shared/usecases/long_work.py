"""Work off long work: a worker claims it by its alarm, does a stint of it, and gives it back or ends it.

    claim (alarm and row move on) ─▶ stint: as much as time allows, stored as it goes ─▶ next alarm, a pause, or the end

A claim is the alarm, moved to when somebody else shall go on; whoever wakes up after it begins nothing more. Each kind
brings its rows and its stint (`Procedure`), and says why what is done twice after a crash does no harm.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from shared import telemetry
from shared.domain.errors import CspError, Misconfigured, RetryLater
from shared.domain.long_work import LongWork, Pause, WorkKind
from shared.storage.alarms import WorkAlarm
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App

log = logging.getLogger(__name__)

_ALARMS = 50
_STINT = timedelta(seconds=20)  # of one run of the wake timer, which has other work too

W = TypeVar("W", bound=LongWork)
Next = Pause | datetime | None  # after a stint: all of it waits, it goes on at a moment, or nothing is left


class Rows(Protocol[W]):
    """The repository of a kind."""

    async def get(self, identity: str) -> Stored[W] | None:
        """One piece of work."""

    async def save(self, stored: Stored[W]) -> Stored[W]:
        """Replace one that was read. Raises WriteConflict."""


class Claim(Generic[W]):
    """Work that a worker has to himself: the row as he stored it last, and the moment from which he begins no more."""

    def __init__(self, rows: Rows[W], stored: Stored[W], stop_at: datetime) -> None:
        self._rows = rows
        self._stored = stored
        self.stop_at = stop_at

    @property
    def work(self) -> W:
        """The work as it was stored last."""
        return self._stored.value

    async def save(self, work: W) -> None:
        """Store how far it has come. Raises WriteConflict where somebody else has claimed it."""
        self._stored = await self._rows.save(Stored(work, self._stored.etag))


async def _nothing_else(_app: App, _identity: str) -> None:
    """A kind whose work is one row."""


@dataclass(frozen=True, slots=True)
class Procedure(Generic[W]):
    """What is a kind's own: its rows, a stint, and what becomes of work that is hopeless.

    `longest` is the most time that what a stint began last may take; `forget` removes what lies beside a row that never
    came to be. A stint may raise RetryLater or Misconfigured: the work pauses.
    """

    kind: WorkKind
    rows: Callable[[App], Rows[W]]
    stint: Callable[[App, Claim[W]], Awaitable[Next]]
    give_up: Callable[[App, Claim[W]], Awaitable[Next]]
    longest: Callable[[App], timedelta]
    forget: Callable[[App, str], Awaitable[None]] = _nothing_else


async def wake_long_work(app: App, procedure: Procedure[W]) -> Counter[str]:
    """Work off what is due of a kind, the longest waiting first. One failure does not stop the others."""
    counts: Counter[str] = Counter()
    stop_at = app.now() + _STINT
    for alarm in await app.alarms.due_work(procedure.kind, app.now(), limit=_ALARMS):
        if app.now() >= stop_at:
            break
        try:
            counts[await _handle(app, procedure, alarm, stop_at)] += 1
        except WriteConflict:
            counts["conflict"] += 1  # somebody else is at it
        except Exception as error:  # noqa: BLE001 - work that cannot be handled must not keep the other from waking
            counts["failed"] += 1
            level = logging.WARNING if isinstance(error, CspError) else logging.ERROR
            about = {"kind": procedure.kind.value, "work": alarm.address.identity}
            telemetry.tell(log, "long_work_failed", level=level, error=error, **about)
    return counts


async def _handle(app: App, procedure: Procedure[W], alarm: WorkAlarm, stop_at: datetime) -> str:
    """Do what one alarm's work needs."""
    rows, name = procedure.rows(app), procedure.kind.value
    stored = await rows.get(alarm.address.identity)
    if stored is None:
        if app.now() > alarm.due + app.times.orphan:
            await procedure.forget(app, alarm.address.identity)
            await app.alarms.clear(alarm.address, alarm.due)
        return f"{name}_orphan"
    work = stored.value
    if work.finished_at is not None:
        await app.alarms.clear(alarm.address, alarm.due)
        return f"{name}_rest"
    if await app.alarms.clear_superseded(
        alarm.address, alarm.due, by=work.alarm_due, write_again=lambda: rows.save(stored)
    ):
        return f"{name}_rest"
    await _work(app, procedure, Claim(rows, Stored(replace(work, alarm_due=alarm.due), stored.etag), stop_at))
    return name


async def _work(app: App, procedure: Procedure[W], claim: Claim[W]) -> None:
    """One stint, counted before it is begun. Raises WriteConflict where somebody else has claimed the work."""
    stint = procedure.give_up if claim.work.hopeless(app.now()) else procedure.stint
    begun = replace(claim.work, begun=claim.work.begun + 1)
    await _move(app, claim, begun, max(app.now(), claim.stop_at) + procedure.longest(app))
    try:
        following = await stint(app, claim)
    except (RetryLater, Misconfigured) as error:
        following = pause(app, claim.work, error)
    ended = replace(claim.work, begun=0)
    match following:
        case Pause():
            await _move(app, claim, ended.paused(following), following.until)
        case datetime():
            await _move(app, claim, ended.resumed(), following)
        case None:
            await claim.save(ended.over(app.now()))
            await app.alarms.clear(ended.address, ended.alarm_due)  # only after the row is at rest


def pause(app: App, work: LongWork, error: RetryLater | Misconfigured) -> Pause:
    """How long work waits for a vendor that is away or does not let us in."""
    asked = error.after if isinstance(error, RetryLater) else app.times.misconfigured
    return Pause(app.now() + (asked or app.times.backoff(work.pauses)), error.reason)


async def _move(app: App, claim: Claim[W], work: W, due: datetime) -> None:
    """Exchange the alarm for another and store the work. Raises WriteConflict."""
    await app.alarms.set(work.address, due)
    await claim.save(replace(work, alarm_due=due))
    if work.alarm_due != due:
        await app.alarms.clear(work.address, work.alarm_due)
