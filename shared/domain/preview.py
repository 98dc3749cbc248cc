"""What an action will do, before anybody asks for it: until when, what is lost, what the customer is billed; pure.

The numbers come from Partner Center's own fields. A refund is an estimate: the days left over the days of the term
(partner-center reference 8.4 and 8.5: Microsoft prorates by day).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.actions import Action, Decision, decide
from shared.domain.subscription import Family, SeatBatch, Subscription

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that the action takes away and that does not come back by itself."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Refund:
    """An estimate of what Microsoft gives back for each refunded seat: a share of the price of the term."""

    seats: int
    days_left: int
    days_of_term: int

    @property
    def share(self) -> float:
        """The share of the term's price, between 0 and 1."""
        return round(self.days_left / self.days_of_term, 4)


@dataclass(frozen=True, slots=True)
class Preview:
    """An action on a subscription as it would be now. `remaining` is the time left of Microsoft's window."""

    action: Action
    decision: Decision
    remaining: timedelta | None
    refundable: tuple[SeatBatch, ...]
    refund: Refund | None
    losses: tuple[Loss, ...]
    consequences: tuple[str, ...]


def preview(action: Action, subscription: Subscription, now: datetime, quantity: int | None = None) -> Preview:
    """The preview of an action; `now` is Microsoft's clock, `quantity` the wanted seats of a change of quantity."""
    decision = decide(action, subscription, now, quantity)
    until = getattr(decision, "until", None)
    return Preview(
        action=action,
        decision=decision,
        remaining=max(until - now, timedelta()) if until is not None else None,
        refundable=tuple(batch for batch in subscription.refundable or () if batch.until > now),
        refund=_refund(action, subscription, now, quantity),
        losses=_losses(action, subscription),
        consequences=_consequences(action, subscription),
    )


def _refund(action: Action, subscription: Subscription, now: datetime, quantity: int | None) -> Refund | None:
    seats = 0
    if action is Action.CANCEL and subscription.cancellable_at(now):
        seats = subscription.quantity
    if action is Action.CHANGE_QUANTITY and quantity is not None:
        seats = max(0, min(subscription.quantity - quantity, subscription.refundable_at(now)))
    start, end = subscription.effective_start, subscription.commitment_end
    if not seats or start is None or end is None or end.year > now.year + 10 or end <= start:
        return None
    return Refund(seats, max(0, (end - now) // _DAY), max(1, (end - start) // _DAY))


def _losses(action: Action, subscription: Subscription) -> tuple[Loss, ...]:
    losses = []
    if action is Action.CANCEL:
        losses.append(Loss("irreversible", "It cannot be undone; the customer loses access at once."))
    if action is Action.SUSPEND and subscription.family is Family.NCE_LICENSE and subscription.auto_renew:
        losses.append(
            Loss("auto_renew", "Microsoft switches auto-renew off and does not switch it on again at reactivation.")
        )
    if subscription.has_schedule and action in {Action.SUSPEND, Action.CANCEL, Action.CHANGE_QUANTITY}:
        losses.append(Loss("scheduled_changes", "Microsoft removes the changes that are scheduled for the renewal."))
    return tuple(losses)


def _consequences(action: Action, subscription: Subscription) -> tuple[str, ...]:
    if action is Action.SUSPEND and subscription.family is Family.NCE_LICENSE:
        return ("The partner goes on paying Microsoft until the term ends; users lose the service.",)
    if action is Action.SUSPEND:
        return ("Microsoft stops billing; its add-ons are suspended too; it is deleted after 90 days.",)
    if action is Action.REACTIVATE and subscription.family is Family.NCE_LICENSE and not subscription.auto_renew:
        return ("Auto-renew stays off, and scheduled changes do not come back: set them again if they are wanted.",)
    return ()
