"""Map a subscription to a contract line, move it to another line, or give the mapping up: an operation like any other.

The first leg writes the mapping rows (uniqueness: one line, one subscription) and adopts what Autotask shows on the
line. The Autotask legs then bill: the old line := 0 from the business date, the new line := units from that date, and
no history is replayed (design 2, "Re-mapping").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from shared.domain.billing import Policy, billed_units
from shared.domain.calendar import BillingCalendar
from shared.domain.contract import Contract
from shared.domain.errors import CspError, Refused
from shared.domain.known import Intention, Known
from shared.domain.operation import Address, Event, Kind, Leg, MappingChange, Operation, PartnerLeg, PartnerStatus
from shared.domain.subscription import Subscription, known_of
from shared.domain.timeline import Target, Timeline
from shared.partner_center.wire import parse_subscription
from shared.storage.ledger import Changes, Head
from shared.storage.mappings import CustomerMapping, SubscriptionMapping, product_key
from shared.storage.rows import Stored, document, parse
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.badges import open_operations
from shared.usecases.dead_letters import read_line
from shared.usecases.placing import free_line
from shared.usecases.rest import come_to_rest, look_again, send_again
from shared.usecases.settling import settle_as
from shared.usecases.work import LineKey, new_line

RECURRING_SERVICE = 7  # Autotask's contract type that carries contract services (autotask reference 8.2)


@dataclass(frozen=True, slots=True)
class MappingRequest:
    """Which line a subscription shall be billed on. Without a line the product's service finds or creates one.

    `units`: adopt what the line bills now, or push the subscription's seats; None adopts a line that bills
    something and pushes to an empty one.
    """

    customer: str
    subscription: str
    caller: str
    contract: int
    line: int | None = None
    service: int | None = None
    units: Literal["adopt", "push"] | None = None
    policy: Policy | None = None


async def map_subscription(app: App, request: MappingRequest) -> Operation | SubscriptionMapping:
    """Map a subscription or change its line. Gives the mapping itself where nothing is to be changed.

    Raises Refused with a code that says what does not qualify, NotFound, RetryLater, Misconfigured.
    """
    head = await app.ledger.head(request.customer, request.subscription)
    _refuse_while_open(request.customer, head.value)
    reading = await app.partner_center.subscription(request.customer, request.subscription)
    subscription = parse_subscription(request.customer, reading.raw)
    present = await app.mappings.subscription(request.customer, request.subscription)
    contract = await _contract(app, request)
    line, service = await _line(app, request, subscription)
    same_line = present is not None and present.value.line == line
    policy = request.policy or (present.value.policy if present else Policy())
    if present is not None and same_line and request.units is None and present.value.policy == policy:
        return present.value
    await _refuse_busy(app, request, line)
    mapping = SubscriptionMapping(
        customer=request.customer,
        subscription=request.subscription,
        contract=contract.id,
        line=line,
        service=service,
        calendar=_calendar(contract),
        policy=policy,
        since=app.business_date(reading.observed_at),
        since_sequence=present.value.since_sequence if present and same_line else head.value.next_sequence,
        changed_at=app.now(),
        changed_by=request.caller,
    )
    policy_only = same_line and request.units is None
    adopt = policy_only or await _adopts(app, request, contract.id, line, moved=present is not None and not same_line)
    if await app.mappings.customer(request.customer) is None:
        await map_customer(app, request.customer, contract.company_id, request.caller)
    change = MappingChange(
        line, contract.id, document(mapping), document(present.value) if present else "", adopt, policy_only
    )
    return await _accept(app, mapping, change, present=present, subscription=subscription, head=head)


async def unmap_subscription(app: App, customer: str, subscription: str, caller: str) -> Operation | None:
    """Give a mapping up; the line keeps its units. None where there is no mapping."""
    present = await app.mappings.subscription(customer, subscription)
    if present is None:
        return None
    head = await app.ledger.head(customer, subscription)
    _refuse_while_open(customer, head.value)
    await _refuse_unsettled(app, customer, subscription)
    change = MappingChange(None, None, previous=document(present.value))
    address = Address(customer, subscription, head.value.next_sequence)
    return await _store_and_carry_out(app, _operation(app, address, caller, change, (), head.value.known), head)


def _refuse_while_open(customer: str, head: Head) -> None:
    if head.open_sequence is not None:
        raise Refused(
            "operation_in_progress",
            "Another operation of this subscription is not settled yet.",
            status=409,
            operation=str(Address(customer, head.subscription, head.open_sequence)),
        )


async def _contract(app: App, request: MappingRequest) -> Contract:
    contract = (await app.autotask.contracts([request.contract])).get(request.contract)
    if contract is None:
        raise Refused("contract_not_found", f"Autotask does not show contract {request.contract}.", status=422)
    if contract.type != RECURRING_SERVICE:
        raise Refused(
            "contract_not_recurring",
            f"Contract {contract.id} is not a recurring service contract, so it cannot carry a subscription.",
            status=409,
        )
    if contract.end < app.business_date(app.now()):
        raise Refused("contract_ended", f"Contract {contract.id} ended on {contract.end}.", status=409)
    known = await app.mappings.customer(request.customer)
    if known is not None and known.company != contract.company_id:
        raise Refused(
            "contract_of_another_company",
            f"Contract {contract.id} belongs to company {contract.company_id}, "
            f"but the customer is mapped to company {known.company}.",
            status=409,
        )
    return contract


def _calendar(contract: Contract) -> BillingCalendar:
    if contract.calendar is None:
        sentence = f"Contract {contract.id} has the billing period {contract.period_type}, which is not known here."
        raise Refused("contract_period_unknown", sentence, status=409)
    return contract.calendar


async def map_customer(app: App, customer: str, company: int, caller: str) -> CustomerMapping:
    """Map a customer to an Autotask company. Raises Refused where Autotask does not show the company."""
    found = (await app.autotask.companies([company])).get(company)
    if found is None:
        raise Refused("company_not_found", f"Autotask does not show company {company}.", status=422)
    mapping = CustomerMapping(customer, company, found.name, app.now(), caller)
    await app.mappings.put_customer(mapping)
    return mapping


async def _line(app: App, request: MappingRequest, subscription: Subscription) -> tuple[int, int]:
    """The line and its service: the named one, the free line of the product's service, or a new one."""
    if request.line is not None:
        named = await app.autotask.line(request.line)
        if named is None or named.contract_id != request.contract:
            raise Refused(
                "line_not_on_contract", f"Line {request.line} is not on contract {request.contract}.", status=422
            )
        return named.id, named.service_id
    service = request.service
    if service is None:
        key = product_key(subscription.product_key, subscription.term_duration, subscription.billing_cycle)
        product = await app.mappings.product(key)
        if product is None:
            raise Refused(
                "product_not_mapped", f"The product {key} is not mapped to a service; name a line instead.", status=409
            )
        service = product.service
    return await free_line(app, request.contract, service, request.customer, request.subscription), service


