"""Show what a mapping in one call would do, filled in from what is known: company, product, contract, line, first bill.

What is shown comes from the same decisions as the mapping itself (`shared.usecases.mapping_choice`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from shared.domain.contract import Company, Contract, ContractLine, Service
from shared.domain.errors import Refused
from shared.domain.qualifying import Obstacle, contract_obstacles
from shared.domain.rates import Rate, cents
from shared.domain.subscription import Subscription
from shared.domain.timeline import Step, Timeline, fold
from shared.partner_center.wire import parse_subscription
from shared.storage.mappings import CustomerMapping, ProductMapping, SubscriptionMapping
from shared.usecases.app import App
from shared.usecases.mapping_choice import (
    Choice,
    MappingRequest,
    adopts,
    billed_on,
    choose,
    refuse_busy,
    service_of,
    target_of,
)
from shared.usecases.placing import description_of

ContractFrom = Literal["request", "mapping", "last_used", "only_one"]
NO_CONTRACT = 0  # in a request that leaves the contract open


@dataclass(frozen=True, slots=True)
class OfferedContract:
    """A contract of the customer's company with what disqualifies it; the last used one is marked."""

    contract: Contract
    obstacles: tuple[Obstacle, ...]
    last_used: bool


@dataclass(frozen=True, slots=True)
class OfferedLine:
    """A line of the service on the contract; `obstacle` says who has it."""

    line: ContractLine
    obstacle: Obstacle | None


@dataclass(frozen=True, slots=True)
class FirstBill:
    """What the rest of the present billing period costs from the first day on.

    A unit price or cost that is not ours is Autotask's: that of the line, or of the service. Amounts are None where
    neither is known.
    """

    first: date
    last: date
    units: int
    prorated: bool
    price: Decimal | None
    cost: Decimal | None
    price_is_ours: bool
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class MappingPreview:
    """What a mapping would do. `problem` is what refuses it as it stands, with the code of the refusal.

    `first_bill` is there where units begin to be billed; `before` and `after` are the units of the line.
    """

    subscription: Subscription
    present: SubscriptionMapping | None
    customer: CustomerMapping | None
    product: ProductMapping | None
    company: Company | None
    contracts: tuple[OfferedContract, ...]
    contract: int | None
    contract_from: ContractFrom | None
    lines: tuple[OfferedLine, ...] = ()
    service: Service | None = None
    choice: Choice | None = None
    adopt: bool | None = None
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    first_bill: FirstBill | None = None
    problem: Refused | None = None


async def preview_mapping(app: App, request: MappingRequest, *, any_company: bool) -> MappingPreview:
    """What a request, which may leave the contract open, would do now. Writes nothing.

    `any_company`: contracts may be listed of a company that is not mapped to the customer.

    Raises NotFound, RetryLater, Misconfigured, Malformed.
    """
    reading, present, customer, mapped = await asyncio.gather(
        app.partner_center.subscription(request.customer, request.subscription),
        app.mappings.subscription(request.customer, request.subscription),
        app.mappings.customer(request.customer),
        app.mappings.mapped_of(request.customer),
    )
    subscription = parse_subscription(request.customer, reading.raw)
    product = await service_of(app, subscription)
    asked = request if any_company else replace(request, company=None, contract=NO_CONTRACT)
    offered, company = await _offered(app, asked, customer, mapped, subscription)
    own = present.value if present is not None else None
    contract, source = _preferred(request, own, offered)
    shown = MappingPreview(
        subscription, own, customer, product, company, offered, contract, source, problem=_no_contract(offered, company)
    )
    if contract is None:
        return shown
    request = replace(request, contract=contract)
    shown = replace(shown, lines=await _lines(app, request, product), problem=None)
    try:
        choice = await choose(app, request)
        await refuse_busy(app, choice)
    except Refused as error:
        return replace(shown, problem=error)
    return await _with_bill(app, shown, choice)


async def _offered(
    app: App,
    request: MappingRequest,
    customer: CustomerMapping | None,
    mapped: dict[str, SubscriptionMapping],
    subscription: Subscription,
) -> tuple[tuple[OfferedContract, ...], Company | None]:
    """The contracts of the company that the customer is, or is to be; the last used first, then by id."""
    number = customer.company if customer is not None else request.company
    named = await app.autotask.contracts([request.contract]) if number is None and request.contract else {}
    if number is None and request.contract in named:
        number = named[request.contract].company_id
    if number is None:
        return (), None
    companies, contracts = await asyncio.gather(app.autotask.companies([number]), app.autotask.contracts_of([number]))
    others = (mapping for mapping in mapped.values() if mapping.subscription != subscription.id)
    recent = sorted(others, key=lambda mapping: mapping.changed_at, reverse=True)
    known = {contract.id for contract in contracts}
    last = next((mapping.contract for mapping in recent if mapping.contract in known), None)
    today = app.business_date(app.now())
    billing = "" if request.any_period else subscription.billing_cycle
    offered = [
        OfferedContract(contract, contract_obstacles(contract, today, billing), contract.id == last)
        for contract in contracts
    ]
    offered.sort(key=lambda one: (not one.last_used, one.contract.id))
    return tuple(offered), companies.get(number)


