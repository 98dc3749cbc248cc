"""What a dialog shows before somebody presses the button: previews of actions, and what a subscription can become."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import azure.functions as func

from functions.http_actions import representations as show
from functions.http_actions.endpoint import Answer, Call, endpoint
from functions.http_actions.problems import BadRequest, camel, plain
from shared.domain.actions import Action
from shared.identity import Role
from shared.usecases.options import migrate_options, upgrade_options
from shared.usecases.preview import Shown, show_preview

blueprint = func.Blueprint()

_ROUTE = "customers/{customer}/subscriptions/{subscription}"
_PREVIEWED = {
    show.action_name(action): action
    for action in (Action.SUSPEND, Action.REACTIVATE, Action.CHANGE_QUANTITY, Action.CANCEL)
}
_MAX_SEATS = 10_000_000


@blueprint.function_name("preview_action")
@blueprint.route(route=f"{_ROUTE}/preview/{{action}}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ)
async def preview_action(call: Call) -> Answer:
    """What an action would do now: time remaining, seats that can be given back, losses, and the bill."""
    action = _PREVIEWED.get(call.text("action"))
    if action is None:
        raise BadRequest("action_not_found", f"There is no preview of {call.text('action')[:40]}.", status=404)
    quantity = _quantity(call) if action is Action.CHANGE_QUANTITY else None
    shown = await show_preview(call.app, call.guid("customer"), call.guid("subscription"), action, quantity)
    return Answer(_preview(shown))


@blueprint.function_name("upgrade_options")
@blueprint.route(route=f"{_ROUTE}/upgrade/options", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ)
async def list_upgrade_options(call: Call) -> Answer:
    """All products that the subscription can be upgraded to, now and at its renewal, and why others not."""
    found = await upgrade_options(call.app, call.services.transitions, call.guid("customer"), call.guid("subscription"))
    return Answer(camel(plain(found)))


@blueprint.function_name("migrate_options")
@blueprint.route(route=f"{_ROUTE}/migrate/options", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ)
async def list_migrate_options(call: Call) -> Answer:
    """The terms and billing frequencies that a legacy subscription can be migrated with, and why others not."""
    found = await migrate_options(call.app, call.services.migrations, call.guid("customer"), call.guid("subscription"))
    return Answer(camel(plain(found)))


def _quantity(call: Call) -> int:
    value = call.request.params.get("quantity", "")
    if not (value.isdecimal() and len(value) <= 8 and 0 < int(value) <= _MAX_SEATS):
        raise BadRequest("quantity_invalid", "quantity is the wanted number of seats.", name="quantity", status=422)
    return int(value)


def _preview(shown: Shown) -> dict[str, Any]:
    seen = shown.preview
    document: dict[str, Any] = {
        "action": show.action_name(seen.action),
        **show.decision(seen.decision),
        "timeRemaining": _iso_duration(seen.remaining) if seen.remaining is not None else None,
        "refundableSeats": [
            {"quantity": batch.quantity, "until": show.moment(batch.until)} for batch in seen.refundable
        ],
        "losses": plain(seen.losses),
        "consequences": list(seen.consequences),
        "refund": None,
        "bill": None,
    }
    if seen.refund is not None:
        document["refund"] = {"estimate": True, **camel(plain(seen.refund)), "shareOfTermPrice": seen.refund.share}
    if shown.bill is not None:
        document["bill"] = {
            "contractId": shown.bill.contract,
            "contractServiceId": shown.bill.line,
            "before": [{"from": show.moment(step.date), "units": step.units} for step in shown.bill.before],
            "after": [{"from": show.moment(step.date), "units": step.units} for step in shown.bill.after],
        }
    return document


def _iso_duration(value: timedelta) -> str:
    """ISO 8601, such as P2DT23H10M5S."""
    seconds = int(value.total_seconds())
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"P{days}DT{hours}H{minutes}M{seconds}S"
