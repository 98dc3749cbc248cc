"""Write all mappings as rows of a sheet, page by page: customers, products, subscriptions, as an import reads them."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.mapping_sheet import ORDER, policy_cells, pricing_cells
from shared.storage.mappings import CustomerMapping, ProductMapping, SubscriptionMapping
from shared.usecases.app import App

Cells = dict[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an export goes on: the kind, the customer where the caller is limited to some, and a mark of storage."""

    kind: str = ORDER[0]
    customer: str = ""
    mark: str = ""


async def export_mappings(
    app: App, customers: frozenset[str] | None, place: Place, size: int
) -> tuple[list[Cells], Place | None]:
    """A page of mappings, of these customers alone where they are named, and where to go on from."""
    found: list[Cells] = []
    for kind in ORDER[ORDER.index(place.kind) :]:
        here = place if kind == place.kind else Place(kind)
        for customer in _customers(kind, customers, here.customer):
            mark = here.mark if customer in (None, here.customer) else ""
            while True:
                cells, following = await _page(app, kind, customer, size - len(found), mark or None)
                found += cells
                mark = following or ""
                if len(found) >= size:
                    return found, _next(kind, customer, mark)
                if not mark:
                    break
    return found, None


def _customers(kind: str, customers: frozenset[str] | None, start: str) -> list[str | None]:
    if customers is None or kind == "product":  # the catalogue is everybody's
        return [None]
    return [customer for customer in sorted(customers) if customer >= start]


def _next(kind: str, customer: str | None, mark: str) -> Place | None:
    if mark:
        return Place(kind, customer or "", mark)
    if customer is not None:
        return Place(kind, f"{customer}!")  # "!" sorts before every digit and letter: whoever follows
    later = ORDER.index(kind) + 1
    return Place(ORDER[later]) if later < len(ORDER) else None


async def _page(
    app: App, kind: str, customer: str | None, size: int, mark: str | None
) -> tuple[list[Cells], str | None]:
    mappings = app.mappings
    if kind == "product":
        products, following = await mappings.products(size, mark)
        return [_product(item) for item in products], following
    if kind == "customer":
        if customer is not None:
            known = await mappings.customer(customer)
            return [_customer(known)] if known else [], None
        found, following = await mappings.customers(size, mark)
        return [_customer(item) for item in found], following
    if customer is not None:
        subscriptions, following = await mappings.subscriptions_of(customer, size, mark)
    else:
        subscriptions, following = await mappings.subscriptions(size, mark)
    return [_subscription(item) for item in subscriptions], following


def _customer(item: CustomerMapping) -> Cells:
    return {
        "kind": "customer",
        "customerId": item.customer,
        "companyId": str(item.company),
        "companyName": item.company_name,
    }


def _product(item: ProductMapping) -> Cells:
    return {
        "kind": "product",
        "product": item.product,
        "termDuration": item.term,
        "billingCycle": item.billing,
        "serviceId": str(item.service),
        "serviceName": item.service_name,
    }


def _subscription(item: SubscriptionMapping) -> Cells:
    return {
        "kind": "subscription",
        "customerId": item.customer,
        "subscriptionId": item.subscription,
        "contractId": str(item.contract),
        "contractServiceId": str(item.line),
        "serviceId": str(item.service),
        **pricing_cells(item.pricing),
        **policy_cells(item.policy),
    }
