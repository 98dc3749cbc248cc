"""The queue's door: one delivery of a message is one reason to look at its operation.

Losing, repeating or reordering deliveries changes nothing in the end. A dead operation raises, so that the broker
moves the message to the dead-letter queue; what the ledger says about it was written first (design 4).
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from shared.domain.operation import Death, Event, Operation
from shared.messaging.envelope import Delivery, Envelope, NotOurs, decode
from shared.storage.ledger import Changes
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.dead_letters import reopen
from shared.usecases.push import push
from shared.usecases.rest import SYSTEM, come_to_rest
from shared.usecases.work import Delivered


class DeadLettered(Exception):
    """Raised on purpose: this delivery belongs to a dead operation and shall end in the dead-letter queue."""


class Verdict(StrEnum):
    """What a delivery for a dead operation is."""

    ITS_OWN = "its_own"  #: the delivery that the operation died with: raise again
    NOTICE = "notice"  #: the message sent to carry it into the dead-letter queue: note it, then raise
    RESUBMISSION = "resubmission"  #: a copy sent after the death with a standard tool: honoured
    LEFTOVER = "leftover"  #: an older copy: completed


def verdict(death: Death, delivery: Delivery, envelope: Envelope) -> Verdict:
    """Judge a delivery for a dead operation: by its sequence number, its message, and when the broker took it in.

    A late message of our own, or a second copy of the notice, must not open the operation again: only a copy of the
    very message that lies in the dead-letter queue, taken in after the death, is a person's re-submission.
    """
    if death.sequence_number == delivery.sequence_number:
        return Verdict.ITS_OWN
    if envelope.id != death.message:
        return Verdict.LEFTOVER
    if death.sequence_number is None:
        return Verdict.NOTICE
    newer = delivery.enqueued_at is not None and delivery.enqueued_at > death.at
    return Verdict.RESUBMISSION if newer else Verdict.LEFTOVER


async def deliver(app: App, delivery: Delivery) -> None:
    """Work on one delivery. Returns to complete it; raises NotOurs or DeadLettered to let it die."""
    envelope = decode(delivery.body)
    stored = await app.ledger.operation(envelope.address)
    if stored is None:
        raise NotOurs(f"no operation {envelope.address}")
    if stored.value.dead and stored.value.death is not None and not stored.value.pushable:
        stored = await _for_the_dead(app, stored, stored.value.death, delivery, envelope)
        if stored is None:
            return
    if not stored.value.pushable:
        return
    await push(app, envelope.address, delivered=Delivered(delivery.sequence_number, envelope.id))
    after = await app.ledger.operation(envelope.address)
    if after is not None and _died_with(after.value, delivery):
        raise DeadLettered(_why(after.value))


async def _for_the_dead(
    app: App, stored: Stored[Operation], death: Death, delivery: Delivery, envelope: Envelope
) -> Stored[Operation] | None:
    match verdict(death, delivery, envelope):
        case Verdict.ITS_OWN:
            raise DeadLettered(_why(stored.value))
        case Verdict.NOTICE:
            carried = replace(death, at=app.now(), sequence_number=delivery.sequence_number)
            bound = replace(stored.value, death=carried)
            (stored,), _ = await app.ledger.commit(
                envelope.address.customer, Changes([(Stored(bound, stored.etag), [])])
            )
            await come_to_rest(app, stored)
            raise DeadLettered(_why(bound))
        case Verdict.LEFTOVER:
            return None
        case Verdict.RESUBMISSION:
            event = Event(app.now(), SYSTEM, "resubmitted", stored.value.status, "open", "re-sent with a standard tool")
            return await reopen(app, stored, event, permission=None, decided=False)


def _died_with(operation: Operation, delivery: Delivery) -> bool:
    death = operation.death
    return operation.dead and death is not None and death.sequence_number == delivery.sequence_number


def _why(operation: Operation) -> str:
    codes = sorted({leg.reason.code for leg in operation.legs if leg.reason is not None})
    return f"{operation.address}: {', '.join(codes)}"
