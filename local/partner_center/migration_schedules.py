"""Scheduled migrations: made, changed, cancelled, and carried out when the clock reaches their date or the renewal.

The rules are asked at creation and again at the moment; a schedule that is refused then has failed and says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.partner_center.audit import Actor
from local.partner_center.customers import Customer
from local.partner_center.errors import ApiError
from local.partner_center.given import Given, invalid
from local.partner_center.migration_rules import Circumstances, Wanted, check, read_wanted
from local.partner_center.migrations import Migration
from local.partner_center.moments import to_the_second, with_micros

if TYPE_CHECKING:
    from local.partner_center.account import Account
    from local.partner_center.migrations import Migrations

CREATED, CANCELLED, FAILED = "Created", "Cancelled", "Failed"


@dataclass
class MigrationSchedule:
    """A migration that is to happen at `due`; without a target date that is the renewal."""

    id: str
    customer: Customer
    wanted: Wanted
    target: datetime | None
    due: datetime
    actor: Actor
    created: datetime
    modified: datetime
    status: str = CREATED
    migration: Migration | None = None
    error: ApiError | None = None

    @property
    def values(self) -> dict[str, str | None]:
        """What a query finds it by."""
        return {
            "customerTenantId": self.customer.id,
            "currentSubscriptionId": self.wanted.legacy.id,
            "externalReferenceId": self.wanted.reference,
        }

    def resource(self, add_ons_key: str) -> dict[str, Any]:
        """The JSON of it."""
        wanted = self.wanted
        shown: dict[str, Any] = {
            "id": self.id,
            "currentSubscriptionId": wanted.legacy.key,
            "subscriptionEndDate": to_the_second(wanted.legacy.term_end or self.due),
            "status": self.status,
            "customerTenantId": self.customer.id,
            **_terms(wanted),
            "migrateOnRenewal": self.target is None,
            add_ons_key: [{"currentSubscriptionId": one.legacy.key, **_terms(one)} for one in wanted.add_ons],
            "createdTime": with_micros(self.created).removesuffix("Z") + "+00:00",
            "lastModifiedTime": with_micros(self.modified).removesuffix("Z") + "+00:00",
        }
        if self.target is not None:
            shown["targetDate"] = to_the_second(self.target)
        if wanted.reference is not None:
            shown["externalReferenceId"] = wanted.reference
        if self.migration is not None:
            shown["newCommerceMigrationId"] = self.migration.id
        if self.error is not None:
            shown |= {"errorCode": self.error.code, "errorDescription": self.error.description}
        return shown


class MigrationSchedules:
    """All schedules of the account, oldest first."""

    def __init__(self, account: Account, migrations: Migrations) -> None:
        self.known: dict[str, MigrationSchedule] = {}
        self._account = account
        self._migrations = migrations

    def create(self, customer: Customer, body: Given, actor: Actor) -> MigrationSchedule:
        """Make a schedule.

        Raises:
            ApiError: the body is wrong, the migration would be refused then, or 400/900216 there is a schedule already.
        """
        wanted, target, due = self._read(customer, body)
        legacy = wanted.legacy
        if any(one.wanted.legacy.key == legacy.key and one.status == CREATED for one in self.known.values()):
            raise ApiError(400, 900216, "Subscription cannot be migrated because it is being processed")
        now = self._account.now()
        made = MigrationSchedule(self._account.new_id(), customer, wanted, target, due, actor, now, now)
        self.known[made.id] = made
        self._plan(made)
        return made

    def find(self, customer: Customer, identity: str) -> MigrationSchedule:
        """One schedule of the customer.

        Raises:
            ApiError: 400/900224 there is none.
        """
        found = self.known.get(identity.lower())
        if found is None or found.customer.id != customer.id:
            raise ApiError(400, 900224, "The migration schedule was not found.")
        return found

    def update(self, schedule: MigrationSchedule, body: Given) -> None:
        """Replace everything but the subscription.

        Raises:
            ApiError: 400/900127 it is no longer open, 400/3000 another subscription, or as at creation.
        """
        _check_open(schedule)
        if (body.text("currentSubscriptionId") or schedule.wanted.legacy.id).lower() != schedule.wanted.legacy.key:
            raise invalid("currentSubscriptionId")
        schedule.wanted, schedule.target, schedule.due = self._read(schedule.customer, body)
        schedule.modified = self._account.now()
        self._plan(schedule)

    def cancel(self, schedule: MigrationSchedule) -> None:
        """Cancel an open schedule.

        Raises:
            ApiError: 400/900127 it is no longer open.
        """
        _check_open(schedule)
        schedule.status, schedule.modified = CANCELLED, self._account.now()

    def _read(self, customer: Customer, body: Given) -> tuple[Wanted, datetime | None, datetime]:
        customers = self._account.subscriptions(customer)
        wanted = read_wanted(body, customers)
        target, on_renewal = body.moment("targetDate"), bool(body.flag("migrateOnRenewal"))
        due = wanted.legacy.term_end if on_renewal else target
        if due is None or (on_renewal and target is not None):
            raise invalid("targetDate")
        if due <= self._account.now():
            raise invalid("targetDate")
        check(wanted, Circumstances(due, customers, self._migrations.forced, at_renewal=on_renewal))
        return wanted, target, due

    def _plan(self, schedule: MigrationSchedule) -> None:
        due = schedule.due
        self._account.agenda.add(due, lambda moment: self._carry_out(schedule, due, moment))

    def _carry_out(self, schedule: MigrationSchedule, planned: datetime, at: datetime) -> None:
        if schedule.status != CREATED or schedule.due != planned:
            return
        for one in (schedule.wanted, *schedule.wanted.add_ons):
            self._account.catch_up(one.legacy, at)
        customers = self._account.subscriptions(schedule.customer, at)
        around = Circumstances(at, customers, self._migrations.forced, at_renewal=schedule.target is None)
        schedule.modified = at
        try:
            check(schedule.wanted, around)
        except ApiError as error:
            schedule.status, schedule.error = FAILED, error
            return
        schedule.migration = self._migrations.start(schedule.wanted, schedule.actor, at)
        schedule.status = self._account.switches["migrationScheduleDone"]


def _check_open(schedule: MigrationSchedule) -> None:
    if schedule.status != CREATED:
        raise ApiError(400, 900127, "The operation is not supported: the schedule is no longer open.")


def _terms(wanted: Wanted) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "quantity": wanted.quantity,
        "termDuration": wanted.term,
        "billingCycle": wanted.cycle.capitalize(),
        "purchaseFullTerm": wanted.full_term,
    }
    if wanted.custom_end is not None:
        shown["customTermEndDate"] = to_the_second(wanted.custom_end)
    return shown
