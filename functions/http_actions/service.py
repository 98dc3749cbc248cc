"""Health: `live` touches nothing and needs no token; `ready` asks each dependency by name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import azure.functions as func

from functions.http_actions.endpoint import Answer, Call, endpoint, respond
from shared.domain.errors import CspError
from shared.identity import Role
from shared.usecases.app import App

blueprint = func.Blueprint()

_SECONDS = 10
_STOPPABLE = {"partnerCenter": "partner_center", "autotask": "autotask"}


@blueprint.function_name("live")
@blueprint.route(route="health/live", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def live(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding's name
    """The process answers."""
    return respond(Answer({"status": "live"}))


@blueprint.function_name("ready")
@blueprint.route(route="health/ready", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ)
async def ready(call: Call) -> Answer:
    """Each dependency with its state, and until when calls to it are stopped; 503 where one does not answer."""
    app = call.app
    checks = {
        "tableStorage": app.ledger.head("ready", "ready"),
        "partnerCenter": anext(app.partner_center.customers(), []),
        "autotask": app.autotask.threshold(),
        "serviceBus": app.queue.dead_letters(1),
    }
    states = dict(zip(checks, await asyncio.gather(*(_check(check) for check in checks.values())), strict=True))
    for name, vendor in _STOPPABLE.items():
        states[name] |= await _stop(app, vendor)
    healthy = all(state["healthy"] for state in states.values())
    return Answer({"status": "ready" if healthy else "not_ready", "dependencies": states}, 200 if healthy else 503)


async def _stop(app: App, vendor: str) -> dict[str, Any]:
    """The stop of a vendor that lasts, with its reason; readiness without table storage tells no stop."""
    try:
        found = await app.coordination.stopped_until(vendor)
    except CspError:
        return {}
    if found is None or found[0] <= app.now():
        return {}
    return {"stoppedUntil": found[0].isoformat(), "stoppedBecause": found[1]}


async def _check(check: Awaitable[Any]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_SECONDS):
            await check
    except TimeoutError:
        return {"healthy": False, "reason": f"no answer within {_SECONDS} seconds"}
    except CspError as error:
        return {"healthy": False, "reason": str(error)}
    return {"healthy": True}
