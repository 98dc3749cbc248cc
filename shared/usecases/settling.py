"""How a Partner Center leg is settled: one transaction stores its end, frees the subscription, and starts what follows.

What follows is a restoration on the same subscription (after a reactivation), or an operation on another subscription
that is a consequence of this one (seats that moved). Each has its alarm before it has its row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from shared.domain.errors import CspError, NotFound, RetryLater
from shared.domain.known import Intention, Known
from shared.domain.operation import Address, Event, Kind, Operation, PartnerLeg, PartnerStatus
from shared.domain.outcomes import Busy, Unknown, Unreached
from shared.storage.ledger import Changes, Head
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.rest import SYSTEM, come_to_rest, look_again, looking

T = TypeVar("T")

NO_EFFECT = frozenset({PartnerStatus.REFUSED, PartnerStatus.TIMED_OUT})


_BILLS_NOTHING = frozenset(
    {
        Kind.AUTO_RENEW_ON,
        Kind.AUTO_RENEW_OFF,
        Kind.SCHEDULE_RENEWAL,
        Kind.REMOVE_SCHEDULE,
        Kind.SCHEDULE_MIGRATION,
        Kind.CANCEL_MIGRATION_SCHEDULE,
    }
)


@dataclass(frozen=True, slots=True)
class Linked:
    """An operation on another subscription that comes with the end of this one, and that subscription's new head."""

    operation: Operation
    head: Stored[Head]


async def settle_as(
    app: App,
    stored: Stored[Operation],
    status: PartnerStatus,
    *,
    code: str = "",
    text: str = "",
    linked: Sequence[Linked] = (),
    successor: str | None = None,
) -> Stored[Operation]:
    """Store the end of the Partner Center leg and free the subscription for the next operation. Raises WriteConflict.

    Known from now on is what this operation is responsible for; what somebody else changed at the same time is left
    to the next sync, which detects it.
    """
    address = stored.value.address
    head = await app.ledger.head(address.customer, address.subscription)
    moved = stored.value.with_partner_center(status, code=code, text=text)
    follower = _follower(app, moved, head.value.next_sequence)
    if follower is not None:
        moved = replace(moved, followed_by=follower.address.sequence)
    event = Event(
        app.now(), SYSTEM, f"microsoft_{status.value}", stored.value.status, moved.status, f"{code} {text}".strip()
    )
    changes = Changes(
        [(Stored(moved, stored.etag), [event]), *_beginnings(app, follower, linked)],
        head=Stored(_freed(app, head.value, moved, follower, successor), head.etag),
        others=[item.head for item in linked],
    )
    for operation in (*([follower] if follower else ()), *(item.operation for item in linked)):
        await app.alarms.set(operation.address, operation.alarm_due or app.now(), ready=app.now())
    (stored, *_), _ = await app.ledger.commit(address.customer, changes)
    return stored


def _beginnings(
    app: App, follower: Operation | None, linked: Sequence[Linked]
) -> list[tuple[Stored[Operation], list[Event]]]:
    begun = [(follower, "accepted")] if follower else []
    begun += [(item.operation, "moved") for item in linked]
    return [
        (Stored(operation, None), [Event(app.now(), SYSTEM, name, "", operation.status, operation.cause)])
        for operation, name in begun
    ]


def _freed(app: App, head: Head, moved: Operation, follower: Operation | None, successor: str | None) -> Head:
    freed = replace(
        head,
        open_sequence=follower.address.sequence if follower else None,
        next_sequence=head.next_sequence + (1 if follower else 0),
        successor=successor or head.successor,
        unplaced=looking(head.unplaced, moved),
    )
    if moved.partner_center.status in NO_EFFECT or not moved.writes_known:
        return freed
    if moved.kind is Kind.SUSPEND:
        freed = replace(freed, memory=moved.memory)
    elif moved.kind is Kind.REACTIVATE:
        freed = replace(freed, memory=None)
    known = moved.after
    if moved.kind in _BILLS_NOTHING and head.known is not None:  # what somebody else changed is left for sync to detect
        known = replace(known, status=head.known.status, quantity=head.known.quantity)
    return replace(freed, known=known, previous=states_before(app, head, moved.before), written_at=app.now())


def states_before(app: App, head: Head, before: Known) -> tuple[Known, ...]:
    """The states that a late reading may still show: those before our writes of the last moments."""
    fresh = head.written_at is not None and app.now() < head.written_at + app.times.partner_settle
    return (*(head.previous if fresh else ()), before)[-4:]


def _follower(app: App, moved: Operation, sequence: int) -> Operation | None:
    """The next restoration. It is tried even where the one before was refused, so that each says what became of it."""
    if not moved.restores or (moved.follows is None and not moved.took_effect):
        return None
    first, *rest = moved.restores
    before = moved.after if moved.took_effect else moved.before
    now = app.now()
    return Operation(
        address=Address(moved.address.customer, moved.address.subscription, sequence),
        kind=_kind(first),
        intention=first,
        before=before,
        after=first.applied_to(before),
        requested_at=now,
        requested_by=moved.requested_by,
        business_date=moved.business_date,
        partner_center=PartnerLeg(PartnerStatus.PENDING, app.new_id()),
        alarm_due=now + app.times.outbox,
        cause="restores what the suspension switched off",
        restores=tuple(rest),
        follows=moved.follows or moved.address.sequence,
    )


