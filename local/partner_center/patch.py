"""What a PATCH of a subscription may do, and what it does when it may.

The rules come in the order in which Partner Center finds fault. `check` raises or returns the change; `apply` does
it, at once or later (202). The order: etag, pending change, renewal, deleted, ended, trial, family, state, window,
limits. Time's own effects are `lifecycle`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.partner_center.errors import ApiError
from local.partner_center.fields import WantedFields, undocumented
from local.partner_center.instructions import check_instructions
from local.partner_center.lifecycle import in_renewal
from local.partner_center.subscription import Family, Subscription
from local.simulation.switches import Switches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.partner_center.subscription import SeatBatch

SMALL_BUSINESS_PRODUCTS = ("CFQ7TTC0LDPB:", "CFQ7TTC0LCHC:", "CFQ7TTC0LH18:")
SMALL_BUSINESS_SEATS = 300
SEATS = 10_000
UPDATES = 1_200
SEAT_WINDOW_CLOSED = {
    800090: "Subscription quantity cannot be decreased.",
    900214: "You have passed your 168-hour window for reducing seats.",
    900257: "You have passed your 7-day window for reducing seats.",
}


@dataclass(frozen=True)
class Change:
    """A change that was found allowed. `status` and `quantity` are None where they stay."""

    wanted: WantedFields
    status: str | None
    quantity: int | None
    auto_renew: bool
    instructed: bool


@dataclass(frozen=True)
class Situation:
    """What the rules look at besides the subscription itself."""

    now: datetime
    switches: Switches
    parent: Subscription | None = None


def check(subscription: Subscription, wanted: WantedFields, if_match: str | None, situation: Situation) -> Change:
    """Judge a PATCH.

    Raises:
        ApiError: the first rule that forbids it.
    """
    change = _difference(subscription, wanted, situation.switches)
    _check_etag(subscription, wanted, if_match, situation.switches)
    _check_time(subscription, change, situation)
    if subscription.updates >= UPDATES:
        raise ApiError(400, 900311, "The subscription has been updated too many times.")
    if subscription.is_trial:
        _check_trial(change)
    _check_family(subscription, change, situation)
    _check_state(subscription, change, situation)
    _check_quantity(subscription, change, situation)
    return change


def apply(
    subscription: Subscription, change: Change, now: datetime, switches: Switches, add_ons: Iterable[Subscription]
) -> None:
    """Do an allowed change with its side effects; `add_ons` are the legacy add-ons that a suspension takes along."""
    properties, wanted = subscription.properties, change.wanted
    properties["friendlyName"] = wanted.friendly_name
    properties["partnerId"] = wanted.partner_id
    properties["autoRenewEnabled"] = change.auto_renew
    _replace(properties, "scheduledNextTermInstructions", wanted.next_term)
    _replace(properties, "nextChargeInstructions", wanted.next_charge)
    _replace(properties, "additionalPartnerIds", wanted.additional_partner_ids)
    _keep_undocumented(properties, wanted.undocumented, switches)
    immediate = change.status is not None or change.quantity is not None or not change.auto_renew
    if immediate and not (change.instructed and change.auto_renew):
        properties.pop("scheduledNextTermInstructions", None)
    if change.quantity is not None:
        _set_quantity(subscription, change.quantity, now, switches)
    if change.status is not None:
        subscription.set_status(change.status, now)
        if change.status == "suspended":
            for add_on in add_ons:
                if add_on.status == "active":
                    add_on.set_status("suspended", now)
                    add_on.version += 1
    subscription.version += 1
    subscription.updates += 1


def _difference(subscription: Subscription, wanted: WantedFields, switches: Switches) -> Change:
    status = wanted.status if wanted.status != subscription.status else None
    # A cancellation takes all seats whatever number it carries
    counts = status != "deleted" and wanted.quantity != subscription.quantity
    quantity = wanted.quantity if counts else None
    auto_renew = wanted.auto_renew
    if status == "suspended" and subscription.family is not Family.LEGACY:
        auto_renew = False
    if status == "active" and auto_renew and not subscription.auto_renew:
        if switches["autoRenewWithReactivation"] == "refused":
            raise ApiError(400, 800091, "A suspended subscription cannot be updated.")
        auto_renew = switches["autoRenewWithReactivation"] == "accepted"
    stored = subscription.properties.get("scheduledNextTermInstructions")
    instructed = wanted.next_term is not None and wanted.next_term != stored
    return Change(wanted, status, quantity, auto_renew, instructed)


def _check_etag(subscription: Subscription, wanted: WantedFields, if_match: str | None, switches: Switches) -> None:
    if subscription.etag is None:
        return
    for presented in (if_match.strip().strip('"') if if_match else None, wanted.etag):
        if presented and presented not in ("*", subscription.etag):
            raise ApiError(switches["staleEtag"], 2055, "Etag is no longer valid.")


def _check_time(subscription: Subscription, change: Change, situation: Situation) -> None:
    if subscription.underway is not None:
        raise ApiError(409, situation.switches["pendingOperationCode"], "Another operation is in progress.")
    if in_renewal(subscription, situation.now):
        auto_renew_changes = change.auto_renew != subscription.auto_renew
        if change.status in ("suspended", "active") or auto_renew_changes or change.instructed:
            raise ApiError(400, 900280, "Updates to this subscription are currently not allowed.")
        raise renewing(situation.switches)
    if subscription.status == "deleted":
        raise ApiError(400, 2011, "A deleted subscription cannot be updated.")
    if subscription.status not in ("active", "suspended") or subscription.migrated_to is not None:
        raise ApiError(400, 900279, "Updates to this subscription are no longer allowed.")


def _check_trial(change: Change) -> None:
    if change.quantity is not None:
        raise ApiError(400, 800095, "The quantity of this subscription cannot be updated.")
    if change.status is not None:
        raise ApiError(400, 800096, "The status of this subscription cannot be updated.")


def _check_family(subscription: Subscription, change: Change, situation: Situation) -> None:
    family = subscription.family
    if family is Family.AZURE_PLAN and change.status == "suspended":
        raise ApiError(403, 900115, "The Azure plan has active Azure subscriptions.")
    if change.status == "deleted" and family in (Family.AZURE_PLAN, Family.LEGACY):
        raise ApiError(400, 800096, "The status of this subscription cannot be updated.")
    if change.status in ("suspended", "active") and family is Family.SOFTWARE:
        raise ApiError(400, 800096, "The status of this subscription cannot be updated.")
    parent = situation.parent
    if change.status == "active" and parent is not None and parent.status != "active":
        raise ApiError(409, 27009, "The subscription cannot be enabled while its parent is not active.")
    if change.quantity is None or change.quantity < 1:
        return
    if family is Family.AZURE_PLAN:
        raise ApiError(400, 800095, "The quantity of this subscription cannot be updated.")
    if family is Family.SOFTWARE and change.quantity > subscription.quantity:
        raise ApiError(403, 800027, "The item is not eligible for adding or removing quantity.")
    if family in (Family.SOFTWARE, Family.SAAS) and change.quantity < subscription.quantity:
        raise ApiError(400, 800095, "The quantity of this subscription cannot be updated.")


def _check_state(subscription: Subscription, change: Change, situation: Situation) -> None:
    if change.status not in (None, "active", "suspended", "deleted"):
        raise ApiError(400, 800040, f"Asset status can't be changed to {change.status} from {subscription.status}.")
    if change.status == "deleted":
        until = subscription.cancel_until
        if until is None or situation.now >= until:
            raise ApiError(
                400, 900117, "You have passed your 7-day cancellation window. We are unable to cancel your purchase."
            )
        return
    if change.quantity is not None and "suspended" in (subscription.status, change.status):
        raise ApiError(400, 2001, "The quantity cannot be changed while the subscription is being suspended.")
    if subscription.status == "suspended" and change.status is None and _touches_more(subscription, change):
        raise ApiError(400, 800091, "A suspended subscription cannot be updated.")
    if change.instructed and change.status is None and not change.auto_renew:
        raise ApiError(400, 800093, "The subscription is not eligible for auto-renew.")
    if change.instructed and change.wanted.next_term is not None:
        check_instructions(subscription, change.wanted.next_term)


def _touches_more(subscription: Subscription, change: Change) -> bool:
    stored = subscription.properties
    names_change = (change.wanted.friendly_name, change.wanted.partner_id) != (
        stored.get("friendlyName", ""),
        stored.get("partnerId", ""),
    )
    return names_change or change.instructed or change.auto_renew != subscription.auto_renew


def _check_quantity(subscription: Subscription, change: Change, situation: Situation) -> None:
    if change.quantity is None:
        return
    if change.quantity < 1:
        raise ApiError(400, 2002, "The quantity is outside the minimum and maximum.")
    if subscription.family is Family.NCE and change.quantity < subscription.quantity:
        open_seats = sum(batch.quantity for batch in subscription.refundable(situation.now))
        if subscription.quantity - change.quantity > open_seats:
            code = situation.switches["seatWindowError"]
            raise ApiError(400, code, SEAT_WINDOW_CLOSED[code])
    if change.quantity > subscription.quantity and change.quantity > most_seats(subscription):
        raise ApiError(403, 800067, "The maximum number of seats would be exceeded.")


def renewing(switches: Switches) -> ApiError:
    """The refusal of a change that may be tried again when the renewal is complete."""
    return ApiError(409, switches["renewalBlackoutCode"], "The subscription is not ready to be updated.")


def most_seats(subscription: Subscription) -> int:
    """The maximum of its SKU."""
    offer = str(subscription.properties["offerId"]).upper()
    return SMALL_BUSINESS_SEATS if offer.startswith(SMALL_BUSINESS_PRODUCTS) else SEATS


def _replace(properties: dict[str, Any], name: str, value: object) -> None:
    if value is None:
        properties.pop(name, None)
    else:
        properties[name] = value


def _keep_undocumented(properties: dict[str, Any], sent: dict[str, Any], switches: Switches) -> None:
    if switches["unknownFieldOmitted"] == "removed":
        for name in undocumented(properties):
            del properties[name]
    properties.update(sent)


def _set_quantity(subscription: Subscription, quantity: int, now: datetime, switches: Switches) -> None:
    if quantity > subscription.quantity:
        subscription.add_seats(quantity - subscription.quantity, now)
        return
    batches: list[SeatBatch] = subscription.refundable(now)
    if switches["seatBatchOrder"] == "newest_first":
        batches.reverse()
    subscription.remove_seats(subscription.quantity - quantity, batches)
