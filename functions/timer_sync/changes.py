"""The incremental sync, by its schedule."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.invocation import timer as invocation
from shared import telemetry
from shared.usecases.sync_changes import sync_changes

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_sync_changes")
@blueprint.timer_trigger(schedule="%SYNC_CHANGES_SCHEDULE%", arg_name="timer", run_on_startup=False)
async def timer_sync_changes(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Read the customers that Partner Center's audit records newly mention."""
    async with invocation("timer_sync_changes") as app:
        cursor = await sync_changes(app)
        if cursor is not None:  # else another instance is at it, or a full sync makes up for it
            counts = {name: getattr(cursor, name) for name in ("records", "customers", "detected", "failed")}
            telemetry.tell(log, "incremental_sync", counts=counts)
