"""Upgrades of new commerce subscriptions over simulated time: their events, and what they do when they complete.

All seats: in place, the id stays and the offer changes. Fewer: a new co-terminous child whose seats keep their windows
and which inherits the parent's. Into an existing subscription: the seats move there. None of them opens a window.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from local.partner_center.audit import Actor, summary
from local.partner_center.eligibility import WITH_TRANSFER, errors
from local.partner_center.moments import term_end, with_ticks
from local.partner_center.offers import take_offer
from local.partner_center.subscription import Subscription
from local.partner_center.transition_rules import Plan

if TYPE_CHECKING:
    from local.partner_center.account import Account
    from local.simulation.switches import Switches

TransitionOutcome = Literal["completed", "failed", "license_failed", "never"]
TRANSITION_OUTCOMES: tuple[TransitionOutcome, ...] = get_args(TransitionOutcome)
LICENSES_NOT_MOVED = 12


@dataclass
class Course:
    """How the next upgrades go: after how many simulated seconds, how they end, and how long the licences take."""

    seconds: float = 5.0
    outcome: TransitionOutcome = "completed"
    license_seconds: float = 0.0


@dataclass(frozen=True)
class Event:
    """A step of an upgrade."""

    name: str
    status: str
    at: datetime
    codes: tuple[int, ...] = ()


@dataclass
class Transition:
    """One upgrade of one source."""

    operation_id: str
    source: Subscription
    source_item: str
    plan: Plan
    actor: Actor
    course: Course
    events: list[Event] = field(default_factory=list)
    made: Subscription | None = None
    finished: bool = False

    def resource(self, switches: Switches, *, in_post: bool) -> dict[str, Any]:
        """The JSON of it, in the shape that the switches ask for."""
        plan = self.plan
        shown: dict[str, Any] = {
            "fromCatalogItemId": self.source_item,
            "fromSubscriptionId": self.source.id,
            "toCatalogItemId": plan.item,
            "quantity": plan.quantity,
            "termDuration": plan.term,
            "billingCycle": plan.cycle,
            "transitionType": plan.kind,
        }
        wanted = switches["transitionOperationId"]
        if wanted == "present" or (wanted == "absent_in_post" and not in_post):
            shown = {"operationId": self.operation_id, **shown}
        joined = plan.destination
        if joined is None and switches["transitionToSubscriptionId"] == "when_changed":
            joined = self.made
        if joined is not None:
            shown["toSubscriptionId"] = joined.id
        blank = " " if switches["transitionEventStatus"] == "trailing_blank" else ""
        shown[switches["transitionEventsKey"]] = [
            {
                "name": event.name,
                "status": event.status + blank,
                "timestamp": with_ticks(event.at),
                "errors": errors(event.codes),
                "attributes": {"objectType": "TransitionEvent"},
            }
            for event in self.events
        ]
        return shown | {"attributes": {"objectType": "Transition"}}


class Transitions:
    """All upgrades of the account by source, oldest first, and what the control path says about the next ones."""

    def __init__(self, account: Account) -> None:
        self.course = Course()
        self.forced: dict[str, int] = {}
        self._account = account
        self._of: dict[str, list[Transition]] = {}

    def of(self, source: Subscription) -> list[Transition]:
        """The upgrades of a source."""
        return self._of.get(source.key, [])

    def all(self) -> list[Transition]:
        """Every upgrade."""
        return [one for found in self._of.values() for one in found]

    def start(self, source: Subscription, plan: Plan, actor: Actor) -> Transition:
        """Begin an accepted upgrade; nothing changes until it completes."""
        account = self._account
        account.keep(source)
        started = Transition(
            operation_id=account.new_id(),
            source=source,
            source_item=str(source.properties["offerId"]),
            plan=plan,
            actor=actor,
            course=replace(self.course),
            events=[Event("Conversion", "Started", account.now())],
        )
        self._of.setdefault(source.key, []).append(started)
        source.underway = "transition"
        if started.course.outcome != "never":
            source.change_due = account.now() + timedelta(seconds=started.course.seconds)
            account.agenda.add(source.change_due, lambda due: self._end(started, started.course.outcome, due))
        return started

    def end_now(self, transition: Transition, outcome: TransitionOutcome) -> None:
        """Let an upgrade that is under way end at once, whatever was planned."""
        self._end(transition, outcome, self._account.now())

    def _end(self, transition: Transition, outcome: TransitionOutcome, at: datetime) -> None:
        if transition.finished:
            return
        transition.finished = True
        source, plan = transition.source, transition.plan
        self._account.catch_up(source, at)
        source.underway = source.change_due = None
        if outcome == "failed" or source.status != "active":
            transition.events.append(Event("Conversion", "Failed", at, (0 if source.status == "active" else 2,)))
            return
        self._convert(transition, at)
        transition.events.append(Event("Conversion", "Completed", at))
        if outcome == "license_failed" or plan.kind == WITH_TRANSFER:
            transition.events.append(Event("LicenseReassignment", "Started", at))
            last = ("Failed", (LICENSES_NOT_MOVED,)) if outcome == "license_failed" else ("Completed", ())
            self._account.agenda.add(
                at + timedelta(seconds=transition.course.license_seconds),
                lambda due: transition.events.append(Event("LicenseReassignment", last[0], due, last[1])),
            )

    def _convert(self, transition: Transition, at: datetime) -> None:
        account, source, plan = self._account, transition.source, transition.plan
        before = summary(source)
        source.properties.pop("scheduledNextTermInstructions", None)
        source.version += 1
        if plan.destination is not None:
            self._into(transition, plan.destination, at)
        elif plan.quantity >= source.quantity:
            if plan.quantity > source.quantity:
                source.add_seats(plan.quantity - source.quantity, at)
            _become(source, plan, at)
        else:
            transition.made = _child(source, plan, at, account.new_id())
            account.buy(transition.made, transition.actor, at)
        account.record(source, "update_subscription", transition.actor, at, before=before)

    def _into(self, transition: Transition, destination: Subscription, at: datetime) -> None:
        account, source, count = self._account, transition.source, transition.plan.quantity
        before = summary(destination)
        account.keep(destination)
        destination.properties["quantity"] = destination.quantity + count
        destination.properties.pop("scheduledNextTermInstructions", None)
        if count >= source.quantity:
            destination.batches += source.batches
            # A cancelled subscription keeps its number of seats
            source.set_status(account.switches["emptiedSourceStatus"], at)
            source.properties["autoRenewEnabled"] = False
        else:
            destination.batches += source.take_batches(count)
        account.record(destination, "update_subscription", transition.actor, at, before=before)


def _become(subscription: Subscription, plan: Plan, at: datetime) -> None:
    """Change offer, term and billing; the running term goes on unless another one was chosen."""
    properties = subscription.properties
    if subscription.is_trial or plan.term != properties["termDuration"]:
        subscription.term_start = at
        subscription.term_end = term_end(at, plan.term)
        properties["termDuration"] = plan.term
    take_offer(subscription, plan.item)
    properties["billingCycle"] = plan.cycle
    properties.pop("promotionId", None)
    if plan.promotion:
        properties["promotionId"] = plan.promotion


def _child(parent: Subscription, plan: Plan, at: datetime, identity: str) -> Subscription:
    copied = ("scheduledNextTermInstructions", "nextChargeInstructions", "scheduledActions")
    properties = {name: value for name, value in parent.properties.items() if name not in copied}
    child = replace(
        parent,
        id=identity,
        properties=properties | {"id": identity, "orderId": identity.replace("-", "")[-12:], "quantity": plan.quantity},
        created=at,
        batches=parent.take_batches(plan.quantity),
        version=1,
        updates=0,
        underway=None,
        change_due=None,
    )
    child.properties["friendlyName"] = child.properties["offerName"]
    _become(child, plan, at)
    return child
