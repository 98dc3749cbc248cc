"""Every route declares who may call it."""

from __future__ import annotations

import pytest

from shared.identity import Role
from tests.security.inventory import GUARDED, OPEN, ROUTES, Route

# What is no customer's own: what a caller who is limited to some customers finds there
WITHOUT_CUSTOMER = {
    "ready": "nothing about customers",
    "openapi": "nothing about customers",
    "list_customers": "only his customers",
    "list_subscriptions": "only his customers'",
    "list_customer_mappings": "only his customers'",
    "list_subscription_mappings": "only his customers'",
    "list_dead_letters": "only his customers', and no raw message",
    "get_calendar": "only his customers'",
    "list_new_subscriptions": "only his customers'",
    "list_unreadable_items": "only his customers'",
    "list_reviews": "only his customers'",
    "start_sync": "refused: it concerns every customer",
    "list_syncs": "refused: its counts are of every customer",
    "get_sync": "the same",
    "resubmit_dead_letters": "his customers' only",
    "get_resubmission": "refused unless he reaches all its customers",
    "sweep_dead_letters": "refused: it concerns every customer",
    "list_findings": "only his customers', without the totals of all",
    "start_reconciliation": "refused: it concerns every customer",
    "get_reconciliation_run": "refused: its totals are of every customer",
    "bulk": "refused unless he reaches all its customers",
    "get_bulk": "the same",
    "list_bulk_items": "the same",
    "list_product_mappings": "all: the catalogue is everybody's",
    "put_product_mapping": "refused: it concerns every customer",
    "delete_product_mapping": "refused: it concerns every customer",
    "export_mappings": "only his customers', and the catalogue's",
    "import_mappings": "refused unless he reaches all its customers; products: refused",
    "get_mapping_import": "his own imports",
    "list_mapping_import_rows": "the same",
    "list_mapping_proposals": "refused: it looks at every customer and company",
    "search_companies": "refused: the companies are everybody's customers",
    "list_company_contracts": "refused: the same",
    "search_services": "all: the catalogue is everybody's",
    "list_prices": "all: the price list is everybody's",
    "put_price": "refused: it concerns every customer",
    "delete_price": "refused: it concerns every customer",
    "list_price_rules": "those for everybody and for his customers",
    "put_price_rule": "refused: a rule may be for every customer",
    "delete_price_rule": "refused: a rule may be for every customer",
    "apply_prices": "his customers one by one, and refused without one",
    "list_access": "all: who may give access may see what was given",
    "get_access": "all: the same",
    "put_access": "all: the same; he could lift his own limit anyway",
    "delete_access": "all: the same",
}


def test_the_walk_finds_the_routes() -> None:
    assert len(ROUTES) > 30
    assert {"live", "cancel", "list_customers", "put_access"} <= {route.name for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_every_route_declares_a_role_or_why_it_needs_none(route: Route) -> None:
    assert (route.role is None) == (route.name in OPEN)


@pytest.mark.parametrize("route", GUARDED, ids=str)
def test_every_route_names_a_customer_or_says_what_a_limited_caller_finds(route: Route) -> None:
    assert route.names_customer != (route.name in WITHOUT_CUSTOMER)


def test_every_role_opens_something_and_none_opens_everything() -> None:
    opened = {role: {route.name for route in GUARDED if route.role is role} for role in Role}

    assert all(opened.values())
    assert all(len(names) < len(GUARDED) for names in opened.values())


@pytest.mark.parametrize("route", GUARDED, ids=str)
def test_no_route_that_changes_something_is_open_to_readers(route: Route) -> None:
    assert route.method == "GET" or route.role is not Role.READ
