"""What a mapping request comes to, before anything is written: contract, line, service, policy, price, what is billed.

Used by the mapping itself (`shared.usecases.mapping`), its preview and the dry run of an import, so that what is shown
is what is done. Everything that refuses a mapping does so here, before a line is made at Autotask.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from shared.domain.billing import Policy, billed_units, is_free, opening_target, rate_target
from shared.domain.calendar import BillingCalendar
from shared.domain.contract import Contract
from shared.domain.errors import Refused
from shared.domain.outcomes import Reading
from shared.domain.pricing import NOT_OURS, Pricing, Schedule
from shared.domain.qualifying import (
    Obstacle,
    company_obstacles,
    contract_obstacles,
    service_obstacles,
)
from shared.domain.reading import read
from shared.domain.subscription import Subscription, known_of
from shared.domain.timeline import Target, Timeline, Window
from shared.partner_center.wire import parse_subscription
from shared.storage import keys
from shared.storage.ledger import Head
from shared.storage.mappings import CustomerMapping, ProductMapping, SubscriptionMapping
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.assignment import refuse_while_open
from shared.usecases.badges import open_operations
from shared.usecases.placing import found_line
from shared.usecases.pricing import posted_through, refuse_price_zero_without_price, scheduled


@dataclass(frozen=True, slots=True)
class MappingRequest:
    """Which line a subscription shall be billed on. Without a line the product's service finds or creates one.

    `units`: adopt what the line bills now, or push the subscription's seats; None adopts a line that bills
    something and pushes to an empty one. Policy and pricing of None stay as they are. `company` is the company that an
    unmapped customer must be; `map_product` maps the offer to the service as well where it is not mapped;
    `any_period` takes a contract or service whose period is not Microsoft's billing frequency.
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
    company: int | None = None
    map_product: bool = False
    any_period: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A request with everything that it leaves open filled in, and refused in nothing so far.

    `line` is None where one has to be made. `customer` and `product` are the mappings that come along, None where there
    are such mappings already. `day` is the first that is billed.
    """

    request: MappingRequest
    head: Stored[Head]
    reading: Reading
    subscription: Subscription
    day: date
    present: Stored[SubscriptionMapping] | None
    contract: Contract
    calendar: BillingCalendar
    line: int | None
    service: int
    policy: Policy
    pricing: Pricing
    schedule: Schedule
    customer: CustomerMapping | None = None
    product: ProductMapping | None = None

    @property
    def same_line(self) -> bool:
        """Whether the subscription is billed on this line already."""
        return self.present is not None and self.present.value.line == self.line

    @property
    def moved(self) -> bool:
        """Whether the subscription leaves another line."""
        return self.present is not None and not self.same_line

    @property
    def policy_only(self) -> bool:
        """Whether line and units stay as they are."""
        return self.same_line and self.request.units is None

    @property
    def unchanged(self) -> SubscriptionMapping | None:
        """The mapping itself where nothing is to be changed."""
        if self.present is None or not self.policy_only or self.product is not None:
            return None
        present = self.present.value
        return present if (present.policy, present.pricing) == (self.policy, self.pricing) else None


async def choose(app: App, request: MappingRequest) -> Choice:
    """Fill in a request. Writes nothing.

    Raises Refused with a code that says what does not qualify, NotFound, RetryLater, Misconfigured, Malformed.
    """
    head = await app.ledger.head(request.customer, request.subscription)
    refuse_while_open(request.customer, head.value)
    reading = await app.partner_center.subscription(request.customer, request.subscription)
    subscription = parse_subscription(request.customer, reading.raw)
    present = await app.mappings.subscription(request.customer, request.subscription)
    day = app.business_date(reading.observed_at)
    stays = present is not None and present.value.contract == request.contract
    contract = await _contract(app, request, "" if request.any_period or stays else subscription.billing_cycle)
    if contract.calendar is None:
        sentence = f"Contract {contract.id} has the billing period {contract.period_type}, which is not known here."
        raise Refused("contract_period_unknown", sentence, status=409)
    customer = await _customer(app, request, contract)
    line, service = await _line(app, request, subscription, present.value if present else None)
    product = await _product(app, request, subscription, service, new_line=line is None)
    policy = request.policy or (present.value.policy if present else Policy())
    pricing = request.pricing or (present.value.pricing if present else NOT_OURS)
    refuse_price_zero_without_price(policy, pricing)
    return Choice(
        request=request,
        head=head,
        reading=reading,
        subscription=subscription,
        day=day,
        present=present,
        contract=contract,
        calendar=contract.calendar,
        line=line,
        service=service,
        policy=policy,
        pricing=pricing,
        schedule=await scheduled(app, pricing, request.customer, subscription, day),
        customer=customer,
        product=product,
    )


async def refuse_busy(app: App, choice: Choice) -> None:
    """Refuse a line of somebody else, and any change while a push is open or dead that it would lose."""
    customer, subscription = choice.request.customer, choice.request.subscription
    await refuse_unsettled(app, customer, subscription)
    if choice.line is None:
        return
    owner = await app.mappings.owner(choice.line)
    if owner is not None and owner != (customer, subscription):
        sentence = f"Line {choice.line} belongs to subscription {owner[1]} of customer {owner[0]}."
        raise Refused("line_taken", sentence, status=409)
    former = await app.ledger.line(customer, choice.line)
    if former is not None and former.value.subscription != subscription:
        await refuse_unsettled(app, customer, former.value.subscription)


async def refuse_unsettled(app: App, customer: str, subscription: str) -> None:
    """Refuse while an operation of the subscription is open or dead as far as the bill is concerned."""
    unsettled = await open_operations(app, customer, subscription)
    if unsettled:
        raise Refused(
            "line_busy",
            "A push of this line is open or dead; settle or dismiss it first.",
            status=409,
            operations=[str(operation.address) for operation in unsettled],
        )


def refuse_obstacles(obstacles: Iterable[Obstacle]) -> None:
    """Refuse what does not qualify, with the first reason."""
    for obstacle in obstacles:
        raise Refused(obstacle.code, obstacle.sentence, status=409)


async def billed_on(app: App, contract: Contract, line: int) -> Timeline:
    """What a line bills, as Autotask shows it. Raises RetryLater, Misconfigured."""
    rows = await app.autotask.units([line])
    return read(rows[line], Window(contract.start, contract.end), contract.calendar).completed(Timeline())


async def adopts(app: App, choice: Choice) -> bool:
    """Whether what the line bills now is taken as right, instead of the subscription's seats being pushed to it."""
    if choice.policy_only:
        return True
    if choice.request.units is not None:
        return choice.request.units == "adopt"
    if choice.moved or choice.line is None:
        return False
    today = app.business_date(app.now())
    actual = await billed_on(app, choice.contract, choice.line)
    return actual.at(today) > 0 or any(step.units > 0 for step in actual.steps if step.date > today)


