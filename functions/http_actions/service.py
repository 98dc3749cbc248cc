"""Health: `live` touches nothing and needs no token; `ready` asks each dependency by name."""

from __future__ import annotations

import azure.functions as func

from functions.http_actions.answers.service import Live, Ready
from functions.http_actions.declared import Declared, declares
from functions.http_actions.endpoint import Answer, Call, endpoint, respond
from shared.identity import Role
from shared.usecases.readiness import State, readiness

blueprint = func.Blueprint()


@blueprint.function_name("live")
@blueprint.route(route="health/live", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@declares(Declared(Live))
async def live(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding's name
    """The process answers."""
    return respond(Answer({"status": "live"}))


@blueprint.function_name("ready")
@blueprint.route(route="health/ready", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, {200: Ready, 503: Ready})
async def ready(call: Call) -> Answer:
    """Each dependency with its state, and until when calls to it are stopped; 503 where one does not answer."""
    found = await readiness(call.app)
    states = {name: _shown(state) for name, state in found.states.items()}
    word = "ready" if found.healthy else "not_ready"
    return Answer({"status": word, "dependencies": states}, 200 if found.healthy else 503)


def _shown(state: State) -> dict[str, object]:
    shown: dict[str, object] = {"healthy": state.healthy}
    if state.reason:
        shown["reason"] = state.reason
    if state.stopped is not None:
        until, reason = state.stopped
        shown |= {"stoppedUntil": until.isoformat(), "stoppedBecause": reason}
    return shown
