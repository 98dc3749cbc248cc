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


async def compute_badge(app: App, customer: str, subscription: str) -> str:
    """Read the ledger for a badge."""
    mapping = await app.mappings.subscription(customer, subscription)
    if mapping is None:
        head = await app.ledger.head(customer, subscription)
        return "pending" if head.value.open_sequence is not None else "not_mapped"
    folded, sequences = 0, set[int]()
    for number in (mapping.value.line, *mapping.value.former_lines):
        line = await app.ledger.line(customer, number)
        if line is not None and line.value.subscription == subscription:
            folded = max(folded, line.value.folded)
            sequences.update(line.value.unsettled)
    newer = await app.ledger.operations(customer, subscription, after=folded)
    older = [await app.ledger.operation(Address(customer, subscription, number)) for number in sorted(sequences)]
    return badge([stored.value for stored in (*older, *newer) if stored is not None], mapped=True)


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
