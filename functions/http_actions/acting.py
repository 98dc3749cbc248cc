"""What every action on a subscription has in common: expectations and confirmations, the call, and the answer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from functions.http_actions import representations as show
from functions.http_actions.answers.operations import Done as DoneAnswer
from functions.http_actions.endpoint import WHOLE, Answer, Body, Call
from functions.http_actions.problems import Problem, retry_after
from shared.domain.actions import Action
from shared.domain.asks import Ask, RestoreAsk
from shared.domain.preview import CONFIRM, CONFIRM_LOSSES
from shared.usecases import act as acting
from shared.usecases.badges import compute_badge

ACTED = {200: DoneAnswer, 202: DoneAnswer}
SUBSCRIPTION = "customers/{customer}/subscriptions/{subscription}"
MAX_SEATS = 10_000_000  # the largest quantity that any offer names

Seats = Annotated[int, Field(gt=0, le=MAX_SEATS), WHOLE]
Word = Annotated[str, Field(min_length=1, max_length=200)]


class Expect(Body):
    """What the page showed; where the subscription is different, nothing is done."""

    status: str | None = None
    quantity: Seats | None = None


class ActionBody(Body):
    """The body of an action that has no choices; `confirm_losses` agrees to what Microsoft takes away by it."""

    expect: Expect = Expect()
    confirm_losses: bool = False

    def seats(self) -> int | None:
        """The wanted total of seats, where the action is about it."""
        return None

    def ask(self) -> Ask | None:
        """The choices of the action's dialog."""
        return None

    def confirmed(self) -> frozenset[str]:
        """The members that agree to what the action takes away."""
        return frozenset({CONFIRM_LOSSES}) if self.confirm_losses else frozenset()


class ConfirmedBody(ActionBody):
    """The body of an action that cannot be undone, which has to be confirmed."""

    confirm: bool = False

    def confirmed(self) -> frozenset[str]:
        """See ActionBody."""
        return super().confirmed() | ({CONFIRM} if self.confirm else set())


class QuantityBody(ActionBody):
    """The body of a change of quantity: the wanted total of seats."""

    quantity: Seats

    def seats(self) -> int:
        """See ActionBody."""
        return self.quantity


class RestoreBody(Body):
    """What of the things that the suspension switched off shall be switched on again."""

    auto_renew: bool = True
    scheduled_changes: bool = True


class ReactivateBody(ActionBody):
    """The body of a reactivation."""

    restore: RestoreBody = RestoreBody()

    def ask(self) -> RestoreAsk:
        """See ActionBody."""
        return RestoreAsk(self.restore.auto_renew, self.restore.scheduled_changes)


async def perform(
    call: Call,
    action: Action,
    body: ActionBody,
    request_hash: str,
    *,
    ask: Ask | None = None,
) -> Answer | Problem:
    """Carry out an action and answer with its operation; `ask` where the route says more than the body."""
    request = acting.Request(
        action=action,
        customer=call.guid("customer"),
        subscription=call.guid("subscription"),
        caller=call.caller.id,
        idempotency_key=call.idempotency_key(),
        target=call.target,
        request_hash=request_hash,
        quantity=body.seats(),
        expect=acting.Expect(body.expect.status, body.expect.quantity),
        ask=ask or body.ask(),
        confirmed=body.confirmed(),
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
    body: dict[str, Any] = {"operation": operation, "alreadyDone": False}
    if done.followers:
        body["restorations"] = [show.operation(follower) for follower in done.followers]
    if done.retry_after is not None:
        return Answer(body, 202, {**where, **retry_after(done.retry_after)})
    return Answer(body, 200, where)
