"""Look at a customer: what Partner Center lists, compared with the ledger and with the rows that are kept.

Order: detected operations first (each a transaction under its head), then the changed rows in one transaction, then the
customer's indexes and its own row, and at last the operations are handed over. A crash anywhere is repeated from
the beginning without a second operation and without a second write of what was written.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.deadlines import Kind, deadlines, next_due
from shared.domain.detected import Cause
from shared.domain.errors import Malformed
from shared.domain.listings import AuditRecord
from shared.domain.operation import Operation
from shared.domain.subscription import State, Subscription, refined
from shared.partner_center.wire import parse_subscription
from shared.storage.indexes import RAW_KEPT, Moments, NewEntry, UnreadableEntry
from shared.storage.ledger import Head
from shared.storage.read_models import CustomerView, SubscriptionView
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.badges import compute_badge, refresh_badge
from shared.usecases.detect import detect
from shared.usecases.noting import Seen
from shared.usecases.placing import go_on
from shared.usecases.rest import come_to_rest
from shared.usecases.snapshots import content_hash, differs

_COMPARED = (
    "status_raw",
    "quantity",
    "offer_id",
    "auto_renew",
    "friendly_name",
    "term_duration",
    "billing_cycle",
    "commitment_end",
)
_UNREADABLE_KEPT = 20  # items of one customer
_SETTLING = timedelta(hours=1)  # a new subscription may take a quarter of an hour to be listed (reference 7)


@dataclass(frozen=True, slots=True)
class Change:
    """One field that a sync saw changed since the last reading."""

    field: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Changed:
    """A subscription that is not as it was: the fields, none of them where it was not known before."""

    subscription: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A customer's subscriptions as listed; `heads` where they were read before the request.

    `name` and `domain` are as the list of customers shows them, None where it was not asked.
    """

    customer: str
    items: Sequence[dict[str, Any]]
    asked_at: datetime
    observed_at: datetime
    heads: Mapping[str, Stored[Head]] | None = None
    name: str | None = None
    domain: str | None = None
    records: Mapping[str, AuditRecord] = field(default_factory=dict)
    touch: bool = True  # a full sync has its own way to notice what it left half done


@dataclass(slots=True)
class Looked:
    """What a look at a customer found. `settled` says that nothing of it has to be looked at again.

    `left`: something could not be compared yet, since an operation of ours is under way or has just ended. `unjudged`
    are new subscriptions that such an operation may have made.
    """

    subscriptions: int = 0
    written: int = 0
    unreadable: int = 0
    settled: bool = True
    changed: list[Changed] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    gone: tuple[str, ...] = ()
    left: bool = False
    unjudged: set[str] = field(default_factory=set)


async def look(app: App, reading: Reading) -> Looked:
    """Look at a customer; see the module."""
    rows, view, heads = await asyncio.gather(
        app.views.of_customer(reading.customer), app.views.customer(reading.customer), _heads(app, reading)
    )
    looked = Looked()
    snapshots, unreadable = _read(reading)
    looked.subscriptions, looked.unreadable = len(snapshots), len(unreadable)
    known_before = view is not None and view.value.synced_at is not None
    found = await _detect_all(app, reading, snapshots, rows, heads, known_before=known_before)
    looked.left, looked.unjudged = found.left, found.unjudged
    await _index_new(app, reading, found)
    await write_rows(
        app, looked, snapshots, rows, heads, found.operations, observed_at=reading.observed_at, touch=reading.touch
    )
    named = {snapshot.id for snapshot in snapshots} | {entry.name for entry in unreadable}
    looked.gone = tuple(sorted(identity for identity, row in rows.items() if _is_gone(row, named, reading)))
    await _keep_customer(app, reading, view, snapshots, unreadable)
    await pass_on(app, found.operations)
    looked.operations = [stored.value for stored in found.operations]
    looked.settled = looked.settled and not looked.left and not unreadable
    return looked


@dataclass(slots=True)
class _Found:
    """What comparing with the ledger came to."""

    operations: list[Stored[Operation]] = field(default_factory=list)
    appeared: set[str] = field(default_factory=set)
    unjudged: set[str] = field(default_factory=set)
    left: bool = False


