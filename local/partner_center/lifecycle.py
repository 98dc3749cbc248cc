"""What time alone does to a subscription: renewal, expiry, disablement, deletion.

Worked out when somebody looks, never in a loop over all. Rules: an active term with auto-renew goes through a renewal
of `renewalSeconds` into a new term with new windows; without it the subscription is `expired` for 30 days, `disabled`
for 90, then `deleted`; a suspended one is `disabled` at the term's end and `deleted` 120 days later; legacy is
deleted after 90 days of suspension, or when it is suspended at the term's end. While a migration is under way time
does nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from local.partner_center.instructions import follow
from local.partner_center.moments import TERM_MONTHS, WINDOW, term_end
from local.partner_center.subscription import Family, SeatBatch

if TYPE_CHECKING:
    from datetime import datetime

    from local.partner_center.subscription import Subscription
    from local.simulation.switches import Switches

EXPIRED_FOR = timedelta(days=30)
DISABLED_FOR = timedelta(days=90)
LEGACY_SUSPENDED_FOR = timedelta(days=90)
EXTENDED = " (Extended Service Term)"


def live_until(subscription: Subscription, now: datetime, switches: Switches) -> None:
    """Bring the subscription to `now`, through as many terms as have passed.

    A renewal takes `renewalSeconds`; with `endWithoutRenewal` `extended` a new commerce licence without auto-renew goes
    on as a paid Extended Service Term instead of expiring.
    """
    while _step(subscription, now, switches):
        pass


def in_renewal(subscription: Subscription, now: datetime) -> bool:
    """Whether the term has ended and the renewal is not complete (call after `live_until`)."""
    ended = subscription.term_end is not None and now >= subscription.term_end
    return ended and subscription.status == "active"


def _step(subscription: Subscription, now: datetime, switches: Switches) -> bool:
    end = subscription.term_end
    renewal = timedelta(seconds=float(switches["renewalSeconds"]))
    extended = switches["endWithoutRenewal"] == "extended"
    if subscription.underway == "migration":
        return False
    if subscription.status == "active" and subscription.auto_renew and end is not None:
        if now < end + renewal:
            return False
        _renew(subscription, end, end + renewal)
        return True
    if extended and subscription.family is Family.NCE and subscription.status == "active" and end and end <= now:
        _extend(subscription, end)
        return True
    following = _following(subscription)
    if following is None or now < following[0]:
        return False
    subscription.properties["status"] = following[1]
    if following[1] == "disabled" and switches["suspensionReasonsWhenDisabled"] == "removed":
        subscription.properties.pop("suspensionReasons", None)
    subscription.version += 1
    return True


def _following(subscription: Subscription) -> tuple[datetime, str] | None:
    """When the status changes without a renewal, and into which; None if it stays."""
    status, end, suspended = subscription.status, subscription.term_end, subscription.suspended_at
    if status == "suspended" and subscription.family is Family.LEGACY and suspended is not None:
        gone = suspended + LEGACY_SUSPENDED_FOR
        # A migration at renewal suspends when the term is over; what it leaves behind stays its 90 days
        return (min(gone, end) if end and end > suspended else gone), "deleted"
    if end is None:
        return None
    return {
        "active": (end, "expired"),
        "suspended": (end, "disabled"),
        "expired": (end + EXPIRED_FOR, "disabled"),
        "disabled": (end + EXPIRED_FOR + DISABLED_FOR, "deleted"),
    }.get(status)


def _renew(subscription: Subscription, start: datetime, completed: datetime) -> None:
    properties = subscription.properties
    instructions = properties.pop("scheduledNextTermInstructions", None)
    custom_end = follow(subscription, instructions) if instructions else None
    properties["isTrial"] = False
    subscription.term_start = start
    term = str(properties.get("termDuration", ""))
    subscription.term_end = custom_end or term_end(start, term if term in TERM_MONTHS else "P1Y")
    subscription.version += 1
    if subscription.family is not Family.LEGACY:
        # The new windows count from the completion of the renewal, not from the first day of the term
        subscription.cancel_until = completed + WINDOW
    if subscription.family is Family.NCE:
        subscription.batches = [SeatBatch(subscription.quantity, completed)]


def _extend(subscription: Subscription, start: datetime) -> None:
    """Go on from month to month, cancellable at any time; the name and auto-renew of such a term are inferred."""
    properties = subscription.properties
    name = str(properties["offerName"]).removesuffix(EXTENDED) + EXTENDED
    properties |= {"offerName": name, "termDuration": "P1M", "billingCycle": "monthly", "autoRenewEnabled": True}
    subscription.term_start, subscription.term_end = start, term_end(start, "P1M")
    subscription.cancel_until = subscription.term_end
    subscription.version += 1
