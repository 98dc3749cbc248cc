"""The actions on one subscription: suspend, reactivate, change quantity, cancel, sync, and the manual Autotask sync."""

from __future__ import annotations

from typing import Annotated, Any

import azure.functions as func
from pydantic import Field

from functions.http_actions import representations as show
from functions.http_actions.endpoint import Answer, Body, Call, endpoint
from functions.http_actions.problems import Problem, plain, retry_after
from shared.domain.actions import Action
from shared.identity import Role
from shared.usecases import act as acting
from shared.usecases.badges import compute_badge
from shared.usecases.dead_letters import sync_to_autotask
from shared.usecases.sync import sync_subscription

blueprint = func.Blueprint()

_ROUTE = "customers/{customer}/subscriptions/{subscription}"
_MAX_SEATS = 10_000_000  # the largest quantity that any offer names

Seats = Annotated[int, Field(gt=0, le=_MAX_SEATS)]


class Expect(Body):
    """What the page showed; where the subscription is different, nothing is done."""

    status: str | None = None
    quantity: Seats | None = None


class ActionBody(Body):
    """The body of suspend, reactivate and cancel."""

    expect: Expect = Expect()


class QuantityBody(ActionBody):
    """The body of a change of quantity: the wanted total of seats."""

    quantity: Seats


@blueprint.function_name("suspend")
@blueprint.route(route=f"{_ROUTE}/suspend", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE)
async def suspend(call: Call) -> Answer | Problem:
    """Suspend: the partner goes on paying Microsoft while the customer is not billed."""
    return await _act(call, Action.SUSPEND, ActionBody)


@blueprint.function_name("reactivate")
@blueprint.route(route=f"{_ROUTE}/reactivate", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE)
async def reactivate(call: Call) -> Answer | Problem:
    """Reactivate a suspended subscription."""
    return await _act(call, Action.REACTIVATE, ActionBody)


@blueprint.function_name("cancel")
@blueprint.route(route=f"{_ROUTE}/cancel", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE)
async def cancel(call: Call) -> Answer | Problem:
    """Cancel all licences, inside Microsoft's window only."""
    return await _act(call, Action.CANCEL, ActionBody)


@blueprint.function_name("change_quantity")
@blueprint.route(route=f"{_ROUTE}/change-quantity", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE)
async def change_quantity(call: Call) -> Answer | Problem:
    """Set the number of seats."""
    return await _act(call, Action.CHANGE_QUANTITY, QuantityBody)


@blueprint.function_name("sync")
@blueprint.route(route=f"{_ROUTE}/sync", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE)
async def sync(call: Call) -> Answer:
    """Read the subscription from Partner Center now, without waiting for the schedule."""
    call.body(Body)
    customer, subscription = call.guid("customer"), call.guid("subscription")
    synced = await sync_subscription(call.app, customer, subscription)
    badge = await compute_badge(call.app, customer, subscription)
    return Answer(
        {
            "subscription": show.subscription(synced.subscription, badge, call.app.partner_center.microsoft_now()),
            "changes": plain(synced.changes),
            "operation": show.operation(synced.operation) if synced.operation else None,
        }
    )


@blueprint.function_name("autotask_sync")
@blueprint.route(route=f"{_ROUTE}/autotask-sync", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE)
async def autotask_sync(call: Call) -> Answer:
    """Manual Autotask sync: push what is dead or waiting on this subscription now."""
    call.body(Body)
    customer, subscription = call.guid("customer"), call.guid("subscription")
    await call.app.partner_center.subscription(customer, subscription)
    taken = await sync_to_autotask(call.app, customer, subscription, call.caller.id)
    badge = await compute_badge(call.app, customer, subscription)
    return Answer({"operations": [str(address) for address in taken], "badge": badge}, status=202 if taken else 200)


async def _act(call: Call, action: Action, kind: type[ActionBody]) -> Answer | Problem:
    body, request_hash = call.body(kind)
    request = acting.Request(
        action=action,
        customer=call.guid("customer"),
        subscription=call.guid("subscription"),
        caller=call.caller.id,
        idempotency_key=call.idempotency_key(),
        path=call.path,
        request_hash=request_hash,
        quantity=body.quantity if isinstance(body, QuantityBody) else None,
        expect=acting.Expect(body.expect.status, body.expect.quantity),
    )
    done = await acting.act(call.app, request)
    if isinstance(done, acting.AlreadySo):
        badge = await compute_badge(call.app, request.customer, request.subscription)
        shown = show.subscription(done.subscription, badge, call.app.partner_center.microsoft_now())
        return Answer({"operation": None, "alreadyDone": True, "subscription": shown})
    return _answer(done)


def _answer(done: acting.Done) -> Answer | Problem:
    operation = show.operation(done.operation)
    where = {"Operation-Location": f"/api/operations/{done.operation.address}"}
    if done.unsettled:
        return Problem(
            503,
            "partner_center_unavailable",
            "Partner Center gave no clear answer; the operation stays open and settles by itself.",
            {"reason": done.unsettled, "operation": operation},
            {**where, **retry_after(done.retry_after)},
        )
    if done.retry_after is not None:
        return Answer(_with_operation(operation), 202, {**where, **retry_after(done.retry_after)})
    return Answer(_with_operation(operation), 200, where)


def _with_operation(operation: dict[str, Any]) -> dict[str, Any]:
    return {"operation": operation, "alreadyDone": False}
