"""What an accepted action will do: its intention, and the work at Microsoft where that is more than one PATCH.

Everything here only reads; whatever rules the action out is raised as Refused, so that nothing has happened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.domain.actions import Action, NotAllowed, intention
from shared.domain.asks import (
    Ask,
    CancelScheduleAsk,
    MigrateAsk,
    MigrationScheduleAsk,
    RenewalAsk,
    RestoreAsk,
    UpgradeAsk,
)
from shared.domain.errors import Refused
from shared.domain.jobs import MigrationJob, UpgradeJob
from shared.domain.known import Intention, Known, Memory
from shared.domain.migration import ScheduleStatus
from shared.domain.operation import Kind
from shared.domain.outcomes import Reading
from shared.domain.renewal import is_other_product, next_term
from shared.domain.subscription import Family, State, Subscription, known_of
from shared.domain.upgrade_choice import choose_legacy, choose_transition
from shared.partner_center.wire import parse_subscription
from shared.storage.ledger import Head
from shared.usecases.app import App
from shared.usecases.migrating import request_of

MOST_ADD_ONS = 14  # a base and its add-ons come to their end in one transaction


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the operation is to be made of."""

    kind: Kind
    intention: Intention
    after: Known
    upgrade: UpgradeJob | None = None
    migration: MigrationJob | None = None
    memory: Memory | None = None
    restores: tuple[Intention, ...] = ()


async def prepare(
    app: App,
    action: Action,
    subscription: Subscription,
    reading: Reading,
    head: Head,
    *,
    quantity: int | None = None,
    ask: Ask | None = None,
) -> Prepared:
    """Work out an action that the rules allow. Raises Refused, NotFound, RetryLater, Misconfigured."""
    before = known_of(subscription)
    match action, ask:
        case Action.UPGRADE, UpgradeAsk():
            return Prepared(
                Kind.UPGRADE, Intention(), before, upgrade=await upgrade_job(app, ask, subscription, reading)
            )
        case Action.MIGRATE, MigrateAsk():
            job = await migration_job(app, ask, subscription)
            return Prepared(Kind.MIGRATE, Intention(), before, migration=job)
        case Action.SCHEDULE_MIGRATION, MigrationScheduleAsk():
            if ask.schedule is not None:
                await _open_schedule(app, subscription, ask.schedule)
            job = await migration_job(app, ask.migration, subscription, later=True)
            job = replace(job, scheduled=True, at=ask.at, microsoft_id=ask.schedule)
            return Prepared(Kind.SCHEDULE_MIGRATION, Intention(), before, migration=job)
        case Action.CANCEL_MIGRATION_SCHEDULE, CancelScheduleAsk():
            await _open_schedule(app, subscription, ask.schedule)
            job = MigrationJob(app.new_id(), scheduled=True, cancels=True, microsoft_id=ask.schedule)
            return Prepared(Kind.CANCEL_MIGRATION_SCHEDULE, Intention(), before, migration=job)
    schedule = await renewal_schedule(app, ask, subscription, reading) if isinstance(ask, RenewalAsk) else None
    wanted = intention(action, quantity, schedule)
    kind = Kind(action.value)
    return Prepared(
        kind,
        wanted,
        _after(before, kind, wanted, subscription),
        memory=_memory(kind, subscription, reading),
        restores=_restores(head, ask) if kind is Kind.REACTIVATE else (),
    )


def _after(before: Known, kind: Kind, wanted: Intention, subscription: Subscription) -> Known:
    """What is known afterwards, with what Microsoft switches off by itself (partner-center reference 6.4)."""
    after = wanted.applied_to(before)
    if kind is Kind.SUSPEND and subscription.family is Family.NCE_LICENSE:
        return replace(after, auto_renew=False, schedule="")
    return after


def _memory(kind: Kind, subscription: Subscription, reading: Reading) -> Memory | None:
    if kind is not Kind.SUSPEND or subscription.family is not Family.NCE_LICENSE:
        return None
    return Memory(subscription.auto_renew, subscription.schedule, subscription.quantity, reading.observed_at)


def _restores(head: Head, ask: Ask | None) -> tuple[Intention, ...]:
    wanted = ask if isinstance(ask, RestoreAsk) else RestoreAsk()
    if head.memory is None:
        return ()
    return head.memory.steps(auto_renew=wanted.auto_renew, schedule=wanted.schedule)