def _preferred(
    request: MappingRequest, own: SubscriptionMapping | None, offered: Sequence[OfferedContract]
) -> tuple[int | None, ContractFrom | None]:
    if request.contract:
        return request.contract, "request"
    if own is not None:
        return own.contract, "mapping"
    fit = [one for one in offered if not one.obstacles]
    if fit and fit[0].last_used:
        return fit[0].contract.id, "last_used"
    return (fit[0].contract.id, "only_one") if len(fit) == 1 else (None, None)


def _no_contract(offered: Sequence[OfferedContract], company: Company | None) -> Refused:
    if company is None:
        sentence = "The customer is not mapped to a company; give companyId, or contractId."
        return Refused("customer_not_mapped", sentence, errors=[{"field": "companyId", "message": sentence}])
    if any(not one.obstacles for one in offered):
        sentence = "Several contracts qualify; give contractId."
        return Refused("contract_not_chosen", sentence, errors=[{"field": "contractId", "message": sentence}])
    return Refused("no_contract_qualifies", f"Company {company.id} has no contract that qualifies.")


async def _lines(app: App, request: MappingRequest, product: ProductMapping | None) -> tuple[OfferedLine, ...]:
    """The lines of the service on the contract; all lines where no service is known."""
    service = request.service or (product.service if product else None)
    found = await app.autotask.contract_lines(request.contract)
    wanted = [line for line in found if service in (None, line.service_id)]
    owners = await asyncio.gather(*(app.mappings.owner(line.id) for line in wanted))
    me = (request.customer, request.subscription)
    return tuple(OfferedLine(line, _taken(line, owner, me)) for line, owner in zip(wanted, owners, strict=True))


def _taken(line: ContractLine, owner: tuple[str, str] | None, me: tuple[str, str]) -> Obstacle | None:
    if owner is not None and owner != me:
        return Obstacle("line_taken", f"Line {line.id} bills another subscription.")
    made_for = line.internal_description
    if made_for.startswith("csp:") and made_for != description_of(me[1]):
        return Obstacle("line_reserved", f"Line {line.id} was made for another subscription.")
    return None


async def _with_bill(app: App, shown: MappingPreview, choice: Choice) -> MappingPreview:
    found = await app.autotask.services([choice.service])
    service = found.get(choice.service)
    actual = await billed_on(app, choice.contract, choice.line) if choice.line is not None else Timeline()
    try:
        adopt = await adopts(app, choice)
        target = await target_of(app, choice, adopt=adopt)
    except Refused as error:
        return replace(shown, choice=choice, service=service, problem=error)
    after = fold(actual, target) if target is not None else actual
    day = choice.day
    return replace(
        shown,
        choice=choice,
        service=service,
        adopt=adopt,
        before=_from(actual, day),
        after=_from(after, day),
        first_bill=None if adopt else _first_bill(choice, after, _catalogue(choice, shown.lines, service)),
    )


def _from(timeline: Timeline, day: date) -> tuple[Step, ...]:
    return (replace(timeline.on(day), date=day), *(step for step in timeline.steps if step.date > day))


def _catalogue(choice: Choice, lines: Sequence[OfferedLine], service: Service | None) -> Step:
    """What Autotask itself bills for a unit."""
    line = next((one.line for one in lines if one.line.id == choice.line), None)
    price = line.unit_price if line is not None else None
    if service is None:
        return Step(choice.day, 0, price)
    return Step(choice.day, 0, service.unit_price if price is None else price, service.unit_cost)


def _first_bill(choice: Choice, after: Timeline, theirs: Step) -> FirstBill | None:
    """The first bill of units that begin to be billed, up to the next change or the end of the period."""
    first = choice.day
    step = after.on(first)
    if not step.units:
        return None
    ends = [choice.calendar.next_period(first), *(later.date for later in after.steps if later.date > first)]
    last = min(min(ends) - timedelta(days=1), choice.contract.end)
    ours, cost = step.rate(Rate.PRICE), step.cost
    price = theirs.price if ours is None else ours
    return FirstBill(
        first=first,
        last=last,
        units=step.units,
        prorated=not choice.calendar.is_whole_period(first, last),
        price=price,
        cost=theirs.cost if cost is None else cost,
        price_is_ours=choice.pricing.has_price,
        amount=None if price is None else cents(step.units * price * choice.calendar.share(first, last)),
    )
