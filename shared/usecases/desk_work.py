"""Jobs of the desk: stored once under the caller's key, and worked off as long work, each type in its own way."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from shared.domain.desk_jobs import Failure, Job
from shared.domain.errors import Conflict, Refused
from shared.domain.long_work import CRASH_LOOP, WorkKind
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.long_work import Claim, Next, Procedure

_LONGEST = timedelta(minutes=3)  # more than the longest step between two looks at the clock
_NAMES = uuid.UUID("6f2a4f0e-6d0b-4d52-9c5c-0c3c1b7b5a11")  # of ids that follow from a caller's key

J = TypeVar("J", bound=Job)
Stints = Mapping[type[Job], Callable[[App, Any], Awaitable[Next]]]  # each takes the claim of its own type


def job_id(row_key: str) -> str:
    """The id of the job that an idempotency key stands for."""
    return str(uuid.uuid5(_NAMES, row_key))


async def take_in(app: App, job: J, kind: type[J]) -> J:
    """Store a job once, whatever happens in between: its alarm, then its row. Raises Refused (key used otherwise)."""
    used = await app.desk.job_of(kind, job.id)
    if used is None:
        await app.alarms.set(job.address, job.alarm_due)
        try:
            return (await app.desk.add(job)).value
        except WriteConflict:
            used = await app.desk.job_of(kind, job.id)
    if used is None:
        raise Conflict("The request was made twice at the same moment.")
    if used.value.request_hash != job.request_hash:
        raise Refused("idempotency_key_reused", "This Idempotency-Key was used with another body.", status=422)
    return used.value


def desk_procedure(stints: Stints) -> Procedure[Job]:
    """How jobs are worked off, by the stints of their types."""

    async def stint(app: App, claim: Claim[Job]) -> Next:
        return await stints[type(claim.work)](app, claim)

    return Procedure(WorkKind.JOB, lambda app: app.desk, stint, _give_up, lambda _: _LONGEST)


async def _give_up(_: App, claim: Claim[Job]) -> Next:
    """Say that it killed whoever worked on it; what it has done stays done."""
    problem = Failure("job", *CRASH_LOOP)
    await claim.save(replace(claim.work, problems=(*claim.work.problems, problem)))
    return None
