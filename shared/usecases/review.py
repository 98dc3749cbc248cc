"""Detected changes that are held for review: a person releases them to the bill, or dismisses them.

What is held holds nobody up: a push of a later operation passes it over (`shared.usecases.work`). When it is released
after that, its target is folded in its place: targets are absolute, so folding it and then the later ones again gives
what folding them in their order would have given.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.errors import Refused
from shared.domain.line import Line
from shared.domain.operation import Address, Event, Leg, LegStatus, Operation
from shared.domain.timeline import Timeline, fold
from shared.storage.ledger import Changes
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.badges import refresh_badge
from shared.usecases.dead_letters import find
from shared.usecases.placing import go_on
from shared.usecases.rest import looked_for

_TRIES = 4
_NOT_FOLDED = frozenset({LegStatus.REVIEW, LegStatus.DISMISSED, LegStatus.NOT_NEEDED})


async def release(app: App, address: Address, caller: str, *, why: str) -> Operation:
    """Let a held operation be pushed. One that is not held any more is given back as it is.

    Raises Refused where the subscription is billed on another line by now, or it is being worked on.
    """
    return await _decide(app, address, Event(app.now(), caller, "released", "review", "open", why), LegStatus.OPEN)


async def dismiss(app: App, address: Address, caller: str, *, why: str) -> Operation:
    """Decide that a held operation shall not be pushed: the bill stays as it is. Raises Refused as `release`."""
    event = Event(app.now(), caller, "dismissed", "review", "dismissed", why)
    return await _decide(app, address, event, LegStatus.DISMISSED)


async def _decide(app: App, address: Address, event: Event, decision: LegStatus) -> Operation:
    for _ in range(_TRIES):
        stored = await find(app, address)
        if not stored.value.in_review:
            return stored.value
        due = app.now() + app.times.outbox
        # Where we die after the ledger, the alarm pushes it, or brings the read models up to date
        await app.alarms.set(address, due, ready=app.now())
        try:
            stored = Stored(replace(stored.value, alarm_due=due), stored.etag)
            for leg in stored.value.legs:
                if leg.status is LegStatus.REVIEW:
                    stored = await _decide_leg(app, stored, leg, event, decision)
        except WriteConflict:
            continue
        await app.sync.indexes.drop_review(address)
        await refresh_badge(app, address.customer, address.subscription)
        await go_on(app, stored, first=True)
        return stored.value
    raise Refused("changed_meanwhile", "The operation is being worked on; look again.", status=409)


async def _decide_leg(
    app: App, stored: Stored[Operation], leg: Leg, event: Event, decision: LegStatus
) -> Stored[Operation]:
    """The line is written in any case: a push that is folding it at this moment has to look again."""
    address = stored.value.address
    moved = Stored(stored.value.with_leg(replace(leg.to(decision), settled_at=_settled(app, decision))), stored.etag)
    if not leg.line:  # it has a place only; the line is found when it is pushed
        return await looked_for(app, moved, event)
    line = await app.ledger.line(address.customer, leg.line)
    mine = line is not None and line.value.subscription == address.subscription
    if decision is LegStatus.OPEN and not (mine and await _is_current(app, address, leg)):
        raise Refused(
            "line_changed",
            f"The subscription is not billed on line {leg.line} any more; dismiss the operation.",
            status=409,
        )
    if line is None or not mine:
        (written,), _ = await app.ledger.commit(address.customer, Changes([(moved, [event])]))
        return written
    reviews = tuple(number for number in line.value.reviews if number != address.sequence)
    changed = replace(line.value, reviews=reviews)
    if decision is LegStatus.OPEN and line.value.folded >= address.sequence:
        changed = replace(
            changed,
            desired=await _folded_in_place(app, address, line.value, leg),
            unsettled=tuple(sorted({*line.value.unsettled, address.sequence})),
        )
    (written,), _ = await app.ledger.commit(
        address.customer, Changes([(moved, [event])], line=Stored(changed, line.etag))
    )
    return written


def _settled(app: App, decision: LegStatus) -> datetime | None:
    return app.now() if decision is LegStatus.DISMISSED else None


async def _is_current(app: App, address: Address, leg: Leg) -> bool:
    mapping = await app.mappings.subscription(address.customer, address.subscription)
    if mapping is None or mapping.value.line != leg.line:
        return False
    return mapping.value.since_sequence <= address.sequence


async def _folded_in_place(app: App, address: Address, line: Line, leg: Leg) -> Timeline:
    desired = fold(line.desired, leg.target)
    for later in await app.ledger.operations(address.customer, address.subscription, after=address.sequence):
        if later.value.address.sequence > line.folded:
            break
        for other in later.value.legs:
            if other.line == leg.line and other.status not in _NOT_FOLDED and later.value.took_effect:
                desired = fold(desired, other.target)
    return desired
