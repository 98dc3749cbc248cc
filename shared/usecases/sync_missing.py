"""Mark what a complete run has not seen: customers without a place in its list, subscriptions without one in theirs.

Nothing is deleted and no state is changed. Of the listed customers only their places are held in memory, eight bytes
each.
"""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from shared.domain.sync_run import Counts, Run
from shared.storage.indexes import NO_MOMENTS
from shared.storage.read_models import CustomerView, SubscriptionView
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App

_CUSTOMERS = 1000  # in one reading


async def mark_missing(app: App, run: Run) -> Counts:
    """Mark what is missing; safe to repeat. Says how many rows were marked."""
    (listed, whole, subscriptions), first = await asyncio.gather(
        _pages(app, run), app.views.customers(_CUSTOMERS, None)
    )
    customers = 0
    rows, continuation = first if whole else ([], None)  # an item without an id may be any that seems to be missing
    while True:
        for row in rows:
            older = row.value.synced_at is None or row.value.synced_at < run.started_at
            if row.value.missing_since is None and older and not _is_among(listed, _place(row.value.customer)):
                customers += await _mark_customer(app, row)
        if continuation is None:
            return Counts(missing_customers=customers, missing_subscriptions=subscriptions)
        rows, continuation = await app.views.customers(_CUSTOMERS, continuation)


async def _pages(app: App, run: Run) -> tuple[array[int], bool, int]:
    """The places of all listed customers in order, whether every item had one, and how many subscriptions are gone."""
    places, whole, subscriptions = array("Q"), True, 0
    for number in range(1, run.pages + 1):
        page, done = await app.sync.runs.page(run.id, number)
        places.extend(_place(customer.id) for customer in page.customers)
        whole = whole and not page.unreadable
        if done is not None:
            for customer, gone in done.gone.items():
                subscriptions += await _mark_subscriptions(app, customer, gone, done.looked_at[customer])
    return array("Q", sorted(places)), whole, subscriptions


async def _mark_customer(app: App, row: Stored[CustomerView]) -> bool:
    customer = row.value.customer
    await _mark_subscriptions(app, customer, None, None)
    await app.sync.indexes.move(customer, row.value.moments, NO_MOMENTS)
    try:
        gone = replace(row.value, missing_since=app.now(), moments=NO_MOMENTS)
        await app.views.put_customer(Stored(gone, row.etag))
    except WriteConflict:
        return False  # somebody has looked at it just now
    return True


async def _mark_subscriptions(app: App, customer: str, gone: Collection[str] | None, looked_at: datetime | None) -> int:
    """Mark subscriptions that were not listed, all of a customer without `gone`; not what was read after the look."""
    rows = await app.views.of_customer(customer)
    marked: list[Stored[SubscriptionView]] = []
    for identity, row in rows.items():
        wanted = gone is None or identity in gone
        later = looked_at is not None and row.value.read_at > looked_at
        if wanted and not later and row.value.missing_since is None:
            marked.append(Stored(replace(row.value, missing_since=app.now()), row.etag))
    try:
        await app.views.put_subscriptions(marked)
    except WriteConflict:
        return 0  # one of them was read just now; the next run tells
    return len(marked)


def _place(customer: str) -> int:
    return int.from_bytes(hashlib.blake2b(customer.encode(), digest_size=8).digest(), "big")


def _is_among(listed: array[int], place: int) -> bool:
    found = bisect_left(listed, place)
    return found < len(listed) and listed[found] == place
