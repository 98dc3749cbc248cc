"""Propose mappings for what is not mapped: customers by name and domain, products by SKU, subscriptions by both.

A proposal changes nothing and decides nothing: it is accepted with the usual requests, or its sheet is imported. Where
more than one thing fits, nothing is chosen. Autotask is asked once or twice a page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.contract import Company, Contract, ContractLine, Service
from shared.domain.errors import VendorError
from shared.domain.matching import own_domain, same_company, same_sku
from shared.domain.pricing import Offer
from shared.domain.qualifying import Obstacle, company_obstacles, contract_obstacles, service_obstacles
from shared.domain.subscription import Family, State, Subscription
from shared.storage import keys
from shared.storage.mappings import CustomerMapping, ProductMapping
from shared.storage.read_models import CustomerView
from shared.usecases.app import App
from shared.usecases.mapping_choice import product_of
from shared.usecases.placing import description_of
from shared.usecases.pricing import offer_of

# Their usage is not billed here, so that nobody needs to map them
_NOT_BILLED = frozenset({Family.AZURE_PLAN, Family.LEGACY_AZURE, Family.RESERVATION})


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something in Autotask that fits: why it does, and what keeps it from being taken."""

    id: int
    name: str
    reasons: tuple[Obstacle, ...]
    obstacles: tuple[Obstacle, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomerProposal:
    """A customer that is not mapped, and the companies that it may be."""

    view: CustomerView
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Candidate | None:
        """The one that fits, if there is exactly one."""
        return only(self.candidates)


@dataclass(frozen=True, slots=True)
class ProductProposal:
    """An offer that is bought and not mapped, and the services that it may be billed as."""

    offer: Offer
    offer_name: str
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Candidate | None:
        """The one that fits, if there is exactly one."""
        return only(self.candidates)


@dataclass(frozen=True, slots=True)
class SubscriptionProposal:
    """A subscription that is not mapped, the contracts that qualify, and the line; None where one would be made.

    `missing` is what has to be mapped before.
    """

    subscription: Subscription
    service: int | None
    candidates: tuple[Candidate, ...] = ()
    chosen: Candidate | None = None
    line: int | None = None
    missing: tuple[Obstacle, ...] = ()


def only(candidates: Sequence[Candidate]) -> Candidate | None:
    """The one without obstacles, if there is exactly one."""
    fit = [one for one in candidates if not one.obstacles]
    return fit[0] if len(fit) == 1 else None


async def propose_customers(app: App, size: int, mark: str | None) -> tuple[list[CustomerProposal], str | None]:
    """The customers of a page that are not mapped, each with the companies of its name or domain."""
    rows, following = await app.views.customers(size, mark)
    views = [row.value for row in rows if row.value.missing_since is None]
    known = await asyncio.gather(*(app.mappings.customer(view.customer) for view in views))
    open_ = [view for view, mapping in zip(views, known, strict=True) if mapping is None]
    names = {view.name.strip() for view in open_} - {""}
    domains = {own_domain(view.domain) for view in open_} - {""}
    found: dict[int, Company] = {}
    if names:
        found |= {company.id: company for company in await app.autotask.companies_named(names)}
    if domains:
        found |= {company.id: company for company in await app.autotask.companies_on_web(domains)}
    companies = [found[number] for number in sorted(found)]
    return [CustomerProposal(view, _companies(view, companies)) for view in open_], following


def _companies(view: CustomerView, companies: Sequence[Company]) -> tuple[Candidate, ...]:
    fit = ((company, same_company(view.name, view.domain, company)) for company in companies)
    return tuple(
        Candidate(company.id, company.name, reasons, company_obstacles(company)) for company, reasons in fit if reasons
    )


async def propose_products(app: App, size: int, mark: str | None) -> tuple[list[ProductProposal], str | None]:
    """The offers of a page of unmapped subscriptions that are not mapped, each with the services of its SKU."""
    subscriptions, following = await _unmapped(app, size, mark)
    offers = {offer_of(item): item.offer_name for item in subscriptions if item.product_key}
    mapped = await asyncio.gather(*(app.mappings.product(_key(offer)) for offer in offers))
    open_ = [offer for offer, mapping in zip(offers, mapped, strict=True) if mapping is None]
    services: list[Service] = []
    if open_:
        try:
            services = await app.autotask.services_with_sku({offer.product for offer in open_})
        except VendorError:
            services = []  # services of older tenants have no SKU (autotask reference 8.3)
    return [ProductProposal(offer, offers[offer], _services(offer, services)) for offer in open_], following


def _services(offer: Offer, services: Sequence[Service]) -> tuple[Candidate, ...]:
    reason = Obstacle("same_sku", f"The service has the SKU of {offer.product}.")
    return tuple(
        Candidate(service.id, service.name, (reason,), service_obstacles(service, offer.billing))
        for service in services
        if same_sku(offer.product, service)
    )


def _key(offer: Offer) -> str:
    return keys.mapping_product(offer.product, offer.term, offer.billing)


async def _unmapped(app: App, size: int, mark: str | None) -> tuple[list[Subscription], str | None]:
    views, following = await app.views.subscriptions(
        customer=None, equals={"badge": "not_mapped"}, size=size, continuation=mark
    )
    snapshots = [view.snapshot for view in views if view.missing_since is None]
    return [one for one in snapshots if one.state is not State.DELETED and one.family not in _NOT_BILLED], following


async def propose_subscriptions(app: App, size: int, mark: str | None) -> tuple[list[SubscriptionProposal], str | None]:
    """A page of unmapped subscriptions, each with the contract and line that it may be billed on."""
    subscriptions, following = await _unmapped(app, size, mark)
    known = await _Known.of(app, subscriptions)
    taken: set[int] = set()
    found = []
    for subscription in subscriptions:
        proposal = known.proposal(subscription, taken)
        if proposal.line is not None:
            taken.add(proposal.line)
        found.append(proposal)
    return found, following


@dataclass(frozen=True, slots=True)
class _Known:
    """What a page of subscriptions has to be known of, read once for all of them."""

    app: App
    customers: dict[str, CustomerMapping | None]
    products: dict[str, ProductMapping | None]
    last_used: dict[str, int]
    contracts: list[Contract]
    lines: list[ContractLine]
    owners: dict[int, tuple[str, str] | None]

    @classmethod
    async def of(cls, app: App, subscriptions: Sequence[Subscription]) -> _Known:
        names = sorted({subscription.customer_id for subscription in subscriptions})
        products = sorted({product_of(subscription) for subscription in subscriptions})
        customers = dict(zip(names, await asyncio.gather(*map(app.mappings.customer, names)), strict=True))
        mapped = dict(zip(products, await asyncio.gather(*map(app.mappings.product, products)), strict=True))
        services = {mapping.service for mapping in mapped.values() if mapping is not None}
        companies = {mapping.company for mapping in customers.values() if mapping is not None}
        contracts = await app.autotask.contracts_of(companies) if companies else []
        today = app.business_date(app.now())
        usable = [contract.id for contract in contracts if not contract_obstacles(contract, today, "")]
        found = await app.autotask.lines_of(usable) if usable and services else []
        lines = [line for line in found if line.service_id in services]
        owners = await asyncio.gather(*(app.mappings.owner(line.id) for line in lines))
        who = dict(zip((line.id for line in lines), owners, strict=True))
        return cls(app, customers, mapped, await _last_used(app, names), contracts, lines, who)

    def proposal(self, subscription: Subscription, taken: set[int]) -> SubscriptionProposal:
        """The proposal for one subscription; lines that are proposed to others are passed over."""
        customer = self.customers[subscription.customer_id]
        product = self.products[product_of(subscription)]
        missing = []
        if customer is None:
            missing.append(Obstacle("customer_not_mapped", "Map the customer to a company first."))
        if product is None:
            missing.append(Obstacle("product_not_mapped", "Map the product to a service first, or name one."))
        service = product.service if product is not None else None
        candidates = self._candidates(subscription, customer) if customer is not None else ()
        fit = [one for one in candidates if not one.obstacles]
        chosen = (
            fit[0] if fit and (len(fit) == 1 or fit[0].id == self.last_used.get(subscription.customer_id)) else None
        )
        line = None
        if chosen is not None and service is not None:
            line = self._line(subscription, chosen.id, service, taken)
        return SubscriptionProposal(
            subscription, service, candidates, None if missing else chosen, line, missing=tuple(missing)
        )

    def _candidates(self, subscription: Subscription, customer: CustomerMapping) -> tuple[Candidate, ...]:
        today = self.app.business_date(self.app.now())
        last = self.last_used.get(subscription.customer_id)
        found = []
        for contract in self.contracts:
            if contract.company_id != customer.company:
                continue
            reasons = [Obstacle("contract_of_company", f"It is a contract of {customer.company_name}.")]
            if contract.id == last:
                reasons.append(Obstacle("contract_last_used", "The customer's last mapping is on it."))
            obstacles = contract_obstacles(contract, today, subscription.billing_cycle)
            found.append(Candidate(contract.id, contract.name, tuple(reasons), obstacles))
        found.sort(key=lambda one: (bool(one.obstacles), one.id != last, one.id))
        return tuple(found)

    def _line(self, subscription: Subscription, contract: int, service: int, taken: set[int]) -> int | None:
        own = description_of(subscription.id)
        for line in self.lines:
            made_for = line.internal_description
            if (line.contract_id, line.service_id) != (contract, service) or line.id in taken:
                continue
            if self.owners[line.id] is None and (not made_for.startswith("csp:") or made_for == own):
                return line.id
        return None


async def _last_used(app: App, customers: Sequence[str]) -> dict[str, int]:
    """The contract that each customer's last mapping is on."""
    mapped = await asyncio.gather(*map(app.mappings.mapped_of, customers))
    return {
        customer: max(found.values(), key=lambda mapping: mapping.changed_at).contract
        for customer, found in zip(customers, mapped, strict=True)
        if found
    }
