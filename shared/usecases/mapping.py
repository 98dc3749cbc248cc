"""Map a subscription to a contract line, move it to another line, or give the mapping up: an operation like any other.

The first leg writes the mapping rows (uniqueness: one line, one subscription) and adopts what Autotask shows on the
line. The Autotask legs then bill: the old line := 0 from the business date, the new line := units from that date, and
no history is replayed (ADR 0007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.domain.billing import Policy, billed_units, is_free, opening_target, rate_target
from shared.domain.calendar import BillingCalendar
from shared.domain.contract import Contract
from shared.domain.errors import Refused
from shared.domain.operation import Address, Leg, MappingChange, Operation
from shared.domain.pricing import NOT_OURS, Pricing
from shared.domain.subscription import Subscription, known_of
from shared.domain.timeline import Target
from shared.partner_center.wire import parse_subscription
from shared.storage import keys
from shared.storage.ledger import Head
from shared.storage.mappings import CustomerMapping, SubscriptionMapping
from shared.storage.rows import Stored, document
from shared.usecases.app import App
from shared.usecases.assignment import mapping_operation, refuse_while_open, store_and_carry_out
from shared.usecases.badges import open_operations
from shared.usecases.dead_letters import read_line
from shared.usecases.placing import free_line
from shared.usecases.pricing import posted_through, refuse_price_zero_without_price, scheduled
from shared.usecases.snapshots import confirm_known

RECURRING_SERVICE = 7  # Autotask's contract type that carries contract services (autotask reference 8.2)


@dataclass(frozen=True, slots=True)
class MappingRequest:
    """Which line a subscription shall be billed on. Without a line the product's service finds or creates one.

    `units`: adopt what the line bills now, or push the subscription's seats; None adopts a line that bills
    something and pushes to an empty one. Policy and pricing of None stay as they are.
    """

    customer: str
    subscription: str
    caller: str
    contract: int
    line: int | None = None
    service: int | None = None
    units: Literal["adopt", "push"] | None = None
    policy: Policy | None = None
    pricing: Pricing | None = None


async def map_subscription(app: App, request: MappingRequest) -> Operation | SubscriptionMapping:
    """Map a subscription or change its line. Gives the mapping itself where nothing is to be changed.

    Raises Refused with a code that says what does not qualify, NotFound, RetryLater, Misconfigured.
    """
    head = await app.ledger.head(request.customer, request.subscription)
    refuse_while_open(request.customer, head.value)
    reading = await app.partner_center.subscription(request.customer, request.subscription)
    subscription = parse_subscription(request.customer, reading.raw)
    present = await app.mappings.subscription(request.customer, request.subscription)
    contract = await _contract(app, request)
    line, service = await _line(app, request, subscription)
    same_line = present is not None and present.value.line == line
    policy = request.policy or (present.value.policy if present else Policy())
    pricing = request.pricing or (present.value.pricing if present else NOT_OURS)
    refuse_price_zero_without_price(policy, pricing)
    as_before = present is not None and (present.value.policy, present.value.pricing) == (policy, pricing)
    if present is not None and same_line and request.units is None and as_before:
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
        pricing=pricing,
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
    """Give a mapping up; the line keeps its units. None where there is no mapping. Raises NotFound."""
    present = await app.mappings.subscription(customer, subscription)
    if present is None:
        await confirm_known(app, customer, subscription)
        return None
    head = await app.ledger.head(customer, subscription)
    refuse_while_open(customer, head.value)
    await _refuse_unsettled(app, customer, subscription)
    change = MappingChange(None, None, previous=document(present.value))
    address = Address(customer, subscription, head.value.next_sequence)
    return await store_and_carry_out(app, mapping_operation(app, address, caller, change, (), head.value.known), head)


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
        key = keys.mapping_product(subscription.product_key, subscription.term_duration, subscription.billing_cycle)
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
    legs: list[Leg] = []
    moved = present is not None and present.value.line != mapping.line
    if present is not None and moved:
        legs.append(Leg(present.value.line, present.value.contract, Target(0, mapping.since, mapping.since)))
    before = NOT_OURS if present is None or moved else present.value.pricing
    target = await _target(app, mapping, change, subscription, before)
    if target is not None:
        legs.append(Leg(mapping.line, mapping.contract, target))
    address = Address(mapping.customer, mapping.subscription, head.value.next_sequence)
    operation = mapping_operation(app, address, mapping.changed_by, change, legs, known)
    return await store_and_carry_out(app, operation, head)


async def _target(
    app: App, mapping: SubscriptionMapping, change: MappingChange, subscription: Subscription, before: Pricing
) -> Target | None:
    """What the mapping wants of its line: units with their price, or a new price for units that are adopted."""
    known, day, pricing, policy = known_of(subscription), mapping.since, mapping.pricing, mapping.policy
    wanted = await scheduled(app, pricing, mapping.customer, subscription, day)
    units = billed_units(known, policy)
    if not change.adopt and units is not None:
        return opening_target(units, day, wanted, mapping.calendar, policy, free=is_free(known, policy))
    if pricing == before:
        return None
    posted = (await posted_through(app, [mapping.line]))[mapping.line]
    return rate_target(wanted, day, mapping.calendar, policy, posted_through=posted)
