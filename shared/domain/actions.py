"""The rules table: product family x state x facts -> each action allowed, already done, or refused with its reason.

One pure function feeds the list, the preflight of each action and the documentation. Deadlines come from Partner
Center's own fields (`cancellationAllowedUntilDate`, `refundableQuantity`), never from a computed "7 days", and are
judged by Microsoft's clock (ADR 0004).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.known import Intention
from shared.domain.subscription import Family, State, Subscription


class Action(StrEnum):
    """What a portal can ask for."""

    SUSPEND = "suspend"
    REACTIVATE = "reactivate"
    CHANGE_QUANTITY = "change_quantity"
    CANCEL = "cancel"
    UPGRADE = "upgrade"
    MIGRATE = "migrate"
    SCHEDULE_MIGRATION = "schedule_migration"
    CANCEL_MIGRATION_SCHEDULE = "cancel_migration_schedule"
    SCHEDULE_RENEWAL = "schedule_renewal"
    REMOVE_SCHEDULE = "remove_schedule"
    AUTO_RENEW_ON = "auto_renew_on"
    AUTO_RENEW_OFF = "auto_renew_off"
    SYNC = "sync"


@dataclass(frozen=True, slots=True)
class Alternative:
    """What remains possible where an action is refused."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What was asked for, or what a page showed, against how it is."""

    field: str
    expected: object
    actual: object


@dataclass(frozen=True, slots=True)
class Allowed:
    """The action may be carried out, until the moment where there is one; in_window: Microsoft refunds it."""

    until: datetime | None = None
    in_window: bool = False


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """The subscription is in the wanted state; nothing is to be done."""


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """The action is refused: a stable code, a sentence, until or from when it is allowed, and what remains."""

    code: str
    sentence: str
    until: datetime | None = None
    allowed_from: datetime | None = None
    alternatives: tuple[Alternative, ...] = ()
    differences: tuple[Difference, ...] = ()


Decision = Allowed | AlreadyDone | NotAllowed

_REDUCE_AT_RENEWAL = Alternative("reduce_at_renewal", "Schedule fewer seats for the next renewal.")
_AUTO_RENEW_OFF = Alternative(
    "auto_renew_off",
    "Turn auto-renew off: the subscription ends with its term, or goes on from month to month at a higher price where "
    "Microsoft applies an Extended Service Term.",
)
_AUTO_RENEW_ON = Alternative("auto_renew_on", "Turn auto-renew on first.")
_SUSPEND = Alternative(
    "suspend", "Suspend it: the customer is not billed, while the partner goes on paying Microsoft until the term ends."
)
_CANCEL_AND_REBUY = Alternative("cancel_and_rebuy", "Cancel the whole subscription inside its window and buy anew.")
_REACTIVATE_FIRST = Alternative("reactivate", "Reactivate the subscription first.")
_MIGRATE_THE_BASE = Alternative("migrate", "Migrate the subscription that this add-on belongs to; it goes along.")
_WAIT = Alternative("sync", "Wait until Microsoft has finished, then sync the subscription.")

_FAMILY_WORDS = {
    Family.NCE_LICENSE: "new commerce licence",
    Family.LEGACY_LICENSE: "legacy licence",
    Family.LEGACY_AZURE: "legacy Azure",
    Family.AZURE_PLAN: "Azure plan",
    Family.SOFTWARE: "software",
    Family.RESERVATION: "reservation or savings plan",
    Family.SAAS: "third-party SaaS",
    Family.TRIAL: "trial",
    Family.UNKNOWN: "unknown product family",
}

_LICENSES = frozenset({Family.NCE_LICENSE, Family.LEGACY_LICENSE})
_RENEWING = frozenset({Family.NCE_LICENSE, Family.LEGACY_LICENSE, Family.SOFTWARE, Family.TRIAL})

# Which families an action exists for at all (partner-center reference 6.3 and 15).
FAMILIES: dict[Action, frozenset[Family]] = {
    Action.SUSPEND: _LICENSES,
    Action.REACTIVATE: _LICENSES,
    Action.CHANGE_QUANTITY: _LICENSES,
    Action.CANCEL: frozenset({Family.NCE_LICENSE, Family.SOFTWARE}),
    Action.UPGRADE: frozenset({Family.NCE_LICENSE, Family.LEGACY_LICENSE, Family.TRIAL}),
    Action.MIGRATE: frozenset({Family.LEGACY_LICENSE}),
    Action.SCHEDULE_MIGRATION: frozenset({Family.LEGACY_LICENSE}),
    Action.CANCEL_MIGRATION_SCHEDULE: frozenset({Family.LEGACY_LICENSE}),
    Action.SCHEDULE_RENEWAL: frozenset({Family.NCE_LICENSE, Family.TRIAL}),
    Action.REMOVE_SCHEDULE: frozenset({Family.NCE_LICENSE}),
    Action.AUTO_RENEW_ON: _RENEWING,
    Action.AUTO_RENEW_OFF: _RENEWING,
    Action.SYNC: frozenset(Family),
}