async def upgrade_job(app: App, ask: UpgradeAsk, subscription: Subscription, reading: Reading) -> UpgradeJob:
    """The upgrade as asked for, judged by the options that Microsoft names now. Raises Refused."""
    customer, observed_at = subscription.customer_id, reading.observed_at
    if subscription.family is Family.LEGACY_LICENSE:
        legacy = await app.transitions.upgrade_options(customer, subscription.id)
        return _chosen(choose_legacy(ask, subscription, legacy, observed_at=observed_at))
    options = await app.transitions.transition_options(customer, subscription.id, scheduled=False)
    job = _chosen(choose_transition(ask, subscription, options, observed_at=observed_at))
    if job.to_subscription is None:
        return job
    joined = await app.partner_center.subscription(customer, job.to_subscription)
    return replace(job, joined=parse_subscription(customer, joined.raw).quantity)


def _chosen(found: UpgradeJob | NotAllowed) -> UpgradeJob:
    if isinstance(found, NotAllowed):
        raise refusal(found)
    return found


def refusal(found: NotAllowed) -> Refused:
    """A decision as the error that a door answers with."""
    return Refused(
        found.code,
        found.sentence,
        status=409,
        until=found.until,
        allowedFrom=found.allowed_from,
        alternatives=found.alternatives,
        differences=found.differences,
    )


async def renewal_schedule(app: App, ask: RenewalAsk, subscription: Subscription, reading: Reading) -> str:
    """The instructions for the next term. Raises Refused."""
    other = is_other_product(ask, subscription)
    options = (
        await app.transitions.transition_options(subscription.customer_id, subscription.id, scheduled=True)
        if other
        else ()
    )
    found = next_term(ask, subscription, options, reading.observed_at)
    if isinstance(found, NotAllowed):
        raise refusal(found)
    return found


async def migration_job(app: App, ask: MigrateAsk, subscription: Subscription, *, later: bool = False) -> MigrationJob:
    """The migration as asked for, judged by Microsoft's validation unless it is for later. Raises Refused."""
    add_ons = await add_ons_of(app, subscription.customer_id, subscription.id)
    if len(add_ons) > MOST_ADD_ONS:
        raise Refused("too_many_add_ons", f"{len(add_ons)} add-ons go along; {MOST_ADD_ONS} is the limit.", status=409)
    job = MigrationJob(
        reference=app.new_id(),
        term=ask.term,
        billing=ask.billing,
        full_term=ask.full_term,
        quantity=ask.quantity,
        custom_end=ask.custom_end,
        add_ons=tuple(add_ons),
    )
    if later:
        return job
    option = await app.migrations.validate_migration(subscription.customer_id, request_of(subscription.id, job))
    reasons = [reason for each in (option, *option.add_ons) for reason in each.reasons]
    if not option.eligible or not all(each.eligible for each in option.add_ons):
        why = " ".join(dict.fromkeys(reason.sentence for reason in reasons)) or "Microsoft does not say why."
        raise Refused(
            "not_eligible", f"The subscription cannot be migrated like that. {why}", status=409, reasons=reasons
        )
    return replace(job, catalog_item=option.catalog_item or "")


async def _open_schedule(app: App, subscription: Subscription, identity: str) -> None:
    """Refuse a schedule that there is not, or that has ended already."""
    found = await app.migrations.migration_schedules(subscription.customer_id, subscription=subscription.id)
    schedule = next((each for each in found if each.id == identity), None)
    if schedule is None:
        raise Refused("schedule_not_found", f"The subscription has no migration schedule {identity}.", status=404)
    if schedule.status is not ScheduleStatus.CREATED:
        raise Refused("schedule_not_open", f"The migration schedule is {schedule.status_raw}.", status=409)


async def add_ons_of(app: App, customer: str, base: str) -> list[str]:
    """The active add-ons of a base, those of its add-ons among them: they migrate as a bundle, as a flat list."""
    listing = await app.partner_center.subscriptions(customer)
    found = [parse_subscription(customer, raw) for raw in listing.items]
    bundle = [base]
    for parent in bundle:  # grows while add-ons of add-ons are found
        children = [item.id for item in found if item.parent_id == parent and item.state is State.ACTIVE]
        bundle += [child for child in children if child not in bundle]
    return bundle[1:]
