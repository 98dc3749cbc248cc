"""Re-submit many dead letters: all that a filter means, in one stored job.

The index of dead letters is walked in its order and each one is re-submitted as a single one is. One that died after
the request is not meant, so that what dies again at once is not sent for ever; one that is sent twice is sent once,
because after the first time it is not dead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.domain.desk_jobs import DeadLetterFilter, Failure, Resubmission
from shared.domain.errors import Refused
from shared.domain.operation import Address, Operation
from shared.domain.planning import DriftPolicy
from shared.storage import keys
from shared.storage.read_models import DeadLetterView
from shared.storage.store import Scalar
from shared.usecases.app import App
from shared.usecases.dead_letters import resubmit
from shared.usecases.desk_work import job_id, take_in
from shared.usecases.long_work import Claim, Next

_PAGE = 50


@dataclass(frozen=True, slots=True)
class ResubmissionRequest:
    """One request of a portal; `request_hash` covers the body."""

    caller: str
    idempotency_key: str
    target: str
    request_hash: str
    wanted: DeadLetterFilter
    policy: DriftPolicy | None
    reason: str


async def take_in_resubmission(app: App, request: ResubmissionRequest) -> Resubmission:
    """Store the request; what is dead at this moment is meant. Raises Refused, Conflict."""
    now = app.now()
    until = min(request.wanted.until or now, now)
    job = Resubmission(
        id=job_id(keys.idempotency(request.caller, request.target, request.idempotency_key)),
        requested_at=now,
        requested_by=request.caller,
        request_hash=request.request_hash,
        alarm_due=now,
        wanted=replace(request.wanted, until=until),
        policy=request.policy,
        reason=request.reason,
    )
    return await take_in(app, job, Resubmission)


async def resubmit_some(app: App, claim: Claim[Resubmission]) -> Next:
    """One stint: go on along the index until it ends or time is over."""
    while app.now() < claim.stop_at:
        views = await app.views.dead_letters_after(claim.work.cursor or None, _PAGE)
        for view in views:
            if app.now() >= claim.stop_at:
                return app.now()
            done = await _one(app, claim.work, view) if _meant(claim.work.wanted, view) else claim.work
            await claim.save(replace(done, cursor=view.operation))
        if len(views) < _PAGE:
            return None
    return app.now()


async def _one(app: App, job: Resubmission, view: DeadLetterView) -> Resubmission:
    address = Address.parse(view.operation)
    found = await app.ledger.operation(address)
    if found is None or not found.value.dead:
        await app.views.remove_dead_letter(address)
        return replace(job, skipped=job.skipped + 1)
    try:
        await resubmit(app, address, job.requested_by, why=job.reason, policy=job.policy)
    except Refused as error:
        return job.with_problem(Failure(view.operation, error.code, error.sentence))
    return replace(job, resubmitted=job.resubmitted + 1)


def _meant(wanted: DeadLetterFilter, view: DeadLetterView) -> bool:
    return wanted.covers(Address.parse(view.operation).customer, view.code, view.died_at)


async def dead_letters(
    app: App, wanted: DeadLetterFilter, customer: str | None, size: int, mark: str | None
) -> tuple[list[DeadLetterView], str | None]:
    """A page of the index that a filter means, of one customer or all."""
    named = {"code": wanted.code, "customer": customer}
    equals: dict[str, Scalar] = {name: value for name, value in named.items() if value}
    found: list[DeadLetterView] = []
    while True:
        views, mark = await app.views.dead_letters(equals, size - len(found), mark)
        found += [view for view in views if _meant(wanted, view)]
        if mark is None or len(found) == size:
            return found, mark


async def operations_of(app: App, views: list[DeadLetterView]) -> list[Operation]:
    """The operations that index entries name, as far as they are dead still."""
    found = []
    for view in views:
        stored = await app.ledger.operation(Address.parse(view.operation))
        if stored is not None and stored.value.dead:
            found.append(stored.value)
    return found