# From which states an action starts.
_ACTIVE = frozenset({State.ACTIVE})
STATES: dict[Action, frozenset[State]] = {
    Action.SUSPEND: _ACTIVE,
    Action.REACTIVATE: frozenset({State.SUSPENDED}),
    Action.CHANGE_QUANTITY: _ACTIVE,
    Action.CANCEL: frozenset({State.ACTIVE, State.SUSPENDED}),
    Action.UPGRADE: _ACTIVE,
    Action.MIGRATE: _ACTIVE,
    Action.SCHEDULE_MIGRATION: _ACTIVE,
    Action.CANCEL_MIGRATION_SCHEDULE: frozenset({State.ACTIVE, State.SUSPENDED}),
    Action.SCHEDULE_RENEWAL: _ACTIVE,
    Action.REMOVE_SCHEDULE: _ACTIVE,
    Action.AUTO_RENEW_ON: _ACTIVE,
    Action.AUTO_RENEW_OFF: _ACTIVE,
    Action.SYNC: frozenset(State),
}

# The state that an action leads to; being there already is success without an operation.
WANTED: dict[Action, State] = {
    Action.SUSPEND: State.SUSPENDED,
    Action.REACTIVATE: State.ACTIVE,
    Action.CANCEL: State.DELETED,
}

# What Microsoft does not take while it renews a subscription (partner-center reference 8.6): seats and cancellations
# may be tried, everything else is read-only.
_NOT_IN_RENEWAL = frozenset(Action) - {
    Action.CHANGE_QUANTITY,
    Action.CANCEL,
    Action.CANCEL_MIGRATION_SCHEDULE,
    Action.SYNC,
}
RENEWAL_TAKES = timedelta(hours=24)


def intention(action: Action, quantity: int | None = None, schedule: str | None = None) -> Intention:
    """What an action that is one PATCH asks of Microsoft; nothing for those that are not."""
    match action:
        case Action.CHANGE_QUANTITY:
            return Intention(quantity=quantity)
        case Action.SCHEDULE_RENEWAL:
            return Intention(schedule=schedule)
        case Action.REMOVE_SCHEDULE:
            return Intention(schedule="")
        case Action.AUTO_RENEW_ON | Action.AUTO_RENEW_OFF:
            return Intention(auto_renew=action is Action.AUTO_RENEW_ON)
        case Action.SUSPEND | Action.REACTIVATE | Action.CANCEL:
            return Intention(status=WANTED[action].value)
    return Intention()


def decide(action: Action, subscription: Subscription, now: datetime, quantity: int | None = None) -> Decision:
    """Decide whether an action may be carried out on a subscription as it is now.

    `quantity` is the wanted number of seats for `change_quantity`; None asks in general, as a list page does.
    `now` is Microsoft's clock where it is known.
    """
    if action is Action.SYNC:
        return Allowed()
    for rule in (_family, _already, _state, _renewal, _facts, _window):
        decision = rule(action, subscription, now, quantity)
        if decision is not None:
            return decision
    return Allowed()


def _family(action: Action, subscription: Subscription, _now: datetime, _quantity: int | None) -> Decision | None:
    if subscription.family in FAMILIES[action]:
        return None
    if subscription.family is Family.TRIAL:
        return NotAllowed(
            "trial",
            f"A trial does not allow the action {action.value}; it ends by itself or is converted by an upgrade.",
            alternatives=(_AUTO_RENEW_OFF,),
        )
    words = _FAMILY_WORDS[subscription.family]
    alternatives: tuple[Alternative, ...] = ()
    if action is Action.CANCEL and subscription.family is Family.LEGACY_LICENSE:
        alternatives = (_SUSPEND,)
    if action is Action.CHANGE_QUANTITY and subscription.family is Family.SOFTWARE:
        alternatives = (_CANCEL_AND_REBUY,)
    return NotAllowed(
        "not_for_this_product",
        f"A subscription of the kind {words} cannot be changed by the action {action.value}.",
        alternatives=alternatives,
    )


