"""The Partner Center leg of an operation: make the call, read its outcome, and settle what stayed unclear.

A PATCH is the whole raw resource with one intention changed (invariant 5). It is sent again only after a re-reading
showed that the first one had no effect, and then with the same request id (invariant 3).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.domain.actions import Action, Allowed, decide
from shared.domain.errors import CspError, Malformed, NotFound, RetryLater
from shared.domain.operation import Event, Intention, Kind, Known, Operation, PartnerStatus
from shared.domain.outcomes import Applied, Busy, ChangeOutcome, ChangeRefused, Reading, Unknown, Unreached, Working
from shared.domain.subscription import Subscription
from shared.partner_center.wire import parse_subscription
from shared.storage.ledger import Changes
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.rest import SYSTEM, come_to_rest, look_again, send_again
from shared.usecases.snapshots import keep_snapshot


def changed(raw: dict[str, Any], intention: Intention) -> dict[str, Any]:
    """The raw resource with the intention in place of what was; every other field survives as it is."""
    body = dict(raw)
    wanted = {"status": intention.status, "quantity": intention.quantity}
    for name, value in wanted.items():
        if value is not None:
            body[next((key for key in body if key.lower() == name), name)] = value
    return body


async def call(app: App, stored: Stored[Operation], reading: Reading) -> tuple[Stored[Operation], ChangeOutcome]:
    """Send the PATCH of an operation whose sending is already stored, and store what came of it."""
    operation = stored.value
    latest = app.now() + app.times.partner_timeout
    deadline = min(latest, operation.partner_center.send_by or latest)
    outcome = await app.partner_center.change(
        operation.address.customer,
        operation.address.subscription,
        changed(reading.raw, operation.intention),
        request_id=operation.partner_center.request_id,
        deadline=deadline,
    )
    # The call is over: nothing of it is sent after its own deadline, which is nearer than the one stored at accept
    over = replace(operation, partner_center=replace(operation.partner_center, send_by=deadline))
    stored = Stored(over, stored.etag)
    match outcome:
        case Applied(raw, _):
            return await _applied_or_working(app, stored, raw), outcome
        case ChangeRefused(status, code, text):
            stored = await settle_as(app, stored, PartnerStatus.REFUSED, None, code=code or str(status), text=text)
        case Working(location):
            stored = await _still_open(app, stored, PartnerStatus.WORKING, location)
        case Busy(code, text, _):
            stored = await _still_open(app, stored, PartnerStatus.PENDING, f"{code} {text}".strip())
        case Unreached(reason):
            stored = await _still_open(app, stored, PartnerStatus.PENDING, reason)
        case Unknown(reason):
            stored = await _still_open(app, stored, PartnerStatus.UNKNOWN, reason)
    return stored, outcome


async def _applied_or_working(app: App, stored: Stored[Operation], raw: dict[str, Any]) -> Stored[Operation]:
    try:
        known = known_of(parse_subscription(stored.value.address.customer, raw))
    except Malformed:
        return await _still_open(app, stored, PartnerStatus.UNKNOWN, "the answer could not be read")
    if stored.value.intention.holds(known):
        return await settle_as(app, stored, PartnerStatus.APPLIED, known)
    return await _still_open(app, stored, PartnerStatus.WORKING, "the answer does not show the change yet")


def known_of(subscription: Subscription) -> Known:
    """What the ledger keeps of a subscription."""
    return Known(subscription.status_raw, subscription.quantity)


async def settle_as(
    app: App, stored: Stored[Operation], status: PartnerStatus, known: Known | None, *, code: str = "", text: str = ""
) -> Stored[Operation]:
    """Store the end of the Partner Center leg and free the subscription for the next operation."""
    operation = stored.value
    moved = operation.with_partner_center(status, code=code, text=text)
    if known is not None:
        moved = replace(moved, after=known)
    event = Event(
        app.now(), SYSTEM, f"microsoft_{status.value}", operation.status, moved.status, f"{code} {text}".strip()
    )
    head = await app.ledger.head(operation.address.customer, operation.address.subscription)
    freed = replace(
        head.value,
        open_sequence=None,
        known=known or head.value.known,
        previous=operation.before if known else head.value.previous,
        written_at=app.now() if known else head.value.written_at,
    )
    changes = Changes([(Stored(moved, stored.etag), [event])], head=Stored(freed, head.etag))
    (stored,), _ = await app.ledger.commit(operation.address.customer, changes)
    return stored


async def _still_open(app: App, stored: Stored[Operation], status: PartnerStatus, why: str) -> Stored[Operation]:
    moved = stored.value.with_partner_center(status, text=why)
    event = Event(app.now(), SYSTEM, f"microsoft_{status.value}", stored.value.status, moved.status, why)
    (stored,), _ = await app.ledger.commit(moved.address.customer, Changes([(Stored(moved, stored.etag), [event])]))
    return stored


async def settle(app: App, stored: Stored[Operation]) -> None:
    """Settle an open Partner Center leg by re-reading the subscription; called by the operation's alarm."""
    operation = stored.value
    quiet_until = _quiet_until(app, operation)
    if operation.partner_center.status is PartnerStatus.UNKNOWN and app.now() < quiet_until:
        await look_again(app, stored, quiet_until)
        return
    try:
        reading = await app.partner_center.subscription(operation.address.customer, operation.address.subscription)
        subscription = parse_subscription(operation.address.customer, reading.raw)
    except NotFound as error:
        await _end(app, await settle_as(app, stored, PartnerStatus.REFUSED, None, code="not_found", text=str(error)))
        return
    except RetryLater as error:
        await look_again(app, stored, app.now() + (error.after or app.times.backoff(operation.partner_center.attempts)))
        return
    except CspError:
        await look_again(app, stored, app.now() + app.times.misconfigured)
        return
    known = known_of(subscription)
    if operation.intention.holds(known):
        await _end(app, await settle_as(app, stored, PartnerStatus.APPLIED, known))
    elif app.now() < quiet_until:
        await look_again(app, stored, min(quiet_until, app.now() + app.times.partner_settle))
    else:
        await _repeat(app, stored, reading, subscription)


