"""The ledger: the truth about operations, in the customer's partition, so that one transaction covers them.

Rows: head (one a subscription), operation, event (insert only), line, idempotency. Every write goes through
`commit`; its etags serialise writers, and a lost race surfaces as WriteConflict. Every event of an operation is a span
in the operation's own trace and a log line too, whoever wrote it (docs/adr/0032).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared import telemetry
from shared.domain.detected import Facts
from shared.domain.known import Known, Memory
from shared.domain.line import Line
from shared.domain.operation import Address, Event, Operation
from shared.storage import keys
from shared.storage.rows import Stored, from_row, to_row
from shared.storage.store import MAX_ROWS, Insert, Replace, Row, TableStore, Write
from shared.storage.touched import Touched

log = logging.getLogger(__name__)
_TABLE = "ledger"
_DATABASE = {
    "db.system.name": "azure.tables",
    "db.operation.name": "transaction",
    "db.collection.name": _TABLE,
}


@dataclass(frozen=True, slots=True)
class Head:
    """A subscription in the ledger: the next sequence number, the operation still open at Microsoft, what is known."""

    subscription: str
    next_sequence: int = 1
    open_sequence: int | None = None
    known: Known | None = None
    previous: tuple[Known, ...] = ()  # the states before our last writes; a reading that shows one may be a late one
    written_at: datetime | None = None
    memory: Memory | None = None  # what the present suspension switched off
    successor: str | None = None  # the subscription that a migration put in its place
    predecessor: str | None = None
    unplaced: tuple[int, ...] = ()  # operations that look for a line, or are dead for want of one
    facts: Facts | None = None  # what a sync compares beside `known`; None until one has seen the subscription
    facts_at: int = 0  # `next_sequence` when the facts were noted: operations from there on explain differences


@dataclass(frozen=True, slots=True)
class Replay:
    """What an idempotency key stands for."""

    request_hash: str
    sequence: int
    subscription: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """What one transaction writes. Operations and the line are written under the etag they were read with."""

    operations: Sequence[tuple[Stored[Operation], Sequence[Event]]] = ()
    head: Stored[Head] | None = None
    line: Stored[Line] | None = None
    replay: tuple[str, Stored[Replay]] | None = None  # its row key; with an etag it takes the place of an expired one
    others: Sequence[Stored[Head]] = ()  # heads of further subscriptions of the customer


class Ledger:
    """The repository of the ledger."""

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self._touched = Touched(store)

    async def head(self, customer: str, subscription: str) -> Stored[Head]:
        """The head of a subscription; one that was never written has no etag."""
        row = await self._store.get(_TABLE, customer, keys.head(subscription))
        return from_row(Head, row) if row else Stored(Head(subscription), None)

    async def heads(self, customer: str) -> dict[str, Stored[Head]]:
        """All heads of a customer by subscription."""
        rows = await self._store.span(_TABLE, customer, *keys.heads())
        found = [from_row(Head, row) for row in rows]
        return {head.value.subscription: head for head in found}

    async def operation(self, address: Address) -> Stored[Operation] | None:
        """One operation."""
        row = await self._store.get(_TABLE, address.customer, keys.operation(address))
        return from_row(Operation, row) if row else None

    async def operations(
        self, customer: str, subscription: str, *, after: int = 0, limit: int | None = None
    ) -> list[Stored[Operation]]:
        """A subscription's operations in sequence order."""
        start, end = keys.operations(subscription, after=after)
        rows = await self._store.span(_TABLE, customer, start, end, limit=limit)
        return [from_row(Operation, row) for row in rows]

    async def events(self, address: Address) -> list[Event]:
        """An operation's history, oldest first."""
        rows = await self._store.span(_TABLE, address.customer, *keys.events(address))
        return [from_row(Event, row).value for row in rows]

    async def line(self, customer: str, contract_service: int) -> Stored[Line] | None:
        """One line."""
        row = await self._store.get(_TABLE, customer, keys.line(contract_service))
        return from_row(Line, row) if row else None

    async def replay(self, customer: str, key: str) -> Stored[Replay] | None:
        """What an idempotency row stands for."""
        row = await self._store.get(_TABLE, customer, key)
        return from_row(Replay, row) if row else None

    async def commit(self, customer: str, changes: Changes) -> tuple[list[Stored[Operation]], Stored[Line] | None]:
        """Write one transaction. Returns the operations and the line as stored. Raises WriteConflict.

        A new operation gets the trace that it is made in.
        """
        if any(stored.etag is None for stored, _ in changes.operations):
            await self._touched.touch(customer)
        writes: list[Write] = []
        operations = [_traced(numbered(stored, len(events))) for stored, events in changes.operations]
        for stored, (before, events) in zip(operations, changes.operations, strict=True):
            writes.append(_put(_operation_row(customer, stored)))
            writes += _events(customer, before.value, events)
        for head in (*([changes.head] if changes.head else ()), *changes.others):
            writes.append(_put(to_row(customer, keys.head(head.value.subscription), head.value, etag=head.etag)))
        if changes.line is not None:
            line = changes.line
            writes.append(_put(to_row(customer, keys.line(line.value.line), line.value, etag=line.etag)))
        if changes.replay is not None:
            key, replay = changes.replay
            writes.append(_put(to_row(customer, key, replay.value, etag=replay.etag)))
        with telemetry.span("commit ledger", _DATABASE, kind=telemetry.Kind.CLIENT):
            etags = await self._store.write(_TABLE, writes)
            for stored, (_, events) in zip(operations, changes.operations, strict=True):
                _tell(stored.value, events)
        return _stored(operations, changes, writes, etags)


