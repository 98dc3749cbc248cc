"""Turn what nobody asked us for into detected operations (ADR 0019).

What counts is the ledger's head: what is known of a subscription, written under its etag by whoever changes it. A
subscription whose operation is still open is left to that operation; a reading that was asked for before our last
write and shows the state before it is late and no change.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date

from shared.domain.detected import Facts, FieldChange, differences, facts_of, why_changed
from shared.domain.known import Known
from shared.domain.operation import Kind, Leg
from shared.domain.subscription import Family, known_of
from shared.storage.ledger import Changes
from shared.storage.mappings import SubscriptionMapping
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.act import legs
from shared.usecases.app import App
from shared.usecases.migrated import migrated
from shared.usecases.moving import legs_of
from shared.usecases.noting import LEFT, NOTHING, Detection, Seen, day_of, detected, may_be_late, note

_NOWHERE = Known("", 0)

# Which facts an operation of ours changes at Microsoft besides what it is about: such a difference is no news
_AUTO_RENEW = frozenset({"auto_renew"})
_ALL = frozenset(one.name for one in fields(Facts))
_EXPLAINED: dict[Kind, frozenset[str]] = {
    **dict.fromkeys((Kind.SUSPEND, Kind.REACTIVATE, Kind.CANCEL), _AUTO_RENEW),
    **dict.fromkeys((Kind.AUTO_RENEW_ON, Kind.AUTO_RENEW_OFF, Kind.SCHEDULE_RENEWAL), _AUTO_RENEW),
    **dict.fromkeys((Kind.UPGRADE, Kind.MIGRATE, Kind.MOVED), _ALL),
}


async def detect(app: App, seen: Seen) -> Detection:
    """Compare a reading with the ledger and store what changed; the caller hands the operations over."""
    head, now_known = seen.head.value, known_of(seen.snapshot)
    if head.open_sequence is not None:
        return LEFT
    if head.known is None:
        moved = await migrated(app, seen)
        if moved is not None:
            return moved
        return await _appeared(app, seen, now_known) if seen.appeared else NOTHING
    if may_be_late(app, head, now_known, seen):
        return LEFT
    facts = facts_of(seen.snapshot)
    changes = await _unexplained(app, seen, facts)
    if head.known == now_known and not changes:
        return await _note(app, seen, facts)
    return await _store(app, seen, head.known, now_known, changes)


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
    snapshot = seen.snapshot
    why = why_changed(
        seen.before,
        snapshot,
        seen.record,
        seen_at=seen.observed_at,
        appeared=seen.appeared,
        other_product=any(change.field == "product" for change in changes),
    )
    mapping = await app.mappings.subscription(snapshot.customer_id, snapshot.id)
    placed = await _placed(
        app, seen, before, after, changes, day_of(app, seen, why), mapping.value if mapping else None
    )
    if seen.head.value.unplaced and (placed or before != after):
        return LEFT  # where it is billed from now on is not found yet
    return await note(app, seen, detected(app, seen, before, after, changes, why=why, legs=placed))


async def _placed(
    app: App,
    seen: Seen,
    before: Known,
    after: Known,
    changes: tuple[FieldChange, ...],
    day: date,
    mapping: SubscriptionMapping | None,
) -> tuple[Leg, ...]:
    """The Autotask legs. Another product is billed as what it is mapped to, as after an upgrade of ours."""
    product = next((change.before for change in changes if change.field == "product"), None)
    if product and mapping is not None:
        return await legs_of(app, mapping, replace(before, product=str(product)), seen.snapshot, day)
    # Microsoft lets seats of new commerce go only with a refund or at a renewal: the customer is relieved from now
    refunded = seen.snapshot.family is not Family.LEGACY_LICENSE
    return legs(before, after, day, mapping, refunded=refunded)
