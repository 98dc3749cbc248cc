"""The badge of a subscription: synced, pending, out_of_sync or not_mapped, computed from the ledger."""

from __future__ import annotations

from collections.abc import Iterable

from shared.domain.operation import Address, Operation
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
        if not operation.at_rest:
            word = "pending"
    return word


async def open_operations(app: App, customer: str, subscription: str) -> list[Operation]:
    """A mapped subscription's operations that are not at rest, or dead."""
    mapping = await app.mappings.subscription(customer, subscription)
    if mapping is None:
        return []
    line = await app.ledger.line(customer, mapping.value.line)
    mine = line is not None and line.value.subscription == subscription
    folded = line.value.folded if line is not None and mine else mapping.value.since_sequence - 1
    known = {mapping.value.since_sequence, *(line.value.unsettled if line is not None and mine else ())}
    older = [
        await app.ledger.operation(Address(customer, subscription, number))
        for number in sorted(known)
        if number <= folded
    ]
    newer = await app.ledger.operations(customer, subscription, after=folded)
    found = [stored.value for stored in (*older, *newer) if stored is not None]
    return [operation for operation in found if operation.dead or not operation.at_rest]


async def compute_badge(app: App, customer: str, subscription: str) -> str:
    """Read the ledger for a badge."""
    if await app.mappings.subscription(customer, subscription) is None:
        head = await app.ledger.head(customer, subscription)
        return "pending" if head.value.open_sequence is not None else "not_mapped"
    return badge(await open_operations(app, customer, subscription), mapped=True)


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
