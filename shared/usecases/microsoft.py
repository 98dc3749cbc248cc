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
from shared.storage.ledger import Changes, Head
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
            stored = await settle_as(app, stored, PartnerStatus.REFUSED, code=code or str(status), text=text)
        case Working(location):
            stored = await _still_open(app, stored, PartnerStatus.WORKING, location)
        case Busy(code, text, after):
            leg = replace(stored.value.partner_center, not_before=app.now() + after)
            stored = Stored(replace(stored.value, partner_center=leg), stored.etag)
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
        return await settle_as(app, stored, PartnerStatus.APPLIED)
    return await _still_open(app, stored, PartnerStatus.WORKING, "the answer does not show the change yet")


def known_of(subscription: Subscription) -> Known:
    """What the ledger keeps of a subscription."""
    return Known(subscription.status_raw.lower(), subscription.quantity)


async def settle_as(
    app: App, stored: Stored[Operation], status: PartnerStatus, *, code: str = "", text: str = ""
) -> Stored[Operation]:
    """Store the end of the Partner Center leg and free the subscription for the next operation.

    Known from now on is what this operation is responsible for; what somebody else changed at the same time is left
    to the next sync, which detects it.
    """
    operation = stored.value
    moved = operation.with_partner_center(status, code=code, text=text)
    effective = status is not PartnerStatus.REFUSED and operation.writes_known
    event = Event(
        app.now(), SYSTEM, f"microsoft_{status.value}", operation.status, moved.status, f"{code} {text}".strip()
    )
    head = await app.ledger.head(operation.address.customer, operation.address.subscription)
    freed = replace(
        head.value,
        open_sequence=None,
        known=operation.after if effective else head.value.known,
        previous=_previous(app, head.value, operation.before) if effective else head.value.previous,
        written_at=app.now() if effective else head.value.written_at,
    )
    changes = Changes([(Stored(moved, stored.etag), [event])], head=Stored(freed, head.etag))
    (stored,), _ = await app.ledger.commit(operation.address.customer, changes)
    return stored


def _previous(app: App, head: Head, before: Known) -> tuple[Known, ...]:
    """The states that a late reading may still show: those before our writes of the last moments."""
    fresh = head.written_at is not None and app.now() < head.written_at + app.times.partner_settle
    return (*(head.previous if fresh else ()), before)[-4:]


async def _still_open(app: App, stored: Stored[Operation], status: PartnerStatus, why: str) -> Stored[Operation]:
    moved = stored.value.with_partner_center(status, text=why)
    event = Event(app.now(), SYSTEM, f"microsoft_{status.value}", stored.value.status, moved.status, why)
    (stored,), _ = await app.ledger.commit(moved.address.customer, Changes([(Stored(moved, stored.etag), [event])]))
    return stored


async def settle(app: App, stored: Stored[Operation]) -> None:
    """Settle an open Partner Center leg by re-reading the subscription; called by the operation's alarm."""
    operation = stored.value
    not_before = operation.partner_center.not_before
    if not_before is not None and app.now() < not_before:
        await look_again(app, stored, not_before)
        return
    quiet_until = _quiet_until(app, operation)
    if operation.partner_center.status is PartnerStatus.UNKNOWN and app.now() < quiet_until:
        await look_again(app, stored, quiet_until)
        return
    try:
        reading = await app.partner_center.subscription(operation.address.customer, operation.address.subscription)
        subscription = parse_subscription(operation.address.customer, reading.raw)
    except NotFound as error:
        await _end(app, await settle_as(app, stored, PartnerStatus.REFUSED, code="not_found", text=str(error)))
        return
    except RetryLater as error:
        await look_again(app, stored, app.now() + (error.after or app.times.backoff(operation.partner_center.attempts)))
        return
    except CspError:
        await look_again(app, stored, app.now() + app.times.misconfigured)
        return
    known = known_of(subscription)
    if operation.intention.holds(known):
        # Whatever else the reading shows is somebody else's change: the next sync has to find it beside ours
        await _end(app, await settle_as(app, stored, PartnerStatus.APPLIED), reading)
    elif operation.partner_center.status is PartnerStatus.WORKING:
        await _keep_polling(app, stored)
    elif app.now() < quiet_until:
        await look_again(app, stored, quiet_until)
    else:
        await _repeat(app, stored, reading, subscription)


def _quiet_until(app: App, operation: Operation) -> datetime:
    """Until when a reading without the change says nothing: the call may still be under way."""
    leg = operation.partner_center
    return (leg.send_by or operation.requested_at) + app.times.partner_settle


async def _keep_polling(app: App, stored: Stored[Operation]) -> None:
    """Microsoft said that it is working on it: nothing is sent again, the subscription is read until it shows."""
    operation = stored.value
    if app.now() > operation.requested_at + app.times.partner_working:
        text = "Microsoft accepted the change for later and never showed it; a last reading is without it."
        await _end(app, await settle_as(app, stored, PartnerStatus.REFUSED, code="never_visible", text=text))
        return
    waited = app.now() - operation.requested_at
    await look_again(app, stored, app.now() + min(max(waited / 4, app.times.partner_settle), app.times.retry_max))


async def _repeat(app: App, stored: Stored[Operation], reading: Reading, subscription: Subscription) -> None:
    """The re-reading does not show the change: decide anew, then make the same call again, or give up clearly.

    It shows that the call had no effect only where what was to be changed is as it was before.
    """
    operation = stored.value
    if not operation.intention.untouched(operation.before, known_of(subscription)):
        text = "Somebody else changed the subscription meanwhile; whether our call had an effect cannot be told."
        refused = await settle_as(app, stored, PartnerStatus.REFUSED, code="changed_meanwhile", text=text)
        await _end(app, refused)
        return
    action = Action(operation.kind.value) if operation.kind in _ACTIONS else Action.SYNC
    decision = decide(action, subscription, reading.observed_at, operation.intention.quantity)
    if not isinstance(decision, Allowed):
        code = getattr(decision, "code", "not_needed")
        text = getattr(decision, "sentence", "The subscription changed meanwhile.")
        await _end(app, await settle_as(app, stored, PartnerStatus.REFUSED, code=code, text=text))
        return
    began = max(operation.requested_at, operation.partner_center.not_before or operation.requested_at)
    if app.now() >= began + app.times.partner_give_up:
        text = "Partner Center gave no clear answer for too long; a last reading showed that nothing was changed."
        refused = await settle_as(app, stored, PartnerStatus.REFUSED, code="partner_center_unavailable", text=text)
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
    stored, outcome = await call(app, stored, reading)
    if stored.value.settled_at_microsoft:
        seen = Reading(outcome.raw, outcome.observed_at) if isinstance(outcome, Applied) else None
        await _end(app, stored, seen)


_ACTIONS = {Kind.SUSPEND, Kind.REACTIVATE, Kind.CHANGE_QUANTITY, Kind.CANCEL}


async def _end(app: App, stored: Stored[Operation], reading: Reading | None = None) -> None:
    if reading is not None:
        await keep_snapshot(app, stored.value, reading)
    if stored.value.pushable:
        await send_again(app, stored)
    else:
        await come_to_rest(app, stored)
