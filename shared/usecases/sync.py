"""Sync: read Partner Center, keep the snapshots, and turn what nobody asked us for into detected operations.

The head is read before Partner Center and written under its etag, so that a reading that is older than an operation of
ours never looks like a change.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared import telemetry
from shared.domain.errors import CspError, Malformed, Misconfigured, NotFound, VendorError
from shared.domain.known import Intention, Known
from shared.domain.operation import Address, Event, Kind, Operation, PartnerLeg, PartnerStatus
from shared.domain.subscription import CustomerItem, Family, Subscription, known_of
from shared.partner_center.wire import parse_subscription
from shared.storage.ledger import Changes, Head
from shared.storage.read_models import CustomerView
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.act import legs
from shared.usecases.app import App
from shared.usecases.rest import SYSTEM, come_to_rest, hand_over
from shared.usecases.snapshots import content_hash, store_snapshot

log = logging.getLogger(__name__)

SYNC = "sync"  # a sync of all customers in which nothing was left out

_CUSTOMERS_AT_ONCE = 5  # Partner Center asks for low parallelism (partner-center reference 4.5)


@dataclass(frozen=True, slots=True)
class Change:
    """One field that a sync saw changed since the last reading."""

    field: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Synced:
    """A subscription after its sync, what changed, and the operation that was detected."""

    subscription: Subscription
    changes: tuple[Change, ...]
    operation: Operation | None


@dataclass(slots=True)
class SyncRun:
    """What a scheduled sync did."""

    customers: int = 0
    subscriptions: int = 0
    written: int = 0
    detected: int = 0
    failed: int = 0


async def sync_subscription(app: App, customer: str, subscription: str) -> Synced:
    """Read one subscription now. Raises NotFound, RetryLater, Misconfigured, Malformed."""
    head = await app.ledger.head(customer, subscription)
    reading = await app.partner_center.subscription(customer, subscription)
    snapshot = parse_subscription(customer, reading.raw)
    before = await app.views.subscription(customer, snapshot.id)
    changes = _changes(before.value.snapshot if before else None, snapshot)
    await store_snapshot(app, snapshot, reading.observed_at, known=before)
    operation = await detect(app, head, snapshot, reading.observed_at)
    return Synced(snapshot, changes, operation)


def _changes(before: Subscription | None, after: Subscription) -> tuple[Change, ...]:
    if before is None:
        return ()
    names = (
        "status_raw",
        "quantity",
        "offer_id",
        "auto_renew",
        "friendly_name",
        "term_duration",
        "billing_cycle",
        "commitment_end",
    )
    return tuple(
        Change(name, getattr(before, name), getattr(after, name))
        for name in names
        if getattr(before, name) != getattr(after, name)
    )


async def detect(app: App, head: Stored[Head], snapshot: Subscription, observed_at: datetime) -> Operation | None:
    """Make an operation of a change that the ledger does not know; one that is still open is left to its operation."""
    known, now_known = head.value.known, known_of(snapshot)
    if head.value.open_sequence is not None or known is None or known == now_known:
        return None
    if _may_be_late(app, head.value, now_known):
        return None
    address = Address(snapshot.customer_id, snapshot.id, head.value.next_sequence)
    mapping = await app.mappings.subscription(address.customer, address.subscription)
    day = app.business_date(observed_at)
    # Microsoft lets seats of new commerce go only with a refund or at a renewal: the customer is relieved from now.
    refunded = snapshot.family is not Family.LEGACY_LICENSE
    found = legs(known, now_known, day, mapping.value if mapping else None, refunded=refunded)
    now = app.now()
    operation = Operation(
        address=address,
        kind=Kind.DETECTED,
        intention=Intention(),
        before=known,
        after=now_known,
        requested_at=now,
        requested_by=SYSTEM,
        business_date=day,
        partner_center=PartnerLeg(PartnerStatus.PENDING, app.new_id()),
        legs=found,
        alarm_due=now + app.times.outbox,
        cause=_cause(known, now_known),
    ).with_partner_center(PartnerStatus.NOT_NEEDED)
    event = Event(now, SYSTEM, "detected", "", operation.status, operation.cause)
    changed = replace(head.value, next_sequence=address.sequence + 1, known=now_known)
    with telemetry.span("detect", telemetry.about(operation), apart=True):
        return await _accept(app, operation, event, Stored(changed, head.etag))


async def _accept(app: App, operation: Operation, event: Event, head: Stored[Head]) -> Operation | None:
    address = operation.address
    await app.alarms.set(address, operation.alarm_due or event.at, ready=event.at)
    try:
        changes = Changes([(Stored(operation, None), [event])], head=head)
        (stored,), _ = await app.ledger.commit(address.customer, changes)
    except WriteConflict:
        return None  # an operation came in between; the next sync looks again
    if stored.value.pushable:
        await hand_over(app, stored)
    else:
        await come_to_rest(app, stored)
    return stored.value


def _may_be_late(app: App, head: Head, seen: Known) -> bool:
    """A reading that shows the state before our last write, soon after it, is more likely late than a change."""
    fresh = head.written_at is not None and app.now() < head.written_at + app.times.partner_settle
    return fresh and seen in head.previous


def _cause(before: Known, after: Known) -> str:
    parts = []
    if before.status != after.status:
        parts.append(f"status {before.status} to {after.status}")
    if before.quantity != after.quantity:
        parts.append(f"{before.quantity} to {after.quantity} seats")
    return "changed outside this application: " + ", ".join(parts)


async def sync_customer(app: App, customer: str) -> SyncRun:
    """Read all subscriptions of one customer now; only changed rows are written."""
    run = SyncRun(customers=1)
    heads = await app.ledger.heads(customer)
    listing = await app.partner_center.subscriptions(customer)
    rows = await app.views.of_customer(customer)
    for raw in listing.items:
        try:
            await _one_of_customer(app, run, raw, customer, heads, rows, listing.observed_at)
        except Malformed as error:
            run.failed += 1
            telemetry.tell(log, "subscription_unreadable", level=logging.WARNING, error=error, customer=customer)
    return run


async def _one_of_customer(
    app: App, run: SyncRun, raw: dict[str, Any], customer: str, heads: Any, rows: Any, observed_at: datetime
) -> None:
    snapshot = parse_subscription(customer, raw)
    run.subscriptions += 1
    row = rows.get(snapshot.id)
    if (row is None or row.value.content != content_hash(snapshot)) and await store_snapshot(
        app, snapshot, observed_at, known=row
    ):
        run.written += 1
    head = heads.get(snapshot.id)
    if head is not None and await detect(app, head, snapshot, observed_at):
        run.detected += 1


async def sync_all(app: App) -> SyncRun:
    """Read all customers and their subscriptions. One customer's failure does not stop the run."""
    run = SyncRun()
    gate = asyncio.Semaphore(_CUSTOMERS_AT_ONCE)

    async def one(item: CustomerItem) -> None:
        async with gate:
            try:
                part = await sync_customer(app, item.id)
                await app.views.put_customer(CustomerView(item.id, item.name, item.domain, app.now()))
            except NotFound as error:
                run.failed += 1
                telemetry.tell(log, "customer_not_synced", level=logging.WARNING, error=error, customer=item.id)
                return
            except VendorError as error:  # this customer's refusal, not our credentials
                run.failed += 1
                telemetry.tell(log, "customer_not_synced", level=logging.WARNING, error=error, customer=item.id)
                return
            except Misconfigured:
                raise
            except CspError as error:
                run.failed += 1
                telemetry.tell(log, "customer_not_synced", level=logging.WARNING, error=error, customer=item.id)
                return
            for name in ("customers", "subscriptions", "written", "detected", "failed"):
                setattr(run, name, getattr(run, name) + getattr(part, name))

    async for page in app.partner_center.customers():
        await asyncio.gather(*(one(item) for item in page))
    if not run.failed:
        await app.coordination.complete(SYNC, app.now())
    return run
