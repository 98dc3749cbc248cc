"""What ops do with dead operations: re-submit, dismiss, sync a subscription now, and sweep stale copies away."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.edits import NO_EDITS
from shared.domain.errors import Refused
from shared.domain.line import Line
from shared.domain.operation import (
    PUSHABLE,
    Address,
    Event,
    Leg,
    LegStatus,
    Operation,
    Permission,
)
from shared.domain.planning import DriftPolicy
from shared.domain.reading import read
from shared.domain.timeline import Timeline, Window, fold
from shared.messaging.envelope import BrokerMessage, NotOurs, decode
from shared.storage.ledger import Changes
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.rest import come_to_rest, hand_over, look_again, looked_for

_PEEKED = 250
_PEEKS = 20  # a sweep looks at as many pages; what lies behind them waits until ops have dealt with some
_DESK_ONLY = frozenset({"accepted_not_visible", "outcome_unclear", "line_not_in_ledger"})
_TRIES = 4


async def find(app: App, address: Address) -> Stored[Operation]:
    """An operation. Raises Refused with status 404 where there is none."""
    stored = await app.ledger.operation(address)
    if stored is None:
        raise Refused("operation_not_found", f"There is no operation {address}.", status=404)
    return stored


async def resubmit(app: App, address: Address, caller: str, *, why: str, policy: DriftPolicy | None) -> Operation:
    """Open a dead operation again and send it. An operation that is not dead any more is given back as it is.

    A drift policy is a permission for the reading that the dead letter shows, and for no other.
    """
    for _ in range(_TRIES):
        stored = await find(app, address)
        if not stored.value.dead:
            return stored.value
        event = Event(app.now(), caller, "resubmitted", stored.value.status, "open", why)
        try:
            stored = await reopen(app, stored, event, permission=policy, decided=True)
        except WriteConflict:
            continue
        await app.views.remove_dead_letter(address)
        await hand_over(app, stored)
        return stored.value
    raise Refused("changed_meanwhile", "The operation is being worked on; look again.", status=409)


async def reopen(
    app: App, stored: Stored[Operation], event: Event, *, permission: DriftPolicy | None, decided: bool
) -> Stored[Operation]:
    """First open the operation and set its alarm; only open operations cause a plan.

    `decided` says that a person looked and wants an accepted adjustment that never showed to be planned anew.
    """

    def opened(leg: Leg) -> Leg:
        if leg.status is not LegStatus.DEAD:
            return leg
        given = Permission(permission, leg.drift.reading) if permission is not None and leg.drift is not None else None
        opened = leg.to(LegStatus.OPEN)
        return replace(
            opened, started=0, retries=0, retry_at=None, permission=given, decided=decided, decided_at=app.now()
        )

    operation = stored.value
    moved = replace(
        operation, legs=tuple(opened(leg) for leg in operation.legs), attempt=operation.attempt + 1, death=None
    )
    return await look_again(
        app, Stored(moved, stored.etag), app.now() + app.times.outbox, ready=app.now(), events=(event,)
    )


async def dismiss(app: App, address: Address, caller: str, *, why: str) -> Operation:
    """Decide that a dead operation shall not be pushed: what Autotask has now is adopted and stays.

    Raises RetryLater where Autotask cannot be read; Refused where an attempt of the line is not settled yet.
    """
    for _ in range(_TRIES):
        stored = await find(app, address)
        if not stored.value.dead:
            return stored.value
        due = app.now() + app.times.outbox
        await app.alarms.set(address, due)  # where we die after the ledger, it brings the read models up to date
        try:
            stored = Stored(replace(stored.value, alarm_due=due), stored.etag)
            for leg in stored.value.legs:
                if leg.status is LegStatus.DEAD:
                    stored = await _dismiss_leg(
                        app, stored, leg, Event(app.now(), caller, "dismissed", "dead", "dismissed", why)
                    )
        except WriteConflict:
            continue
        await come_to_rest(app, stored)
        return stored.value
    raise Refused("changed_meanwhile", "The operation is being worked on; look again.", status=409)


async def _dismiss_leg(app: App, stored: Stored[Operation], leg: Leg, event: Event) -> Stored[Operation]:
    address = stored.value.address
    dismissed = replace(leg.to(LegStatus.DISMISSED), reason=leg.reason, settled_at=app.now())
    moved = stored.value.with_leg(dismissed)
    if not moved.dead:
        moved = replace(moved, death=None)
    line = await app.ledger.line(address.customer, leg.line)
    if line is None:  # the line is gone, or was never found
        return await looked_for(app, Stored(moved, stored.etag), event)
    if line.value.intent is not None and app.now() < line.value.intent.send_by + app.times.settle:
        raise Refused("settling", "An attempt on this line is not settled yet; try again in a moment.", status=409)
    actual = await _present(app, leg, line.value)
    unsettled = tuple(number for number in line.value.unsettled if number != address.sequence)
    desired = line.value.desired.adopting(actual)
    for number in unsettled:  # what else is intended on this line stays intended
        later = await app.ledger.operation(Address(address.customer, address.subscription, number))
        if later is not None and later.value.leg(leg.line).status in PUSHABLE | {LegStatus.DEAD}:
            desired = fold(desired, later.value.leg(leg.line).target)
    adopted = replace(
        line.value,
        verified=actual,
        edits=NO_EDITS,
        intent=None,
        unsettled=unsettled,
        folded=max(line.value.folded, address.sequence),
    ).resting_on(desired)
    (stored,), _ = await app.ledger.commit(
        address.customer, Changes([(Stored(moved, stored.etag), [event])], line=Stored(adopted, line.etag))
    )
    return stored


async def _present(app: App, leg: Leg, line: Line) -> Timeline:
    """What Autotask bills on the line now; the last verified where the contract is gone and bills nothing."""
    try:
        return await read_line(app, leg.contract, leg.line, known=line)
    except Refused:
        return line.verified


async def read_line(app: App, contract: int, line: int, *, known: Line | None = None) -> Timeline:
    """The actual timeline of one line; rates that no row tells are as the ledger's line believes.

    Raises RetryLater, Misconfigured; Refused where the contract is gone.
    """
    found = (await app.autotask.contracts([contract])).get(contract)
    if found is None:
        raise Refused("contract_not_found", f"Autotask does not show contract {contract}.", status=409)
    rows = await app.autotask.units([line])
    reading = read(rows[line], Window(found.start, found.end), found.calendar)
    return reading.completed(known.verified, known.attempts) if known else reading.completed(Timeline())


async def sync_to_autotask(app: App, customer: str, subscription: str, caller: str) -> list[Address]:
    """Manual Autotask sync: open every dead operation of a subscription again and take up the waiting ones now."""
    taken: list[Address] = []
    for stored in await app.ledger.operations(customer, subscription):
        operation = stored.value
        event = Event(app.now(), caller, "autotask_sync", operation.status, "open", "manual sync")
        try:
            if operation.dead and _needs_decision(operation):
                continue
            if operation.dead:
                moved = await reopen(app, stored, event, permission=None, decided=False)
                await app.views.remove_dead_letter(operation.address)
            elif operation.pushable or operation.unplaced is not None:
                moved = await _at_once(app, stored, event)
            else:
                continue
        except WriteConflict:
            continue  # it is being worked on at this moment, which is what was asked for
        await hand_over(app, moved)
        taken.append(operation.address)
    return taken


def _needs_decision(operation: Operation) -> bool:
    """Whether the dead operation is one that only the dead-letter desk may open again."""
    return any(leg.reason is not None and leg.reason.code in _DESK_ONLY for leg in operation.legs)


async def _at_once(app: App, stored: Stored[Operation], event: Event) -> Stored[Operation]:
    legs = tuple(
        replace(leg.to(LegStatus.OPEN), retry_at=None) if leg.status in PUSHABLE else leg for leg in stored.value.legs
    )
    moved = replace(stored.value, legs=legs, attempt=stored.value.attempt + 1)
    return await look_again(
        app, Stored(moved, stored.etag), app.now() + app.times.outbox, ready=app.now(), events=(event,)
    )


async def foreign_messages(app: App, size: int, after: int) -> tuple[list[BrokerMessage], int | None]:
    """Dead-lettered messages that no operation explains: not ours, unreadable, or naming no operation.

    Gives those among the next `size` messages and the sequence number to go on from (None: that was all).
    """
    peeked = await app.queue.dead_letters(size, after=after)
    foreign = [message for message in peeked if await _explained_by(app, message) is None]
    return foreign, peeked[-1].sequence_number if len(peeked) == size else None


async def sweep(app: App) -> int:
    """Remove copies of operations that are not dead any more from the dead-letter queue. Says how many."""

    async def stale(message: BrokerMessage) -> bool:
        operation = await _explained_by(app, message)
        return operation is not None and not operation.dead

    last = after = 0
    for _ in range(_PEEKS):  # peeking locks nothing and counts no delivery
        peeked = await app.queue.dead_letters(_PEEKED, after=after)
        last = max([last, *[message.sequence_number for message in peeked if await stale(message)]])
        if len(peeked) < _PEEKED:
            break
        after = peeked[-1].sequence_number
    return await app.queue.sweep(stale, through=last) if last else 0


async def _explained_by(app: App, message: BrokerMessage) -> Operation | None:
    try:
        stored = await app.ledger.operation(decode(message.body).address)
    except NotOurs:
        return None
    return stored.value if stored is not None else None
