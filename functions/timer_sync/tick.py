"""The sync's tick: goes on with an open full sync, and follows up what is due and what a webhook told of."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.invocation import timer as invocation
from functions.timer_sync.full import tell
from shared import telemetry
from shared.usecases.sync_due import follow_up
from shared.usecases.sync_full import go_on

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_sync_tick")
@blueprint.timer_trigger(schedule="%SYNC_TICK_SCHEDULE%", arg_name="timer", run_on_startup=False, use_monitor=False)
async def timer_sync_tick(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Work on what is open, for one budget."""
    async with invocation("timer_sync_tick") as app:
        counts = await follow_up(app)
        if counts:
            telemetry.tell(log, "sync_tick", counts=dict(counts))
        tell(await go_on(app))
