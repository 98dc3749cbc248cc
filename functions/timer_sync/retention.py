"""Retention, by its schedule."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.invocation import timer as invocation
from shared import telemetry
from shared.usecases.retention import prune

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_retention")
@blueprint.timer_trigger(schedule="%RETENTION_SCHEDULE%", arg_name="timer", run_on_startup=False)
async def timer_retention(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Remove what may go by the configuration, for one budget."""
    async with invocation("timer_retention") as app:
        pruned = await prune(app)
        telemetry.tell(log, "retention", counts=dict(pruned.counts), complete=pruned.complete)
