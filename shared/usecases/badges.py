"""The badge of a subscription: synced, pending, out_of_sync or not_mapped, computed from the ledger.

Its row names the operations that the badge waits for. Whoever changes what the badge comes from computes it anew after
that; a push, which ends operations for good, only takes them off the row (docs/adr/0048).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from shared.domain.operation import Address, Operation
from shared.storage.ledger import Head
from shared.storage.mappings import SubscriptionMapping
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App

BADGES = ("synced", "pending", "out_of_sync", "not_mapped")
_TRIES = 4


def badge(operations: Iterable[Operation], *, mapped: bool) -> str:
    """The badge for the operations that are not at rest or dead."""
    word = "synced" if mapped else "not_mapped"
    for operation in operations:
        if operation.dead:
            return "out_of_sync"
        if operation.in_review or not operation.at_rest:
            word = "pending"
    return word


async def open_operations(app: App, customer: str, subscription: str) -> list[Operation]:
    """A subscription's operations that are not at rest, dead, or in review, as far as the bill is concerned."""
    return await _open(app, customer, subscription, *await _mapping_and_head(app, customer, subscription))


async def _mapping_and_head(app: App, customer: str, subscription: str) -> tuple[SubscriptionMapping | None, Head]:
    mapping, head = await asyncio.gather(
        app.mappings.subscription(customer, subscription), app.ledger.head(customer, subscription)
    )
    return mapping.value if mapping is not None else None, head.value


async def _open(
    app: App, customer: str, subscription: str, mapping: SubscriptionMapping | None, head: Head
) -> list[Operation]:
    looking = set(head.unplaced)
    numbers, newer = await _of_line(app, mapping) if mapping is not None else (set[int](), [])
    older = [
        await app.ledger.operation(Address(customer, subscription, number)) for number in sorted(numbers | looking)
    ]
    found = {stored.value.address: stored.value for stored in (*older, *newer) if stored is not None}
    return [one for one in found.values() if one.dead or one.in_review or not one.at_rest]


async def _of_line(app: App, mapping: SubscriptionMapping) -> tuple[set[int], list[Stored[Operation]]]:
    """The operations of the mapped line that may not be at rest: older ones by number, newer ones as read."""
    customer, subscription = mapping.customer, mapping.subscription
    line = await app.ledger.line(customer, mapping.line)
    mine = line is not None and line.value.subscription == subscription
    folded = line.value.folded if line is not None and mine else mapping.since_sequence - 1
    waiting = (*line.value.unsettled, *line.value.reviews) if line is not None and mine else ()
    known = {mapping.since_sequence, *waiting}
    newer = await app.ledger.operations(customer, subscription, after=folded)
    return {number for number in known if number <= folded}, newer


async def compute_badge(app: App, customer: str, subscription: str) -> str:
    """Read the ledger for a badge."""
    word, _ = await compute(app, customer, subscription)
    return word


async def compute(app: App, customer: str, subscription: str) -> tuple[str, tuple[int, ...] | None]:
    """Read the ledger for a badge, and for the operations that it waits for (see SubscriptionView)."""
    mapping, head = await _mapping_and_head(app, customer, subscription)
    if mapping is None and not head.unplaced:
        return "pending" if head.open_sequence is not None else "not_mapped", None
    found = await _open(app, customer, subscription, mapping, head)
    placed = mapping is not None and not head.unplaced
    return badge(found, mapped=True), tuple(sorted(one.address.sequence for one in found)) if placed else None


async def refresh_badge(app: App, customer: str, subscription: str) -> None:
    """Bring the listed badge up to date; a row that changes meanwhile is read again."""
    await _write(app, customer, subscription, ())


async def take_off(app: App, customer: str, subscription: str, ended: Collection[int]) -> None:
    """Bring the badge up to date after operations have ended for good: nothing can make them wait again.

    Where nothing else waits by the row, the subscription is in sync: what is accepted meanwhile comes to the row after
    its own row in the ledger. Where the row does not say it all, the badge is computed.
    """
    await _write(app, customer, subscription, ended)


async def _write(app: App, customer: str, subscription: str, ended: Collection[int]) -> None:
    for _ in range(_TRIES):
        read = await app.views.subscription(customer, subscription)
        if read is None:
            return
        waiting = read.value.waiting
        done = bool(waiting) and set(waiting or ()) <= set(ended)
        word, left = ("synced", ()) if done else await compute(app, customer, subscription)
        try:
            await app.views.set_badge(read, word, left)
        except WriteConflict:
            continue
        return
