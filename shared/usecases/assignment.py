"""Carry out what a mapping operation writes: the mapping rows, and the line as Autotask shows it.

Safe to repeat, which its alarm does after a crash; what cannot be carried out is taken back. Used for mappings
(`shared.usecases.mapping`) and for changes of price (`shared.usecases.pricing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.domain.errors import CspError, Refused
from shared.domain.known import Known
from shared.domain.operation import Address, Event, Kind, Leg, MappingChange, Operation, PartnerStatus
from shared.domain.timeline import Timeline
from shared.storage.ledger import Changes, Head, Replay
from shared.storage.mappings import CustomerMapping, ProductMapping, SubscriptionMapping
from shared.storage.rows import Stored, document, parse
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.dead_letters import read_line
from shared.usecases.on_the_bill import operation_here
from shared.usecases.rest import come_to_rest, look_again, send_again
from shared.usecases.settling import settle_as
from shared.usecases.work import LineKey, new_line


def refuse_while_open(customer: str, head: Head) -> None:
    """Refuse while another operation of the subscription is not settled at Microsoft."""
    if head.open_sequence is not None:
        raise Refused(
            "operation_in_progress",
            "Another operation of this subscription is not settled yet.",
            status=409,
            operation=str(Address(customer, head.subscription, head.open_sequence)),
        )


def mapping_operation(
    app: App,
    address: Address,
    caller: str,
    change: MappingChange,
    legs: Sequence[Leg],
    known: Known | None,
    *,
    kind: Kind = Kind.MAP,
) -> Operation:
    """An operation that has nothing to do at Microsoft and writes a mapping."""
    return replace(operation_here(app, kind, address, known, caller, legs), mapping=change)


async def store_and_carry_out(
    app: App, operation: Operation, head: Stored[Head], replay: tuple[str, Stored[Replay]] | None = None
) -> Operation:
    """Accept an operation that changes a mapping, and carry its first leg out. Raises Refused."""
    address = operation.address
    event = Event(operation.requested_at, operation.requested_by, "accepted", "", operation.status)
    changed = replace(head.value, next_sequence=address.sequence + 1, open_sequence=address.sequence)
    await app.alarms.set(address, operation.alarm_due or operation.requested_at)
    try:
        changes = Changes([(Stored(operation, None), [event])], head=Stored(changed, head.etag), replay=replay)
        (stored,), _ = await app.ledger.commit(address.customer, changes)
    except WriteConflict:
        sentence = "The subscription changed at the same moment; look again."
        raise Refused("changed_meanwhile", sentence, status=409) from None
    try:
        done = await carry_out_mapping(app, stored)
    except WriteConflict:  # its alarm was faster
        done = await app.ledger.operation(address) or stored
    leg = done.value.partner_center
    if leg.status is PartnerStatus.REFUSED:
        raise Refused(leg.code, leg.text, status=409, operation=str(address))
    return done.value


async def carry_out_mapping(app: App, stored: Stored[Operation]) -> Stored[Operation]:
    """Write the mapping rows and adopt the line's present units; safe to repeat, which the alarm does after a crash."""
    operation = stored.value
    change = operation.mapping
    if change is None:
        return await _refused(app, stored, "no_mapping", "nothing to map")
    new = parse(SubscriptionMapping, change.document) if change.line is not None else None
    try:
        adopts = new is not None and not change.policy_only
        actual = await read_line(app, new.contract, new.line) if new is not None and adopts else None
    except Refused as error:
        await _go_back(app, operation, change)
        return await _refused(app, stored, error.code, error.sentence)
    except (CspError, ValueError) as error:
        return await _later(app, stored, str(error))
    refusal = await _write_mappings(app, operation, change, new)
    if refusal is not None:
        return await _refused(app, stored, *refusal)
    if new is not None:
        await (_keep_line(app, new) if actual is None else _adopt(app, operation, new, actual))
    stored = await settle_as(app, stored, PartnerStatus.NOT_NEEDED)
    if stored.value.pushable:
        await send_again(app, stored)
        return await app.ledger.operation(operation.address) or stored
    await come_to_rest(app, stored)
    return stored


