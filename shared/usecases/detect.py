"""Turn what nobody asked us for into detected operations.

What counts is the ledger's head: what is known of a subscription, written under its etag by whoever changes it. A
subscription whose operation is still open is left to that operation; a reading that was asked for before our last
write and shows the state before it is late and no change.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date, datetime

from shared import telemetry
from shared.domain.detected import Cause, Facts, FieldChange, Why, differences, facts_of, why_changed
from shared.domain.known import Intention, Known
from shared.domain.listings import AuditRecord
from shared.domain.operation import Address, Event, Kind, Leg, LegStatus, Operation, PartnerLeg, PartnerStatus
from shared.domain.subscription import Family, Subscription, known_of
from shared.storage.ledger import Changes, Head
from shared.storage.mappings import SubscriptionMapping
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.act import legs
from shared.usecases.app import App
from shared.usecases.moving import legs_of
from shared.usecases.rest import SYSTEM, looking
from shared.usecases.settling import states_before

HOLD = "hold"
_NOWHERE = Known("", 0)

# Which facts an operation of ours changes at Microsoft besides what it is about: such a difference is no news
_AUTO_RENEW = frozenset({"auto_renew"})
_ALL = frozenset(one.name for one in fields(Facts))
_EXPLAINED: dict[Kind, frozenset[str]] = {
    **dict.fromkeys((Kind.SUSPEND, Kind.REACTIVATE, Kind.CANCEL), _AUTO_RENEW),
    **dict.fromkeys((Kind.AUTO_RENEW_ON, Kind.AUTO_RENEW_OFF, Kind.SCHEDULE_RENEWAL), _AUTO_RENEW),
    **dict.fromkeys((Kind.UPGRADE, Kind.MIGRATE, Kind.MOVED), _ALL),
}
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
    subscription was not there.
    """

    snapshot: Subscription
    head: Stored[Head]
    asked_at: datetime
    observed_at: datetime
    head_first: bool
    before: Subscription | None = None
    record: AuditRecord | None = None
    appeared: bool = False


@dataclass(frozen=True, slots=True)
class Detection:
    """What came of comparing: an operation, or none; `left` says that the comparison has to be made again later."""

    operation: Stored[Operation] | None = None
    left: bool = False


NOTHING, LEFT = Detection(), Detection(left=True)


async def detect(app: App, seen: Seen) -> Detection:
    """Compare a reading with the ledger and store what changed; the caller hands the operation over."""
    head, now_known = seen.head.value, known_of(seen.snapshot)
    if head.open_sequence is not None:
        return LEFT
    if head.known is None:
        return await _appeared(app, seen, now_known) if seen.appeared else NOTHING
    if _may_be_late(app, head, now_known, seen):
        return LEFT
    facts = facts_of(seen.snapshot)
    changes = await _unexplained(app, seen, facts)
    if head.known == now_known and not changes:
        return await _note(app, seen, facts)
    return await _store(app, seen, head.known, now_known, changes)


def _may_be_late(app: App, head: Head, known: Known, seen: Seen) -> bool:
    """A reading that was asked for about when the head was written last, and shows an earlier state, is late.

    Where the head was read after the request, any such reading may be older than the head.
    """
    fresh = head.written_at is not None and seen.asked_at < head.written_at + app.times.partner_settle
    return fresh and (known in head.previous or not seen.head_first)


async def _unexplained(app: App, seen: Seen, facts: Facts) -> tuple[FieldChange, ...]:
    """Differences in the facts that no operation of ours since they were noted brings with it."""
    head, snapshot = seen.head.value, seen.snapshot
    noted = head.facts
    if noted is None:  # nobody has noted them yet; the product is known to whoever mapped the subscription
        noted = replace(facts, product=head.known.product if head.known and head.known.product else facts.product)
    changes = differences(noted, facts)
    if not changes or head.facts_at == head.next_sequence:
        return changes
    since = await app.ledger.operations(snapshot.customer_id, snapshot.id, after=head.facts_at - 1)
    ours = {name for one in since if one.value.took_effect for name in _EXPLAINED.get(one.value.kind, ())}
    return tuple(change for change in changes if change.field not in ours)


