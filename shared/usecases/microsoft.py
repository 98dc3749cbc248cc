"""The Partner Center leg of an operation that is one PATCH: make the call, read its outcome, settle what is unclear.

A PATCH is the whole raw resource with one intention changed (invariant 5). It is sent again only after a re-reading
showed that the first one had no effect, and then with the same request id (invariant 3).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from shared.domain.actions import Action, Allowed, AlreadyDone, decide
from shared.domain.errors import Malformed
from shared.domain.known import Intention
from shared.domain.operation import Kind, Operation, PartnerStatus
from shared.domain.outcomes import Applied, ChangeOutcome, ChangeRefused, Reading, Working
from shared.domain.subscription import Subscription, known_of
from shared.partner_center.wire import parse_subscription
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.placing import go_on
from shared.usecases.rest import look_again
from shared.usecases.settling import (
    about_to_send,
    answered,
    called,
    gave_up,
    keep_polling,
    may_be_looked_at,
    not_taken,
    quiet_until,
    settle_as,
    still_open,
    until,
)
from shared.usecases.snapshots import keep_snapshot


def changed(raw: dict[str, Any], intention: Intention) -> dict[str, Any]:
    """The raw resource with the intention in place of what was; every other field survives as it is."""
    body = dict(raw)
    wanted = {"status": intention.status, "quantity": intention.quantity, "autoRenewEnabled": intention.auto_renew}
    for name, value in wanted.items():
        if value is not None:
            body[_present(body, name)] = value
    if intention.schedule is not None:
        name = _present(body, "scheduledNextTermInstructions")
        if intention.schedule:
            body[name] = json.loads(intention.schedule)
        else:
            body.pop(name, None)
    return body


def _present(body: dict[str, Any], name: str) -> str:
    """A field's name as the resource spells it."""
    return next((key for key in body if key.lower() == name.lower()), name)


async def call(app: App, stored: Stored[Operation], reading: Reading) -> tuple[Stored[Operation], ChangeOutcome]:
    """Send the PATCH of an operation whose sending is already stored, and store what came of it."""
    operation = stored.value
    deadline = until(app, operation)
    outcome = await app.partner_center.change(
        operation.address.customer,
        operation.address.subscription,
        changed(reading.raw, operation.intention),
        request_id=operation.partner_center.request_id,
        deadline=deadline,
    )
    stored = called(stored, deadline)
    match outcome:
        case Applied(raw, _):
            return await _applied_or_working(app, stored, raw), outcome
        case ChangeRefused(status, code, text):
            stored = await settle_as(app, stored, PartnerStatus.REFUSED, code=code or str(status), text=text)
        case Working(location):
            stored = await still_open(app, stored, PartnerStatus.WORKING, location)
        case _:
            stored = await not_taken(app, stored, outcome)
    return stored, outcome


async def _applied_or_working(app: App, stored: Stored[Operation], raw: dict[str, Any]) -> Stored[Operation]:
    try:
        known = known_of(parse_subscription(stored.value.address.customer, raw))
    except Malformed:
        return await still_open(app, stored, PartnerStatus.UNKNOWN, "the answer could not be read")
    if stored.value.intention.holds(known):
        return await settle_as(app, stored, PartnerStatus.APPLIED)
    return await still_open(app, stored, PartnerStatus.WORKING, "the answer does not show the change yet")


async def settle(app: App, stored: Stored[Operation]) -> None:
    """Settle an open leg by re-reading the subscription; called by the operation's alarm, and for what follows another.

    Whatever else a reading shows is somebody else's change: the next sync has to find it beside ours.
    """
    operation = stored.value
    if not await may_be_looked_at(app, stored):
        return
    address = operation.address
    reading = await answered(app, stored, app.partner_center.subscription(address.customer, address.subscription))
    if reading is None:
        return
    try:
        subscription = parse_subscription(address.customer, reading.raw)
    except Malformed:
        await look_again(app, stored, app.now() + app.times.misconfigured)
        return
    if operation.intention.holds(known_of(subscription)):
        await ended(app, await settle_as(app, stored, PartnerStatus.APPLIED), reading)
    elif operation.partner_center.status is PartnerStatus.WORKING:
        text = "Microsoft accepted the change for later and never showed it; a last reading is without it."
        limit = app.times.change_working
        polled = await keep_polling(app, stored, limit, PartnerStatus.REFUSED, "never_visible", text)
        if polled.value.settled_at_microsoft:
            await ended(app, polled)
    elif app.now() < quiet_until(app, operation):
        await look_again(app, stored, quiet_until(app, operation))
    else:
        await _repeat(app, stored, reading, subscription)


async def _repeat(app: App, stored: Stored[Operation], reading: Reading, subscription: Subscription) -> None:
    """The re-reading does not show the change: decide anew, then make the same call again, or give up clearly.

    It shows that the call had no effect only where what was to be changed is as it was before.
    """
    operation = stored.value
    refusal = _why_not(app, operation, reading, subscription)
    if refusal is not None:
        code, text = refusal
        await ended(app, await settle_as(app, stored, PartnerStatus.REFUSED, code=code, text=text))
        return
    stored, outcome = await call(app, await about_to_send(app, stored), reading)
    if stored.value.settled_at_microsoft:
        seen = Reading(outcome.raw, outcome.observed_at) if isinstance(outcome, Applied) else None
        await ended(app, stored, seen)


def _why_not(app: App, operation: Operation, reading: Reading, subscription: Subscription) -> tuple[str, str] | None:
    """Why the call must not be made again, as a code and a sentence."""
    if not operation.intention.untouched(operation.before, known_of(subscription)):
        text = "Somebody else changed the subscription meanwhile; whether our call had an effect cannot be told."
        return "changed_meanwhile", text
    decision = decide(_action(operation.kind), subscription, reading.observed_at, operation.intention.quantity)
    if not isinstance(decision, Allowed | AlreadyDone):
        return decision.code, decision.sentence
    if gave_up(app, operation):
        text = "Partner Center gave no clear answer for too long; a last reading showed that nothing was changed."
        return "partner_center_unavailable", text
    return None


def _action(kind: Kind) -> Action:
    return Action(kind.value)


async def ended(app: App, stored: Stored[Operation], reading: Reading | None = None, *, first: bool = False) -> None:
    """Go on with an operation whose Partner Center leg has ended: the bill, and what follows it at Microsoft.

    `first`: nobody has sent a message for it yet. A crash on the way is made good by the alarms.
    """
    if reading is not None:
        await keep_snapshot(app, stored.value, reading)
    await go_on(app, stored, first=first)
    for follower in await followers(app, stored.value):
        if not follower.value.settled_at_microsoft:
            await settle(app, follower)


async def followers(app: App, operation: Operation) -> list[Stored[Operation]]:
    """The operation that follows directly at Microsoft, if there is one."""
    if operation.followed_by is None:
        return []
    found = await app.ledger.operation(replace(operation.address, sequence=operation.followed_by))
    return [found] if found is not None else []
