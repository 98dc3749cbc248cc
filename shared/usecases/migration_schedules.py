"""Migrations that Microsoft shall carry out later: schedule one, change it, cancel it; each an operation of its own.

A schedule carries our reference, so an answer that got lost is settled by a query. To replace a schedule and to cancel
it do no harm when repeated.
"""

from __future__ import annotations

from dataclasses import replace

from shared.domain.migration import MigrationSchedule, ScheduleRequest, ScheduleStatus
from shared.domain.operation import Operation, PartnerStatus
from shared.domain.outcomes import (
    AlreadyMigrating,
    CancelScheduleOutcome,
    ChangeRefused,
    ScheduleCancelled,
    Scheduled,
    ScheduleOutcome,
)
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.microsoft import ended
from shared.usecases.migrating import job_of, request_of
from shared.usecases.rest import look_again
from shared.usecases.settling import (
    about_to_send,
    answered,
    called,
    gave_up,
    may_be_looked_at,
    not_taken,
    quiet_until,
    settle_as,
    until,
)


async def call(
    app: App, stored: Stored[Operation]
) -> tuple[Stored[Operation], ScheduleOutcome | CancelScheduleOutcome]:
    """Ask Microsoft for the schedule, its change, or its end, and store what came of it."""
    operation = stored.value
    deadline = until(app, operation)
    outcome: ScheduleOutcome | CancelScheduleOutcome
    address, job = operation.address, job_of(operation)
    key = operation.partner_center.request_id
    request = ScheduleRequest(request_of(address.subscription, job), job.at)
    if job.microsoft_id is not None and job.cancels:
        outcome = await app.migrations.cancel_migration_schedule(
            address.customer, job.microsoft_id, request_id=key, deadline=deadline
        )
    elif job.microsoft_id is not None:
        outcome = await app.migrations.change_migration_schedule(
            address.customer, job.microsoft_id, request, request_id=key, deadline=deadline
        )
    else:
        outcome = await app.migrations.schedule_migration(address.customer, request, request_id=key, deadline=deadline)
    stored = called(stored, deadline)
    match outcome:
        case Scheduled(schedule):
            stored = await _scheduled(app, stored, schedule)
        case ScheduleCancelled():
            stored = await settle_as(app, stored, PartnerStatus.APPLIED)
        case AlreadyMigrating(text):
            why = text or "Microsoft has a schedule or a migration of this subscription already."
            stored = await settle_as(app, stored, PartnerStatus.REFUSED, code="already_migrating", text=why)
        case ChangeRefused(status, code, text):
            stored = await settle_as(app, stored, PartnerStatus.REFUSED, code=code or str(status), text=text)
        case _:
            stored = await not_taken(app, stored, outcome)
    return stored, outcome


async def _scheduled(app: App, stored: Stored[Operation], schedule: MigrationSchedule) -> Stored[Operation]:
    job = replace(job_of(stored.value), microsoft_id=schedule.id)
    done = Stored(replace(stored.value, migration=job), stored.etag)
    return await settle_as(app, done, PartnerStatus.APPLIED)


async def settle(app: App, stored: Stored[Operation]) -> None:
    """Settle an open one by the list of schedules; called by the operation's alarm."""
    if not await may_be_looked_at(app, stored):
        return
    address, job = stored.value.address, job_of(stored.value)
    question = app.migrations.migration_schedules(address.customer, subscription=address.subscription)
    schedules = await answered(app, stored, question)
    if schedules is None:
        return
    own = next((each for each in schedules if each.id == job.microsoft_id), None)
    ours = next((each for each in schedules if each.external_reference == job.reference), None)
    if job.cancels and own is not None and own.status is ScheduleStatus.CANCELLED:
        await ended(app, await settle_as(app, stored, PartnerStatus.APPLIED))
    elif job.microsoft_id is None and ours is not None:
        await ended(app, await _scheduled(app, stored, ours))
    elif app.now() < quiet_until(app, stored.value):
        await look_again(app, stored, quiet_until(app, stored.value))
    elif gave_up(app, stored.value):
        text = "Partner Center gave no clear answer for too long."
        refused = await settle_as(app, stored, PartnerStatus.REFUSED, code="partner_center_unavailable", text=text)
        await ended(app, refused)
    else:
        stored, _ = await call(app, await about_to_send(app, stored))
        if stored.value.settled_at_microsoft:
            await ended(app, stored)
