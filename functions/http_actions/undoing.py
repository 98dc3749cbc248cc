"""Undo an operation on the bill: what that would do, and the operation that does it."""

from __future__ import annotations

from typing import Annotated

import azure.functions as func
from pydantic import Field

from functions.http_actions import desk as shape
from functions.http_actions import representations as show
from functions.http_actions.answers import desk as answers
from functions.http_actions.answers.operations import Decided
from functions.http_actions.endpoint import Answer, Body, Call, endpoint
from functions.http_actions.operations import address_of
from shared.identity import Role
from shared.usecases import undo as use_case

blueprint = func.Blueprint()

_ROUTE = "operations/{operation}/undo"
_REFUSES = (
    "not_pushed",
    "operation_in_progress",
    "adopted_since",
    "nothing_to_undo",
    "line_changed",
    "history_incomplete",
)


class UndoBody(Body):
    """An undo has to be confirmed, and says why."""

    confirm: bool = False
    reason: Annotated[str, Field(max_length=1000)] = ""


@blueprint.function_name("preview_undo")
@blueprint.route(route=_ROUTE, methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.UndoPreview, refuses=_REFUSES)
async def preview_undo(call: Call) -> Answer:
    """What an undo would change on the bill, with its dates and money; nothing is done."""
    found = await use_case.undo_preview(call.app, address_of(call))
    return Answer(
        {
            "operation": show.operation(found.operation),
            "lines": [shape.outlook(line) for line in found.lines],
            "laterOperations": [str(address) for address in found.later],
            "warnings": [{"code": code, "sentence": sentence} for code, sentence in found.warnings],
        }
    )


@blueprint.function_name("undo_operation")
@blueprint.route(route=_ROUTE, methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(
    Role.DEAD_LETTERS,
    {200: Decided, 202: Decided},
    body=UndoBody,
    keyed=True,
    refuses=(*_REFUSES, "confirmation_required"),
)
async def undo_operation(call: Call) -> Answer:
    """Take back what an operation did to the bill, by an operation of its own."""
    body, request_hash = call.body(UndoBody)
    operation = await use_case.undo(
        call.app,
        use_case.UndoRequest(
            address=address_of(call),
            caller=call.caller.id,
            idempotency_key=call.idempotency_key(),
            target=call.target,
            request_hash=request_hash,
            confirmed=body.confirm,
            reason=body.reason,
        ),
    )
    where = {"Operation-Location": f"/api/operations/{operation.address}"}
    return Answer({"operation": show.operation(operation)}, 200 if operation.at_rest else 202, where)
