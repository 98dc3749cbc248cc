"""Migrations to new commerce between Partner Center's JSON and the values of `shared.domain.migration`; pure.

Whatever is missing or of an unknown word is read as far as it goes; only an id must be there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.domain.errors import Malformed
from shared.domain.migration import (
    MIGRATION_REASONS,
    AddOnMigration,
    Migration,
    MigrationOption,
    MigrationRequest,
    MigrationSchedule,
    MigrationStatus,
    ScheduleRequest,
    ScheduleStatus,
)
from shared.domain.reasons import Reason
from shared.domain.vendor_codes import explain
from shared.partner_center.fields import Fields, api_word

_ADD_ONS = ("addOnMigrations", "addOnMigrationSchedules")  # the documentation and the SDK differ (reference 11.6)


def migration_body(request: MigrationRequest) -> dict[str, Any]:
    """What is sent to validate or start a migration; only what was chosen."""
    return _item(request) | _optional(request) | {"addOnMigrations": [_item(each) for each in request.add_ons]}


def schedule_body(request: ScheduleRequest) -> dict[str, Any]:
    """What is sent to schedule a migration: a date, or the renewal."""
    migration = request.migration
    when = {"migrateOnRenewal": True} if request.at is None else {"targetDate": _stamp(request.at)}
    add_ons = {"addOnMigrationSchedules": [_item(each) for each in migration.add_ons]}
    return _item(migration) | _optional(migration) | when | add_ons


def _item(request: MigrationRequest | AddOnMigration) -> dict[str, Any]:
    chosen = {
        "termDuration": request.term,
        "billingCycle": api_word(request.billing) if request.billing else None,
        "quantity": request.quantity,
    }
    named = {"currentSubscriptionId": request.subscription, "purchaseFullTerm": request.full_term}
    return named | {name: value for name, value in chosen.items() if value is not None}


def _optional(request: MigrationRequest) -> dict[str, Any]:
    chosen = {
        "externalReferenceId": request.external_reference,
        "customTermEndDate": _stamp(request.custom_end) if request.custom_end else None,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_option(request: MigrationRequest, parsed: object) -> MigrationOption | None:
    """What a validation says; None where it does not say whether the subscription is eligible."""
    item = Fields(parsed)
    if not item.has("isEligible"):
        return None
    asked = {each.subscription.lower(): each for each in request.add_ons}
    add_ons = (_option(each, asked.get(each.identity("currentSubscriptionId") or "")) for each in _flat(item))
    return _option(item, request, tuple(add_ons))


def ineligible(request: MigrationRequest, reason: Reason) -> MigrationOption:
    """The option that a refused validation amounts to."""
    return _option(Fields({"isEligible": False}), request, reasons=(reason,))


def _option(
    item: Fields,
    asked: MigrationRequest | AddOnMigration | None,
    add_ons: tuple[MigrationOption, ...] = (),
    reasons: tuple[Reason, ...] = (),
) -> MigrationOption:
    return MigrationOption(
        subscription=item.identity("currentSubscriptionId") or (asked.subscription.lower() if asked else ""),
        term=item.text("termDuration") or (asked.term if asked and asked.term else ""),
        billing=(item.text("billingCycle") or (asked.billing if asked and asked.billing else "")).lower(),
        eligible=item.flag("isEligible"),
        reasons=reasons or item.reasons(MIGRATION_REASONS, "errors"),
        catalog_item=item.text("catalogItemId") or None,
        add_ons=add_ons,
    )


def _flat(item: Fields) -> list[Fields]:
    """The add-ons of an answer and theirs, in one list."""
    found: list[Fields] = []
    waiting = item.children(*_ADD_ONS)
    while waiting:
        found.append(waiting.pop(0))
        waiting = found[-1].children(*_ADD_ONS) + waiting
    return found


def parse_migration(parsed: object) -> Migration:
    """One migration.

    Raises:
        Malformed: it has no id.
    """
    item = Fields(parsed)
    if not item.text("id"):
        raise Malformed("a migration without an id")
    return _migration(item, tuple(_migration(each) for each in _flat(item)))


def _migration(item: Fields, add_ons: tuple[Migration, ...] = ()) -> Migration:
    status = item.text("status")
    return Migration(
        id=item.identity("id") or "",
        status=_status(status),
        status_raw=status,
        subscription=item.identity("currentSubscriptionId") or "",
        new_subscription=item.identity("newCommerceSubscriptionId"),
        external_reference=item.identity("externalReferenceId"),
        started_at=item.moment("startedTime"),
        completed_at=item.moment("completedTime"),
        subscription_end=item.moment("subscriptionEndDate"),
        catalog_item=item.text("catalogItemId") or None,
        term=item.text("termDuration"),
        billing=item.text("billingCycle").lower(),
        full_term=item.flag("purchaseFullTerm"),
        quantity=item.whole("quantity"),
        order_id=item.text("newCommerceOrderId"),
        reasons=item.reasons(MIGRATION_REASONS, "errors") or _one_reason(item),
        add_ons=add_ons,
    )


def _one_reason(item: Fields) -> tuple[Reason, ...]:
    if not item.has("errorCode") and not item.text("errorDescription"):
        return ()
    code, text = item.text("errorCode"), item.text("errorDescription")
    why = explain(400, code, text)  # which of the two lists of codes it is from, is not documented
    return (Reason(why.code, why.text, why.sentence) if why.known else MIGRATION_REASONS.reason(code, text),)


def _status(word: str) -> MigrationStatus:
    try:
        return MigrationStatus(word.lower())
    except ValueError:
        return MigrationStatus.UNKNOWN


def parse_schedule(parsed: object) -> MigrationSchedule:
    """One schedule.

    Raises:
        Malformed: it has no id.
    """
    item = Fields(parsed)
    identity, status = item.identity("id"), item.text("status")
    if identity is None:
        raise Malformed("a migration schedule without an id")
    return MigrationSchedule(
        id=identity,
        status=_schedule_status(status),
        status_raw=status,
        subscription=item.identity("currentSubscriptionId") or "",
        target_date=item.moment("targetDate"),
        on_renewal=item.flag("migrateOnRenewal"),
        external_reference=item.identity("externalReferenceId"),
        subscription_end=item.moment("subscriptionEndDate"),
        term=item.text("termDuration"),
        billing=item.text("billingCycle").lower(),
        full_term=item.flag("purchaseFullTerm"),
        quantity=item.whole("quantity"),
        created_at=item.moment("createdTime"),
        modified_at=item.moment("lastModifiedTime"),
        migration=item.identity("newCommerceMigrationId"),
        reason=next(iter(_one_reason(item)), None),
        add_ons=tuple(each.identity("currentSubscriptionId") or "" for each in _flat(item)),
    )


def _schedule_status(word: str) -> ScheduleStatus:
    spelled = "cancelled" if word.lower() == "canceled" else word.lower()
    try:
        return ScheduleStatus(spelled)
    except ValueError:
        return ScheduleStatus.UNKNOWN
