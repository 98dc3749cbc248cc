"""How an operation moves on: handed over to the queue, looked at again later, or brought to rest.

Re-scheduling inserts the new alarm before it deletes the old one; an alarm goes only after the row is at rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from shared import telemetry
from shared.domain.errors import RetryLater
from shared.domain.operation import PUSHABLE, Event, Kind, LegStatus, Operation
from shared.messaging.envelope import encode, message_id, notice_id
from shared.storage.ledger import Changes
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.badges import refresh_badge, take_off

SYSTEM = "csp-functions"

_SLOWEST_RESEND = 6  # doublings of the outbox time between two messages for the same operation
_BILL_ONLY = frozenset(  # kinds of operations that leave it as it is which line a subscription is mapped to
    {
        Kind.SUSPEND,
        Kind.REACTIVATE,
        Kind.CHANGE_QUANTITY,
        Kind.CANCEL,
        Kind.DETECTED,
        Kind.CHANGE_PRICE,
        Kind.UNDO,
        Kind.RECONCILE,
    }
)


async def hand_over(app: App, stored: Stored[Operation]) -> None:
    """Send the pointer message of an operation; where the queue is away, its alarm sends it later."""
    await refresh_badge(app, stored.value.address.customer, stored.value.address.subscription)
    await send(app, stored.value)


async def send(app: App, operation: Operation) -> None:
    """Send the pointer message of an operation's present attempt."""
    await _send(app, message_id(operation.address, operation.attempt), operation)


async def send_again(app: App, stored: Stored[Operation]) -> None:
    """Store a further attempt with its own alarm, then send it. For the wake timer."""
    operation = replace(stored.value, attempt=stored.value.attempt + 1)
    wait = app.times.outbox * 2 ** min(operation.attempt - 1, _SLOWEST_RESEND)
    stored = await look_again(
        app,
        Stored(operation, stored.etag),
        app.now() + min(wait, max(app.times.retry_max, app.times.outbox)),
        ready=app.now(),
    )
    await send(app, operation)


async def send_notice(app: App, stored: Stored[Operation]) -> None:
    """Send the message that carries a dead operation into the dead-letter queue."""
    operation = stored.value
    if operation.death is not None:
        await _send(app, operation.death.message, operation)


def notice_of(operation: Operation) -> str:
    """The id of the message that shall carry the operation into the dead-letter queue."""
    return notice_id(operation.address, operation.attempt)


async def _send(app: App, identifier: str, operation: Operation) -> None:
    body = encode(identifier, operation.address, now=app.now(), traceparent=operation.traceparent)
    try:
        with telemetry.span("hand over", telemetry.about(operation), within=operation.traceparent):
            await app.queue.send(identifier, body)
    except RetryLater:
        return  # the alarm is set; nothing is lost


async def look_again(
    app: App,
    stored: Stored[Operation],
    due: datetime,
    *,
    ready: datetime | None = None,
    events: tuple[Event, ...] = (),
) -> Stored[Operation]:
    """Exchange the operation's alarm for a later one and store the operation. Raises WriteConflict."""
    operation = stored.value
    before = operation.alarm_due
    await app.alarms.set(operation.address, due, ready=ready)
    changes = Changes([(Stored(replace(operation, alarm_due=due), stored.etag), events)])
    (stored,), _ = await app.ledger.commit(operation.address.customer, changes)
    if before is not None and before != due:
        await app.alarms.clear(operation.address, before)
    return stored


async def come_to_rest(app: App, stored: Stored[Operation]) -> None:
    """Write the read models of an operation whose row is at rest, then let its alarm go."""
    await all_come_to_rest(app, [stored])


async def all_come_to_rest(app: App, operations: Sequence[Stored[Operation]]) -> None:
    """The same for some operations of one subscription, whose badge is then computed once."""
    if not operations:
        return
    address = operations[0].value.address
    await refresh_badge(app, address.customer, address.subscription)
    for stored in operations:
        await _index(app, stored.value)
    await let_alarms_go(app, [stored.value for stored in operations])


async def show_synced(app: App, operations: Sequence[Stored[Operation]]) -> None:
    """Write the read models of a subscription's operations after a push; their alarms go later, with `let_alarms_go`.

    One that changes a mapping ends with it: then the badge does not come from the operations alone.
    """
    if not operations:
        return
    address = operations[0].value.address
    if all(_over(stored.value) for stored in operations):
        ended = [stored.value.address.sequence for stored in operations]
        await take_off(app, address.customer, address.subscription, ended)
    else:
        await refresh_badge(app, address.customer, address.subscription)
    for stored in operations:
        await _index(app, stored.value)


def _over(operation: Operation) -> bool:
    """Whether the operation is at rest for good, and has changed nothing but its lines."""
    return operation.at_rest and not operation.dead and not operation.in_review and operation.kind in _BILL_ONLY


async def let_alarms_go(app: App, operations: Iterable[Operation]) -> None:
    """Remove the alarms of operations whose rows are at rest and whose read models are written."""
    resting = [one for one in operations if one.at_rest]
    await app.alarms.clear_all((one.address, one.alarm_due) for one in resting if one.alarm_due is not None)


async def _index(app: App, operation: Operation) -> None:
    if operation.dead:
        codes = [leg.reason.code for leg in operation.legs if leg.reason is not None]
        died_at = operation.death.at if operation.death else operation.requested_at
        await app.views.add_dead_letter(operation.address, codes[0] if codes else "dead", died_at)
    elif operation.may_be_listed_dead:
        await app.views.remove_dead_letter(operation.address)
    if operation.in_review:
        await app.sync.indexes.add_review(operation.address, operation.requested_at)


def looking(sequences: tuple[int, ...], operation: Operation) -> tuple[int, ...]:
    """The operations that look for a line, after `operation` was written."""
    others = tuple(number for number in sequences if number != operation.address.sequence)
    open_for = any(not leg.line and leg.status in PUSHABLE | {LegStatus.DEAD} for leg in operation.legs)
    return (*others, operation.address.sequence) if open_for else others


async def looked_for(app: App, stored: Stored[Operation], event: Event) -> Stored[Operation]:
    """Store an operation that looks for a line no more, and take it off the head's list. Raises WriteConflict."""
    address = stored.value.address
    head = await app.ledger.head(address.customer, address.subscription)
    kept = replace(head.value, unplaced=looking(head.value.unplaced, stored.value))
    changes = Changes([(stored, [event])], head=Stored(kept, head.etag))
    (stored,), _ = await app.ledger.commit(address.customer, changes)
    return stored
