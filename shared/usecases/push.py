"""The queue's use case: one delivery is one reason to look at its operation, and whoever finds the lease free drains.

Losing, repeating or reordering deliveries changes nothing in the end. The pusher works on its own operation first, then
on everything that is due (ADR 0003). A dead operation raises, so that the broker moves the message to the dead-letter
queue; what the ledger says about it was written first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared import telemetry
from shared.domain.errors import Misconfigured, RetryLater
from shared.domain.operation import PUSHABLE, Address, Death, Event, Leg, Operation, Reason
from shared.messaging.envelope import Delivery, Envelope, NotOurs, decode, message_id, notice_id
from shared.metrics import PUSH_DURATION
from shared.priority import background
from shared.storage.ledger import Changes
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.budget import spent
from shared.usecases.converge import converge
from shared.usecases.dead_letters import reopen
from shared.usecases.lease import Held, LeaseLost
from shared.usecases.placing import place
from shared.usecases.rest import SYSTEM, come_to_rest
from shared.usecases.work import Delivered, LineKey, count_attempts, load, near_alarms, wait

MAX_LINES = 100
_ALONE_FROM = 2  # lines whose push was begun this often without an end are worked on by themselves


class DeadLettered(Exception):
    """Raised on purpose: this delivery belongs to a dead operation and shall end in the dead-letter queue."""


class Verdict(StrEnum):
    """What a delivery for a dead operation is."""

    ITS_OWN = "its_own"  #: the delivery that the operation died with: raise again
    NOTICE = "notice"  #: the message sent to carry it into the dead-letter queue: note it, then raise
    RESUBMISSION = "resubmission"  #: a copy sent after the death with a standard tool: honoured
    LEFTOVER = "leftover"  #: from before the death, or a late one of our own: completed


def verdict(operation: Operation, death: Death, delivery: Delivery, envelope: Envelope) -> Verdict:
    """Judge a delivery for a dead operation: by its sequence number, its message, and when the broker took it in.

    Whatever copy a person takes out of the dead-letter queue and sends again, of this death or of an earlier one, has a
    sequence number of its own and was taken in after the death: it is honoured. Two kinds of messages must not open the
    operation again: what was in the queue before the death, and what we send ourselves for the present attempt, which
    may come late.
    """
    if death.sequence_number == delivery.sequence_number:
        return Verdict.ITS_OWN
    if death.sequence_number is None and envelope.id == death.message:
        return Verdict.NOTICE
    address, attempt = operation.address, operation.attempt
    ours = {message_id(address, attempt), notice_id(address, attempt)} - {death.message}
    newer = delivery.enqueued_at is not None and delivery.enqueued_at > death.at
    return Verdict.RESUBMISSION if newer and envelope.id not in ours else Verdict.LEFTOVER


async def deliver(app: App, delivery: Delivery) -> None:
    """Work on one delivery. Returns to complete it; raises NotOurs or DeadLettered to let it die."""
    envelope = decode(delivery.body)
    stored = await app.ledger.operation(envelope.address)
    if stored is None:
        raise NotOurs(f"no operation {envelope.address}")
    with telemetry.span("deliver", telemetry.about(stored.value), within=stored.value.traceparent):
        await _work_on(app, stored, delivery, envelope)


async def _work_on(app: App, stored: Stored[Operation], delivery: Delivery, envelope: Envelope) -> None:
    if stored.value.dead and stored.value.death is not None and not stored.value.pushable:
        opened = await _for_the_dead(app, stored, stored.value.death, delivery, envelope)
        if opened is None:
            return
        stored = opened
    if stored.value.unplaced is not None:
        stored = await place(app, stored)
    if not stored.value.pushable:
        return
    await push(app, envelope.address, delivered=Delivered(delivery.sequence_number, envelope.id))
    after = await app.ledger.operation(envelope.address)
    if after is not None and _died_with(after.value, delivery):
        raise DeadLettered(_why(after.value))


async def _for_the_dead(
    app: App, stored: Stored[Operation], death: Death, delivery: Delivery, envelope: Envelope
) -> Stored[Operation] | None:
    match verdict(stored.value, death, delivery, envelope):
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


@dataclass(slots=True)
class Drain:
    """What one push has looked at already, and the deliveries that it was called with.

    `known` is what the ledger has of a subscription from an operation of the present batch on.
    """

    deliveries: dict[Address, Delivered] = field(default_factory=dict)
    seen: set[Address] = field(default_factory=set)
    known: dict[tuple[str, str], list[Stored[Operation]]] = field(default_factory=dict)

    def look_at(self, batch: Iterable[Stored[Operation]]) -> None:
        """These are not taken up again by this push."""
        self.seen.update(stored.value.address for stored in batch)


async def push(app: App, own: Address, *, delivered: Delivered | None = None) -> bool:
    """Push an operation's lines and everything else that is due. Says whether this call was the pusher."""
    with background():
        return await _push(app, own, delivered)


async def _push(app: App, own: Address, delivered: Delivered | None) -> bool:
    drain = Drain()
    if delivered is not None:
        drain.deliveries[own] = delivered
    worked = False
    batch = await _own(app, own)
    drain.look_at(batch)
    stop = await app.coordination.stopped_until("autotask")
    if batch and stop is not None and stop[0] > app.now():
        lines = [line for group in _groups(batch) for line in group]
        await _sleep(app, lines, stop[0], Reason("autotask_stopped", stop[1]))
        return False
    while batch:
        held = await Held.take(app)
        if held is None:
            return worked  # the operation keeps its alarm, and the pusher at work comes to it
        first, worked = not worked, True
        try:
            if held.at_work_on:  # its last holder died over these lines
                await count_attempts(app, held.at_work_on)
                held.end()
                batch = await _own(app, own) if first else await _due(app, drain)
            if first:  # what else is due comes along: reading a hundred lines costs hardly more than reading one
                batch = [*batch, *await _due(app, drain)][:MAX_LINES]
            with telemetry.span("push"), telemetry.timed(PUSH_DURATION):
                if not await _drain(app, held, drain, batch):
                    return worked
        except LeaseLost:
            return worked
        finally:
            await held.release()
        # An operation whose message found the lease taken just before the release is found here.
        batch = await _due(app, drain)
    return worked