def _kind(intention: Intention) -> Kind:
    return Kind.AUTO_RENEW_ON if intention.auto_renew else Kind.SCHEDULE_RENEWAL


async def still_open(app: App, stored: Stored[Operation], status: PartnerStatus, why: str) -> Stored[Operation]:
    """Store that the leg goes on, and why."""
    moved = stored.value.with_partner_center(status, text=why)
    event = Event(app.now(), SYSTEM, f"microsoft_{status.value}", stored.value.status, moved.status, why)
    (stored,), _ = await app.ledger.commit(moved.address.customer, Changes([(Stored(moved, stored.etag), [event])]))
    return stored


async def not_taken(app: App, stored: Stored[Operation], outcome: Busy | Unreached | Unknown) -> Stored[Operation]:
    """Store that a call was not carried out, or that nobody knows whether it was."""
    match outcome:
        case Busy(code, text, after):
            leg = replace(stored.value.partner_center, not_before=app.now() + after)
            waiting = Stored(replace(stored.value, partner_center=leg), stored.etag)
            return await still_open(app, waiting, PartnerStatus.PENDING, f"{code} {text}".strip())
        case Unreached(reason):
            return await still_open(app, stored, PartnerStatus.PENDING, reason)
        case Unknown(reason):
            return await still_open(app, stored, PartnerStatus.UNKNOWN, reason)


def until(app: App, operation: Operation) -> datetime:
    """The deadline of a call that is made now: nothing is sent after it."""
    latest = app.now() + app.times.partner_timeout
    return min(latest, operation.partner_center.send_by or latest)


def called(stored: Stored[Operation], deadline: datetime) -> Stored[Operation]:
    """The operation after a call: nothing of it is sent after its deadline, which is nearer than the one stored."""
    leg = replace(stored.value.partner_center, send_by=deadline)
    return Stored(replace(stored.value, partner_center=leg), stored.etag)


def quiet_until(app: App, operation: Operation) -> datetime:
    """Until when a reading without the change says nothing: the call may still be under way."""
    leg = operation.partner_center
    if not leg.attempts:
        return operation.requested_at
    return (leg.send_by or operation.requested_at) + app.times.partner_settle


async def may_be_looked_at(app: App, stored: Stored[Operation]) -> bool:
    """Whether an open leg may be looked at now; otherwise it is looked at again when it may."""
    leg = stored.value.partner_center
    moments = [leg.not_before] if leg.not_before is not None else []
    if leg.status is PartnerStatus.UNKNOWN:
        moments.append(quiet_until(app, stored.value))
    later = max((moment for moment in moments if moment > app.now()), default=None)
    if later is not None:
        await look_again(app, stored, later)
    return later is None


async def answered(app: App, stored: Stored[Operation], question: Awaitable[T]) -> T | None:
    """What Microsoft says; None where the operation is looked at again later, or ended because it is not there."""
    operation = stored.value
    try:
        return await question
    except NotFound as error:
        stored = await settle_as(app, stored, PartnerStatus.REFUSED, code="not_found", text=str(error))
        await come_to_rest(app, stored)
    except RetryLater as error:
        await look_again(app, stored, app.now() + (error.after or app.times.backoff(operation.partner_center.attempts)))
    except CspError:
        await look_again(app, stored, app.now() + app.times.misconfigured)
    return None


async def keep_polling(
    app: App, stored: Stored[Operation], limit: timedelta, status: PartnerStatus, code: str, text: str
) -> Stored[Operation]:
    """Look again later, ever more slowly; after the limit it has ended as `status`."""
    operation = stored.value
    if app.now() > operation.requested_at + limit:
        return await settle_as(app, stored, status, code=code, text=text)
    waited = app.now() - operation.requested_at
    return await look_again(
        app, stored, app.now() + min(max(waited / 4, app.times.partner_settle), app.times.retry_max)
    )


def gave_up(app: App, operation: Operation) -> bool:
    """Whether a call that never got through has been tried for long enough."""
    leg = operation.partner_center
    began = max(operation.requested_at, leg.not_before or operation.requested_at)
    return app.now() >= began + app.times.partner_give_up


async def about_to_send(app: App, stored: Stored[Operation]) -> Stored[Operation]:
    """Store that the call goes out now, with its deadline and an alarm of its own, before it does."""
    operation = stored.value
    leg = replace(
        operation.partner_center,
        send_by=app.now() + app.times.partner_timeout,
        attempts=operation.partner_center.attempts + 1,
    )
    sending = Stored(replace(operation, partner_center=leg), stored.etag)
    return await look_again(app, sending, app.now() + app.times.call)
