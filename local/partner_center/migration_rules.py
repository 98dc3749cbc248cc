"""Reads the body of a migration and judges it: for `validate` with the numbers of its errors, for `create` by refusal.

One list of rules serves both, and also a schedule, whose rules are asked again at its moment. Numbers, sentences and
codes follow Microsoft's enumeration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.partner_center.catalogue import Product
from local.partner_center.errors import ApiError
from local.partner_center.given import Given, invalid, read_moment
from local.partner_center.lifecycle import in_renewal
from local.partner_center.moments import DAY, TERM_MONTHS, add_months, midnight, term_end
from local.partner_center.offers import CYCLE_MONTHS, NEW_COMMERCE
from local.partner_center.subscription import Family, Subscription

MONTH = 1
REFUSALS: dict[int, tuple[int, int, str]] = {
    0: (400, 900215, "Subscription cannot be migrated because it is not active"),
    1: (400, 900216, "Subscription cannot be migrated because it is being processed"),
    2: (400, 900217, "Subscription cannot be migrated because it is too close to its term end"),
    3: (400, 900218, "Subscription cannot be migrated because it has promotions"),
    4: (400, 900219, "Subscription cannot be migrated because add-ons are present"),
    5: (
        400,
        900220,
        "Subscription cannot be migrated to New Commerce because the equivalent offer is not yet available in "
        "New Commerce",
    ),
    6: (400, 900222, "The combination of term duration and billing cycle is not supported"),
    7: (403, 900226, "Subscription cannot be migrated because it has been active for one month or less"),
    8: (400, 900221, "Subscription cannot be migrated because the trade status does not allow it"),
    9: (400, 900247, "The partner id on record is invalid"),
    10: (400, 900217, "Within 24 hours of the term end only migrations to a full term are allowed"),
    11: (400, 900242, "The custom term end date is invalid"),
    12: (400, 900244, "The custom term end date must align with an existing subscription or the calendar month"),
}


@dataclass(frozen=True)
class Wanted:
    """A migration as it was asked for, with the legacy subscription's own values where the body is silent."""

    legacy: Subscription
    term: str
    cycle: str
    quantity: int
    full_term: bool
    custom_end: datetime | None
    reference: str | None
    add_ons: tuple[Wanted, ...] = ()

    @property
    def product(self) -> Product | None:
        """The new commerce offer that takes its place."""
        return NEW_COMMERCE.get(str(self.legacy.properties["offerId"]).upper())

    def ends(self, at: datetime) -> datetime:
        """The first moment after the new term when it begins at `at`."""
        if self.custom_end is not None:
            return midnight(self.custom_end.date()) + DAY
        left = self.legacy.term_end
        keeps = not self.full_term and self.term == self.legacy.properties.get("termDuration")
        if keeps and left is not None and left > at:
            return left
        return term_end(at, self.term if self.term in TERM_MONTHS else "P1Y")


@dataclass(frozen=True)
class Circumstances:
    """What the rules look at besides the body; `forced` are errors that the control path put on subscriptions."""

    at: datetime
    customers: Iterable[Subscription]
    forced: Mapping[str, int]
    at_renewal: bool = False


def read_wanted(body: Given, customers: Iterable[Subscription], *, inner: bool = False) -> Wanted:
    """Read a body against the customer's subscriptions; add-ons may stand under either of the two documented names.

    Raises:
        ApiError: 400/3000 a wrong value, 404/20003 no such subscription, 400/900262 no such add-on, 400/900248 an
            add-on twice.
    """
    known = {one.key: one for one in customers}
    identity = body.text("currentSubscriptionId")
    if identity is None:
        raise invalid("currentSubscriptionId")
    legacy = known.get(identity.lower())
    if legacy is None:
        if inner:
            raise ApiError(400, 900262, f"The add-on {identity} was not found.")
        raise ApiError(404, 20003, f"Subscription {identity} was not found.")
    parts = body.parts("addOnMigrations") or body.parts("addOnMigrationSchedules")
    add_ons = tuple(read_wanted(part, known.values(), inner=True) for part in parts)
    _check_add_ons(legacy, add_ons, known)
    custom = body.text("customTermEndDate")
    quantity = body.count("quantity")
    return Wanted(
        legacy=legacy,
        term=(body.text("termDuration") or str(legacy.properties.get("termDuration", ""))).upper(),
        cycle=(body.text("billingCycle") or str(legacy.properties.get("billingCycle", ""))).lower(),
        quantity=legacy.quantity if quantity is None else quantity,
        full_term=bool(body.flag("purchaseFullTerm")),
        custom_end=None if custom is None else read_moment("customTermEndDate", custom),
        reference=body.guid("externalReferenceId"),
        add_ons=add_ons,
    )


