"""Keep what Partner Center shows of a subscription in the read model; only changed content is written."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime

from shared.domain.errors import CspError
from shared.domain.operation import Operation
from shared.domain.outcomes import Reading
from shared.domain.subscription import Subscription
from shared.partner_center.wire import parse_subscription
from shared.storage.read_models import SubscriptionView
from shared.storage.rows import Stored, document
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.badges import compute_badge


def content_hash(subscription: Subscription) -> str:
    """A hash of what is shown, without the seats' windows, which change by mere passage of time."""
    return hashlib.sha256(document(replace(subscription, refundable=None)).encode()).hexdigest()


async def confirm_known(app: App, customer: str, subscription: str) -> None:
    """Make sure that there is such a subscription. Raises NotFound; RetryLater where only Partner Center can say."""
    if await app.views.subscription(customer, subscription) is None:
        await app.partner_center.subscription(customer, subscription)


async def keep_snapshot(app: App, operation: Operation, reading: Reading) -> None:
    """Keep what Partner Center showed at the end of an operation; what stays behind is caught by the next sync."""
    try:
        snapshot = parse_subscription(operation.address.customer, reading.raw)
        badge = "pending" if operation.pushable else None
        await store_snapshot(app, snapshot, reading.observed_at, badge=badge)
    except CspError:
        return


async def store_snapshot(
    app: App,
    snapshot: Subscription,
    read_at: datetime,
    *,
    known: Stored[SubscriptionView] | None = None,
    badge: str | None = None,
) -> bool:
    """Write a snapshot if its content changed; says whether it did.

    `known` is the row if it was read already; `badge` a new badge, which does not hide that something is dead.
    """
    row = known or await app.views.subscription(snapshot.customer_id, snapshot.id)
    content = content_hash(snapshot)
    if row is not None and row.value.read_at > read_at:
        return False
    if row is None:
        badge = await compute_badge(app, snapshot.customer_id, snapshot.id)
    elif badge is None or row.value.badge == "out_of_sync":
        badge = row.value.badge
    if row is not None and row.value.content == content and row.value.badge == badge:
        return False
    view = SubscriptionView(snapshot, badge, read_at, content)
    try:
        await app.views.put_subscription(Stored(view, row.etag if row else None))
    except WriteConflict:
        return False
    return True
