"""What a dialog shows before somebody presses the button: what will happen, until when, and what is taken away."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import azure.functions as func

from functions.http_actions import representations as show
from functions.http_actions.acting import SUBSCRIPTION, Seats, Word
from functions.http_actions.answers import subscriptions as answers
from functions.http_actions.endpoint import Answer, Call, Guid, Moment, Query, endpoint
from functions.http_actions.problems import BadRequest, camel, plain
from shared.domain.actions import Action
from shared.domain.asks import Ask, MigrateAsk, MigrationScheduleAsk, RenewalAsk, UpgradeAsk
from shared.domain.timeline import Step
from shared.identity import Role
from shared.usecases.preview import Bill, Shown, show_preview

blueprint = func.Blueprint()

_PREVIEWED = {
    show.action_name(action): action
    for action in Action
    if action not in {Action.SYNC, Action.CANCEL_MIGRATION_SCHEDULE}
}


class Choices(Query):
    """The choices of a dialog, as query parameters; the same names as in the body of the action."""

    quantity: Seats | None = None
    target: Word | None = None
    to_subscription_id: Guid | None = None
    transition_type: Word | None = None
    term_duration: Word | None = None
    billing_cycle: Word | None = None
    promotion_id: Word | None = None
    purchase_full_term: bool = False
    custom_term_end_date: Moment | None = None
    target_date: Moment | None = None

    def ask(self, action: Action) -> Ask | None:
        """What is asked for; None where the dialog has not chosen yet."""
        migration = MigrateAsk(
            self.term_duration, self.billing_cycle, self.purchase_full_term, self.quantity, self.custom_term_end_date
        )
        renewal = RenewalAsk(
            self.quantity,
            self.target,
            self.term_duration,
            self.billing_cycle,
            self.promotion_id,
            self.custom_term_end_date,
        )
        match action:
            case Action.UPGRADE if self.target is not None:
                return UpgradeAsk(
                    self.target,
                    self.quantity,
                    self.to_subscription_id,
                    self.transition_type,
                    self.term_duration,
                    self.billing_cycle,
                    self.promotion_id,
                )
            case Action.MIGRATE:
                return migration
            case Action.SCHEDULE_MIGRATION:
                return MigrationScheduleAsk(migration, self.target_date)
            case Action.SCHEDULE_RENEWAL if renewal != RenewalAsk():
                return renewal
        return None


@blueprint.function_name("preview_action")
@blueprint.route(route=f"{SUBSCRIPTION}/preview/{{action}}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, answers.Preview, query=Choices, refuses=("action_not_found", "quantity_missing"))
async def preview_action(call: Call) -> Answer:
    """What an action would do now: time remaining, seats that can be given back, losses, and the bill."""
    action = _PREVIEWED.get(call.text("action"))
    if action is None:
        raise BadRequest("action_not_found", f"There is no preview of {call.text('action')[:40]}.", status=404)
    choices = call.query(Choices)
    if action is Action.CHANGE_QUANTITY and choices.quantity is None:
        raise BadRequest("quantity_missing", "quantity is the wanted number of seats.", name="quantity", status=422)
    quantity = choices.quantity if action is Action.CHANGE_QUANTITY else None
    shown = await show_preview(
        call.app, call.guid("customer"), call.guid("subscription"), action, quantity, choices.ask(action)
    )
    return Answer(_preview(shown))


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
        "restorations": plain(seen.restorations),
        "addOns": camel(plain(shown.add_ons)),
        "refund": None,
        "bill": [_bill(bill) for bill in shown.bill] or None,
    }
    if seen.refund is not None:
        document["refund"] = {"estimate": True, **camel(plain(seen.refund)), "shareOfTermPrice": seen.refund.share}
    if shown.upgrade is not None:
        job = shown.upgrade
        document["upgrade"] = {
            "target": job.target,
            "title": job.title,
            "quantity": job.quantity,
            "allSeats": job.full,
            "transitionType": job.transition_type,
            "toSubscriptionId": job.to_subscription,
        }
    if shown.migration is not None:
        document["migration"] = {"addOns": list(shown.migration.add_ons), "scheduled": shown.migration.scheduled}
    if shown.schedule:
        document["scheduled"] = json.loads(shown.schedule)
    return document


def _bill(bill: Bill) -> dict[str, Any]:
    return {
        "contractId": bill.contract,
        "contractServiceId": bill.line,
        "serviceId": bill.service,
        "product": bill.product or None,
        "before": [_step(step) for step in bill.before],
        "after": [_step(step) for step in bill.after],
    }


def _step(step: Step) -> dict[str, Any]:
    return {"from": show.moment(step.date), "units": step.units}


def _iso_duration(value: timedelta) -> str:
    """ISO 8601, such as P2DT23H10M5S."""
    seconds = int(value.total_seconds())
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"P{days}DT{hours}H{minutes}M{seconds}S"