def _traced(stored: Stored[Operation]) -> Stored[Operation]:
    if stored.etag is not None or stored.value.traceparent:
        return stored
    return Stored(replace(stored.value, traceparent=telemetry.traceparent()), None)


def _tell(operation: Operation, events: Sequence[Event]) -> None:
    """Each event that was written as a hop of its operation and as a log line; who and why stay in the ledger."""
    for event in events:
        with telemetry.span(f"ledger {event.name}", telemetry.about(operation), within=operation.traceparent):
            telemetry.tell(
                log,
                f"operation_{event.name}",
                operation=str(operation.address),
                customer=operation.address.customer,
                kind=operation.kind.value,
                before=event.before,
                after=event.after,
            )


def numbered(stored: Stored[Operation], events: int) -> Stored[Operation]:
    """The operation with its count of events raised, so that events stay free of gaps."""
    return Stored(replace(stored.value, events=stored.value.events + events), stored.etag)


def batches(
    operations: Iterable[tuple[Stored[Operation], Sequence[Event]]], *, reserve: int = 1
) -> list[list[tuple[Stored[Operation], Sequence[Event]]]]:
    """Cut operations and their events into transactions, leaving `reserve` rows free in each."""
    result: list[list[tuple[Stored[Operation], Sequence[Event]]]] = [[]]
    room = MAX_ROWS - reserve
    for stored, events in operations:
        rows = 1 + len(events)
        if rows > room:
            result.append([])
            room = MAX_ROWS - reserve
        result[-1].append((stored, events))
        room -= rows
    return result


def _put(row: Row) -> Write:
    return Insert(row) if row.etag is None else Replace(row)


def _operation_row(customer: str, stored: Stored[Operation]) -> Row:
    operation = stored.value
    return to_row(
        customer,
        keys.operation(operation.address),
        operation,
        etag=stored.etag,
        kind=operation.kind.value,
        status=operation.status,
        atRest=operation.at_rest,
    )


def _events(customer: str, operation: Operation, events: Sequence[Event]) -> list[Write]:
    first = operation.events + 1
    return [
        Insert(to_row(customer, keys.event(operation.address, first + index), event))
        for index, event in enumerate(events)
    ]


def _stored(
    operations: Sequence[Stored[Operation]], changes: Changes, writes: Sequence[Write], etags: Sequence[str | None]
) -> tuple[list[Stored[Operation]], Stored[Line] | None]:
    by_key = {
        write.row.key: etag for write, etag in zip(writes, etags, strict=True) if isinstance(write, Insert | Replace)
    }
    written = [Stored(stored.value, by_key[keys.operation(stored.value.address)]) for stored in operations]
    if changes.line is None:
        return written, None
    return written, Stored(changes.line.value, by_key[keys.line(changes.line.value.line)])
