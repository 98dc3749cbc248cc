"""The wake timer: every due alarm asks one question, "what does this operation need now?".

This one function is the outbox, the retry scheduler, the poller of what Microsoft is still working on, and the
recovery after a crash (ADR 0002).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import datetime
from enum import StrEnum

from shared import telemetry
from shared.domain.desk_jobs import Resubmission
from shared.domain.errors import CspError
from shared.domain.operation import Kind, Operation
from shared.domain.reconciliation import Reconciliation
from shared.storage import keys
from shared.storage.alarms import Alarm
from shared.storage.ledger import Changes
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases import microsoft, migrating, migration_schedules, upgrading
from shared.usecases.app import App
from shared.usecases.assignment import carry_out_mapping
from shared.usecases.bulk_work import wake_bulks
from shared.usecases.desk_work import desk_procedure
from shared.usecases.import_work import wake_imports
from shared.usecases.long_work import wake_long_work
from shared.usecases.placing import go_on
from shared.usecases.reconciling import reconcile_some
from shared.usecases.rest import come_to_rest, look_again, send_again, send_notice
from shared.usecases.resubmitting import resubmit_some

log = logging.getLogger(__name__)

_PER_SHARD = 200
_AT_ONCE = 8


class Need(StrEnum):
    """What an operation needs when its alarm is due."""

    MICROSOFT = "microsoft"
    MAPPING = "mapping"
    PLACE = "place"
    PUSH = "push"
    NOTICE = "notice"
    REST = "rest"


def need(operation: Operation) -> Need:
    """The one question, answered from the operation alone."""
    if not operation.settled_at_microsoft:
        return Need.MAPPING if operation.mapping is not None else Need.MICROSOFT
    if operation.unplaced is not None:
        return Need.PLACE
    if operation.pushable:
        return Need.PUSH
    return Need.NOTICE if operation.needs_notice else Need.REST


_JOBS = desk_procedure({Resubmission: resubmit_some, Reconciliation: reconcile_some})


async def wake(app: App) -> Counter[str]:
    """Look at all that is due: operations, bulks, imports, jobs of the desk. Says how often each need was met."""
    counts: Counter[str] = Counter()
    work = (wake_operations(app), wake_bulks(app), wake_imports(app), wake_long_work(app, _JOBS))
    for found in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(found, BaseException):
            raise found
        counts += found
    return counts


async def wake_operations(app: App) -> Counter[str]:
    """Look at the operations that are due; one failure does not stop the others."""
    counts: Counter[str] = Counter()
    gate = asyncio.Semaphore(_AT_ONCE)
    stop_at = app.now() + app.times.wake_budget

    async def one(alarm: Alarm) -> None:
        async with gate:
            if app.now() > stop_at:
                counts["left"] += 1  # the next run takes it first
                return
            try:
                counts[await handle(app, alarm)] += 1
            except WriteConflict:
                counts["conflict"] += 1  # somebody else is at it; the alarm stays
            except CspError as error:
                counts["failed"] += 1
                _failed(alarm, error, logging.WARNING)
            except Exception as error:  # noqa: BLE001 - one operation that fails must not keep the others from waking
                counts["failed"] += 1
                _failed(alarm, error, logging.ERROR)

    shards = await asyncio.gather(*(app.alarms.due(shard, app.now(), limit=_PER_SHARD) for shard in keys.ALARM_SHARDS))
    await asyncio.gather(*(one(alarm) for alarm in sorted((a for found in shards for a in found), key=_oldest)))
    return counts


def _failed(alarm: Alarm, error: Exception, level: int) -> None:
    address = alarm.address
    telemetry.tell(log, "alarm_failed", level=level, error=error, operation=str(address), customer=address.customer)


def _oldest(alarm: Alarm) -> datetime:
    return alarm.due


async def handle(app: App, alarm: Alarm) -> str:
    """Do what one alarm's operation needs."""
    stored = await app.ledger.operation(alarm.address)
    if stored is None:
        if app.now() > alarm.due + app.times.orphan:
            await app.alarms.clear(alarm.address, alarm.due)
        return "orphan"
    due = stored.value.alarm_due
    as_it_is = Changes([(stored, ())])
    if await app.alarms.clear_superseded(
        alarm.address, alarm.due, by=due, write_again=lambda: app.ledger.commit(alarm.address.customer, as_it_is)
    ):
        return "superseded"
    if due != alarm.due:
        stored = await look_again(app, stored, alarm.due)
    met = need(stored.value)
    about = {**telemetry.about(stored.value), "csp.need": met.value}
    with telemetry.span("wake", about, within=stored.value.traceparent):
        await _meet(app, met, stored)
    return met.value


async def _meet(app: App, met: Need, stored: Stored[Operation]) -> None:
    match met:
        case Need.MICROSOFT:
            await _settle(app, stored)
        case Need.MAPPING:
            await carry_out_mapping(app, stored)
        case Need.PLACE:
            await go_on(app, stored)
        case Need.PUSH:
            await send_again(app, stored)
        case Need.NOTICE:
            moved = await look_again(app, stored, app.now() + app.times.backoff(stored.value.attempt))
            await send_notice(app, moved)
        case Need.REST:
            await come_to_rest(app, stored)


async def _settle(app: App, stored: Stored[Operation]) -> None:
    """Settle the Partner Center leg in the way of its kind."""
    match stored.value.kind:
        case Kind.UPGRADE:
            await upgrading.settle(app, stored)
        case Kind.MIGRATE:
            await migrating.settle(app, stored)
        case Kind.SCHEDULE_MIGRATION | Kind.CANCEL_MIGRATION_SCHEDULE:
            await migration_schedules.settle(app, stored)
        case _:
            await microsoft.settle(app, stored)