def _already(action: Action, subscription: Subscription, _now: datetime, quantity: int | None) -> Decision | None:
    active = subscription.state is State.ACTIVE
    done = {
        Action.CHANGE_QUANTITY: active and quantity is not None and quantity == subscription.quantity,
        Action.AUTO_RENEW_ON: active and subscription.auto_renew,
        Action.AUTO_RENEW_OFF: active and not subscription.auto_renew,
        Action.REMOVE_SCHEDULE: active and not subscription.has_schedule,
    }
    return AlreadyDone() if done.get(action, subscription.state is WANTED.get(action)) else None


def _state(action: Action, subscription: Subscription, _now: datetime, _quantity: int | None) -> Decision | None:
    if subscription.state in STATES[action]:
        return None
    alternatives: tuple[Alternative, ...] = ()
    if subscription.state is State.SUSPENDED:
        alternatives = (_REACTIVATE_FIRST,)
    elif subscription.state in {State.PENDING, State.UNKNOWN}:
        alternatives = (_WAIT,)
    return NotAllowed(
        "not_in_this_state",
        f"The subscription is {subscription.status_raw or 'in an unknown state'}; "
        f"{action.value} starts from {' or '.join(sorted(s.value for s in STATES[action]))}.",
        alternatives=alternatives,
    )


def _renewal(action: Action, subscription: Subscription, now: datetime, _quantity: int | None) -> Decision | None:
    if action not in _NOT_IN_RENEWAL or not subscription.renewing_at(now) or subscription.commitment_end is None:
        return None
    return NotAllowed(
        "renewal_in_progress",
        "Microsoft is renewing the subscription and takes no such change until that is complete, at most a day later.",
        allowed_from=subscription.commitment_end + RENEWAL_TAKES,
        alternatives=(_WAIT,),
    )


def _facts(action: Action, subscription: Subscription, _now: datetime, _quantity: int | None) -> Decision | None:
    if action is Action.SCHEDULE_RENEWAL and not subscription.auto_renew:
        return NotAllowed(
            "auto_renew_is_off",
            "Nothing can be scheduled for a renewal that does not take place.",
            alternatives=(_AUTO_RENEW_ON,),
        )
    if action in {Action.MIGRATE, Action.SCHEDULE_MIGRATION} and subscription.parent_id is not None:
        return NotAllowed(
            "add_on",
            "An add-on is not migrated by itself; it goes along with the subscription that it belongs to.",
            alternatives=(_MIGRATE_THE_BASE,),
        )
    return None


def _window(action: Action, subscription: Subscription, now: datetime, quantity: int | None) -> Decision | None:
    if action is Action.CANCEL:
        return _cancel_window(subscription, now)
    if action is Action.CHANGE_QUANTITY and quantity is not None and quantity < subscription.quantity:
        return _seat_window(subscription, now, quantity)
    return None


def _cancel_window(subscription: Subscription, now: datetime) -> Decision:
    if subscription.cancellable_at(now):
        return Allowed(until=subscription.cancel_until, in_window=True)
    alternatives = [_AUTO_RENEW_OFF]
    if subscription.family is Family.NCE_LICENSE:
        alternatives.insert(0, _REDUCE_AT_RENEWAL)
        if subscription.state is State.ACTIVE:
            alternatives.append(_SUSPEND)
    closed = f"closed at {subscription.cancel_until.isoformat()}" if subscription.cancel_until else "does not exist"
    return NotAllowed(
        "cancel_window_closed",
        f"Microsoft's window for cancelling this subscription {closed}.",
        until=subscription.cancel_until,
        alternatives=tuple(alternatives),
    )


def _seat_window(subscription: Subscription, now: datetime, quantity: int) -> Decision | None:
    if subscription.family is not Family.NCE_LICENSE:
        return None
    refundable = subscription.refundable_at(now)
    lowest = subscription.quantity - refundable
    open_until = [batch.until for batch in subscription.refundable or () if batch.until > now]
    ends = [batch.until for batch in subscription.refundable or ()]
    if quantity >= max(lowest, 1):
        return Allowed(until=min(open_until, default=None), in_window=True)
    if refundable == 0:
        return NotAllowed(
            "seat_window_closed",
            "None of the seats is inside Microsoft's window for giving seats back.",
            until=max(ends, default=subscription.cancel_until),
            alternatives=(_REDUCE_AT_RENEWAL,),
        )
    return NotAllowed(
        "too_few_refundable_seats",
        f"{refundable} of {subscription.quantity} seats can still be given back, "
        f"so {max(lowest, 1)} is the lowest number of seats.",
        until=min(open_until),
        alternatives=(_REDUCE_AT_RENEWAL,),
    )


def table(subscription: Subscription, now: datetime) -> dict[Action, Decision]:
    """Every action's decision for a subscription, as a list page shows it."""
    return {action: decide(action, subscription, now) for action in Action}
