"""Jobs of the desk: stored under the caller's key, claimed by their alarm, worked off in stints, finished once.

    claim (alarm and row move on) ─▶ stint: some more of it, the cursor stored ─▶ next claim, or the end

A claim is the job's alarm, moved to when somebody else shall go on; whoever wakes up after it begins nothing more.
What is done twice must do no harm: each kind says why it does not.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from shared import telemetry
from shared.domain.desk_jobs import Failure, Job
from shared.domain.errors import Conflict, CspError, Misconfigured, Refused, RetryLater
from shared.domain.operation import CRASH_LIMIT
from shared.storage.alarms import JobAlarm
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App

log = logging.getLogger(__name__)

_ALARMS = 20
_STINT = timedelta(seconds=20)  # of one run of the wake timer, which has other work too
_CLAIM = timedelta(minutes=3)  # longer than the longest step between two looks at the clock
_NAMES = uuid.UUID("6f2a4f0e-6d0b-4d52-9c5c-0c3c1b7b5a11")  # of ids that follow from a caller's key

J = TypeVar("J", bound=Job)
Stint = Callable[
    [App, Any, datetime], Awaitable[Stored[Any]]
]  # a job of its own kind, until when, and what became of it
Stints = Mapping[type[Job], Stint]


def job_id(row_key: str) -> str:
    """The id of the job that an idempotency key stands for."""
    return str(uuid.uuid5(_NAMES, row_key))


async def take_in(app: App, job: J, kind: type[J]) -> J:
    """Store a job once, whatever happens in between: its alarm, then its row. Raises Refused (key used otherwise)."""
    used = await app.desk.job_of(kind, job.id)
    if used is None:
        await app.alarms.set_job(job.id, job.alarm_due)
        try:
            return (await app.desk.add(job)).value
        except WriteConflict:
            used = await app.desk.job_of(kind, job.id)
    if used is None:
        raise Conflict("The request was made twice at the same moment.")
    if used.value.request_hash != job.request_hash:
        raise Refused("idempotency_key_reused", "This Idempotency-Key was used with another body.", status=422)
    return used.value


async def wake_jobs(app: App, stints: Stints) -> Counter[str]:
    """Work on the jobs that are due, the longest waiting first. One failure does not stop the others."""
    counts: Counter[str] = Counter()
    stop_at = app.now() + _STINT
    for alarm in await app.alarms.due_jobs(app.now(), limit=_ALARMS):
        if app.now() >= stop_at:
            break
        try:
            counts[await handle(app, alarm, stints, stop_at)] += 1
        except WriteConflict:
            counts["conflict"] += 1  # somebody else is at it
        except Exception as error:  # noqa: BLE001 - one job that fails must not keep the others from waking
            counts["failed"] += 1
            level = logging.WARNING if isinstance(error, CspError) else logging.ERROR
            telemetry.tell(log, "job_failed", level=level, error=error, job=alarm.job)
    return counts


async def handle(app: App, alarm: JobAlarm, stints: Stints, stop_at: datetime) -> str:
    """Do what one alarm's job needs."""
    stored = await app.desk.job(alarm.job)
    if stored is None:
        if app.now() > alarm.due + app.times.orphan:
            await app.alarms.clear_job(alarm.job, alarm.due)
        return "job_orphan"
    job = stored.value
    superseded = job.alarm_due != alarm.due and await app.alarms.job_exists(job.id, job.alarm_due)
    if superseded:
        await app.desk.save(stored)  # makes a mover late who has set this alarm and not stored it: none is lost
    if superseded or job.finished_at is not None:
        await app.alarms.clear_job(job.id, alarm.due)
        return "job_rest"
    await work(app, Stored(replace(job, alarm_due=alarm.due), stored.etag), stints[type(job)], stop_at)
    return "job"


async def work(app: App, stored: Stored[Job], stint: Stint, stop_at: datetime) -> None:
    """One stint of a job. Raises WriteConflict where somebody else has claimed it."""
    if stored.value.begun >= CRASH_LIMIT:
        problem = Failure(
            "job", "crash_loop", f"It was begun {CRASH_LIMIT} times and never ended; the log has the cause."
        )
        await finish(app, Stored(replace(stored.value, problems=(*stored.value.problems, problem)), stored.etag))
        return
    stored = await _claim(app, replace(stored.value, begun=stored.value.begun + 1), stored.etag, app.now() + _CLAIM)
    try:
        stored = await stint(app, stored, min(stop_at, stored.value.alarm_due))
    except (RetryLater, Misconfigured) as error:
        await _pause(app, stored.value.id, error)
        return
    if stored.value.finished_at is None:
        await _claim(app, replace(stored.value, begun=0, pauses=0, paused_because=""), stored.etag, app.now())


async def finish(app: App, stored: Stored[J]) -> Stored[J]:
    """The job is over; its alarm goes after the row is at rest."""
    done = replace(stored.value, finished_at=app.now(), begun=0, paused_because="")
    stored = await app.desk.save(Stored(done, stored.etag))
    await app.alarms.clear_job(done.id, done.alarm_due)
    return stored


async def _pause(app: App, identity: str, error: RetryLater | Misconfigured) -> None:
    """A vendor is away or does not let us in: the job says so and waits."""
    stored = await app.desk.job(identity)
    if stored is None:
        return
    asked = error.after if isinstance(error, RetryLater) else app.times.misconfigured
    until = app.now() + (asked or app.times.backoff(stored.value.pauses))
    paused = replace(stored.value, begun=0, pauses=stored.value.pauses + 1, paused_because=error.reason)
    await _claim(app, paused, stored.etag, until)


async def _claim(app: App, job: Job, etag: str | None, due: datetime) -> Stored[Job]:
    """Exchange the job's alarm for another and store the job. Raises WriteConflict."""
    await app.alarms.set_job(job.id, due)
    stored = await app.desk.save(Stored(replace(job, alarm_due=due), etag))
    if job.alarm_due != due:
        await app.alarms.clear_job(job.id, job.alarm_due)
    return stored
