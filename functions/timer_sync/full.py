"""The full sync: started by its schedule, gone on with by the tick."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

import azure.functions as func

from functions.invocation import timer as invocation
from shared import telemetry
from shared.domain.sync_run import Run
from shared.usecases.sync_full import go_on

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_sync_all")
@blueprint.timer_trigger(schedule="%SYNC_SCHEDULE%", arg_name="timer", run_on_startup=False)
async def timer_sync_all(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Start a full sync where none is open, and work on it for one budget."""
    async with invocation("timer_sync_all") as app:
        tell(await go_on(app, start=("schedule", "csp-functions")))


def tell(run: Run | None) -> None:
    """Log how far a full sync is; one that is worked on elsewhere, or has to wait, is not ours to tell of."""
    if run is not None:
        fields: dict[str, Any] = {"run": run.id, "phase": run.phase, "ending": run.ending, "counts": asdict(run.counts)}
        telemetry.tell(log, "full_sync", **fields)