async def _note(app: App, seen: Seen, facts: Facts) -> Detection:
    """Nothing to tell: remember the facts, where that is new."""
    head = seen.head.value
    if head.facts == facts and head.facts_at == head.next_sequence:
        return NOTHING
    noted = replace(head, facts=facts, facts_at=head.next_sequence)
    try:
        await app.ledger.commit(seen.snapshot.customer_id, Changes(head=Stored(noted, seen.head.etag)))
    except WriteConflict:
        return LEFT
    return NOTHING


async def _appeared(app: App, seen: Seen, known: Known) -> Detection:
    """A subscription that was not there when its customer was read before; from now on its changes are detected."""
    product = FieldChange("product", "", seen.snapshot.product_key)
    return await _store(app, seen, _NOWHERE, known, (product,))


async def _store(app: App, seen: Seen, before: Known, after: Known, changes: tuple[FieldChange, ...]) -> Detection:
    snapshot, head = seen.snapshot, seen.head.value
    why = why_changed(seen.before, snapshot, seen.record, seen_at=seen.observed_at, appeared=seen.appeared)
    day = app.business_date(min(why.at or seen.observed_at, seen.observed_at))
    address = Address(snapshot.customer_id, snapshot.id, head.next_sequence)
    mapping = await app.mappings.subscription(address.customer, address.subscription)
    now = app.now()
    operation = Operation(
        address=address,
        kind=Kind.DETECTED,
        intention=Intention(),
        before=before,
        after=after,
        requested_at=now,
        requested_by=SYSTEM,
        business_date=day,
        partner_center=PartnerLeg(PartnerStatus.PENDING, app.new_id()),
        legs=await _placed(app, snapshot, before, after, changes, day, mapping.value if mapping else None),
        alarm_due=now + app.times.outbox,
        cause=_sentence(before, after, changes, why),
        cause_kind=why.cause,
        audit_record=why.record,
        changes=changes,
    ).with_partner_center(PartnerStatus.NOT_NEEDED)
    event = Event(now, SYSTEM, "detected", "", operation.status, operation.cause)
    following = address.sequence + 1
    noted = replace(
        head,
        next_sequence=following,
        known=after,
        previous=states_before(app, head, before),
        written_at=now,
        facts=facts_of(snapshot),
        facts_at=following,
        unplaced=looking(head.unplaced, operation),
    )
    with telemetry.span("detect", telemetry.about(operation), apart=True):
        await app.alarms.set(address, operation.alarm_due or now, ready=now)
        try:
            stored, _ = await app.ledger.commit(
                address.customer, Changes([(Stored(operation, None), [event])], head=Stored(noted, seen.head.etag))
            )
        except WriteConflict:
            return LEFT  # an operation came in between; the next sync looks again
        return Detection(stored[0])


async def _placed(
    app: App,
    snapshot: Subscription,
    before: Known,
    after: Known,
    changes: tuple[FieldChange, ...],
    day: date,
    mapping: SubscriptionMapping | None,
) -> tuple[Leg, ...]:
    """The Autotask legs. Another product is billed as what it is mapped to, as after an upgrade of ours."""
    product = next((change.before for change in changes if change.field == "product"), None)
    if product and mapping is not None:
        found = await legs_of(app, mapping, replace(before, product=str(product)), snapshot, day)
    else:
        # Microsoft lets seats of new commerce go only with a refund or at a renewal: the customer is relieved from now
        refunded = snapshot.family is not Family.LEGACY_LICENSE
        found = legs(before, after, day, mapping, refunded=refunded)
    held = app.policy.detected == HOLD
    return tuple(replace(leg, status=LegStatus.REVIEW) for leg in found) if held else found


def _sentence(before: Known, after: Known, changes: tuple[FieldChange, ...], why: Why) -> str:
    parts = []
    if before.status != after.status:
        parts.append(f"status {before.status or 'none'} to {after.status}")
    if before.quantity != after.quantity:
        parts.append(f"{before.quantity} to {after.quantity} seats")
    parts += [f"{change.field.replace('_', ' ')} {change.before!r} to {change.after!r}" for change in changes]
    return f"changed {_CAUSES[why.cause]}: {', '.join(parts)}"
