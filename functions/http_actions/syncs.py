"""The syncs on demand: a full sync with its progress, and one customer now."""

from __future__ import annotations

from typing import Any

import azure.functions as func

from functions.http_actions import sync_representations as show
from functions.http_actions.answers import service as answers
from functions.http_actions.answers.operations import Looked
from functions.http_actions.endpoint import Answer, Call, NoChoices, endpoint
from functions.http_actions.problems import BadRequest
from shared.domain.sync_run import Run
from shared.identity import Role
from shared.usecases.sync import sync_customer
from shared.usecases.sync_full import begin

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS


@blueprint.function_name("start_sync")
@blueprint.route(route="sync/runs", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.OPERATE, {202: answers.SyncStarted}, body=NoChoices, headers=("Location", "Retry-After"))
async def start_sync(call: Call) -> Answer:
    """Start a full sync, or give the one that is open: 202; the tick works on it."""
    call.caller.reach.require_all()
    call.body(NoChoices)
    run, _ = await begin(call.app, "request", call.caller.id)
    shown = _shown(call, run)
    return Answer({"run": shown}, 202, {"Location": shown["links"]["self"], "Retry-After": "30"})


@blueprint.function_name("list_syncs")
@blueprint.route(route="sync/runs", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, answers.SyncRuns)
async def list_syncs(call: Call) -> Answer:
    """The open full sync and those that have ended, the newest first; and how the incremental sync went last."""
    call.caller.reach.require_all()
    state = await call.app.sync.runs.state()
    open_ones = [state.value.current] if state.value.current else []
    runs = [_shown(call, run) for run in [*open_ones, *await call.app.sync.runs.ended()]]
    cursor = await call.app.sync.audit.read()
    return Answer({"value": runs, "incremental": show.incremental(cursor.value, call.app.now()) if cursor else None})


@blueprint.function_name("get_sync")
@blueprint.route(route="sync/runs/{run}", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, answers.SyncRun)
async def get_sync(call: Call) -> Answer:
    """One full sync with its progress."""
    call.caller.reach.require_all()
    name = call.text("run")
    state = await call.app.sync.runs.state()
    open_ones = [state.value.current] if state.value.current else []
    for run in [*open_ones, *await call.app.sync.runs.ended()]:
        if run.id == name:
            return Answer(_shown(call, run))
    raise BadRequest("sync_run_not_found", f"There is no full sync {name[:64]}.", status=404)


@blueprint.function_name("sync_customer")
@blueprint.route(route="customers/{customer}/sync", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.OPERATE, Looked, body=NoChoices)
async def sync_one_customer(call: Call) -> Answer:
    """Read all subscriptions of a customer from Partner Center now; what changed."""
    call.body(NoChoices)
    return Answer(show.looked(await sync_customer(call.app, call.guid("customer"))))


def _shown(call: Call, run: Run) -> dict[str, Any]:
    return show.run(run, call.app.now(), call.app.policy.per_minute)
