"""Health: `live` touches nothing and needs no token; `ready` asks each dependency by name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import azure.functions as func

from functions.http_actions.endpoint import Answer, Call, endpoint, respond
from shared.domain.errors import CspError, Misconfigured
from shared.identity import Role
from shared.usecases.app import App

blueprint = func.Blueprint()

_SECONDS = 10


@blueprint.function_name("live")
@blueprint.route(route="health/live", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def live(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding's name
    """The process answers."""
    return respond(Answer({"status": "live"}))


@blueprint.function_name("ready")
@blueprint.route(route="health/ready", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ)
async def ready(call: Call) -> Answer:
    """Each dependency with its state; 503 where one does not answer."""
    app = call.app
    checks = {
        "tableStorage": app.ledger.head("ready", "ready"),
        "partnerCenter": anext(app.partner_center.customers(), []),
        "autotask": app.autotask.threshold(),
        "serviceBus": app.queue.dead_letters(1),
        "fullSync": _full_sync(app),
    }
    states = dict(zip(checks, await asyncio.gather(*(_check(check) for check in checks.values())), strict=True))
    healthy = all(state["healthy"] for state in states.values())
    return Answer({"status": "ready" if healthy else "not_ready", "dependencies": states}, 200 if healthy else 503)


async def _full_sync(app: App) -> None:
    """A full sync that needs a person. Raises Misconfigured."""
    run = (await app.sync.runs.state()).value.current
    if run is not None and run.stopped:
        raise Misconfigured(f"the full sync has stopped: {run.problem}")


async def _check(check: Awaitable[Any]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_SECONDS):
            await check
    except TimeoutError:
        return {"healthy": False, "reason": f"no answer within {_SECONDS} seconds"}
    except CspError as error:
        return {"healthy": False, "reason": str(error)}
    return {"healthy": True}
