"""The wake timer: looks at what is due."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.invocation import timer as invocation
from shared import telemetry
from shared.usecases import wake as use_case

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_wake")
@blueprint.timer_trigger(schedule="%WAKE_SCHEDULE%", arg_name="timer", run_on_startup=False, use_monitor=False)
async def timer_wake(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Ask of every due alarm what its operation needs now."""
    async with invocation("timer_wake") as app:
        counts = await use_case.wake(app)
        if counts:
            telemetry.tell(log, "wake", counts=dict(counts))
