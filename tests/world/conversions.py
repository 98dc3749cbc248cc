"""Upgrades and migrations in memory, over the subscriptions of the Partner Center fake, with the same faults.

Fulfils `TransitionsPort` and `MigrationsPort`. Both take simulated seconds; how they end is said before they begin.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.errors import NotFound
from shared.domain.migration import (
    Migration,
    MigrationOption,
    MigrationRequest,
    MigrationSchedule,
    MigrationStatus,
    ScheduleRequest,
    ScheduleStatus,
)
from shared.domain.outcomes import (
    AlreadyMigrating,
    Busy,
    CancelScheduleOutcome,
    ChangeRefused,
    Listing,
    MigrationOutcome,
    MigrationStarted,
    ScheduleCancelled,
    Scheduled,
    ScheduleOutcome,
    Started,
    TransitionOutcome,
    Unknown,
    UpgradeDone,
    UpgradeOutcome,
)
from shared.domain.subscription import known_of
from shared.domain.upgrade import (
    Destination,
    Transition,
    TransitionEvent,
    TransitionOption,
    TransitionRequest,
    TransitionType,
    UpgradeOption,
    UpgradeResult,
)
from shared.partner_center.wire import parse_subscription
from tests.world.clock import Clock
from tests.world.partner_center import ChangeFault, Effect, Fault, PartnerCenter, Patch, effective_at_of

TARGET = "CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2"
LEGACY_OFFER = "195416c1-3447-423a-b37b-ee59a99a19c4"
LEGACY_TARGET = "796b6b5f-613c-4e24-a17c-eba730d49c02"
NEW_COMMERCE = "CFQ7TTC0LH16:0001:CFQ7TTC0SIM7"


@dataclass(eq=False)
class Conversion:
    """One transition: when it was asked for, and how it ends."""

    source: str
    request: TransitionRequest
    request_id: str
    started: datetime
    fails: bool
    operation_id: str
    ended: datetime | None = None

    def take_effect(self, center: PartnerCenter, customer: str) -> None:
        self.ended = center.microsoft_now()
        if self.fails:
            return
        resources = center.resources(customer)
        source, request = resources[self.source], self.request
        before = known_of(parse_subscription(customer, source))
        source["scheduledNextTermInstructions"] = None
        if request.to_subscription is not None:
            joined = resources[request.to_subscription]
            joined_before = known_of(parse_subscription(customer, joined))
            joined["quantity"] += request.quantity
            center.note(customer, request.to_subscription, joined_before, None)
        if request.quantity < source["quantity"]:
            source["quantity"] -= request.quantity
            if request.to_subscription is None:
                child = copy.deepcopy(source) | {"id": center.new_id(), "quantity": request.quantity}
                child |= {"offerId": request.target, "creationDate": center.microsoft_now().isoformat()}
                center.add(customer, child)
        elif request.to_subscription is not None:
            source["status"] = "deleted"
        else:
            source["offerId"] = request.target
        center.note(customer, self.source, before, self.request_id)

    def shown(self) -> Transition:
        events = [TransitionEvent("Conversion", "Started", self.started)]
        if self.ended is not None:
            events.append(TransitionEvent("Conversion", "Failed" if self.fails else "Completed", self.ended))
        return Transition(
            self.operation_id, self.request.target, self.request.quantity, self.request.to_subscription, tuple(events)
        )


class Transitions:
    """The upgrades of one partner."""

    def __init__(self, center: PartnerCenter, clock: Clock) -> None:
        self._center = center
        self._clock = clock
        self._known: list[Conversion] = []
        self.seconds = 300.0
        self.fails = False

    async def transition_options(
        self, customer: str, subscription: str, *, scheduled: bool
    ) -> tuple[TransitionOption, ...]:
        """See TransitionsPort."""
        await self._center.subscription(customer, subscription)
        ways = (TransitionType("transition_only", eligible=True, reasons=()),)
        joinable = [
            Destination(identity, "", "P1Y", "monthly", eligible=True, reasons=())
            for identity, raw in self._center.resources(customer).items()
            if raw["offerId"] == TARGET and raw["status"] == "active" and not scheduled
        ]
        return (TransitionOption(TARGET, "Business Premium", None, ways, tuple(joinable)),)

    async def transition(
        self, customer: str, subscription: str, request: TransitionRequest, *, request_id: str, deadline: datetime
    ) -> TransitionOutcome:
        """See TransitionsPort."""
        taken = self._center.receive(deadline)
        if not isinstance(taken, Fault | None):
            return taken
        if any(one.ended is None and one.source == subscription for one in self._known):
            return Busy("900278", "pending operation", timedelta(hours=24))
        begins = effective_at_of(taken, self._clock.now(), deadline)
        self._center.patches.append(_sent(self._center, customer, subscription, request_id, begins))
        if begins is not None:
            started = Conversion(subscription, request, request_id, begins, self.fails, self._center.new_id())
            self._center.later(begins, customer, _Begin(self._known, started, self.seconds))
            if taken is None or taken.kind is ChangeFault.WORKING:
                return Started(started.shown())
        return Unknown("no answer")

    async def transitions(
        self, customer: str, subscription: str, *, operation: str | None = None
    ) -> tuple[Transition, ...]:
        """See TransitionsPort."""
        await self._center.subscription(customer, subscription)
        found = [one for one in self._known if one.source == subscription]
        return tuple(one.shown() for one in found if operation in {None, one.operation_id})

    async def upgrade_options(self, customer: str, subscription: str) -> tuple[UpgradeOption, ...]:
        """See TransitionsPort."""
        reading = await self._center.subscription(customer, subscription)
        return (
            UpgradeOption(LEGACY_TARGET, "E3", eligible=True, reasons=(), quantity=reading.raw["quantity"], raw={}),
        )

    async def upgrade(
        self, customer: str, subscription: str, option: UpgradeOption, *, request_id: str, deadline: datetime
    ) -> UpgradeOutcome:
        """See TransitionsPort."""
        taken = self._center.receive(deadline)
        if not isinstance(taken, Fault | None):
            return taken
        if taken is not None and taken.kind is ChangeFault.WORKING:  # it is answered when it is done
            taken = None
        at = effective_at_of(taken, self._clock.now(), deadline)
        self._center.patches.append(_sent(self._center, customer, subscription, request_id, at))
        made = self._center.new_id()
        if at is not None:
            self._center.later(at, customer, _Replacement(subscription, made, option.offer_id, request_id))
        if taken is None:
            return UpgradeDone(UpgradeResult(subscription, made, (), 0))
        return Unknown("no answer")


@dataclass(eq=False)
class _Begin:
    """A transition that Microsoft takes, perhaps later than its deadline; its effect comes after its seconds."""

    known: list[Conversion]
    conversion: Conversion
    seconds: float

    def take_effect(self, center: PartnerCenter, customer: str) -> None:
        self.known.append(self.conversion)
        center.later(self.conversion.started + timedelta(seconds=self.seconds), customer, self.conversion)


@dataclass(eq=False)
class _Replacement:
    """A legacy upgrade: the source ends and another legacy subscription takes its place at once."""

    source: str
    made: str
    offer: str
    request_id: str

    def take_effect(self, center: PartnerCenter, customer: str) -> None:
        source = center.resources(customer)[self.source]
        before = known_of(parse_subscription(customer, source))
        made = copy.deepcopy(source) | {"id": self.made, "offerId": self.offer}
        center.add(customer, made | {"creationDate": center.microsoft_now().isoformat()})
        source["status"] = "deleted"
        center.note(customer, self.source, before, self.request_id)


@dataclass(eq=False)
class Run:
    """One migration: legacy is suspended when it begins; `outcome` says how it ends."""

    customer: str
    request: MigrationRequest
    request_id: str
    started: datetime
    outcome: str
    id: str
    status: MigrationStatus = MigrationStatus.PROCESSING
    made: dict[str, str] = field(default_factory=dict)
    ended: datetime | None = None

    @property
    def bundle(self) -> list[str]:
        return [self.request.subscription, *(each.subscription for each in self.request.add_ons)]

    def suspend(self, center: PartnerCenter) -> None:
        for identity in self.bundle:
            resource = center.resources(self.customer)[identity]
            before = known_of(parse_subscription(self.customer, resource))
            resource["status"] = "suspended"
            own = self.outcome == "completed" and identity == self.request.subscription
            center.note(self.customer, identity, before, self.request_id if own else None)

    def take_effect(self, center: PartnerCenter, customer: str) -> None:
        self.ended = center.microsoft_now()
        if self.outcome == "completed":
            self.status = MigrationStatus.COMPLETED
            for identity in self.bundle:
                self.made[identity] = center.new_id()
                made = copy.deepcopy(center.resources(customer)[identity])
                made |= {"id": self.made[identity], "offerId": NEW_COMMERCE, "status": "active"}
                made |= {"productType": {"id": "OnlineServicesNCE"}, "parentSubscriptionId": None}
                center.add(customer, made | {"migratedFromSubscriptionId": identity})
            return
        self.status = MigrationStatus.FAILED
        if self.outcome == "failed_active":
            for identity in self.bundle:
                resource = center.resources(customer)[identity]
                before = known_of(parse_subscription(customer, resource))
                resource["status"] = "active"
                center.note(customer, identity, before, None)

    def shown(self) -> Migration:
        base, *add_ons = [
            Migration(
                id=self.id,
                status=self.status,
                status_raw=self.status.value,
                subscription=identity,
                new_subscription=self.made.get(identity),
                external_reference=self.request.external_reference,
                started_at=self.started,
                completed_at=self.ended,
                subscription_end=None,
                catalog_item=NEW_COMMERCE,
                term="P1Y",
                billing="monthly",
                full_term=False,
                quantity=None,
                order_id="",
            )
            for identity in self.bundle
        ]
        return replace(base, add_ons=tuple(add_ons))


@dataclass(eq=False)
class _BeginRun:
    runs: list[Run]
    run: Run
    seconds: float

    def take_effect(self, center: PartnerCenter, customer: str) -> None:
        self.runs.append(self.run)
        self.run.suspend(center)
        if self.run.outcome != "never":
            center.later(self.run.started + timedelta(seconds=self.seconds), customer, self.run)


class Migrations:
    """The migrations of one partner; `outcomes` are those of the next ones, then all are completed."""

    def __init__(self, center: PartnerCenter, clock: Clock) -> None:
        self._center = center
        self._clock = clock
        self._runs: list[Run] = []
        self._schedules: dict[str, MigrationSchedule] = {}
        self.seconds = 600.0
        self.outcomes: list[str] = []

    async def validate_migration(self, customer: str, request: MigrationRequest) -> MigrationOption:
        """See MigrationsPort."""
        reading = await self._center.subscription(customer, request.subscription)
        active = reading.raw["status"] == "active"
        return MigrationOption(request.subscription, "P1Y", "monthly", active, (), NEW_COMMERCE if active else None)

    async def migrate(
        self, customer: str, request: MigrationRequest, *, request_id: str, deadline: datetime
    ) -> MigrationOutcome:
        """See MigrationsPort."""
        taken = self._center.receive(deadline)
        if not isinstance(taken, Fault | None):
            return taken
        self._center.take_effect()
        if any(one.status is MigrationStatus.PROCESSING and request.subscription in one.bundle for one in self._runs):
            return AlreadyMigrating("already being processed")
        if self._center.resources(customer)[request.subscription]["status"] != "active":
            return ChangeRefused(400, "900215", "Subscription is not active.")
        if taken is not None and taken.kind is ChangeFault.WORKING:  # only what follows takes time
            taken = None
        begins = effective_at_of(taken, self._clock.now(), deadline)
        sent = _sent(self._center, customer, request.subscription, request_id, begins)
        self._center.patches.append(sent)
        if begins is None:
            return Unknown("no answer")
        outcome = self.outcomes.pop(0) if self.outcomes else "completed"
        run = Run(customer, request, request_id, begins, outcome, self._center.new_id())
        self._center.later(begins, customer, _BeginRun(self._runs, run, self.seconds))
        return MigrationStarted(run.shown()) if taken is None else Unknown("no answer")

    async def migration(self, customer: str, id: str) -> Migration:  # noqa: A002 - an identifier is called id throughout
        """See MigrationsPort."""
        for one in await self.migrations(customer):
            if one.id == id:
                return one
        raise NotFound("migration", id)

    async def migrations(
        self, customer: str, *, subscription: str | None = None, external_reference: str | None = None
    ) -> tuple[Migration, ...]:
        """See MigrationsPort."""
        self._center.require_presence()
        return tuple(
            one.shown()
            for one in self._runs
            if one.customer == customer
            and subscription in {None, *one.bundle}
            and external_reference in {None, one.request.external_reference}
        )

    async def schedule_migration(
        self, customer: str, request: ScheduleRequest, *, request_id: str, deadline: datetime
    ) -> ScheduleOutcome:
        """See MigrationsPort."""
        taken = self._center.receive(deadline)
        if not isinstance(taken, Fault | None):
            return taken
        if taken is not None and taken.kind is ChangeFault.LOST:
            return Unknown("no answer")
        if any(one.status is ScheduleStatus.CREATED for one in self._of(request.migration.subscription)):
            return AlreadyMigrating("scheduled already")
        made = self._schedule(customer, self._center.new_id(), request, request_id)
        return Scheduled(made) if taken is None else Unknown("no answer")

    async def migration_schedules(
        self, customer: str, *, subscription: str | None = None, external_reference: str | None = None
    ) -> tuple[MigrationSchedule, ...]:
        """See MigrationsPort."""
        self._center.require_presence()
        return tuple(
            one
            for one in self._schedules.values()
            if subscription in {None, one.subscription} and external_reference in {None, one.external_reference}
        )

    async def change_migration_schedule(
        self,
        customer: str,
        id: str,  # noqa: A002 - an identifier is called id throughout
        request: ScheduleRequest,
        *,
        request_id: str,
        deadline: datetime,
    ) -> ScheduleOutcome:
        """See MigrationsPort."""
        taken = self._center.receive(deadline)
        if not isinstance(taken, Fault | None):
            return taken
        if taken is not None and taken.kind is ChangeFault.LOST:
            return Unknown("no answer")
        made = self._schedule(customer, id, request, request_id)
        return Scheduled(made) if taken is None else Unknown("no answer")

    async def cancel_migration_schedule(
        self,
        customer: str,
        id: str,  # noqa: A002 - an identifier is called id throughout
        *,
        request_id: str,
        deadline: datetime,
    ) -> CancelScheduleOutcome:
        """See MigrationsPort."""
        taken = self._center.receive(deadline)
        if not isinstance(taken, Fault | None):
            return taken
        if taken is not None and taken.kind is ChangeFault.LOST:
            return Unknown("no answer")
        ended = replace(self._schedules[id], status=ScheduleStatus.CANCELLED, status_raw="Cancelled")
        self._schedules[id] = ended
        return ScheduleCancelled() if taken is None else Unknown("no answer")

    async def add_ons(self, customer: str, subscription: str) -> Listing:
        """See MigrationsPort."""
        listing = await self._center.subscriptions(customer)
        found = (raw for raw in listing.items if raw.get("parentSubscriptionId") == subscription)
        return Listing(tuple(found), listing.observed_at)

    def _of(self, subscription: str) -> Iterable[MigrationSchedule]:
        return (one for one in self._schedules.values() if one.subscription == subscription)

    def _schedule(self, customer: str, identity: str, request: ScheduleRequest, request_id: str) -> MigrationSchedule:
        migration = request.migration
        known, now = self._center.known(customer, migration.subscription), self._clock.now()
        self._center.effects.append(Effect(migration.subscription, known, known, now, request_id))
        made = MigrationSchedule(
            id=identity,
            status=ScheduleStatus.CREATED,
            status_raw="Created",
            subscription=migration.subscription,
            target_date=request.at,
            on_renewal=request.at is None,
            external_reference=migration.external_reference,
            subscription_end=None,
            term=migration.term or "",
            billing=migration.billing or "",
            full_term=migration.full_term,
            quantity=migration.quantity,
            created_at=self._clock.now(),
            modified_at=self._clock.now(),
            migration=None,
            reason=None,
        )
        self._schedules[identity] = made
        return made


def _sent(
    center: PartnerCenter, customer: str, subscription: str, request_id: str, effective_at: datetime | None
) -> Patch:
    return Patch(subscription, request_id, center.known(customer, subscription), center.microsoft_now(), effective_at)


def legacy(identity: str, quantity: int, *, parent: str | None = None) -> dict[str, Any]:
    """A raw legacy licence."""
    return {
        "id": identity,
        "offerId": LEGACY_OFFER,
        "offerName": "Exchange Online (Plan 1)",
        "friendlyName": "Exchange Online (Plan 1)",
        "quantity": quantity,
        "unitType": "Licenses",
        "status": "active",
        "autoRenewEnabled": True,
        "termDuration": "P1Y",
        "billingCycle": "monthly",
        "parentSubscriptionId": parent,
        "orderId": "order-2",
    }
