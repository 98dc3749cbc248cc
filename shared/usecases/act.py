"""Accept one action and carry it out at Partner Center: from the portal's request to a settled first leg.

The order keeps every crash harmless (ADR 0002): alarm, then one transaction (operation, event, idempotency row, head),
then the call with the stored request id, then the outcome, then the message. What stops in between is finished by the
alarm (`shared.usecases.wake`).
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from shared import telemetry
from shared.domain.actions import Action, AlreadyDone, Difference, NotAllowed, decide
from shared.domain.asks import Ask
from shared.domain.billing import target, term_end
from shared.domain.errors import Conflict, Refused, RetryLater
from shared.domain.known import Known, covers
from shared.domain.operation import Address, Event, Kind, Leg, Operation, PartnerLeg, PartnerStatus
from shared.domain.outcomes import Applied, Busy, Reading, Unknown, Unreached
from shared.domain.preview import losses
from shared.domain.subscription import Subscription, known_of
from shared.partner_center.wire import parse_subscription
from shared.storage import keys
from shared.storage.ledger import Changes, Head, Replay
from shared.storage.mappings import SubscriptionMapping
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases import microsoft, migrating, migration_schedules, upgrading
from shared.usecases.app import App
from shared.usecases.microsoft import ended, followers
from shared.usecases.preparing import Prepared, prepare, refusal


@dataclass(frozen=True, slots=True)
class Expect:
    """What the page that the person looked at showed; another state means that nothing is done."""

    status: str | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a portal. `request_hash` covers the body; `quantity` is the wanted total of seats.

    `target` names the function and what it is asked about: a key stands for one request to one target by one caller.
    `confirmed` are the members of the body that agree to what the action takes away.
    """

    action: Action
    customer: str
    subscription: str
    caller: str
    idempotency_key: str
    target: str
    request_hash: str
    quantity: int | None = None
    expect: Expect = Expect()
    ask: Ask | None = None
    confirmed: frozenset[str] = frozenset()

    @property
    def row_key(self) -> str:
        """The key of its idempotency row."""
        return keys.idempotency(self.caller, self.target, self.idempotency_key)


@dataclass(frozen=True, slots=True)
class Done:
    """The operation with what followed it at Microsoft, and why that is not settled where it is not.

    `retry_after` is the wait to suggest before the next look.
    """

    operation: Operation
    unsettled: str = ""
    retry_after: timedelta | None = None
    followers: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class AlreadySo:
    """The subscription is in the wanted state; no operation was made."""

    subscription: Subscription


async def act(app: App, request: Request) -> Done | AlreadySo:
    """Carry out an action once, whatever happens in between.

    Raises Refused (not allowed, not confirmed, stale page, key reused), Conflict (another operation is open), NotFound,
    RetryLater (Partner Center or storage is away and nothing was begun), Misconfigured.
    """
    about = {"csp.customer.id": request.customer, "csp.subscription.id": request.subscription}
    with telemetry.span("act", {**about, "csp.action": request.action.value}) as span:
        done = await _once(app, request)
        span.note(telemetry.about(done.operation) if isinstance(done, Done) else {"csp.outcome": "already_so"})
        return done


async def _once(app: App, request: Request) -> Done | AlreadySo:
    used = await app.ledger.replay(request.customer, request.row_key)
    if used is not None and used.value.expires > app.now():
        return await _replayed(app, request, used.value)
    # The head before Partner Center: its etag then proves that what was read is not older than an operation of ours
    head = await app.ledger.head(request.customer, request.subscription)
    _refuse_while_open(request, head.value)
    reading = await app.partner_center.subscription(request.customer, request.subscription)
    subscription = parse_subscription(request.customer, reading.raw)
    if head.value.known is None:
        await _refuse_unfinished(app, request)
    _refuse_stale_page(request.expect, subscription)
    decision = decide(request.action, subscription, reading.observed_at, request.quantity)
    if isinstance(decision, AlreadyDone):
        return AlreadySo(subscription)
    if isinstance(decision, NotAllowed):
        raise refusal(decision)
    _refuse_unconfirmed(request, subscription)
    prepared = await prepare(
        app, request.action, subscription, reading, head.value, quantity=request.quantity, ask=request.ask
    )
    if prepared.intention.schedule and covers(subscription.schedule, prepared.intention.schedule):
        return AlreadySo(subscription)
    operation = await _operation(app, request, prepared, subscription, reading, head.value, refunded=decision.in_window)
    _refuse_while_looking(request, head.value, operation)
    stored = await _accept(app, request, operation, head, used)
    if stored is None:
        return await _lost_race(app, request)
    return await _carry_out(app, stored, reading)


