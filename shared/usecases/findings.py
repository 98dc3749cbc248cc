"""Decide about what a reconciliation found: accept what Autotask has, or correct it. Each is an operation of its own.

A finding is a read model: Autotask is read again, and a decision is valid only for the reading that the person saw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.domain.billing import target
from shared.domain.edits import NO_EDITS
from shared.domain.errors import Conflict, Refused
from shared.domain.known import Known
from shared.domain.line import Line, fingerprint
from shared.domain.operation import (
    Address,
    Kind,
    Leg,
    LegStatus,
    Operation,
    Permission,
    Reason,
)
from shared.domain.planning import DriftPolicy
from shared.domain.reconciliation import accepted_mark, settled
from shared.domain.subscription import known_of
from shared.domain.timeline import Target
from shared.partner_center.wire import parse_subscription
from shared.storage import keys
from shared.storage.ledger import Head, Replay
from shared.storage.mappings import SubscriptionMapping
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.assignment import refuse_while_open
from shared.usecases.badges import open_operations
from shared.usecases.on_the_bill import accept_on_the_bill, bill_operation
from shared.usecases.outlook import ReadLine, read_lines_of, with_echo
from shared.usecases.reconciling import seats_of
from shared.usecases.rest import hand_over
from shared.usecases.work import LineKey


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision about a line; `reading` is the one that he saw, `request_hash` covers the body.

    `microsoft`: the bill shall follow Microsoft's seats, not only what our operations wanted.
    """

    customer: str
    line: int
    reading: str
    caller: str
    idempotency_key: str
    target: str
    request_hash: str
    reason: str
    microsoft: bool = False

    @property
    def row_key(self) -> str:
        """The key of its idempotency row."""
        return keys.idempotency(self.caller, self.target, self.idempotency_key)


@dataclass(frozen=True, slots=True)
class _Looked:
    """The line as it is at the moment of the decision."""

    mapping: SubscriptionMapping
    head: Stored[Head]
    line: Stored[Line]
    found: ReadLine


async def accept(app: App, decision: Decision) -> Operation:
    """Take what Autotask bills for right: verified and desired become what is billed. Raises Refused, Conflict."""
    used = await _used(app, decision)
    if used is not None:
        return used
    looked = await _look(app, decision)
    actual = looked.found.actual
    reason = Reason("accepted", decision.reason or "What Autotask bills is right.")
    today = app.business_date(app.now())
    leg = _leg(app, looked, Target(None, today, today))
    leg = replace(leg, status=LegStatus.DISMISSED, settled_at=app.now(), reason=reason)
    operation = replace(_operation(app, decision, looked, leg), alarm_due=None)  # it is at rest
    line = replace(
        looked.found.line,
        verified=actual,
        edits=NO_EDITS,
        folded=operation.address.sequence,
        accepted=accepted_mark(await seats_of(app, looked.mapping), decision.reading),
    ).resting_on(looked.found.line.desired.adopting(actual))
    stored = await _store(app, decision, looked, operation, Stored(line, looked.line.etag))
    await app.desk.drop_finding(decision.customer, decision.line)
    return stored.value


async def correct(app: App, decision: Decision) -> Operation:
    """Push what is wanted over what was found. Raises Refused (nothing to correct), Conflict, NotFound, RetryLater."""
    used = await _used(app, decision)
    if used is not None:
        return used
    looked = await _look(app, decision)
    leg = _leg(app, looked, await _aim(app, looked, decision))
    stored = await _store(app, decision, looked, _operation(app, decision, looked, leg), None)
    await app.desk.drop_finding(decision.customer, decision.line)
    await hand_over(app, stored)
    return stored.value


