"""Carry out one row of an import of mappings, or try it out: the same use cases as the single requests.

A row that is as it says already asks nothing of any vendor. What many rows name at Autotask is read once for all of
them (`Foreseen`), also what their lines bill, which decides whether it is adopted; what is then adopted is read anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from shared import telemetry
from shared.domain.contract import Company, Contract, ContractLine, Service
from shared.domain.mapping_import import Change, Item
from shared.domain.mapping_sheet import CustomerRow, ProductRow, SubscriptionRow
from shared.domain.operation import Operation
from shared.domain.reading import UnitsRow
from shared.ports import AutotaskPort
from shared.storage import keys
from shared.storage.mappings import SubscriptionMapping
from shared.usecases.app import App
from shared.usecases.mapping import map_customer, map_product, map_subscription
from shared.usecases.mapping_choice import (
    MappingRequest,
    adopts,
    choose,
    company_for,
    refuse_busy,
    service_for,
    target_of,
)

_COLUMNS = {
    "customer_not_found": "customerId",
    "subscription_not_found": "subscriptionId",
    "operation_in_progress": "subscriptionId",
    "line_busy": "subscriptionId",
    "line_not_on_contract": "contractServiceId",
    "line_taken": "contractServiceId",
    "service_not_found": "serviceId",
    "service_inactive": "serviceId",
    "service_not_of_line": "serviceId",
    "service_period_differs": "serviceId",
    "product_not_mapped": "serviceId",
    "price_needed": "suspend",
    "not_in_price_list": "priceSource",
    "no_price_rule": "priceSource",
    "price_incomplete": "priceSource",
}


def column_of(code: str) -> str:
    """The column that a refusal is about, "" where it is about none."""
    if code in _COLUMNS:
        return _COLUMNS[code]
    return "contractId" if code.startswith("contract_") else "companyId" if code.startswith("company_") else ""


async def as_it_is(app: App, item: Item) -> bool:
    """Whether everything is as the row says; nothing but our own rows is asked."""
    match item.row:
        case CustomerRow(customer, company):
            customer_mapping = await app.mappings.customer(customer)
            return customer_mapping is not None and customer_mapping.company == company
        case ProductRow(product, term, billing, service):
            product_mapping = await app.mappings.product(keys.mapping_product(product, term, billing))
            return product_mapping is not None and product_mapping.service == service
        case SubscriptionRow():
            stored = await app.mappings.subscription(item.row.customer, item.row.subscription)
            return stored is not None and _as_it_is(item.row, stored.value)


async def carry_out(app: App, item: Item, caller: str) -> Item:
    """The row as it has become. Raises what the single requests raise."""
    match item.row:
        case CustomerRow():
            return await _customer(app, item, item.row, caller, dry_run=False)
        case ProductRow():
            return await _product(app, item, item.row, caller, dry_run=False)
        case SubscriptionRow():
            about = {"csp.customer.id": item.row.customer, "csp.subscription.id": item.row.subscription}
            with telemetry.span("import", about, apart=True):
                return await _subscription(app, item, item.row, caller)


async def try_out(app: App, item: Item, caller: str) -> Item:
    """The row as it would become. Writes nothing; raises what the single requests raise."""
    match item.row:
        case CustomerRow():
            return await _customer(app, item, item.row, caller, dry_run=True)
        case ProductRow():
            return await _product(app, item, item.row, caller, dry_run=True)
        case SubscriptionRow():
            return await _subscription_tried(app, item, item.row, caller)


async def _customer(app: App, item: Item, row: CustomerRow, caller: str, *, dry_run: bool) -> Item:
    present = await app.mappings.customer(row.customer)
    if present is not None and present.company == row.company:
        return item.unchanged()
    if await app.views.customer(row.customer) is None:
        await app.partner_center.subscriptions(row.customer)  # only Partner Center can say whether there is one
    mapping = await (company_for if dry_run else map_customer)(app, row.customer, row.company, caller)
    return item.done(Change.CHANGE if present else Change.CREATE, name=mapping.company_name)


async def _product(app: App, item: Item, row: ProductRow, caller: str, *, dry_run: bool) -> Item:
    present = await app.mappings.product(keys.mapping_product(row.product, row.term, row.billing))
    if present is not None and present.service == row.service:
        return item.unchanged()
    offer = (row.product, row.term, row.billing)
    if dry_run:
        mapping = await service_for(app, offer, row.service, caller, billing="" if row.any_period else row.billing)
    else:
        mapping = await map_product(app, offer, row.service, caller, any_period=row.any_period)
    return item.done(Change.CHANGE if present else Change.CREATE, name=mapping.service_name)


async def _subscription(app: App, item: Item, row: SubscriptionRow, caller: str) -> Item:
    stored = await app.mappings.subscription(row.customer, row.subscription)
    present = stored.value if stored is not None else None
    if present is not None and _as_it_is(row, present):
        return item.unchanged()
    result = await map_subscription(app, _request(row, present, caller))
    if not isinstance(result, Operation):
        return item.unchanged()
    change = result.mapping
    line = change.line if change is not None else None
    done = item.done(_change(present, line))
    units = "" if change is None or change.policy_only else "adopt" if change.adopt else "push"
    return replace(done, operation=str(result.address), contract=row.contract, line=line, units=units)


async def _subscription_tried(app: App, item: Item, row: SubscriptionRow, caller: str) -> Item:
    stored = await app.mappings.subscription(row.customer, row.subscription)
    present = stored.value if stored is not None else None
    if present is not None and _as_it_is(row, present):
        return item.unchanged()
    choice = await choose(app, _request(row, present, caller))
    if choice.unchanged is not None:
        return item.unchanged()
    await refuse_busy(app, choice)
    adopt = await adopts(app, choice)
    await target_of(app, choice, adopt=adopt)
    units = "" if choice.policy_only else "adopt" if adopt else "push"
    done = item.done(_change(present, choice.line))
    return replace(done, contract=choice.contract.id, line=choice.line, creates_line=choice.line is None, units=units)


def _as_it_is(row: SubscriptionRow, present: SubscriptionMapping) -> bool:
    """Whether a mapping says what a row says; how units began to be billed is no part of a mapping."""
    return (
        row.contract == present.contract
        and row.line in (None, present.line)
        and row.service in (None, present.service)
        and row.policy in (None, present.policy)
        and row.pricing in (None, present.pricing)
    )


def _request(row: SubscriptionRow, present: SubscriptionMapping | None, caller: str) -> MappingRequest:
    stays = present is not None and row.contract == present.contract and row.line in (None, present.line)
    stays = stays and present is not None and row.service in (None, present.service)
    return MappingRequest(
        customer=row.customer,
        subscription=row.subscription,
        caller=caller,
        contract=row.contract,
        line=row.line,
        service=row.service,
        units=None if stays else row.units,
        policy=row.policy,
        pricing=row.pricing,
        any_period=row.any_period,
    )


def _change(present: SubscriptionMapping | None, line: int | None) -> Change:
    if present is None:
        return Change.CREATE
    return Change.CHANGE if present.line == line else Change.MOVE


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Autotask with what was read ahead: the rest is asked when it is needed.

    Units that were read ahead serve once: whoever reads a line a second time wants to know how it is by then.
    """

    port: AutotaskPort
    known_contracts: dict[int, Contract]
    known_companies: dict[int, Company]
    known_services: dict[int, Service]
    known_lines: dict[int, ContractLine]
    known_units: dict[int, tuple[UnitsRow, ...]]

    async def units(self, lines: Sequence[int]) -> dict[int, tuple[UnitsRow, ...]]:
        """See AutotaskPort."""
        if all(line in self.known_units for line in lines):
            return {line: self.known_units.pop(line) for line in lines}
        return await self.port.units(lines)

    async def contracts(self, ids: Iterable[int]) -> dict[int, Contract]:
        """See AutotaskPort."""
        wanted = list(ids)
        if all(one in self.known_contracts for one in wanted):
            return {one: self.known_contracts[one] for one in wanted}
        return await self.port.contracts(wanted)

    async def companies(self, ids: Iterable[int]) -> dict[int, Company]:
        """See AutotaskPort."""
        wanted = list(ids)
        if all(one in self.known_companies for one in wanted):
            return {one: self.known_companies[one] for one in wanted}
        return await self.port.companies(wanted)

    async def services(self, ids: Iterable[int]) -> dict[int, Service]:
        """See AutotaskPort."""
        wanted = list(ids)
        if all(one in self.known_services for one in wanted):
            return {one: self.known_services[one] for one in wanted}
        return await self.port.services(wanted)

    async def line(self, id: int) -> ContractLine | None:  # noqa: A002 - the name in the port
        """See AutotaskPort."""
        return self.known_lines.get(id) or await self.port.line(id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)


async def foreseeing(app: App, items: Iterable[Item]) -> App:
    """The application with everything that the rows name at Autotask read ahead, each kind of thing at once."""
    rows = [item.row for item in items]
    customers = [row for row in rows if isinstance(row, CustomerRow)]
    products = [row for row in rows if isinstance(row, ProductRow)]
    subscriptions = [row for row in rows if isinstance(row, SubscriptionRow)]
    contracts = await app.autotask.contracts({row.contract for row in subscriptions}) if subscriptions else {}
    lines = [row.line for row in subscriptions if row.line is not None]
    companies = {row.company for row in customers} | {contract.company_id for contract in contracts.values()}
    services = {row.service for row in products} | {row.service for row in subscriptions if row.service is not None}
    known = Foreseen(
        app.autotask,
        contracts,
        await app.autotask.companies(companies) if companies else {},
        await app.autotask.services(services) if services else {},
        await app.autotask.lines(lines) if lines else {},
        dict(await app.autotask.units(lines)) if lines else {},
    )
    return replace(app, autotask=cast("AutotaskPort", known))
