"""A migration that somebody made at Partner Center: the new subscription says which legacy one it took the place of.

Its bill moves as after a migration of ours: from the day of the new subscription the legacy line is 0 and the new one
is billed on a line of its own, found by what its product is mapped to. Both operations are one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.domain.detected import Cause, FieldChange, Why
from shared.domain.errors import CspError, NotFound
from shared.domain.known import Known
from shared.domain.operation import Leg
from shared.domain.subscription import Subscription, known_of
from shared.partner_center.wire import parse_subscription
from shared.storage.ledger import Head
from shared.storage.mappings import SubscriptionMapping
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.moving import from_day, legs_of_newcomer, linked
from shared.usecases.noting import LEFT, Detection, Seen, day_of, detected, held_or_open, may_be_late, note
from shared.usecases.settling import Linked, states_before


@dataclass(frozen=True, slots=True)
class Legacy:
    """A legacy subscription that is billed: as it was seen, what is known of it, and its mapping."""

    snapshot: Subscription
    head: Stored[Head]
    mapping: SubscriptionMapping


async def migrated(app: App, seen: Seen) -> Detection | None:
    """Move the bill of a legacy subscription to the new one that was seen; None where there is nothing to move.

    That is where it took nobody's place, the legacy one is not billed, or a migration of ours has moved it already.
    LEFT where the legacy one is being worked on, or had to be read and cannot be now.
    """
    snapshot = seen.snapshot
    if snapshot.migrated_from is None:
        return None
    customer, former = snapshot.customer_id, snapshot.migrated_from
    mapping = await app.mappings.subscription(customer, former)
    head = seen.heads.get(former)
    first, head = seen.head_first and head is not None, head or await app.ledger.head(customer, former)
    if mapping is None or head.value.successor is not None:
        return None
    try:
        legacy = seen.beside.get(former) or await _read(app, customer, former)
    except NotFound:
        return None
    except CspError:
        return LEFT
    late = may_be_late(app, head.value, known_of(legacy), replace(seen, head_first=first))
    if late or head.value.open_sequence is not None:
        return LEFT
    return await _move(app, seen, Legacy(legacy, head, mapping.value))


async def _read(app: App, customer: str, subscription: str) -> Subscription:
    reading = await app.partner_center.subscription(customer, subscription)
    return parse_subscription(customer, reading.raw)


async def _move(app: App, seen: Seen, legacy: Legacy) -> Detection:
    snapshot, mapping = seen.snapshot, legacy.mapping
    why = Why(Cause.MIGRATION, snapshot.creation_date, seen.record.id if seen.record else "")
    day = max(day_of(app, seen, why), mapping.since)
    found = await legs_of_newcomer(app, mapping, snapshot, day)
    legs = tuple(leg for leg in found if leg.line or leg.target.units)  # nothing to bill needs no line
    product = FieldChange("product", "", snapshot.product_key)
    operation = detected(app, seen, Known("", 0), known_of(snapshot), (product,), why=why, legs=legs)
    gone = held_or_open(app, (Leg(mapping.line, mapping.contract, from_day(0, day)),))
    known = known_of(legacy.snapshot)
    other = await linked(app, operation, legacy.snapshot, known, gone, day=day, successor=snapshot.id)
    if other.head.etag != legacy.head.etag:
        return LEFT  # somebody was faster
    return await note(app, seen, operation, linked=[_told(app, other, snapshot)], predecessor=legacy.snapshot.id)


def _told(app: App, other: Linked, snapshot: Subscription) -> Linked:
    """The legacy subscription's operation in its own words; a reading from before it is late from now on."""
    cause = f"migrated outside this application to subscription {snapshot.id}"
    before = other.head.value.known or other.operation.before
    head = replace(other.head.value, previous=states_before(app, other.head.value, before), written_at=app.now())
    return Linked(replace(other.operation, cause=cause, cause_kind=Cause.MIGRATION), Stored(head, other.head.etag))