async def target_of(app: App, choice: Choice, *, adopt: bool) -> Target | None:
    """What the mapping wants of its line: units with their price, or a new price for units that are adopted."""
    known, policy = known_of(choice.subscription), choice.policy
    units = billed_units(known, policy)
    if not adopt and units is not None:
        free = is_free(known, policy)
        return opening_target(units, choice.day, choice.schedule, choice.calendar, policy, free=free)
    before = NOT_OURS if choice.present is None or choice.moved else choice.present.value.pricing
    if choice.pricing == before:
        return None
    posted = (await posted_through(app, [choice.line]))[choice.line] if choice.line is not None else None
    return rate_target(choice.schedule, choice.day, choice.calendar, policy, posted_through=posted)


async def service_of(app: App, subscription: Subscription) -> ProductMapping | None:
    """The mapping of a subscription's product."""
    return await app.mappings.product(product_of(subscription))


def product_of(subscription: Subscription) -> str:
    """The key of the mapping of a subscription's product."""
    return keys.mapping_product(subscription.product_key, subscription.term_duration, subscription.billing_cycle)


async def _contract(app: App, request: MappingRequest, billing: str) -> Contract:
    contract = (await app.autotask.contracts([request.contract])).get(request.contract)
    if contract is None:
        raise Refused("contract_not_found", f"Autotask does not show contract {request.contract}.", status=422)
    refuse_obstacles(contract_obstacles(contract, app.business_date(app.now()), billing))
    return contract