async def _write_mappings(
    app: App, operation: Operation, change: MappingChange, new: SubscriptionMapping | None
) -> tuple[str, str] | None:
    """Write the mapping and those that come along with it; the code and sentence of what is in the way, if anything."""
    if not await _assigned(app, operation.address, new):
        return "line_taken", "The line was given to another subscription meanwhile."
    if not await _came_along(app, change):
        await _go_back(app, operation, change)
        return "contract_of_another_company", "The customer was mapped to another company meanwhile."
    return None


async def _refused(app: App, stored: Stored[Operation], code: str, text: str) -> Stored[Operation]:
    stored = await settle_as(app, stored, PartnerStatus.REFUSED, code=code, text=text)
    await come_to_rest(app, stored)
    return stored


async def _later(app: App, stored: Stored[Operation], why: str) -> Stored[Operation]:
    """Autotask cannot be read now: try again with growing pauses, and give up clearly after a while."""
    operation = stored.value
    if app.now() > operation.requested_at + app.times.partner_give_up:
        change = operation.mapping
        if change is not None:
            await _go_back(app, operation, change)
        return await _refused(app, stored, "autotask_unavailable", f"The line could not be read in time: {why}")
    leg = replace(operation.partner_center, attempts=operation.partner_center.attempts + 1)
    moved = Stored(replace(operation, partner_center=leg), stored.etag)
    return await look_again(app, moved, app.now() + app.times.backoff(leg.attempts))


async def _assigned(app: App, address: Address, new: SubscriptionMapping | None) -> bool:
    """Write the mapping rows; a repetition finds them written. False where the line is somebody else's."""
    present = await app.mappings.subscription(address.customer, address.subscription)
    if (present.value if present else None) == new:
        return True
    try:
        await app.mappings.assign(present, new)
    except WriteConflict:
        present = await app.mappings.subscription(address.customer, address.subscription)
        if (present.value if present else None) == new:
            return True
        owner = await app.mappings.owner(new.line) if new is not None else None
        if owner is None or owner == (address.customer, address.subscription):
            raise
        return False
    return True


async def _came_along(app: App, change: MappingChange) -> bool:
    """Write the mappings of customer and product that come along. False where the customer is another company's."""
    if change.product:
        await app.mappings.add_product(parse(ProductMapping, change.product))
    if not change.customer:
        return True
    wanted = parse(CustomerMapping, change.customer)
    if await app.mappings.add_customer(wanted):
        return True
    present = await app.mappings.customer(wanted.customer)
    return present is None or present.company == wanted.company


async def _go_back(app: App, operation: Operation, change: MappingChange) -> None:
    """Take back the mapping rows of an operation that cannot be carried out, if they were written already."""
    address = operation.address
    present = await app.mappings.subscription(address.customer, address.subscription)
    if present is not None and document(present.value) == change.document:
        await app.mappings.assign(present, parse(SubscriptionMapping, change.previous) if change.previous else None)


async def _keep_line(app: App, mapping: SubscriptionMapping) -> None:
    """The line row stays as it is but for the policies that a push goes by."""
    stored = await app.ledger.line(mapping.customer, mapping.line)
    if stored is None or stored.value.subscription != mapping.subscription:
        return
    line = replace(stored.value, drift=mapping.policy.drift, prorate=mapping.policy.prorate)
    if line != stored.value:
        await app.ledger.commit(mapping.customer, Changes(line=Stored(line, stored.etag)))


async def _adopt(app: App, operation: Operation, mapping: SubscriptionMapping, actual: Timeline) -> None:
    """The line row: what Autotask shows is taken as verified, and as desired until an operation is folded on top."""
    stored = await app.ledger.line(mapping.customer, mapping.line)
    pushes = any(leg.line == mapping.line for leg in operation.legs)
    folded = operation.address.sequence - 1 if pushes else operation.address.sequence
    key = LineKey(mapping.customer, mapping.subscription, mapping.contract, mapping.line)
    line = new_line(key, actual, folded=folded, policy=mapping.policy)
    if stored is not None and stored.value.subscription == mapping.subscription:
        if stored.value.folded >= operation.address.sequence:
            return  # an earlier attempt of this operation came as far, and the pusher has gone on from there
        kept = stored.value
        line = replace(line, suspects=kept.suspects, refused_dates=kept.refused_dates, last_effect=kept.last_effect)
    await app.ledger.commit(mapping.customer, Changes(line=Stored(line, stored.etag if stored else None)))
