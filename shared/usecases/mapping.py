"""Map a subscription to a contract line, move it to another line, or give the mapping up: an operation like any other.

The first leg writes the mapping rows (uniqueness: one line, one subscription) and adopts what Autotask shows on the
line; the mappings of the customer and the product come along where there are none. The Autotask legs then bill: the old
line := 0 from the business date, the new line := units from that date, and no history is replayed (ADR 0007).
"""

from __future__ import annotations

from dataclasses import replace

from shared.domain.errors import CspError
from shared.domain.operation import Address, Leg, MappingChange, Operation
from shared.domain.subscription import known_of
from shared.domain.timeline import Target
from shared.storage.mappings import CustomerMapping, ProductMapping, SubscriptionMapping
from shared.storage.rows import document
from shared.usecases.app import App
from shared.usecases.assignment import mapping_operation, refuse_while_open, store_and_carry_out
from shared.usecases.badges import refresh_badge
from shared.usecases.mapping_choice import (
    Choice,
    MappingRequest,
    adopts,
    choose,
    company_for,
    refuse_busy,
    refuse_unsettled,
    service_for,
    target_of,
)
from shared.usecases.placing import free_line
from shared.usecases.snapshots import confirm_known, store_snapshot


async def map_subscription(app: App, request: MappingRequest) -> Operation | SubscriptionMapping:
    """Map a subscription or change its line. Gives the mapping itself where nothing is to be changed.

    A line is made at Autotask only when nothing refuses the mapping any more; one that a crash leaves behind is found
    again by its description.

    Raises Refused with a code that says what does not qualify, NotFound, RetryLater, OutcomeUnknown, Misconfigured.
    """
    choice = await choose(app, request)
    if choice.unchanged is not None:
        return choice.unchanged
    await refuse_busy(app, choice)
    line = choice.line
    if line is None:
        line = await free_line(app, choice.contract.id, choice.service, request.customer, request.subscription)
        choice = replace(choice, line=line)
    operation = await _accept(app, choice, line)
    await _list(app, choice)
    return operation


async def unmap_subscription(app: App, customer: str, subscription: str, caller: str) -> Operation | None:
    """Give a mapping up; the line keeps its units. None where there is no mapping. Raises NotFound."""
    present = await app.mappings.subscription(customer, subscription)
    if present is None:
        await confirm_known(app, customer, subscription)
        return None
    head = await app.ledger.head(customer, subscription)
    refuse_while_open(customer, head.value)
    await refuse_unsettled(app, customer, subscription)
    change = MappingChange(None, None, previous=document(present.value))
    address = Address(customer, subscription, head.value.next_sequence)
    return await store_and_carry_out(app, mapping_operation(app, address, caller, change, (), head.value.known), head)


async def map_customer(app: App, customer: str, company: int, caller: str) -> CustomerMapping:
    """Map a customer to an Autotask company. Raises Refused where Autotask does not show it, or it does not qualify."""
    mapping = await company_for(app, customer, company, caller)
    await app.mappings.put_customer(mapping)
    return mapping


async def map_product(
    app: App, offer: tuple[str, str, str], service: int, caller: str, *, any_period: bool = False
) -> ProductMapping:
    """Map an offer (product, term, billing frequency) to a service. Raises Refused where the service does not fit."""
    mapping = await service_for(app, offer, service, caller, billing="" if any_period else offer[2])
    await app.mappings.put_product(mapping)
    return mapping


async def _list(app: App, choice: Choice) -> None:
    """List a subscription that no sync has seen yet, as one that was just bought; where that fails, a sync does it."""
    customer, subscription = choice.request.customer, choice.request.subscription
    try:
        if await app.views.subscription(customer, subscription) is None:
            await store_snapshot(app, choice.subscription, choice.reading.observed_at)
            await refresh_badge(app, customer, subscription)  # the push may have ended before there was a row
    except CspError:
        return


async def _accept(app: App, choice: Choice, line: int) -> Operation:
    request, present = choice.request, choice.present
    adopt = await adopts(app, choice)
    mapping = SubscriptionMapping(
        customer=request.customer,
        subscription=request.subscription,
        contract=choice.contract.id,
        line=line,
        service=choice.service,
        calendar=choice.calendar,
        policy=choice.policy,
        since=choice.day,
        since_sequence=present.value.since_sequence
        if present and choice.same_line
        else choice.head.value.next_sequence,
        changed_at=app.now(),
        changed_by=request.caller,
        pricing=choice.pricing,
    )
    change = MappingChange(
        line,
        choice.contract.id,
        document(mapping),
        document(present.value) if present else "",
        adopt,
        choice.policy_only,
        customer=document(choice.customer) if choice.customer else "",
        product=document(choice.product) if choice.product else "",
    )
    legs: list[Leg] = []
    if present is not None and choice.moved:
        legs.append(Leg(present.value.line, present.value.contract, Target(0, mapping.since, mapping.since)))
    target = await target_of(app, choice, adopt=adopt)
    if target is not None:
        legs.append(Leg(mapping.line, mapping.contract, target))
    address = Address(request.customer, request.subscription, choice.head.value.next_sequence)
    operation = mapping_operation(app, address, request.caller, change, legs, known_of(choice.subscription))
    return await store_and_carry_out(app, operation, choice.head)
