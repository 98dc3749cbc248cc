"""Keep what Partner Center shows of a subscription in the read model; only changed content is written.

Prints say whether a customer's listing is as it was: `canonical_print` leaves out what changes by mere passage of time
or by Microsoft's way of writing, and both kinds of print depend on what this version of the application reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from shared.domain.errors import CspError
from shared.domain.operation import Operation
from shared.domain.outcomes import Reading
from shared.domain.subscription import Subscription, refined
from shared.partner_center.wire import parse_subscription
from shared.storage.read_models import SubscriptionView
from shared.storage.rows import Stored, document
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.badges import compute

_VOLATILE = frozenset({"links", "refundablequantity"})
_READ = ",".join(field.name for field in fields(Subscription))  # a version that reads more looks at everything once


def content_hash(subscription: Subscription) -> str:
    """A hash of what is shown, without the seats' windows, which change by mere passage of time."""
    return hashlib.sha256(document(replace(subscription, refundable=None)).encode()).hexdigest()


async def confirm_known(app: App, customer: str, subscription: str) -> None:
    """Make sure that there is such a subscription. Raises NotFound; RetryLater where only Partner Center can say."""
    if await app.views.subscription(customer, subscription) is None:
        await app.partner_center.subscription(customer, subscription)


def raw_print(name: str, domain: str, fingerprint: str) -> str:
    """A print of a customer as listed and of the very bytes of its subscriptions."""
    return _digest(f"{_READ}\n{name}\n{domain}\n{fingerprint}")


def canonical_print(name: str, domain: str, items: Iterable[dict[str, Any]]) -> str:
    """A print of a customer as listed and of what its subscriptions say, in whatever order and spelling."""
    stable = sorted(json.dumps(_stable(item), sort_keys=True, separators=(",", ":")) for item in items)
    return _digest("\n".join((_READ, name, domain, *stable)))


def _stable(item: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in item.items() if key.lower() not in _VOLATILE}
    attributes = kept.pop("attributes", None)
    if isinstance(attributes, dict):
        named = {key: value for key, value in attributes.items() if key.lower() != "etag"}
        kept |= {"attributes": named} if named else {}
    return kept


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


async def keep_snapshot(app: App, operation: Operation, reading: Reading) -> None:
    """Keep what Partner Center showed at the end of an operation; what stays behind is caught by the next sync.

    The customer was touched when the operation was stored, so that the next full sync looks at it.
    """
    try:
        snapshot = parse_subscription(operation.address.customer, reading.raw)
        waits_for = operation.address.sequence if operation.pushable else None
        await store_snapshot(app, snapshot, reading.observed_at, waits_for=waits_for)
    except CspError:
        return


async def store_snapshot(app: App, snapshot: Subscription, read_at: datetime, *, waits_for: int | None = None) -> bool:
    """Write a snapshot if its content changed; says whether it did.

    `waits_for` is an operation that is to be pushed now; the badge says so, but does not hide that something is dead.
    """
    row = await app.views.subscription(snapshot.customer_id, snapshot.id)
    snapshot = refined(row.value.snapshot.state if row else None, snapshot)
    content = content_hash(snapshot)
    if row is not None and row.value.read_at > read_at:
        return False
    if row is None:
        badge, waiting = await compute(app, snapshot.customer_id, snapshot.id)
    else:
        badge, waiting = _waiting_for(row.value, waits_for)
    unjudged = row is not None and row.value.unjudged
    view = SubscriptionView(snapshot, badge, read_at, content, unjudged=unjudged, waiting=waiting)
    if row is not None and not differs(row.value, view):
        return False
    try:
        await app.views.put_subscription(Stored(view, row.etag if row else None))
    except WriteConflict:
        return False
    return True


def _waiting_for(row: SubscriptionView, sequence: int | None) -> tuple[str, tuple[int, ...] | None]:
    if sequence is None:
        return row.badge, row.waiting
    waiting = None if row.waiting is None else tuple(sorted({*row.waiting, sequence}))
    return "out_of_sync" if row.badge == "out_of_sync" else "pending", waiting


def differs(row: SubscriptionView, view: SubscriptionView) -> bool:
    """Whether a view says something that its row does not; when it was read is not worth a write."""
    before = (row.content, row.badge, row.waiting, row.missing_since, row.unjudged)
    return before != (view.content, view.badge, view.waiting, view.missing_since, view.unjudged)