async def _aim(app: App, looked: _Looked, decision: Decision) -> Target:
    """What the line shall become: as it is desired, or what Microsoft's seats stand for at this moment."""
    line, today, mapping = looked.found.line, app.business_date(app.now()), looked.mapping
    if decision.microsoft:
        seen = await app.partner_center.subscription(mapping.customer, mapping.subscription)
        known = known_of(parse_subscription(mapping.customer, seen.raw))
        present = Known("active", line.desired.at(looked.found.window.end))
        calendar, policy = mapping.calendar, mapping.policy
        aim = target(present, known, business_date=today, refunded=False, calendar=calendar, policy=policy)
        if aim is not None:
            return aim
    if line.wanted == looked.found.actual:
        sentence = "The line is billed as our operations want it; to follow Microsoft's seats, say so."
        raise Refused("nothing_to_correct", sentence, status=409)
    return Target(None, today, today)


async def _look(app: App, decision: Decision) -> _Looked:
    """Read everything that the decision is about. Raises Refused where it is not as the person saw it."""
    owner = await app.mappings.owner(decision.line)
    if owner is None or owner[0] != decision.customer:
        raise Refused("not_mapped", f"Line {decision.line} is not a mapped line of this customer.", status=404)
    mapping = await app.mappings.subscription(*owner)
    line = await app.ledger.line(decision.customer, decision.line)
    if mapping is None or line is None:
        raise Refused("line_not_in_ledger", f"The ledger does not hold line {decision.line}.", status=409)
    head = await app.ledger.head(*owner)
    refuse_while_open(decision.customer, head.value)
    waiting = await open_operations(app, *owner)
    if waiting:
        raise Refused(
            "operation_in_progress",
            "An operation of this subscription is not billed yet; wait for it, re-submit or dismiss it first.",
            status=409,
            operation=str(waiting[0].address),
        )
    if not settled(line.value, app.now(), app.times.settle):
        raise Refused("settling", "An attempt on this line is not settled yet; try again in a moment.", status=409)
    key = LineKey(decision.customer, owner[1], mapping.value.contract, decision.line)
    found = (await read_lines_of(app, [key]))[key]
    if not isinstance(found, ReadLine):
        raise Refused(found.problem, found.sentence, status=409)
    reading = fingerprint(found.actual)
    if reading != decision.reading:
        sentence = "Autotask shows another bill than the one that was looked at; look at the new one."
        raise Refused("stale_page", sentence, status=409, reading=reading)
    return _Looked(mapping.value, head, line, with_echo(found))


def _leg(app: App, looked: _Looked, aim: Target) -> Leg:
    actual = fingerprint(looked.found.actual)
    permission = Permission(DriftPolicy.OVERWRITE, actual)
    return Leg(
        looked.mapping.line, looked.mapping.contract, aim, permission=permission, decided=True, decided_at=app.now()
    )


def _operation(app: App, decision: Decision, looked: _Looked, leg: Leg) -> Operation:
    mapping, head = looked.mapping, looked.head.value
    operation = bill_operation(
        app, Kind.RECONCILE, mapping.customer, mapping.subscription, head, decision.caller, [leg]
    )
    return replace(operation, cause=decision.reason)


async def _store(
    app: App, decision: Decision, looked: _Looked, operation: Operation, line: Stored[Line] | None
) -> Stored[Operation]:
    """Accept the operation with the caller's key. Raises Refused where something else was accepted meanwhile."""
    address = operation.address
    expires = app.now() + app.times.idempotency
    replay = Replay(decision.request_hash, address.sequence, address.subscription, expires)
    used = await app.ledger.replay(decision.customer, decision.row_key)
    kept = (decision.row_key, Stored(replay, used.etag if used else None))
    return await accept_on_the_bill(app, operation, looked.head, decision.reason, line=line, replay=kept)


async def _used(app: App, decision: Decision) -> Operation | None:
    """The operation that the caller's key stands for already."""
    used = await app.ledger.replay(decision.customer, decision.row_key)
    if used is None or used.value.expires <= app.now():
        return None
    if used.value.request_hash != decision.request_hash:
        raise Refused("idempotency_key_reused", "This Idempotency-Key was used with another body.", status=422)
    stored = await app.ledger.operation(Address(decision.customer, used.value.subscription, used.value.sequence))
    if stored is None:
        raise Conflict("The operation of this Idempotency-Key cannot be read at the moment.")
    await app.desk.drop_finding(decision.customer, decision.line)
    return stored.value
