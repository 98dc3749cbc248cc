"""The sweep of the broker's dead-letter queue."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.invocation import timer as invocation
from shared import telemetry
from shared.usecases import dead_letters

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_sweep")
@blueprint.timer_trigger(schedule="%SWEEP_SCHEDULE%", arg_name="timer", run_on_startup=False)
async def timer_sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Remove copies of operations that are not dead any more."""
    async with invocation("timer_sweep") as app:
        telemetry.tell(log, "sweep", removed=await dead_letters.sweep(app))