async def _customer(app: App, request: MappingRequest, contract: Contract) -> CustomerMapping | None:
    """The customer's mapping that comes along; None where he is mapped."""
    known = await app.mappings.customer(request.customer)
    company = known.company if known is not None else request.company
    if company is not None and company != contract.company_id:
        mapped = f"the customer is mapped to company {company}" if known else f"company {company} is asked for"
        sentence = f"Contract {contract.id} belongs to company {contract.company_id}, but {mapped}."
        raise Refused("contract_of_another_company", sentence, status=409)
    return None if known is not None else await company_for(app, request.customer, contract.company_id, request.caller)


async def company_for(app: App, customer: str, company: int, caller: str) -> CustomerMapping:
    """A customer's mapping to a company that is there and qualifies, not written yet. Raises Refused."""
    found = (await app.autotask.companies([company])).get(company)
    if found is None:
        raise Refused("company_not_found", f"Autotask does not show company {company}.", status=422)
    refuse_obstacles(company_obstacles(found))
    return CustomerMapping(customer, company, found.name, app.now(), caller)


async def _line(
    app: App, request: MappingRequest, subscription: Subscription, present: SubscriptionMapping | None
) -> tuple[int | None, int]:
    """The line and its service: the named one, the present one, a free one of the service, or None for a new one."""
    if request.line is not None:
        named = await app.autotask.line(request.line)
        if named is None or named.contract_id != request.contract:
            sentence = f"Line {request.line} is not on contract {request.contract}."
            raise Refused("line_not_on_contract", sentence, status=422)
        if request.service not in (None, named.service_id):
            sentence = f"Line {named.id} is of service {named.service_id}, not of service {request.service}."
            raise Refused("service_not_of_line", sentence, status=422)
        return named.id, named.service_id
    if present is not None and present.contract == request.contract and request.service in (None, present.service):
        return present.line, present.service
    service = request.service
    if service is None:
        product = await service_of(app, subscription)
        if product is None:
            sentence = f"The product {product_of(subscription)} is not mapped to a service; name a line instead."
            raise Refused("product_not_mapped", sentence, status=409)
        service = product.service
    found = await found_line(app, request.contract, service, request.customer, request.subscription)
    return found, service


async def _product(
    app: App, request: MappingRequest, subscription: Subscription, service: int, *, new_line: bool
) -> ProductMapping | None:
    """The product's mapping that comes along; None where it is mapped, or shall not be."""
    present = await service_of(app, subscription) if request.map_product else None
    if present is not None and present.service != service:
        sentence = f"The product is mapped to service {present.service}; its mapping is not changed along the way."
        raise Refused("product_mapped_differently", sentence, status=409)
    if not new_line and (present is not None or not request.map_product):
        return None
    billing = "" if request.any_period else subscription.billing_cycle
    offer = (subscription.product_key, subscription.term_duration, subscription.billing_cycle)
    found = await service_for(app, offer, service, request.caller, billing=billing)
    return found if request.map_product and present is None else None


async def service_for(
    app: App, offer: tuple[str, str, str], service: int, caller: str, *, billing: str
) -> ProductMapping:
    """An offer's mapping to a service that is there and qualifies, not written yet. Raises Refused."""
    found = (await app.autotask.services([service])).get(service)
    if found is None:
        raise Refused(
            "service_not_found",
            f"Autotask does not show service {service}.",
            status=422,
            errors=[{"field": "serviceId", "message": f"Autotask does not show service {service}."}],
        )
    refuse_obstacles(service_obstacles(found, billing))
    return ProductMapping(*offer, found.id, found.name, app.now(), caller)
