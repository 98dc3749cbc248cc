"""Migrations over simulated time: legacy is suspended while they run, and each of the four outcomes that exist.

`completed`: a new commerce subscription with a fresh window takes its place, the legacy one stays suspended and is
later deleted. `failed_active`: as if nothing had been. `failed_suspended`: Microsoft will repair it. `never`: it goes
on and on. Which bodies are accepted is `migration_rules`'.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from local.partner_center import catalogue
from local.partner_center.audit import Actor, summary
from local.partner_center.migration_rules import Wanted
from local.partner_center.moments import to_the_second, with_ticks
from local.partner_center.subscription import Subscription

if TYPE_CHECKING:
    from local.partner_center.account import Account

MigrationOutcome = Literal["completed", "failed_active", "failed_suspended", "never"]
MIGRATION_OUTCOMES: tuple[MigrationOutcome, ...] = get_args(MigrationOutcome)


@dataclass
class MigrationCourse:
    """How the next migrations go: after how many simulated seconds, and how they end."""

    seconds: float = 5.0
    outcome: MigrationOutcome = "completed"


@dataclass(frozen=True)
class MigrationEvent:
    """A step of a migration."""

    id: str
    name: str
    at: datetime


@dataclass
class Migration:
    """One migration of a legacy subscription; those of its add-ons hang below it."""

    id: str
    wanted: Wanted
    customer_id: str
    actor: Actor
    started: datetime
    course: MigrationCourse
    add_ons: list[Migration] = field(default_factory=list)
    events: list[MigrationEvent] = field(default_factory=list)
    status: str = "Processing"
    completed: datetime | None = None
    made: Subscription | None = None

    @property
    def values(self) -> dict[str, str | None]:
        """What a query finds it by."""
        return {
            "customerTenantId": self.customer_id,
            "currentSubscriptionId": self.wanted.legacy.id,
            "externalReferenceId": self.wanted.reference,
        }

    def resource(self) -> dict[str, Any]:
        """The JSON of it."""
        wanted = self.wanted
        end = self.made.term_end if self.made and self.made.term_end else wanted.ends(self.started)
        shown: dict[str, Any] = {
            "addOnMigrations": [one.resource() for one in self.add_ons],
            "id": self.id,
            "startedTime": with_ticks(self.started),
            "currentSubscriptionId": wanted.legacy.id,
            "status": self.status,
            "customerTenantId": self.customer_id,
            "catalogItemId": wanted.product[0] if wanted.product else None,
            "subscriptionEndDate": to_the_second(end),
            "quantity": wanted.quantity,
            "termDuration": wanted.term,
            "billingCycle": wanted.cycle.capitalize(),
            "purchaseFullTerm": wanted.full_term,
        }
        if wanted.reference is not None:
            shown["externalReferenceId"] = wanted.reference
        if wanted.custom_end is not None:
            shown["customTermEndDate"] = to_the_second(wanted.custom_end)
        if self.completed is not None:
            shown["completedTime"] = with_ticks(self.completed)
        if self.made is not None:
            shown |= {"newCommerceSubscriptionId": self.made.id, "newCommerceOrderId": self.made.properties["orderId"]}
        return shown

    def events_resource(self) -> list[dict[str, Any]]:
        """Its events as the API lists them."""
        return [
            {
                "id": event.id,
                "newCommerceMigrationId": self.id,
                "currentSubscriptionId": self.wanted.legacy.key,
                "customerTenantId": self.customer_id,
                "createdTime": with_ticks(event.at),
                "eventName": event.name,
            }
            for event in self.events
        ]


class Migrations:
    """All migrations of the account, oldest first, and what the control path says about the next ones."""

    def __init__(self, account: Account) -> None:
        self.course = MigrationCourse()
        self.forced: dict[str, int] = {}
        self.known: dict[str, Migration] = {}
        self._account = account

    def start(self, wanted: Wanted, actor: Actor, at: datetime) -> Migration:
        """Begin an accepted migration: legacy is suspended with the add-ons that come along."""
        started = self._begun(wanted, actor, at)
        started.add_ons = [self._begun(one, actor, at) for one in wanted.add_ons]
        self.known[started.id] = started
        if started.course.outcome != "never":
            due = at + timedelta(seconds=started.course.seconds)
            self._account.agenda.add(due, lambda moment: self._end(started, started.course.outcome, moment))
            for one in (started, *started.add_ons):
                one.wanted.legacy.change_due = due
        return started

    def end_now(self, migration: Migration, outcome: MigrationOutcome) -> None:
        """Let a migration end at once, whatever was planned; a failed one is repaired or reverted this way."""
        if migration.status == "Failed":
            migration.status = "Processing"
        self._end(migration, outcome, self._account.now())

    def _begun(self, wanted: Wanted, actor: Actor, at: datetime) -> Migration:
        account, legacy = self._account, wanted.legacy
        account.keep(legacy)
        begun = Migration(account.new_id(), wanted, legacy.customer_id, actor, at, replace(self.course))
        self._note(begun, at, "MigrationStarted")
        before = summary(legacy)
        legacy.set_status("suspended", at)
        legacy.version += 1
        legacy.underway = "migration"
        account.record(legacy, "update_subscription", actor, at, before=before)
        return begun

    def _end(self, migration: Migration, outcome: MigrationOutcome, at: datetime) -> None:
        if migration.status != "Processing":
            return
        for one in (migration, *migration.add_ons):
            legacy = one.wanted.legacy
            legacy.underway = legacy.change_due = None
            if outcome == "completed":
                self._complete(one, at)
            else:
                self._fail(one, outcome, at)

    def _complete(self, migration: Migration, at: datetime) -> None:
        migration.made = _successor(migration, at, self._account.new_id())
        migration.wanted.legacy.migrated_to = migration.made.id
        migration.status, migration.completed = "Completed", at
        self._account.buy(migration.made, migration.actor, at)
        self._note(
            migration, at, "NewCommerceSubscriptionCreated", "NewCommerceSubscriptionProvisioned", "MigrationCompleted"
        )

    def _fail(self, migration: Migration, outcome: MigrationOutcome, at: datetime) -> None:
        legacy = migration.wanted.legacy
        migration.status = "Failed"
        self._note(migration, at, "MigrationFailed")
        if outcome == "failed_active":
            before = summary(legacy)
            legacy.set_status("active", at)
            legacy.version += 1
            self._account.record(legacy, "update_subscription", migration.actor, at, before=before)

    def _note(self, migration: Migration, at: datetime, *names: str) -> None:
        migration.events += [MigrationEvent(self._account.new_id(), name, at) for name in names]


def _successor(migration: Migration, at: datetime, identity: str) -> Subscription:
    """The new commerce subscription; where the remaining term is kept, its start is dated back to legacy's."""
    wanted, legacy = migration.wanted, migration.wanted.legacy
    product = wanted.product or catalogue.EXCHANGE_PLAN_1
    made = catalogue.nce(
        identity,
        legacy.customer_id,
        product,
        [(wanted.quantity, at)],
        term=wanted.term,
        order_id=identity.replace("-", "")[-12:],
        billingCycle=wanted.cycle,
        autoRenewEnabled=legacy.auto_renew,
        partnerId=legacy.properties["partnerId"],
        migratedFromSubscriptionId=legacy.id,
    )
    made.term_end = wanted.ends(at)
    if made.term_end == legacy.term_end:
        made.term_start = legacy.term_start
    return made
