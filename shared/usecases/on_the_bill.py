"""Operations that concern the bill alone: a manual sync, a decision about a finding, an undo.

There is nothing to do at Microsoft and nothing changes there, so their Partner Center leg is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.domain.errors import Refused
from shared.domain.known import Intention, Known
from shared.domain.line import Line
from shared.domain.operation import Address, Event, Kind, Leg, Operation, PartnerLeg, PartnerStatus
from shared.storage.ledger import Changes, Head, Replay
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App

Also = Sequence[tuple[Stored[Operation], Sequence[Event]]]


def bill_operation(
    app: App, kind: Kind, customer: str, subscription: str, head: Head, caller: str, legs: Sequence[Leg]
) -> Operation:
    """The next operation of a subscription, about some of its lines."""
    address = Address(customer, subscription, head.next_sequence)
    return operation_here(app, kind, address, head.known, caller, legs).with_partner_center(PartnerStatus.NOT_NEEDED)


def operation_here(
    app: App, kind: Kind, address: Address, known: Known | None, caller: str, legs: Sequence[Leg]
) -> Operation:
    """An operation that changes nothing at Microsoft, where `known` is; its leg there is still to be closed."""
    now = app.now()
    known = known or Known("", 0)
    return Operation(
        address=address,
        kind=kind,
        intention=Intention(),
        before=known,
        after=known,
        requested_at=now,
        requested_by=caller,
        business_date=app.business_date(now),
        partner_center=PartnerLeg(PartnerStatus.PENDING, app.new_id()),
        legs=tuple(legs),
        alarm_due=now + app.times.outbox,
    )


async def accept_on_the_bill(
    app: App,
    operation: Operation,
    head: Stored[Head],
    why: str,
    *,
    also: Also = (),
    line: Stored[Line] | None = None,
    replay: tuple[str, Stored[Replay]] | None = None,
) -> Stored[Operation]:
    """Accept it: its alarm, then one transaction under the head's etag. `also` are operations that it changes.

    Raises Refused where anything else was accepted since the head was read.
    """
    address, at = operation.address, operation.requested_at
    event = Event(at, operation.requested_by, "accepted", "", operation.status, why)
    changes = Changes(
        [(Stored(operation, None), [event]), *also],
        head=Stored(replace(head.value, next_sequence=address.sequence + 1), head.etag),
        line=line,
        replay=replay,
    )
    if operation.alarm_due is not None:
        await app.alarms.set(address, operation.alarm_due, ready=at)
    try:
        (stored, *_), _ = await app.ledger.commit(address.customer, changes)
    except WriteConflict:
        sentence = "The subscription changed at the same moment; look again."
        raise Refused("changed_meanwhile", sentence, status=409) from None
    return stored
