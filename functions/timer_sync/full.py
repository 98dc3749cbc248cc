"""The scheduled sync of all customers."""

from __future__ import annotations

import logging
from dataclasses import asdict

import azure.functions as func

from functions.invocation import timer as invocation
from shared import telemetry
from shared.usecases.sync import sync_all

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


@blueprint.function_name("timer_sync_all")
@blueprint.timer_trigger(schedule="%SYNC_SCHEDULE%", arg_name="timer", run_on_startup=False)
async def timer_sync_all(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
    """Read all customers and their subscriptions from Partner Center."""
    async with invocation("timer_sync_all") as app:
        telemetry.tell(log, "sync", counts=asdict(await sync_all(app)))
