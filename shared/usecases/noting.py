"""Store a detected operation with the head that knows of it from now on: one transaction, after its alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from shared import telemetry
from shared.domain.detected import Cause, FieldChange, Why, facts_of
from shared.domain.known import Intention, Known
from shared.domain.listings import AuditRecord
from shared.domain.operation import Address, Event, Kind, Leg, LegStatus, Operation, PartnerLeg, PartnerStatus
from shared.domain.subscription import Subscription
from shared.storage.ledger import Changes, Head
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.rest import SYSTEM, looking
from shared.usecases.settling import Linked, states_before

HOLD = "hold"
_CAUSES = {
    Cause.PARTNER: "by the partner at Partner Center",
    Cause.RENEWAL: "by its renewal",
    Cause.SCHEDULE: "by its renewal, as it was scheduled",
    Cause.MICROSOFT: "by Microsoft, at the end of a term or of a grace period",
    Cause.UPGRADE: "by an upgrade outside this application",
    Cause.MIGRATION: "by a migration outside this application",
    Cause.PURCHASE: "by a purchase outside this application",
    Cause.UNKNOWN: "outside this application",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One reading of a subscription. `asked_at` is our clock before the request, `observed_at` Microsoft's in it.

    `head_first`: the head was read before the request, so that its etag proves that the reading is not older than it.
    `before` is the last snapshot, for the cause only; `appeared` says that its customer was read before and this
    subscription was not there. `beside` and `heads` are what was listed with it, and what was known of those.
    """

    snapshot: Subscription
    head: Stored[Head]
    asked_at: datetime
    observed_at: datetime
    head_first: bool
    before: Subscription | None = None
    record: AuditRecord | None = None
    appeared: bool = False
    beside: Mapping[str, Subscription] = field(default_factory=dict)
    heads: Mapping[str, Stored[Head]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Detection:
    """What came of comparing: operations, or none; `left` says that the comparison has to be made again later.

    The first operation is about the subscription itself, further ones about others that it concerns.
    """

    operations: tuple[Stored[Operation], ...] = ()
    left: bool = False


NOTHING, LEFT = Detection(), Detection(left=True)


def may_be_late(app: App, head: Head, known: Known, seen: Seen) -> bool:
    """A reading that was asked for about when the head was written last, and shows an earlier state, is late.

    Where the head was read after the request, any such reading may be older than the head.
    """
    fresh = head.written_at is not None and seen.asked_at < head.written_at + app.times.partner_settle
    return fresh and (known in head.previous or not seen.head_first)


def held_or_open(app: App, legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    """The legs as the setting wants them: pushed, or held until a person releases them."""
    return tuple(replace(leg, status=LegStatus.REVIEW) for leg in legs) if app.policy.detected == HOLD else legs


def day_of(app: App, seen: Seen, why: Why) -> date:
    """The business date of a change: its moment where that is known, else when it was seen."""
    return app.business_date(min(why.at or seen.observed_at, seen.observed_at))


def detected(
    app: App,
    seen: Seen,
    before: Known,
    after: Known,
    changes: tuple[FieldChange, ...],
    *,
    why: Why,
    legs: tuple[Leg, ...],
) -> Operation:
    """The operation that tells of a change."""
    now = app.now()
    return Operation(
        address=Address(seen.snapshot.customer_id, seen.snapshot.id, seen.head.value.next_sequence),
        kind=Kind.DETECTED,
        intention=Intention(),
        before=before,
        after=after,
        requested_at=now,
        requested_by=SYSTEM,
        business_date=day_of(app, seen, why),
        partner_center=PartnerLeg(PartnerStatus.PENDING, app.new_id()),
        legs=held_or_open(app, legs),
        alarm_due=now + app.times.outbox,
        cause=_sentence(before, after, changes, why),
        cause_kind=why.cause,
        audit_record=why.record,
        changes=changes,
    ).with_partner_center(PartnerStatus.NOT_NEEDED)


async def note(
    app: App, seen: Seen, operation: Operation, *, linked: Sequence[Linked] = (), predecessor: str | None = None
) -> Detection:
    """Store the operation, its head, and what is linked to it; LEFT where somebody else was faster."""
    head, address = seen.head.value, operation.address
    following = address.sequence + 1
    noted = replace(
        head,
        next_sequence=following,
        known=operation.after,
        previous=states_before(app, head, operation.before),
        written_at=app.now(),
        predecessor=predecessor or head.predecessor,
        facts=facts_of(seen.snapshot),
        facts_at=following,
        unplaced=looking(head.unplaced, operation),
    )
    with telemetry.span("detect", telemetry.about(operation), apart=True):
        operations = [operation, *(one.operation for one in linked)]
        for one in operations:
            await app.alarms.set(one.address, one.alarm_due or app.now(), ready=app.now())
        rows = [(Stored(one, None), [_first_event(app, one)]) for one in operations]
        changes = Changes(rows, head=Stored(noted, seen.head.etag), others=[one.head for one in linked])
        try:
            stored, _ = await app.ledger.commit(address.customer, changes)
        except WriteConflict:
            return LEFT  # an operation came in between; the next sync looks again
        return Detection(tuple(stored))


def _first_event(app: App, operation: Operation) -> Event:
    name = "detected" if operation.kind is Kind.DETECTED else "moved"
    return Event(app.now(), SYSTEM, name, "", operation.status, operation.cause)


def _sentence(before: Known, after: Known, changes: tuple[FieldChange, ...], why: Why) -> str:
    parts = []
    if before.status != after.status:
        parts.append(f"status {before.status or 'none'} to {after.status}")
    if before.quantity != after.quantity:
        parts.append(f"{before.quantity} to {after.quantity} seats")
    parts += [f"{change.field.replace('_', ' ')} {change.before!r} to {change.after!r}" for change in changes]
    return f"changed {_CAUSES[why.cause]}: {', '.join(parts)}"
