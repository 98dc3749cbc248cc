"""Migrations of legacy subscriptions: start one at Microsoft, follow it for up to 80 hours, each outcome handled.

Microsoft's own operation has no idempotency that is documented to hold, so it carries a reference of ours, and nothing
is posted again before a query by that reference (partner-center reference 11.2, 11.7):

    started ──▶ processing ──▶ completed ─────────────────────▶ the new subscription is billed, the legacy one is not
                    │  └─────▶ failed, legacy active ─────────▶ started again, three times at most
                    │  └─────▶ failed, legacy suspended ──────▶ Microsoft repairs or reverts it: wait
                    └────────▶ nothing for 80 hours ──────────▶ timed out; a person has to look
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.actions import Action, NotAllowed, decide
from shared.domain.jobs import MigrationJob
from shared.domain.known import Known
from shared.domain.migration import AddOnMigration, Migration, MigrationRequest, MigrationStatus
from shared.domain.operation import Leg, Operation, PartnerStatus
from shared.domain.outcomes import AlreadyMigrating, ChangeRefused, MigrationOutcome, MigrationStarted
from shared.domain.subscription import State, Subscription, known_of
from shared.partner_center.wire import parse_subscription
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.microsoft import ended
from shared.usecases.moving import from_day, go_on_with, legs_of_newcomer, linked
from shared.usecases.rest import look_again
from shared.usecases.settling import (
    Linked,
    about_to_send,
    answered,
    called,
    gave_up,
    keep_polling,
    may_be_looked_at,
    not_taken,
    quiet_until,
    settle_as,
    still_open,
    until,
)

ATTEMPTS = 3  # migrations that failed without an effect before a person is asked
_TIMED_OUT = (
    "Microsoft has not said within 80 hours how the migration ended; look in Partner Center, then sync the customer."
)


def request_of(subscription: str, job: MigrationJob) -> MigrationRequest:
    """What is asked of Microsoft: the base and its add-ons, all with the same term and billing."""
    return MigrationRequest(
        subscription=subscription,
        term=job.term,
        billing=job.billing,
        full_term=job.full_term,
        quantity=job.quantity,
        external_reference=job.reference,
        add_ons=tuple(AddOnMigration(each, job.term, job.billing, job.full_term) for each in job.add_ons),
        custom_end=job.custom_end,
    )


def job_of(operation: Operation) -> MigrationJob:
    """The job of a migration. Raises ValueError for any other operation."""
    if operation.migration is None:
        raise ValueError(f"{operation.address} is no migration")
    return operation.migration


async def call(app: App, stored: Stored[Operation]) -> tuple[Stored[Operation], MigrationOutcome]:
    """Start the migration of an operation whose sending is already stored, and store what came of it."""
    operation = stored.value
    address, job = operation.address, job_of(operation)
    deadline = until(app, operation)
    outcome = await app.migrations.migrate(
        address.customer,
        request_of(address.subscription, job),
        request_id=operation.partner_center.request_id,
        deadline=deadline,
    )
    stored = called(stored, deadline)
    match outcome:
        case MigrationStarted(migration):
            stored = await _under_way(app, stored, migration.id, "Microsoft has taken the migration")
        case AlreadyMigrating(text):  # ours, if an answer got lost, or somebody else's: a query by our reference tells
            stored = await still_open(app, stored, PartnerStatus.UNKNOWN, text or "a migration is being processed")
        case ChangeRefused(status, code, text):
            stored = await settle_as(app, stored, PartnerStatus.REFUSED, code=code or str(status), text=text)
        case _:
            stored = await not_taken(app, stored, outcome)
    return stored, outcome


async def _under_way(app: App, stored: Stored[Operation], identity: str, why: str) -> Stored[Operation]:
    job = replace(job_of(stored.value), microsoft_id=identity, note=why)
    return await still_open(app, Stored(replace(stored.value, migration=job), stored.etag), PartnerStatus.WORKING, why)


@dataclass(frozen=True, slots=True)
class _Look:
    """What Microsoft shows: the customer's subscriptions, our migration, and whether another one is in the way."""

    subscriptions: Mapping[str, Subscription]
    migration: Migration | None
    foreign: bool
    observed_at: datetime

    def source(self, operation: Operation) -> Subscription | None:
        """The legacy subscription."""
        return self.subscriptions.get(operation.address.subscription)


async def _look(app: App, operation: Operation) -> _Look:
    address, job = operation.address, job_of(operation)
    found = await app.migrations.migrations(address.customer, subscription=address.subscription)
    ours = [each for each in found if each.external_reference == job.reference and each.id not in job.failed]
    foreign = any(
        each.external_reference != job.reference and each.status is MigrationStatus.PROCESSING for each in found
    )
    listing = await app.partner_center.subscriptions(address.customer)
    parsed = (parse_subscription(address.customer, raw) for raw in listing.items)
    newest = max(ours, key=lambda each: each.started_at or listing.observed_at, default=None)
    return _Look({each.id: each for each in parsed}, newest, foreign, listing.observed_at)


async def settle(app: App, stored: Stored[Operation]) -> None:
    """Settle an open migration by reading what has become of it; called by the operation's alarm."""
    if not await may_be_looked_at(app, stored):
        return
    look = await answered(app, stored, _look(app, stored.value))
    if look is None:
        return
    if look.migration is not None:
        await _follow(app, stored, look, look.migration)
    elif stored.value.partner_center.status is PartnerStatus.WORKING:
        await _poll(app, stored)
    elif app.now() < quiet_until(app, stored.value):
        await look_again(app, stored, quiet_until(app, stored.value))
    else:
        await _repeat(app, stored, look)


