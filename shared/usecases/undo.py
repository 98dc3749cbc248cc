"""Undo what one operation did to the bill: its lines become what they would be without it (docs/adr/0040).

What is desired of a line is told again from what it rests on, without that operation; later ones stay in force. The
difference is an operation of its own, pushed as every other. Nothing happens at Microsoft.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from shared.domain.errors import Conflict, Refused
from shared.domain.line import Line
from shared.domain.operation import Address, Event, Kind, Leg, LegStatus, Operation
from shared.domain.timeline import Target, Timeline, Window, first_difference, fold
from shared.storage import keys
from shared.storage.ledger import Head, Replay
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.assignment import refuse_while_open
from shared.usecases.badges import open_operations
from shared.usecases.dead_letters import find
from shared.usecases.on_the_bill import accept_on_the_bill, bill_operation
from shared.usecases.outlook import LineOutlook, ReadLine, options_of, read_lines_of
from shared.usecases.rest import hand_over
from shared.usecases.work import LineKey

_NOT_FOLDED = frozenset({LegStatus.REVIEW, LegStatus.DISMISSED, LegStatus.NOT_NEEDED, LegStatus.HELD})
_EVER = Window(date.min, date.max)
_ELSEWHERE = frozenset({Kind.UPGRADE, Kind.MIGRATE, Kind.MOVED})  # they concern other subscriptions too


@dataclass(frozen=True, slots=True)
class Undone:
    """One line without the operation: what was and what shall be desired, and which later operations stay in force."""

    leg: Leg
    desired: Timeline
    without: Timeline
    later: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class UndoPreview:
    """What an undo would do: the lines with their plans, what stays in force, and what a person has to know."""

    operation: Operation
    lines: tuple[LineOutlook, ...]
    later: tuple[Address, ...]
    warnings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class UndoRequest:
    """A request to undo an operation; `request_hash` covers the body."""

    address: Address
    caller: str
    idempotency_key: str
    target: str
    request_hash: str
    confirmed: bool
    reason: str

    @property
    def row_key(self) -> str:
        """The key of its idempotency row."""
        return keys.idempotency(self.caller, self.target, self.idempotency_key)


async def undo_preview(app: App, address: Address) -> UndoPreview:
    """What an undo would do at this moment. Raises Refused where it cannot be done; RetryLater, Misconfigured."""
    operation = (await find(app, address)).value
    head = await app.ledger.head(address.customer, address.subscription)
    undone = await _undone(app, operation, head.value)
    found = await read_lines_of(app, [_key(address, item.leg) for item in undone])
    lines = [_planned(item, found[_key(address, item.leg)]) for item in undone]
    later = tuple(dict.fromkeys(number for item in undone for number in item.later))
    return UndoPreview(operation, tuple(lines), later, (*_warnings(operation), *_taken(lines, found)))


async def undo(app: App, request: UndoRequest) -> Operation:
    """Accept the undo as an operation of its own, once, and send it. Raises Refused, Conflict."""
    address = request.address
    used = await app.ledger.replay(address.customer, request.row_key)
    if used is not None and used.value.expires > app.now():
        return await _replayed(app, request, used.value)
    stored = await find(app, address)
    head = await app.ledger.head(address.customer, address.subscription)
    undone = await _undone(app, stored.value, head.value)
    if not request.confirmed:
        _refuse_unconfirmed(stored.value)
    operation = _operation(app, stored.value, request, undone, head.value)
    replay = Replay(
        request.request_hash, operation.address.sequence, address.subscription, app.now() + app.times.idempotency
    )
    kept = (request.row_key, Stored(replay, used.etag if used else None))
    made = await _accept(app, stored, operation, head, kept, request)
    await hand_over(app, made)
    return made.value


async def _accept(
    app: App,
    stored: Stored[Operation],
    operation: Operation,
    head: Stored[Head],
    replay: tuple[str, Stored[Replay]],
    request: UndoRequest,
) -> Stored[Operation]:
    """Accept the undo and mark what it undoes. Raises Refused where something else was accepted meanwhile."""
    marked, status = replace(stored.value, undone_by=operation.address.sequence), stored.value.status
    noted = Event(operation.requested_at, request.caller, "undone", status, status, f"operation {operation.address}")
    also = [(Stored(marked, stored.etag), [noted])]
    return await accept_on_the_bill(app, operation, head, request.reason, also=also, replay=replay)


async def _replayed(app: App, request: UndoRequest, used: Replay) -> Operation:
    if used.request_hash != request.request_hash:
        raise Refused("idempotency_key_reused", "This Idempotency-Key was used with another body.", status=422)
    stored = await app.ledger.operation(Address(request.address.customer, used.subscription, used.sequence))
    if stored is None:
        raise Conflict("The operation of this Idempotency-Key cannot be read at the moment.")
    return stored.value


async def _undone(app: App, operation: Operation, head: Head) -> list[Undone]:
    """Every line of the operation without it. Raises Refused where that is not defined."""
    address = operation.address
    if not operation.legs or any(leg.status is not LegStatus.SYNCED for leg in operation.legs):
        sentence = "Only what was pushed and verified can be undone; this operation was not, or not on all its lines."
        raise Refused("not_pushed", sentence, status=409)
    refuse_while_open(address.customer, head)
    waiting = await open_operations(app, address.customer, address.subscription)
    if waiting:
        raise Refused(
            "operation_in_progress",
            "Another operation of this subscription is not billed yet; wait for it, re-submit or dismiss it first.",
            status=409,
            operation=str(waiting[0].address),
        )
    since = await app.ledger.operations(address.customer, address.subscription)
    found = [await _without(app, operation, leg, [stored.value for stored in since]) for leg in operation.legs]
    changed = [item for item in found if item.without != item.desired]
    if not changed:
        sentence = "Later operations have taken its place on every day, so there is nothing left of it to undo."
        raise Refused("nothing_to_undo", sentence, status=409)
    return changed


async def _without(app: App, operation: Operation, leg: Leg, operations: Sequence[Operation]) -> Undone:
    line = await _line(app, operation.address, leg)
    number = operation.address.sequence
    if line.base is None:
        raise _incomplete(leg)  # the row is older than this knowledge
    if number <= line.adopted:
        raise Refused(
            "adopted_since",
            f"Line {leg.line} was adopted as Autotask had it after this operation, so there is no earlier bill to go "
            "back to.",
            status=409,
        )
    told = [one for one in operations if one.address.sequence > line.adopted and _folded(one, leg.line)]
    if _told(line.base, told, leg.line) != line.desired:
        raise _incomplete(leg)
    without = _told(line.base, [one for one in told if one.address.sequence != number], leg.line)
    later = tuple(one.address for one in told if one.address.sequence > number)
    return Undone(leg, line.desired, without, later)


def _incomplete(leg: Leg) -> Refused:
    sentence = f"The history of line {leg.line} cannot be told again from the ledger; correct the bill by hand."
    return Refused("history_incomplete", sentence, status=409)


async def _line(app: App, address: Address, leg: Leg) -> Line:
    stored = await app.ledger.line(address.customer, leg.line)
    owner = await app.mappings.owner(leg.line)
    if stored is None or owner != (address.customer, address.subscription):
        sentence = f"The subscription is not billed on line {leg.line} any more, so nothing is changed there."
        raise Refused("line_changed", sentence, status=409)
    return stored.value


def _folded(operation: Operation, line: int) -> bool:
    legs = [leg for leg in operation.legs if leg.line == line and leg.status not in _NOT_FOLDED]
    return bool(legs) and operation.took_effect


def _told(base: Timeline, operations: Sequence[Operation], line: int) -> Timeline:
    desired = base
    for operation in operations:
        desired = fold(desired, operation.leg(line).target)
    return desired


def _operation(app: App, undone: Operation, request: UndoRequest, lines: Sequence[Undone], head: Head) -> Operation:
    address, today = undone.address, app.business_date(app.now())
    legs = [
        Leg(item.leg.line, item.leg.contract, Target(None, day, day, timeline=item.without))
        for item, day in ((item, _first_day(item, today)) for item in lines)
    ]
    operation = bill_operation(app, Kind.UNDO, address.customer, address.subscription, head, request.caller, legs)
    return replace(operation, cause=request.reason, undoes=address.sequence)


def _first_day(item: Undone, today: date) -> date:
    """The first day on which the line becomes another."""
    first = first_difference(item.desired, item.without, owned=item.without, window=_EVER, unknown_differs=True)
    return today if first is None or first == date.min else first


def _key(address: Address, leg: Leg) -> LineKey:
    return LineKey(address.customer, address.subscription, leg.contract, leg.line)


def _planned(item: Undone, found: ReadLine | LineOutlook) -> LineOutlook:
    if isinstance(found, LineOutlook):
        return found
    key = LineKey(found.line.customer, found.line.subscription, found.line.contract, found.line.line)
    return options_of(key, replace(found, line=replace(found.line, desired=item.without)))


def _taken(lines: Sequence[LineOutlook], found: Mapping[LineKey, ReadLine | LineOutlook]) -> list[tuple[str, str]]:
    """Dates of the plans on which an adjustment of ours lies already."""
    warnings = []
    for line in lines:
        known = found[line.key]
        planned = {adjustment.date for option in line.options for adjustment in option.adjustments}
        for day in sorted(planned & known.line.events) if isinstance(known, ReadLine) else ():
            text = (
                f"On {day} line {line.key.line} has an adjustment of ours already. Where Autotask refuses another, "
                "the change counts from the next free day, and the operation tells what that makes."
            )
            warnings.append(("date_taken", text))
    return warnings


def _warnings(operation: Operation) -> tuple[tuple[str, str], ...]:
    warnings = [
        (
            "microsoft_untouched",
            "Microsoft is not touched: the subscription keeps its seats and state there, and what it costs there. Only "
            "the customer's bill goes back.",
        )
    ]
    if operation.kind is Kind.CHANGE_PRICE:
        text = "The mapping keeps its price source: applying the price list bills the new price again."
        warnings.append(("pricing_stays", text))
    if operation.kind in _ELSEWHERE or operation.linked:
        text = "Seats moved between subscriptions; the other subscription has an operation of its own, which stays."
        warnings.append(("other_subscription_stays", text))
    if operation.undone_by is not None:
        warnings.append(("undone_before", f"It was undone before, by operation number {operation.undone_by}."))
    return tuple(warnings)


def _refuse_unconfirmed(operation: Operation) -> None:
    raise Refused(
        "confirmation_required",
        "An undo changes the customer's bill and not Microsoft; it needs a confirmation.",
        status=428,
        losses=[{"code": code, "sentence": text, "confirm": "confirm"} for code, text in _warnings(operation)],
        errors=[{"field": "confirm", "message": "must be true"}],
    )
