"""Sync now: one subscription, or one customer, read from Partner Center at this moment.

The heads are read before Partner Center and written under their etags, so that a reading that is older than an
operation of ours never looks like a change.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.operation import Operation
from shared.domain.subscription import Subscription
from shared.partner_center.wire import parse_subscription
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.detect import detect
from shared.usecases.look import Change, Looked, Reading, changes, look, moments_of, pass_on, write_rows
from shared.usecases.noting import Seen


@dataclass(frozen=True, slots=True)
class Synced:
    """A subscription after its sync, what changed, and the operation that was detected."""

    subscription: Subscription
    changes: tuple[Change, ...]
    operation: Operation | None


async def sync_subscription(app: App, customer: str, subscription: str) -> Synced:
    """Read one subscription now. Raises NotFound, RetryLater, Misconfigured, Malformed."""
    head = await app.ledger.head(customer, subscription)
    asked_at = app.now()
    reading = await app.partner_center.subscription(customer, subscription)
    snapshot = parse_subscription(customer, reading.raw)
    row = await app.views.subscription(customer, snapshot.id)
    before = row.value.snapshot if row else None
    detection = await detect(app, Seen(snapshot, head, asked_at, reading.observed_at, head_first=True, before=before))
    found = detection.operations
    rows, heads = {snapshot.id: row} if row else {}, {snapshot.id: head}
    looked = Looked(unjudged={snapshot.id} if row is not None and row.value.unjudged else set())
    await write_rows(app, looked, [snapshot], rows, heads, found, observed_at=reading.observed_at, touch=True)
    await _move(app, snapshot, reading.observed_at)
    await pass_on(app, found)
    return Synced(snapshot, changes(before, snapshot), found[0].value if found else None)


async def sync_customer(app: App, customer: str) -> Looked:
    """Read all subscriptions of one customer now. Raises NotFound, Denied, RetryLater, Misconfigured."""
    heads = await app.ledger.heads(customer)
    asked_at = app.now()
    listing = await app.partner_center.subscriptions(customer)
    return await look(app, Reading(customer, listing.items, asked_at, listing.observed_at, heads=heads))


async def _move(app: App, snapshot: Subscription, now: datetime) -> None:
    """Bring the indexes of a customer up to date whose one subscription was read."""
    rows, view = await asyncio.gather(
        app.views.of_customer(snapshot.customer_id), app.views.customer(snapshot.customer_id)
    )
    if view is None:
        return
    moments = moments_of((row.value.snapshot for row in rows.values() if row.value.missing_since is None), now)
    if moments == view.value.moments:
        return
    await app.sync.indexes.move(snapshot.customer_id, view.value.moments, moments)
    try:
        await app.views.put_customer(Stored(replace(view.value, moments=moments), view.etag))
    except WriteConflict:
        return  # somebody else has looked at the customer meanwhile
