"""The nightly reconciliation: started here, gone on with by the wake timer."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.invocation import timer as invocation
from shared import telemetry
from shared.usecases.reconciling import start

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_reconcile")
@blueprint.timer_trigger(schedule="%RECONCILE_SCHEDULE%", arg_name="timer", run_on_startup=False)
async def timer_reconcile(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Start a reconciliation where none is under way."""
    async with invocation("timer_reconcile") as app:
        telemetry.tell(log, "reconciliation", run=(await start(app, "csp-functions")).id)