async def _follow(app: App, stored: Stored[Operation], look: _Look, migration: Migration) -> None:
    source = look.source(stored.value)
    if migration.status is MigrationStatus.COMPLETED:
        if _new_ones_show(look, migration):
            await _complete(app, stored, look, migration)
            return
        note = "Microsoft has completed the migration; the new subscription does not show yet"
    elif migration.status is MigrationStatus.FAILED:
        if source is not None and source.state is State.ACTIVE:
            await _failed(app, stored, migration)
            return
        note = "Microsoft's migration has failed with the legacy subscription suspended; it repairs or reverts that"
    else:
        note = "Microsoft is migrating the subscription"
    job = job_of(stored.value)
    if (job.microsoft_id, job.note) != (
        migration.id,
        note,
    ) or stored.value.partner_center.status is not PartnerStatus.WORKING:
        stored = await _under_way(app, stored, migration.id, note)
    await _poll(app, stored)


async def _poll(app: App, stored: Stored[Operation]) -> None:
    limit = app.times.migration_working
    polled = await keep_polling(app, stored, limit, PartnerStatus.TIMED_OUT, "migration_timed_out", _TIMED_OUT)
    if polled.value.settled_at_microsoft:
        await ended(app, polled)


async def _failed(app: App, stored: Stored[Operation], migration: Migration) -> None:
    """It ended without an effect: start it again, with a new request id because Microsoft has answered the old one."""
    operation, job = stored.value, job_of(stored.value)
    failed = (*job.failed, migration.id)
    why = " ".join(reason.text or reason.sentence for reason in migration.reasons) or "Microsoft does not say why."
    changed = replace(operation, migration=replace(job, failed=failed, microsoft_id=None, note=why))
    if len(failed) >= ATTEMPTS:
        text = f"Microsoft's migration failed {len(failed)} times and changed nothing. {why}"
        refused = Stored(changed, stored.etag)
        await ended(app, await settle_as(app, refused, PartnerStatus.REFUSED, code="migration_failed", text=text))
        return
    again = app.now() + app.times.backoff(len(failed))
    leg = replace(operation.partner_center, request_id=app.new_id(), not_before=again, attempts=0)
    pending = Stored(replace(changed, partner_center=leg), stored.etag)
    stored = await still_open(app, pending, PartnerStatus.PENDING, f"the migration failed and is started again: {why}")
    await look_again(app, stored, again)


def _pairs(migration: Migration) -> Iterator[tuple[str, str]]:
    """The legacy and the new subscription of the base and of each add-on."""
    for each in (migration, *migration.add_ons):
        if each.new_subscription is not None:
            yield each.subscription, each.new_subscription


def _new_ones_show(look: _Look, migration: Migration) -> bool:
    pairs = list(_pairs(migration))
    named = len(pairs) == 1 + len(migration.add_ons)
    return named and all(new in look.subscriptions for _, new in pairs)


async def _complete(app: App, stored: Stored[Operation], look: _Look, migration: Migration) -> None:
    """Done: from that day the new subscriptions are billed in the place of the legacy ones."""
    operation, job = stored.value, job_of(stored.value)
    address = operation.address
    day = app.business_date(migration.completed_at or look.observed_at)
    others: list[Linked] = []
    legs: tuple[Leg, ...] = ()
    for old, new in _pairs(migration):
        mapping = await app.mappings.subscription(address.customer, old)
        mapped = mapping.value if mapping else None
        gone = (Leg(mapped.line, mapped.contract, from_day(0, day)),) if mapped else ()
        seen = look.subscriptions.get(old)
        if old == address.subscription:
            legs = gone
        elif seen is not None:
            others.append(await linked(app, operation, seen, known_of(seen), gone, day=day, successor=new))
        comes = look.subscriptions[new]
        first = await legs_of_newcomer(app, mapped, comes, day)
        others.append(await linked(app, operation, comes, Known("", 0), first, day=day, predecessor=old))
    source, made = look.source(operation), migration.new_subscription
    done = replace(
        operation,
        legs=legs,
        after=known_of(source) if source is not None else operation.after,
        migration=replace(job, made=made, microsoft_id=migration.id, note=""),
    )
    stored = await settle_as(app, Stored(done, stored.etag), PartnerStatus.APPLIED, linked=others, successor=made)
    await ended(app, stored)
    await go_on_with(app, others)


async def _repeat(app: App, stored: Stored[Operation], look: _Look) -> None:
    """No migration of ours is known: decide anew, then start it again, or give up clearly."""
    operation = stored.value
    refusal = _why_not(app, operation, look)
    if refusal is not None:
        code, text = refusal
        await ended(app, await settle_as(app, stored, PartnerStatus.REFUSED, code=code, text=text))
        return
    stored, _ = await call(app, await about_to_send(app, stored))
    if stored.value.settled_at_microsoft:
        await ended(app, stored)


def _why_not(app: App, operation: Operation, look: _Look) -> tuple[str, str] | None:
    source = look.source(operation)
    if source is None:
        return "not_found", "Partner Center does not list the subscription any more."
    if look.foreign:
        return "already_migrating", "Microsoft is processing another migration of this subscription."
    decision = decide(Action.MIGRATE, source, look.observed_at)
    if isinstance(decision, NotAllowed):
        return decision.code, decision.sentence
    if gave_up(app, operation):
        return "partner_center_unavailable", "Partner Center gave no clear answer for too long; nothing was changed."
    return None
