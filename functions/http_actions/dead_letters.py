"""The dead letters: listed with their reasons, shown, re-submitted and dismissed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import azure.functions as func
from pydantic import Field

from functions.http_actions import representations as show
from functions.http_actions.answers import operations as answers
from functions.http_actions.endpoint import Answer, Body, Call, Paged, endpoint
from functions.http_actions.operations import address_of
from functions.http_actions.problems import BadRequest
from functions.http_actions.reach import within_reach
from shared.domain.errors import RetryLater
from shared.domain.operation import Address
from shared.domain.planning import DriftPolicy
from shared.identity import Role
from shared.storage.read_models import DeadLetterView
from shared.storage.store import Scalar
from shared.usecases import dead_letters as desk

blueprint = func.Blueprint()

Text = Annotated[str, Field(max_length=1000)]


class ResubmitBody(Body):
    """Why, and for a drift what may be done about it: respect keeps the hand edit, overwrite undoes it."""

    reason: Text = ""
    drift_policy: Literal["respect", "overwrite"] | None = None


class DismissBody(Body):
    """Why the operation shall not be pushed."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class DeadLetterQuery(Paged):
    """Which dead letters to list; `messagesAfter` is that of a `nextLink`."""

    code: str | None = None
    customer: str | None = None
    messages_after: Annotated[int, Field(ge=0, lt=10**18)] | None = None


@blueprint.function_name("list_dead_letters")
@blueprint.route(route="dead-letters", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.DeadLetters, query=DeadLetterQuery)
async def list_dead_letters(call: Call) -> Answer:
    """Dead operations from the ledger, then the messages in the broker's dead-letter queue that nothing explains."""
    code, only = call.request.params.get("code"), str(call.request.params.get("customer", "")).lower()
    if only:
        call.caller.reach.require(only)

    async def read(customer: str | None, size: int, mark: str | None) -> tuple[list[DeadLetterView], str | None]:
        wanted = {"code": code, "customer": only or customer}
        equals: dict[str, Scalar] = {name: value for name, value in wanted.items() if value}
        return await call.app.views.dead_letters(equals, size, mark)

    after = call.number("messagesAfter")
    if after is not None:
        return await _messages(call, [], after) if call.caller.reach.unlimited else call.listing([])
    views, following = await (read(only, *call.page()) if only else within_reach(call, read))
    items = []
    for view in views:
        stored = await call.app.ledger.operation(Address.parse(view.operation))
        if stored is not None and stored.value.dead:
            items.append(show.dead_letter(stored.value))
    if following is None and not (code or only) and call.caller.reach.unlimited:  # they belong to no customer
        return await _messages(call, items, 0)
    return call.listing(items, following)


async def _messages(call: Call, items: list[dict[str, Any]], after: int) -> Answer:
    """A page that ends with messages which nothing explains, by their sequence numbers."""
    size, _ = call.page()
    try:
        foreign, last = await desk.foreign_messages(call.app, size, after)
    except RetryLater as error:
        answer = call.listing(items)
        answer.body["brokerUnavailable"] = error.reason
        return answer
    shown = [show.broker_message(message) for message in foreign]
    return call.listing([*items, *shown], where={"messagesAfter": str(last)} if last is not None else {})


@blueprint.function_name("get_dead_letter")
@blueprint.route(route="dead-letters/{operation}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.DeadLetterWithEvents, refuses=("not_dead",))
async def get_dead_letter(call: Call) -> Answer:
    """One dead operation with its history."""
    address = address_of(call)
    stored = await desk.find(call.app, address)
    if not stored.value.dead:
        raise BadRequest("not_dead", f"The operation {address} is not dead.", status=404)
    shown = show.dead_letter(stored.value)
    shown["operation"] = show.operation(stored.value, await call.app.ledger.events(address))
    return Answer(shown)


@blueprint.function_name("resubmit_dead_letter")
@blueprint.route(route="dead-letters/{operation}/resubmit", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, {200: answers.Decided, 202: answers.Decided}, body=ResubmitBody)
async def resubmit_dead_letter(call: Call) -> Answer:
    """Open a dead operation again and push it."""
    body, _ = call.body(ResubmitBody)
    policy = DriftPolicy(body.drift_policy) if body.drift_policy else None
    operation = await desk.resubmit(call.app, address_of(call), call.caller.id, why=body.reason, policy=policy)
    return Answer({"operation": show.operation(operation)}, 200 if operation.at_rest else 202)


@blueprint.function_name("dismiss_dead_letter")
@blueprint.route(route="dead-letters/{operation}/dismiss", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.Decided, body=DismissBody, refuses=("settling",))
async def dismiss_dead_letter(call: Call) -> Answer:
    """Decide that a dead operation shall not be pushed; what Autotask has now is adopted."""
    body, _ = call.body(DismissBody)
    operation = await desk.dismiss(call.app, address_of(call), call.caller.id, why=body.reason)
    return Answer({"operation": show.operation(operation)})