async def _replayed(app: App, request: Request, used: Replay) -> Done:
    if used.request_hash != request.request_hash:
        raise Refused("idempotency_key_reused", "This Idempotency-Key was used with another body.", status=422)
    address = Address(request.customer, used.subscription, used.sequence)
    stored = await app.ledger.operation(address)
    if stored is None:
        raise Conflict("The operation of this Idempotency-Key cannot be read at the moment.")
    return await _as_it_is(stored.value, app)


def _refuse_while_open(request: Request, head: Head) -> None:
    if head.open_sequence is not None:
        open_one = Address(request.customer, request.subscription, head.open_sequence)
        raise Refused(
            "operation_in_progress",
            "Another operation of this subscription is not settled at Partner Center yet.",
            status=409,
            operation=str(open_one),
        )


async def _refuse_unfinished(app: App, request: Request) -> None:
    """What the ledger does not know may be what a conversion under way brings about: its seats come with that one."""
    for head in (await app.ledger.heads(request.customer)).values():
        if head.value.open_sequence is None:
            continue
        address = Address(request.customer, head.value.subscription, head.value.open_sequence)
        stored = await app.ledger.operation(address)
        if stored is not None and stored.value.kind in {Kind.UPGRADE, Kind.MIGRATE}:
            raise Refused(
                "operation_in_progress",
                "An upgrade or a migration of this customer is under way, and this may be what it brings about.",
                status=409,
                operation=str(address),
            )


def _refuse_while_looking(request: Request, head: Head, operation: Operation) -> None:
    """Until the line of another product is found nobody knows where the seats are billed, and the old line is over."""
    if head.unplaced and (operation.before != operation.after or operation.upgrade or operation.migration):
        looking = Address(request.customer, request.subscription, head.unplaced[0])
        raise Refused(
            "operation_in_progress",
            f"The line that operation {looking.sequence} is billed on is not found yet.",
            status=409,
            operation=str(looking),
        )


def _refuse_stale_page(expect: Expect, subscription: Subscription) -> None:
    shown: dict[str, object] = {"status": expect.status, "quantity": expect.quantity}
    actual: dict[str, object] = {"status": subscription.status_raw, "quantity": subscription.quantity}
    differences = [
        Difference(name, shown[name], actual[name])
        for name in shown
        if shown[name] is not None and shown[name] != actual[name]
    ]
    if differences:
        raise Refused(
            "stale_page",
            "The subscription is not as the page showed it; nothing was done.",
            status=409,
            differences=differences,
        )


def _refuse_unconfirmed(request: Request, subscription: Subscription) -> None:
    """What an action takes away for good has to be agreed to by name; the refusal names it."""
    missing = [
        loss for loss in losses(request.action, subscription) if loss.confirm and loss.confirm not in request.confirmed
    ]
    if missing:
        members = sorted({loss.confirm for loss in missing})
        raise Refused(
            "confirmation_required",
            f"The action takes something away; confirm it with {' and '.join(members)}.",
            status=428,
            losses=missing,
            errors=[{"field": name, "message": "must be true"} for name in members],
        )


async def _operation(
    app: App,
    request: Request,
    prepared: Prepared,
    subscription: Subscription,
    reading: Reading,
    head: Head,
    *,
    refunded: bool,
) -> Operation:
    now = app.now()
    day = app.business_date(reading.observed_at)
    before = known_of(subscription)
    mapping = await app.mappings.subscription(request.customer, request.subscription)
    return Operation(
        address=Address(request.customer, request.subscription, head.next_sequence),
        kind=prepared.kind,
        intention=prepared.intention,
        before=before,
        after=prepared.after,
        requested_at=now,
        requested_by=request.caller,
        business_date=day,
        partner_center=PartnerLeg(
            PartnerStatus.PENDING, app.new_id(), send_by=now + app.times.accept + app.times.partner_timeout, attempts=1
        ),
        legs=legs(
            before,
            prepared.after,
            day,
            mapping.value if mapping else None,
            refunded=refunded,
            commitment_end=subscription.commitment_end,
        ),
        alarm_due=now + app.times.call,
        upgrade=prepared.upgrade,
        migration=prepared.migration,
        memory=prepared.memory,
        restores=prepared.restores,
    )


def legs(
    before: Known,
    after: Known,
    day: date,
    mapping: SubscriptionMapping | None,
    *,
    refunded: bool,
    commitment_end: datetime | None = None,
) -> tuple[Leg, ...]:
    """The Autotask legs of a change: none where the subscription is not mapped or the bill does not change.

    `commitment_end` is the end of Microsoft's term as it was before the change, where that is known.
    """
    if mapping is None:
        return ()
    effect = target(
        before,
        after,
        business_date=day,
        refunded=refunded,
        calendar=mapping.calendar,
        policy=mapping.policy,
        term_end=term_end(commitment_end),
    )
    return () if effect is None else (Leg(mapping.line, mapping.contract, effect),)


