"""The tickets in Autotask: opened for dead letters where a setting says so, closed for what is healed."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.invocation import timer as invocation
from shared import telemetry
from shared.usecases.ticketing import keep_tickets

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_tickets")
@blueprint.timer_trigger(schedule="%TICKETS_SCHEDULE%", arg_name="timer", run_on_startup=False, use_monitor=False)
async def timer_tickets(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Bring the tickets up to date."""
    async with invocation("timer_tickets") as app:
        counts = await keep_tickets(app)
        if counts:
            telemetry.tell(log, "tickets", counts=dict(counts))