def problems(wanted: Wanted, around: Circumstances, *, inner: bool = False) -> list[int]:
    """The numbers of the errors of one subscription (its add-ons have their own); empty: it can be migrated."""
    legacy, at = wanted.legacy, around.at
    if legacy.family is not Family.LEGACY:
        return [5]
    if legacy.underway is not None or (in_renewal(legacy, at) and not around.at_renewal):
        return [1]
    if legacy.key in around.forced:
        return [around.forced[legacy.key]]
    named = {one.legacy.key for one in wanted.add_ons}
    own = {one.key for one in around.customers if one.parent_key == legacy.key and one.status == "active"}
    left = legacy.term_end - at if legacy.term_end is not None and not around.at_renewal else None
    found = {
        0: legacy.status != "active",
        3: bool(legacy.properties.get("promotionId")),
        4: bool(own - named) or (legacy.parent_key is not None and not inner),
        5: wanted.product is None or legacy.is_trial,
        6: not _combines(wanted),
        7: midnight(add_months(legacy.created.date(), MONTH)) > at,
        10: left is not None and left < DAY and not wanted.full_term,
        11: wanted.custom_end is not None and not at < wanted.ends(at) <= term_end(at, "P3Y"),
        12: wanted.custom_end is not None and not _aligned(wanted.ends(at), around.customers),
    }
    return [number for number, holds in found.items() if holds]


def check(wanted: Wanted, around: Circumstances) -> None:
    """Judge a migration with its add-ons.

    Raises:
        ApiError: the refusal of its only error, or 400/900221 when there are several; 400/2002 no seats.
    """
    found = problems(wanted, around)
    for add_on in wanted.add_ons:
        found += problems(add_on, around, inner=True)
    if len(set(found)) > 1:
        raise ApiError(400, 900221, "Subscription cannot be migrated because of one or more reasons.")
    if found:
        status, code, sentence = REFUSALS[found[0]]
        raise ApiError(status, code, sentence)
    if any(one.quantity < 1 for one in (wanted, *wanted.add_ons)):
        raise ApiError(400, 2002, "The quantity is outside the minimum and maximum.")


def validation(wanted: Wanted, around: Circumstances, *, inner: bool = False) -> dict[str, Any]:
    """The answer of `validate`."""
    found = problems(wanted, around, inner=inner)
    shown: dict[str, Any] = {"currentSubscriptionId": wanted.legacy.id, "isEligible": not found}
    if not found and wanted.product is not None:
        shown |= {"termDuration": wanted.term, "billingCycle": wanted.cycle, "catalogItemId": wanted.product[0]}
    shown["errors"] = [{"code": number, "description": REFUSALS[number][2]} for number in found]
    shown["addOnMigrations"] = [validation(one, around, inner=True) for one in wanted.add_ons]
    return shown


def _check_add_ons(legacy: Subscription, add_ons: tuple[Wanted, ...], known: Mapping[str, Subscription]) -> None:
    keys = [one.legacy.key for one in add_ons]
    if len(set(keys)) < len(keys):
        raise ApiError(400, 900248, "An add-on is named twice.")
    for key in keys:
        if known[key].parent_key != legacy.key:
            raise ApiError(400, 900262, f"The subscription {key} is no add-on of {legacy.id}.")


def _combines(wanted: Wanted) -> bool:
    cycle = CYCLE_MONTHS.get(wanted.cycle)
    return wanted.term in TERM_MONTHS and cycle is not None and cycle <= TERM_MONTHS[wanted.term]


def _aligned(end: datetime, customers: Iterable[Subscription]) -> bool:
    return end.day == 1 or any(one.term_end == end and one.family is Family.NCE for one in customers)