async def _drain(app: App, held: Held, drain: Drain, batch: list[Stored[Operation]]) -> bool:
    """Converge what is due until nothing is; False where Autotask wants to be left alone."""
    stop_at = app.now() + app.times.push_budget
    while batch and app.now() < stop_at:
        drain.look_at(batch)
        for lines in _groups(batch):
            stopped = await spent(app)
            if stopped is not None:
                await _sleep(app, lines, stopped.until, stopped.reason)
                return False
            await held.begin(lines)
            try:
                await converge(app, held, lines, drain.deliveries, drain.known)
            except (RetryLater, Misconfigured) as error:
                await _postpone(app, lines, error)
                held.end()
                return False
            held.end()
            if held.stopped is not None:
                return False
        batch = await _due(app, drain)
    return True


async def _own(app: App, own: Address) -> list[Stored[Operation]]:
    stored = await app.ledger.operation(own)
    return [stored] if stored is not None and _due_now(app, stored.value) else []


async def _due(app: App, drain: Drain) -> list[Stored[Operation]]:
    """Operations with an alarm near enough, that may be pushed now."""
    now = app.now()
    drain.known.clear()
    ready = [alarm for alarm in await near_alarms(app) if alarm.ready <= now or alarm.due <= now]
    waiting = [alarm.address for alarm in sorted(ready, key=lambda alarm: alarm.due)]
    waiting = [address for address in dict.fromkeys(waiting) if address not in drain.seen]
    found: dict[tuple[str, str], Stored[Operation]] = {}
    while waiting and len(found) < MAX_LINES:
        chosen, waiting = _one_each(waiting, found.keys())
        for known in await asyncio.gather(*(_from(app, address) for address in chosen)):
            if known and _due_now(app, known[0].value):
                owner = known[0].value.address.owner
                found[owner], drain.known[owner] = known[0], known
    return list(found.values())[:MAX_LINES]


async def _from(app: App, address: Address) -> list[Stored[Operation]]:
    """An operation and those of its subscription that follow, which its push serves too."""
    return await app.ledger.operations(address.customer, address.subscription, after=address.sequence - 1)


def _key(operation: Operation, leg: Leg) -> LineKey:
    return LineKey(operation.address.customer, operation.address.subscription, leg.contract, leg.line)


def _one_each(waiting: Sequence[Address], served: Collection[tuple[str, str]]) -> tuple[list[Address], list[Address]]:
    """The next addresses, one of each subscription, and the rest: a line's push serves all that its subscription has.

    What the served subscriptions have besides is left out.
    """
    chosen: dict[tuple[str, str], Address] = {}
    rest: list[Address] = []
    for address in waiting:
        owner = address.owner
        if owner in served:
            continue
        if owner in chosen or len(chosen) >= MAX_LINES:
            rest.append(address)
        else:
            chosen[owner] = address
    return list(chosen.values()), rest


def _due_now(app: App, operation: Operation) -> bool:
    now = app.now()
    return operation.pushable and any(
        leg.status in PUSHABLE and (leg.retry_at is None or leg.retry_at <= now) for leg in operation.legs
    )


def _groups(batch: Iterable[Stored[Operation]]) -> list[list[LineKey]]:
    """The lines to converge: together, but those that were begun in vain before each by itself.

    Two lines of one subscription share its operations' rows and are never worked on side by side.
    """
    together: list[dict[tuple[str, str], LineKey]] = [{}]
    alone: dict[LineKey, None] = {}
    for stored in batch:
        for leg in stored.value.legs:
            if leg.status in PUSHABLE and leg.line:
                key = _key(stored.value, leg)
                if leg.started >= _ALONE_FROM:
                    alone[key] = None
                else:
                    _put(together, key)
    groups = [[key for key in group.values() if key not in alone] for group in together]
    return [*(group for group in groups if group), *([key] for key in alone)]


def _put(groups: list[dict[tuple[str, str], LineKey]], key: LineKey) -> None:
    owner = key.owner
    for group in groups:
        if group.get(owner) == key:
            return
        if owner not in group and len(group) < MAX_LINES:
            group[owner] = key
            return
    groups.append({owner: key})


async def _postpone(app: App, lines: Iterable[LineKey], error: RetryLater | Misconfigured) -> None:
    """Autotask cannot be read: every operation of these lines waits, and nobody hammers meanwhile."""
    now = app.now()
    if isinstance(error, Misconfigured):
        until: datetime | None = now + app.times.misconfigured
        reason = Reason("misconfigured", f"Autotask does not let us in: {error.reason}", "Correct the settings.")
        await app.coordination.stop("autotask", now + app.times.misconfigured, error.reason)
    else:
        until = now + error.after if error.after else None
        reason = Reason("autotask_unavailable", f"Autotask does not answer: {error.reason}")
        if until is not None:
            await app.coordination.stop("autotask", until, error.reason)
    await _sleep(app, lines, until, reason)


async def _sleep(app: App, lines: Iterable[LineKey], until: datetime | None, reason: Reason) -> None:
    for key in lines:
        work = await load(app, key)
        if work is not None:
            try:
                await wait(app, work, until, reason)
            except WriteConflict:
                continue