async def _detect_all(
    app: App,
    reading: Reading,
    snapshots: Sequence[Subscription],
    rows: Mapping[str, Stored[SubscriptionView]],
    heads: Mapping[str, Stored[Head]],
    *,
    known_before: bool,
) -> _Found:
    """Compare each subscription; those that took another's place come first, for they tell what became of it."""
    # What appears while an operation of ours is under way may be its doing: it is judged when that has ended
    busy = any(head.value.open_sequence is not None for head in heads.values())
    found = _Found()
    told: set[str] = set()
    beside = {snapshot.id: snapshot for snapshot in snapshots}
    for snapshot in sorted(snapshots, key=lambda one: one.migrated_from is None):
        row, head = rows.get(snapshot.id), heads.get(snapshot.id) or Stored(Head(snapshot.id), None)
        if snapshot.id in told:
            continue
        new = known_before and (row is None or row.value.unjudged) and snapshot.state is not State.DELETED
        if new:
            (found.unjudged if busy and head.value.known is None else found.appeared).add(snapshot.id)
        seen = Seen(
            snapshot=snapshot,
            head=head,
            asked_at=reading.asked_at,
            observed_at=reading.observed_at,
            head_first=reading.heads is not None,
            before=row.value.snapshot if row else None,
            record=reading.records.get(snapshot.id),
            appeared=snapshot.id in found.appeared,
            beside=beside,
            heads=heads,
        )
        detection = await detect(app, seen)
        found.left = found.left or detection.left
        found.operations += detection.operations
        told.update(one.value.address.subscription for one in detection.operations)
        if detection.left and snapshot.migrated_from is not None:
            told.add(snapshot.migrated_from)  # what became of it is part of what is left
    found.left = found.left or bool(found.unjudged)
    return found


async def _heads(app: App, reading: Reading) -> Mapping[str, Stored[Head]]:
    return reading.heads if reading.heads is not None else await app.ledger.heads(reading.customer)


def _read(reading: Reading) -> tuple[list[Subscription], list[UnreadableEntry]]:
    snapshots: dict[str, Subscription] = {}
    unreadable: list[UnreadableEntry] = []
    for number, item in enumerate(reading.items):
        try:
            snapshot = parse_subscription(reading.customer, item)
        except Malformed as error:
            raw, name = json.dumps(item)[:RAW_KEPT], _name_of(item, number)
            unreadable.append(UnreadableEntry(reading.customer, name, str(error), raw, reading.observed_at))
        else:
            snapshots[snapshot.id] = snapshot
    return list(snapshots.values()), unreadable


def _name_of(item: dict[str, Any], number: int) -> str:
    identity = str(item.get("id") or "").strip().lower()
    readable = identity.replace("-", "").isalnum() and len(identity) <= 64 and identity.isascii()
    return identity if readable else f"item-{number}"


def _is_gone(row: Stored[SubscriptionView], named: set[str], reading: Reading) -> bool:
    young = row.value.read_at > reading.observed_at - _SETTLING
    return row.value.snapshot.id not in named and row.value.missing_since is None and not young


async def _index_new(app: App, reading: Reading, found: _Found) -> None:
    causes = {stored.value.address.subscription: stored.value.cause_kind for stored in found.operations}
    for identity in sorted(found.appeared):
        cause = causes.get(identity) or Cause.UNKNOWN
        await app.sync.indexes.add_new(NewEntry(reading.customer, identity, reading.observed_at, cause.value))


async def write_rows(
    app: App,
    looked: Looked,
    snapshots: Sequence[Subscription],
    rows: Mapping[str, Stored[SubscriptionView]],
    heads: Mapping[str, Stored[Head]],
    found: Sequence[Stored[Operation]],
    *,
    observed_at: datetime,
    touch: bool,
) -> None:
    """Write the rows whose content changed."""
    pending = {stored.value.address.subscription for stored in found if stored.value.legs}
    views: list[Stored[SubscriptionView]] = []
    for snapshot in snapshots:
        row = rows.get(snapshot.id)
        if row is not None and row.value.read_at > observed_at:
            looked.settled = False  # somebody has read it later than we have
            continue
        kept = refined(row.value.snapshot.state if row else None, _with_batches(snapshot, row))
        badge = _badge(row, pending=snapshot.id in pending)
        waiting = row.value.waiting if row is not None and snapshot.id not in pending else None
        unjudged = snapshot.id in looked.unjudged
        view = SubscriptionView(kept, badge, observed_at, content_hash(kept), unjudged=unjudged, waiting=waiting)
        if row is None or differs(row.value, view):
            views.append(Stored(view, row.etag if row else None))
            looked.changed.append(Changed(snapshot.id, changes(row.value.snapshot if row else None, snapshot)))
    if not views:
        return
    if touch:
        await app.sync.touched.touch(views[0].value.snapshot.customer_id)
    views = await _with_new_badges(app, views, heads)
    try:
        await app.views.put_subscriptions(views)
    except WriteConflict:
        looked.settled = False  # somebody else wrote one of them; it is looked at again
        looked.changed.clear()
    else:
        looked.written = len(views)


