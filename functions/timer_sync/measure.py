"""The gauges, set by a timer: whichever instance runs it, they are right and told once."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.invocation import timer as invocation
from shared import telemetry
from shared.usecases import measuring

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_metrics")
@blueprint.timer_trigger(schedule="%METRICS_SCHEDULE%", arg_name="timer", run_on_startup=False, use_monitor=False)
async def timer_metrics(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Measure what is open, dead, used up and ready."""
    async with invocation("timer_metrics") as app:
        found = await measuring.measure(app)
        measuring.record(found)
        away = sorted(name for name, healthy in found.ready.items() if not healthy)
        telemetry.tell(log, "measured", level=logging.WARNING if away else logging.INFO, away=away)
