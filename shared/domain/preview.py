"""What an action will do, before anybody asks for it: until when, what is lost, what must be confirmed; pure.

The numbers come from Partner Center's own fields. A refund is an estimate: the days left over the days of the term
(partner-center reference 8.4 and 8.5: Microsoft prorates by day).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.actions import Action, Decision, decide
from shared.domain.known import Memory
from shared.domain.subscription import Family, SeatBatch, Subscription

_DAY = timedelta(days=1)

CONFIRM = "confirm"
CONFIRM_LOSSES = "confirmLosses"

_IRREVERSIBLE = {
    Action.CANCEL: "It cannot be undone; the customer loses access at once.",
    Action.UPGRADE: "It cannot be undone, and it opens no window in which it could be cancelled.",
    Action.MIGRATE: "It cannot be undone once Microsoft has completed it; the subscription gets another id.",
    Action.SCHEDULE_MIGRATION: "It can be cancelled until Microsoft carries it out; after that it cannot be undone.",
}
# A change before the renewal removes what is scheduled for it (partner-center reference 8.1 and 10.2).
_REMOVES_SCHEDULE = frozenset(
    {Action.SUSPEND, Action.CANCEL, Action.CHANGE_QUANTITY, Action.UPGRADE, Action.AUTO_RENEW_OFF}
)


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that the action takes away; `confirm` is the member of the request that has to agree, if one has to."""

    code: str
    sentence: str
    confirm: str = ""


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
class Restoration:
    """What a reactivation would bring back, or (`possible` false) why it cannot."""

    code: str
    sentence: str
    possible: bool = True


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
    restorations: tuple[Restoration, ...] = ()


def preview(
    action: Action,
    subscription: Subscription,
    now: datetime,
    quantity: int | None = None,
    memory: Memory | None = None,
) -> Preview:
    """The preview of an action; `now` is Microsoft's clock, `quantity` the wanted seats, `memory` of a suspension."""
    decision = decide(action, subscription, now, quantity)
    until = getattr(decision, "until", None)
    return Preview(
        action=action,
        decision=decision,
        remaining=max(until - now, timedelta()) if until is not None else None,
        refundable=tuple(batch for batch in subscription.refundable or () if batch.until > now),
        refund=_refund(action, subscription, now, quantity),
        losses=losses(action, subscription),
        consequences=_consequences(action, subscription, memory),
        restorations=restorations(memory, now) if action is Action.REACTIVATE else (),
    )


def losses(action: Action, subscription: Subscription) -> tuple[Loss, ...]:
    """What an action takes away for good, or for as long as nobody brings it back."""
    found = []
    if action in _IRREVERSIBLE:
        confirm = "" if action is Action.CANCEL else CONFIRM  # a cancel is confirmed by its dialog and its window
        found.append(Loss("irreversible", _IRREVERSIBLE[action], confirm))
    if action is Action.SUSPEND and subscription.family is Family.NCE_LICENSE and subscription.auto_renew:
        found.append(Loss("auto_renew", "Microsoft switches auto-renew off; reactivating here switches it on again."))
    if subscription.has_schedule and action in _REMOVES_SCHEDULE:
        sentence = "Microsoft removes the changes that are scheduled for the renewal."
        if action is Action.SUSPEND:
            sentence += " Reactivating here schedules them again."
        found.append(Loss("scheduled_changes", sentence, CONFIRM_LOSSES))
    return tuple(found)


def restorations(memory: Memory | None, now: datetime) -> tuple[Restoration, ...]:
    """What of a suspension's memory can be brought back at `now`."""
    if memory is None:
        return ()
    found = []
    if memory.auto_renew:
        found.append(Restoration("auto_renew", "Auto-renew, which the suspension switched off, is switched on again."))
    if memory.schedule and memory.auto_renew:
        end = memory.scheduled_end
        if end is not None and end <= now:
            sentence = f"The scheduled changes named {end.date()} as the end of the next term, which is over."
            found.append(Restoration("scheduled_changes", sentence, possible=False))
        else:
            sentence = "The changes that were scheduled for the renewal are scheduled again."
            found.append(Restoration("scheduled_changes", sentence))
    return tuple(found)


def _refund(action: Action, subscription: Subscription, now: datetime, quantity: int | None) -> Refund | None:
    seats = 0
    if action is Action.CANCEL and subscription.cancellable_at(now):
        seats = subscription.quantity
    if action is Action.CHANGE_QUANTITY and quantity is not None:
        seats = max(0, min(subscription.quantity - quantity, subscription.refundable_at(now)))
    start, end = subscription.effective_start, subscription.commitment_end
    if not seats or start is None or end is None or end.year > now.year + 10 or end <= start:
        return None
    return Refund(seats, max(0, (end - now) // _DAY), max(1, -((start - end) // _DAY)))  # the last day counts


def _consequences(action: Action, subscription: Subscription, memory: Memory | None) -> tuple[str, ...]:
    new_commerce = subscription.family is Family.NCE_LICENSE
    if action is Action.REACTIVATE and new_commerce and memory is None and not subscription.auto_renew:
        return ("Auto-renew stays off, and scheduled changes do not come back: nobody noted what there was before.",)
    if action is Action.SUSPEND and not new_commerce:
        return ("Microsoft stops billing; its add-ons are suspended too; it is deleted after 90 days.",)
    return _WORDS.get(action, ())


_WORDS: dict[Action, tuple[str, ...]] = {
    Action.SUSPEND: ("The partner goes on paying Microsoft until the term ends; users lose the service.",),
    Action.CANCEL: ("Add-ons that were bought beside it are subscriptions of their own and stay.",),
    Action.UPGRADE: (
        "With all seats the subscription stays and becomes the new product; with fewer a new subscription takes them.",
        "Licences of users may have to be assigned anew.",
    ),
    Action.MIGRATE: (
        "It takes up to 72 hours, in which the legacy subscription is suspended; the service goes on.",
        "The new subscription has a window of its own in which it can be cancelled.",
    ),
    Action.SCHEDULE_RENEWAL: ("Nothing changes until the renewal; a change before it removes the schedule.",),
    Action.AUTO_RENEW_OFF: (
        "The subscription ends with its term; where Microsoft applies an Extended Service Term, it goes on from month "
        "to month at a higher price instead.",
    ),
}