def _with_batches(snapshot: Subscription, row: Stored[SubscriptionView] | None) -> Subscription:
    """Lists may leave the refundable seats out; what a reading by id showed holds while the seats are the same."""
    if snapshot.refundable is not None or row is None:
        return snapshot
    before = row.value.snapshot
    same = (before.state, before.quantity) == (snapshot.state, snapshot.quantity)
    return replace(snapshot, refundable=before.refundable) if same else snapshot


def _badge(row: Stored[SubscriptionView] | None, *, pending: bool) -> str:
    if row is None:
        return "pending" if pending else ""
    return "pending" if pending and row.value.badge != "out_of_sync" else row.value.badge


async def _with_new_badges(
    app: App, views: Sequence[Stored[SubscriptionView]], heads: Mapping[str, Stored[Head]]
) -> list[Stored[SubscriptionView]]:
    """New rows get their badge from the ledger; one reading says which of them are mapped at all."""
    fresh = [view for view in views if not view.value.badge]
    if not fresh:
        return list(views)
    customer = fresh[0].value.snapshot.customer_id
    mapped = await app.mappings.mapped_of(customer)
    result = []
    for view in views:
        identity = view.value.snapshot.id
        badge = view.value.badge
        if not badge:
            head = heads.get(identity)
            open_one = head is not None and head.value.open_sequence is not None
            badge = "pending" if open_one else "not_mapped"
            if identity in mapped:
                badge = await compute_badge(app, customer, identity)
        result.append(Stored(replace(view.value, badge=badge), view.etag))
    return result


def changes(before: Subscription | None, after: Subscription) -> tuple[Change, ...]:
    """The fields that differ between two snapshots."""
    if before is None:
        return ()
    return tuple(
        Change(name, getattr(before, name), getattr(after, name))
        for name in _COMPARED
        if getattr(before, name) != getattr(after, name)
    )


async def _keep_customer(
    app: App,
    reading: Reading,
    view: Stored[CustomerView] | None,
    snapshots: Sequence[Subscription],
    unreadable: Sequence[UnreadableEntry],
) -> None:
    """Write the customer's row if it changed; one that no list has shown yet has none."""
    if view is None and reading.name is None:
        return
    before = view.value if view else CustomerView(reading.customer, "", "")
    after = replace(
        before,
        name=reading.name if reading.name is not None else before.name,
        domain=reading.domain if reading.domain is not None else before.domain,
        missing_since=None,
        problem="",
        problem_text="",
        problem_since=None,
        moments=moments_of(snapshots, reading.observed_at),
        unreadable=len(unreadable),
    )
    if after == before and before.synced_at is not None:
        return
    if unreadable or before.unreadable:
        await app.sync.indexes.exchange_unreadable(reading.customer, unreadable[:_UNREADABLE_KEPT])
    await app.sync.indexes.move(reading.customer, before.moments, after.moments)
    try:
        await app.views.put_customer(Stored(replace(after, synced_at=app.now()), view.etag if view else None))
    except WriteConflict:
        return  # somebody else has looked at the same time; whatever differs is found by the next look


def moments_of(snapshots: Iterable[Subscription], now: datetime) -> Moments:
    """The next moments of a customer's subscriptions after `now` (Microsoft's clock)."""
    known = list(snapshots)
    found = [deadline for snapshot in known for deadline in deadlines(snapshot)]
    people = (one.at for one in found if one.kind is not Kind.LEGACY and not one.routine and one.at > now)
    legacy = (one.at for one in found if one.kind is Kind.LEGACY)
    return Moments(next_due(known, now), min(people, default=None), min(legacy, default=None))


async def pass_on(app: App, found: Sequence[Stored[Operation]]) -> None:
    """Hand detected operations over to the queue, or bring to rest what has nothing to bill."""
    for stored in found:
        address = stored.value.address
        try:
            if stored.value.pushable or stored.value.unplaced is not None:
                await refresh_badge(app, address.customer, address.subscription)
                await go_on(app, stored, first=True)
            else:
                await come_to_rest(app, stored)
        except WriteConflict:
            continue  # somebody is at it already
