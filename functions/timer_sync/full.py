"""The full sync: started by its schedule, gone on with by the tick."""

from __future__ import annotations

import logging

import azure.functions as func

from shared.usecases.sync_full import go_on
from shared.wiring import services

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_sync_all")
@blueprint.timer_trigger(schedule="%SYNC_SCHEDULE%", arg_name="timer", run_on_startup=False)
async def timer_sync_all(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Start a full sync where none is open, and work on it for one budget."""
    run = await go_on((await services()).app, start=("schedule", "csp-functions"))
    log.info("full sync %s", f"{run.id} {run.phase} {run.counts}" if run else "is worked on or has to wait")
