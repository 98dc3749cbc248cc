"""The actions on one subscription: suspend, reactivate, change quantity, cancel, sync, and the manual Autotask sync."""

from __future__ import annotations

import azure.functions as func

from functions.http_actions import codes
from functions.http_actions import representations as show
from functions.http_actions.acting import ACTED, SUBSCRIPTION, ActionBody, QuantityBody, ReactivateBody, perform
from functions.http_actions.answers.operations import Pushed, Synced
from functions.http_actions.endpoint import Answer, Call, NoChoices, endpoint
from functions.http_actions.problems import Problem, plain
from shared.domain.actions import Action
from shared.identity import Role
from shared.usecases.badges import compute_badge
from shared.usecases.converge_now import converge_now
from shared.usecases.sync import sync_subscription

blueprint = func.Blueprint()


@blueprint.function_name("suspend")
@blueprint.route(route=f"{SUBSCRIPTION}/suspend", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=ActionBody, keyed=True, refuses=codes.ACTION)
async def suspend(call: Call) -> Answer | Problem:
    """Suspend: the partner goes on paying Microsoft while the customer is not billed."""
    body, request_hash = call.body(ActionBody)
    return await perform(call, Action.SUSPEND, body, request_hash)


@blueprint.function_name("reactivate")
@blueprint.route(route=f"{SUBSCRIPTION}/reactivate", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=ReactivateBody, keyed=True, refuses=codes.ACTION)
async def reactivate(call: Call) -> Answer | Problem:
    """Reactivate a suspended subscription and restore what the suspension switched off."""
    body, request_hash = call.body(ReactivateBody)
    return await perform(call, Action.REACTIVATE, body, request_hash)


@blueprint.function_name("cancel")
@blueprint.route(route=f"{SUBSCRIPTION}/cancel", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=ActionBody, keyed=True, refuses=(*codes.ACTION, "cancel_window_closed"))
async def cancel(call: Call) -> Answer | Problem:
    """Cancel all licences, inside Microsoft's window only."""
    body, request_hash = call.body(ActionBody)
    return await perform(call, Action.CANCEL, body, request_hash)


@blueprint.function_name("change_quantity")
@blueprint.route(route=f"{SUBSCRIPTION}/change-quantity", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(
    Role.OPERATE,
    ACTED,
    body=QuantityBody,
    keyed=True,
    refuses=(*codes.ACTION, "seat_window_closed", "too_few_refundable_seats"),
)
async def change_quantity(call: Call) -> Answer | Problem:
    """Set the number of seats."""
    body, request_hash = call.body(QuantityBody)
    return await perform(call, Action.CHANGE_QUANTITY, body, request_hash)


@blueprint.function_name("sync")
@blueprint.route(route=f"{SUBSCRIPTION}/sync", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, Synced, body=NoChoices)
async def sync(call: Call) -> Answer:
    """Read the subscription from Partner Center now, without waiting for the schedule."""
    call.body(NoChoices)
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
@blueprint.route(route=f"{SUBSCRIPTION}/autotask-sync", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, {200: Pushed, 202: Pushed}, body=NoChoices)
async def autotask_sync(call: Call) -> Answer:
    """Manual Autotask sync: push what is dead or waiting on this subscription now, and whatever differs on its line."""
    call.body(NoChoices)
    customer, subscription = call.guid("customer"), call.guid("subscription")
    await call.app.partner_center.subscription(customer, subscription)
    taken = await converge_now(call.app, customer, subscription, call.caller.id)
    badge = await compute_badge(call.app, customer, subscription)
    return Answer({"operations": [str(address) for address in taken], "badge": badge}, status=202 if taken else 200)