async def _refuse_busy(app: App, request: MappingRequest, line: int) -> None:
    """Refuse a line of somebody else, and any change while a push is open or dead that it would lose."""
    owner = await app.mappings.owner(line)
    if owner is not None and owner != (request.customer, request.subscription):
        raise Refused(
            "line_taken", f"Line {line} belongs to subscription {owner[1]} of customer {owner[0]}.", status=409
        )
    await _refuse_unsettled(app, request.customer, request.subscription)
    former = await app.ledger.line(request.customer, line)
    if former is not None and former.value.subscription != request.subscription:
        await _refuse_unsettled(app, request.customer, former.value.subscription)


async def _refuse_unsettled(app: App, customer: str, subscription: str) -> None:
    unsettled = await open_operations(app, customer, subscription)
    if unsettled:
        raise Refused(
            "line_busy",
            "A push of this line is open or dead; settle or dismiss it first.",
            status=409,
            operations=[str(operation.address) for operation in unsettled],
        )


async def _adopts(app: App, request: MappingRequest, contract: int, line: int, *, moved: bool) -> bool:
    if request.units is not None:
        return request.units == "adopt"
    if moved:
        return False
    today = app.business_date(app.now())
    actual = await read_line(app, contract, line)
    return actual.at(today) > 0 or any(step.units > 0 for step in actual.steps if step.date > today)


async def _accept(
    app: App,
    mapping: SubscriptionMapping,
    change: MappingChange,
    *,
    present: Stored[SubscriptionMapping] | None,
    subscription: Subscription,
    head: Stored[Head],
) -> Operation:
    known = known_of(subscription)
    day = mapping.since
    legs: list[Leg] = []
    if present is not None and present.value.line != mapping.line:
        legs.append(Leg(present.value.line, present.value.contract, Target(0, day, day)))
    units = billed_units(known, mapping.policy)
    if not change.adopt and units is not None:
        legs.append(Leg(mapping.line, mapping.contract, Target(units, day, day)))
    address = Address(mapping.customer, mapping.subscription, head.value.next_sequence)
    operation = _operation(app, address, mapping.changed_by, change, legs, known)
    return await _store_and_carry_out(app, operation, head)


def _operation(
    app: App, address: Address, caller: str, change: MappingChange, legs: Sequence[Leg], known: Known | None
) -> Operation:
    now = app.now()
    known = known or Known("", 0)
    return Operation(
        address=address,
        kind=Kind.MAP,
        intention=Intention(),
        before=known,
        after=known,
        requested_at=now,
        requested_by=caller,
        business_date=app.business_date(now),
        partner_center=PartnerLeg(PartnerStatus.PENDING, app.new_id()),
        legs=tuple(legs),
        alarm_due=now + app.times.outbox,
        mapping=change,
    )


async def _store_and_carry_out(app: App, operation: Operation, head: Stored[Head]) -> Operation:
    address = operation.address
    event = Event(operation.requested_at, operation.requested_by, "accepted", "", operation.status)
    changed = replace(head.value, next_sequence=address.sequence + 1, open_sequence=address.sequence)
    await app.alarms.set(address, operation.alarm_due or operation.requested_at)
    try:
        changes = Changes([(Stored(operation, None), [event])], head=Stored(changed, head.etag))
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
        actual = await read_line(app, new.contract, new.line) if new is not None else None
    except Refused as error:
        await _go_back(app, operation, change)
        return await _refused(app, stored, error.code, error.sentence)
    except (CspError, ValueError) as error:
        return await _later(app, stored, str(error))
    if not await _assigned(app, operation.address, new):
        return await _refused(app, stored, "line_taken", "The line was given to another subscription meanwhile.")
    if new is not None and actual is not None:
        await (_keep_line(app, new) if change.policy_only else _adopt(app, operation, new, actual))
    stored = await settle_as(app, stored, PartnerStatus.NOT_NEEDED)
    if stored.value.pushable:
        await send_again(app, stored)
        return await app.ledger.operation(operation.address) or stored
    await come_to_rest(app, stored)
    return stored


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