async def _accept(
    app: App, request: Request, operation: Operation, head: Stored[Head], used: Stored[Replay] | None
) -> Stored[Operation] | None:
    """Alarm first, then everything in one transaction; None where somebody else was faster."""
    address = operation.address
    replay = Replay(
        request.request_hash, address.sequence, address.subscription, expires=app.now() + app.times.idempotency
    )
    event = Event(operation.requested_at, operation.requested_by, "accepted", "", operation.status)
    changed = replace(head.value, next_sequence=address.sequence + 1, open_sequence=address.sequence)
    try:
        async with asyncio.timeout(app.times.accept.total_seconds()):
            due = operation.alarm_due or operation.requested_at
            await app.alarms.set(address, due, ready=operation.requested_at)
            changes = Changes(
                [(Stored(operation, None), [event])],
                head=Stored(changed, head.etag),
                replay=(request.row_key, Stored(replay, used.etag if used else None)),
            )
            (stored,), _ = await app.ledger.commit(address.customer, changes)
    except WriteConflict:
        return None
    except TimeoutError as error:
        raise RetryLater("the operation could not be stored in time") from error
    return stored


async def _lost_race(app: App, request: Request) -> Done:
    used = await app.ledger.replay(request.customer, request.row_key)
    if used is not None and used.value.expires > app.now():
        return await _replayed(app, request, used.value)
    head = await app.ledger.head(request.customer, request.subscription)
    _refuse_while_open(request, head.value)
    raise Refused("changed_meanwhile", "The subscription changed at the same moment; look again.", status=409)


async def _carry_out(app: App, accepted: Stored[Operation], reading: Reading) -> Done:
    try:
        stored, outcome = await _call(app, accepted, reading)
    except WriteConflict:  # its alarm was faster and has settled it
        operation = (await app.ledger.operation(accepted.value.address) or accepted).value
        done = await _as_it_is(operation, app)
        unclear = operation.partner_center.status in {PartnerStatus.PENDING, PartnerStatus.UNKNOWN}
        return replace(done, unsettled=operation.partner_center.text or "no clear answer in time") if unclear else done
    operation = stored.value
    if isinstance(outcome, Unreached | Unknown):
        return Done(operation, unsettled=outcome.reason, retry_after=app.times.partner_settle)
    if isinstance(outcome, Busy):
        return Done(operation, retry_after=outcome.after)
    if not operation.settled_at_microsoft:
        return Done(operation, retry_after=app.times.partner_settle)
    seen = Reading(outcome.raw, outcome.observed_at) if isinstance(outcome, Applied) else None
    with contextlib.suppress(WriteConflict):  # its alarm goes on with it
        await ended(app, stored, seen, first=True)
    _repeat_refusal(operation)
    return Done(operation, followers=await _followers(app, operation))


async def _call(app: App, stored: Stored[Operation], reading: Reading) -> tuple[Stored[Operation], Any]:
    """Make the call that the kind of operation asks for."""
    match stored.value.kind:
        case Kind.UPGRADE:
            return await upgrading.call(app, stored)
        case Kind.MIGRATE:
            return await migrating.call(app, stored)
        case Kind.SCHEDULE_MIGRATION | Kind.CANCEL_MIGRATION_SCHEDULE:
            return await migration_schedules.call(app, stored)
    return await microsoft.call(app, stored, reading)


async def _as_it_is(operation: Operation, app: App) -> Done:
    """An operation that is not ours to carry out, or not any more, as it stands now."""
    _repeat_refusal(operation)
    retry_after = None if operation.settled_at_microsoft else app.times.partner_settle
    return Done(operation, retry_after=retry_after, followers=await _followers(app, operation))


async def _followers(app: App, operation: Operation) -> tuple[Operation, ...]:
    """Everything that followed at Microsoft, in order."""
    found: list[Operation] = []
    following = await followers(app, operation)
    while following:
        found += [stored.value for stored in following]
        following = await followers(app, found[-1])
    return tuple(found)


def _repeat_refusal(operation: Operation) -> None:
    """Tell Microsoft's refusal, to the first caller and to one that repeats the request alike."""
    leg = operation.partner_center
    if leg.status is PartnerStatus.REFUSED:
        raise Refused(
            "refused_by_partner_center",
            leg.text or "Partner Center refused the change.",
            status=409,
            partnerCenterCode=leg.code,
            operation=str(operation.address),
        )
