"""What happens at the renewal: the schedule (seats, product, term, billing), and auto-renew."""

from __future__ import annotations

import json
from typing import Annotated

import azure.functions as func
from pydantic import Field, model_validator

from functions.http_actions import codes
from functions.http_actions import representations as show
from functions.http_actions.acting import ACTED, SUBSCRIPTION, ActionBody, Seats, Word, perform
from functions.http_actions.answers.subscriptions import Renewal
from functions.http_actions.endpoint import Answer, Call, Moment, endpoint
from functions.http_actions.problems import Problem
from shared.domain.actions import Action, decide
from shared.domain.asks import RenewalAsk
from shared.identity import Role
from shared.partner_center.wire import parse_subscription

blueprint = func.Blueprint()

_RENEWAL = f"{SUBSCRIPTION}/renewal"
_SHOWN = (Action.SCHEDULE_RENEWAL, Action.REMOVE_SCHEDULE, Action.AUTO_RENEW_ON, Action.AUTO_RENEW_OFF)

Term = Annotated[str, Field(pattern=r"^P[0-9]{1,2}[MY]$")]


class RenewalBody(ActionBody):
    """What shall be different in the next term; everything else stays as it is."""

    quantity: Seats | None = None
    target: Word | None = None
    term_duration: Term | None = None
    billing_cycle: Word | None = None
    promotion_id: Word | None = None
    custom_term_end_date: Moment | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> RenewalBody:
        if self.ask() == RenewalAsk():
            raise ValueError("nothing is asked for: name quantity, target, termDuration, billingCycle or an end date")
        return self

    def ask(self) -> RenewalAsk:
        """See ActionBody."""
        return RenewalAsk(
            quantity=self.quantity,
            target=self.target,
            term=self.term_duration,
            billing=self.billing_cycle,
            promotion=self.promotion_id,
            custom_end=self.custom_term_end_date,
        )


class AutoRenewBody(ActionBody):
    """Whether the subscription shall renew itself."""

    enabled: bool


@blueprint.function_name("get_renewal")
@blueprint.route(route=_RENEWAL, methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, Renewal)
async def get_renewal(call: Call) -> Answer:
    """What will happen at the renewal, as Partner Center shows it at this moment, and what may be changed of it."""
    customer, subscription = call.guid("customer"), call.guid("subscription")
    reading = await call.app.partner_center.subscription(customer, subscription)
    found = parse_subscription(customer, reading.raw)
    return Answer(
        {
            "autoRenewEnabled": found.auto_renew,
            "commitmentEndsAt": show.moment(found.commitment_end),
            "scheduled": json.loads(found.schedule) if found.schedule else None,
            "actions": {
                show.member_name(action): show.decision(decide(action, found, reading.observed_at)) for action in _SHOWN
            },
        }
    )


@blueprint.function_name("schedule_renewal")
@blueprint.route(route=_RENEWAL, methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=RenewalBody, keyed=True, refuses=(*codes.ACTION, *codes.RENEWING))
async def schedule_renewal(call: Call) -> Answer | Problem:
    """Schedule seats, product, term or billing for the next term."""
    body, request_hash = call.body(RenewalBody)
    return await perform(call, Action.SCHEDULE_RENEWAL, body, request_hash)


@blueprint.function_name("remove_schedule")
@blueprint.route(route=_RENEWAL, methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=ActionBody, keyed=True, refuses=codes.ACTION)
async def remove_schedule(call: Call) -> Answer | Problem:
    """Let the subscription renew as it is."""
    body, request_hash = call.body(ActionBody)
    return await perform(call, Action.REMOVE_SCHEDULE, body, request_hash)


@blueprint.function_name("auto_renew")
@blueprint.route(route=f"{SUBSCRIPTION}/auto-renew", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=AutoRenewBody, keyed=True, refuses=codes.ACTION)
async def auto_renew(call: Call) -> Answer | Problem:
    """Turn auto-renew on or off."""
    body, request_hash = call.body(AutoRenewBody)
    action = Action.AUTO_RENEW_ON if body.enabled else Action.AUTO_RENEW_OFF
    return await perform(call, action, body, request_hash)
