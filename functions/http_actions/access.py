"""Access: which customers a caller may see and act on, where that is not all of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import azure.functions as func
from pydantic import Field

from functions.http_actions.answers import service as answers
from functions.http_actions.endpoint import GUID, Answer, Body, Call, Guid, Paged, endpoint
from functions.http_actions.problems import BadRequest
from functions.http_actions.representations import moment
from shared.identity import Role
from shared.storage.grants import MOST_CUSTOMERS, Grant, GrantChange
from shared.usecases import access as use_cases

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS


class AccessBody(Body):
    """The customers that the caller may see, or all of them, and why."""

    customers: Literal["all"] | Annotated[list[Guid], Field(max_length=MOST_CUSTOMERS)]
    note: Annotated[str, Field(max_length=200)] = ""


@blueprint.function_name("list_access")
@blueprint.route(route="access", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.ACCESS, answers.Grants, query=Paged)
async def list_access(call: Call) -> Answer:
    """Every caller with a grant of its own; `default` is what all others see."""
    grants, following = await call.access.grants.page(*call.page())
    answer = call.listing([_shown(grant) for grant in grants], following)
    answer.body["default"] = call.access.default
    return answer


@blueprint.function_name("get_access")
@blueprint.route(route="access/{caller}", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.ACCESS, answers.GrantWithHistory)
async def get_access(call: Call) -> Answer:
    """One caller's grant and its history."""
    stored = await use_cases.find_grant(call.access.grants, _caller(call))
    changes = await call.access.grants.changes(stored.value.caller)
    return Answer({**_shown(stored.value), "history": [_change(change) for change in changes]})


@blueprint.function_name("put_access")
@blueprint.route(route="access/{caller}", methods=["PUT"], auth_level=_ANONYMOUS)
@endpoint(Role.ACCESS, answers.Grant, body=AccessBody)
async def put_access(call: Call) -> Answer:
    """Let a caller see these customers and no other, or all of them."""
    body, _ = call.body(AccessBody)
    customers = None if body.customers == "all" else body.customers
    caller = _caller(call)
    grant = await use_cases.give(
        call.access.grants, caller, customers, note=body.note, by=call.caller.id, now=call.app.now()
    )
    call.access.forget(caller)
    return Answer(_shown(grant))


@blueprint.function_name("delete_access")
@blueprint.route(route="access/{caller}", methods=["DELETE"], auth_level=_ANONYMOUS)
@endpoint(Role.ACCESS, {204: None})
async def delete_access(call: Call) -> Answer:
    """Take a caller's grant away; the default holds for it again."""
    caller = _caller(call)
    await use_cases.take_away(call.access.grants, caller, by=call.caller.id, now=call.app.now())
    call.access.forget(caller)
    return Answer(None, 204)


def _caller(call: Call) -> str:
    caller = call.text("caller").lower()
    if not GUID.fullmatch(caller):
        raise BadRequest("access_not_found", "A caller is named by its object id in Entra ID, a GUID.", status=404)
    return caller


def _shown(grant: Grant) -> dict[str, Any]:
    return {
        "callerId": grant.caller,
        "customers": "all" if grant.all_customers else list(grant.customers),
        "note": grant.note,
        "changedAt": moment(grant.changed_at),
        "changedBy": grant.changed_by,
    }


def _change(change: GrantChange) -> dict[str, Any]:
    granted = change.grant
    customers = None if granted is None else "all" if granted.all_customers else list(granted.customers)
    return {"at": moment(change.at), "by": change.by, "customers": customers}