def _quiet_until(app: App, operation: Operation) -> datetime:
    """Until when a reading without the change says nothing: the call may be under way, or Microsoft still at it."""
    leg = operation.partner_center
    if leg.status is PartnerStatus.WORKING:
        return operation.requested_at + app.times.partner_give_up
    return (leg.send_by or operation.requested_at) + app.times.partner_settle


async def _repeat(app: App, stored: Stored[Operation], reading: Reading, subscription: Subscription) -> None:
    """The re-reading shows no effect: decide anew, then make the same call again, or give up clearly."""
    operation = stored.value
    action = Action(operation.kind.value) if operation.kind in _ACTIONS else Action.SYNC
    decision = decide(action, subscription, reading.observed_at, operation.intention.quantity)
    if not isinstance(decision, Allowed):
        code = getattr(decision, "code", "not_needed")
        text = getattr(decision, "sentence", "The subscription changed meanwhile.")
        await _end(app, await settle_as(app, stored, PartnerStatus.REFUSED, None, code=code, text=text))
        return
    if app.now() >= operation.requested_at + app.times.partner_give_up:
        text = "Partner Center gave no clear answer for too long; a last reading showed that nothing was changed."
        refused = await settle_as(
            app, stored, PartnerStatus.REFUSED, None, code="partner_center_unavailable", text=text
        )
        await _end(app, refused)
        return
    leg = replace(
        operation.partner_center,
        send_by=app.now() + app.times.partner_timeout,
        attempts=operation.partner_center.attempts + 1,
    )
    stored = await look_again(
        app, Stored(replace(operation, partner_center=leg), stored.etag), app.now() + app.times.outbox
    )
    stored, _ = await call(app, stored, reading)
    if stored.value.settled_at_microsoft:
        await _end(app, stored)


_ACTIONS = {Kind.SUSPEND, Kind.REACTIVATE, Kind.CHANGE_QUANTITY, Kind.CANCEL}


async def _end(app: App, stored: Stored[Operation]) -> None:
    await keep_snapshot(app, stored.value.address.customer, stored.value.address.subscription)
    if stored.value.pushable:
        await send_again(app, stored)
    else:
        await come_to_rest(app, stored)
