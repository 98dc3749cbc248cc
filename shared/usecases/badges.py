"""The badge of a subscription: synced, pending, out_of_sync or not_mapped, computed from the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

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
    mapping, head = await _mapping_and_head(app, customer, subscription)
    if mapping is None and not head.unplaced:
        return "pending" if head.open_sequence is not None else "not_mapped"
    return badge(await _open(app, customer, subscription, mapping, head), mapped=True)


async def refresh_badge(app: App, customer: str, subscription: str) -> None:
    """Bring the listed badge up to date; a row that changes meanwhile is read again."""
    for _ in range(_TRIES):
        read = await app.views.subscription(customer, subscription)
        if read is None:
            return
        try:
            await app.views.set_badge(read, await compute_badge(app, customer, subscription))
        except WriteConflict:
            continue
        return
