"""Searches in Autotask for what a mapping may name, by pages, with why something does not qualify."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spine.world import World, requests


def everything(world: World, path: str) -> list[dict[str, Any]]:
    """All pages of a search."""
    found: list[dict[str, Any]] = []
    following: str | None = path
    while following:
        page = world.clients["mapper"].get(following.removeprefix("/api"))
        assert page.status_code == 200, page.text
        found += page.json()["value"]
        following = page.json().get("nextLink")
    return found


def test_companies_are_found_by_the_beginning_of_their_name_in_any_case(world: World) -> None:
    (northwind,) = everything(world, "/autotask/companies?prefix=norTHw")
    assert (northwind["id"], northwind["name"], northwind["qualifies"]) == (29683616, "Northwind", True)
    assert everything(world, "/autotask/companies?prefix=nobody") == []


def test_a_page_of_companies_is_one_request_and_the_next_goes_on_after_it(world: World) -> None:
    before = len(requests(world.autotask, "POST", "Companies/query"))
    page = world.clients["mapper"].get("/autotask/companies?prefix=Generated&pageSize=3").json()
    assert len(requests(world.autotask, "POST", "Companies/query")) == before + 1
    assert [item["id"] for item in page["value"]] == [30_000_001, 30_000_002, 30_000_003]
    following = world.clients["mapper"].get(page["nextLink"].removeprefix("/api")).json()
    assert [item["id"] for item in following["value"]] == [30_000_004, 30_000_005, 30_000_006]


def test_contracts_of_a_company_say_why_they_do_not_qualify(world: World) -> None:
    found = everything(world, "/autotask/companies/29683616/contracts?pageSize=1&billingCycle=monthly")
    reasons = {item["id"]: [reason["code"] for reason in item["reasons"]] for item in found}
    assert reasons[29747643] == []
    assert reasons[29747650] == ["contract_ended"]
    assert reasons[29747651] == ["contract_not_recurring"]
    annual = everything(world, "/autotask/companies/29683616/contracts?billingCycle=Annual")
    (csp,) = [item for item in annual if item["id"] == 29747643]
    assert [reason["code"] for reason in csp["reasons"]] == ["contract_period_differs"]


def test_services_show_sku_price_and_whether_they_fit_a_billing_frequency(world: World) -> None:
    found = everything(world, "/autotask/services?prefix=Microsoft&billingCycle=annual&pageSize=1")
    standard, premium = sorted(found, key=lambda item: item["id"])[:2]
    assert (standard["id"], standard["sku"], standard["unitPrice"]) == (677, "CFQ7TTC0LDPB:0001", "12.5")
    assert premium["id"] == 678
    assert [reason["code"] for reason in standard["reasons"]] == ["service_period_differs"]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/autotask/companies", 422, "prefix"),
        ("/autotask/companies?prefix=%20", 422, "prefix"),
        ("/autotask/services?prefix=" + "x" * 101, 422, "prefix"),
        ("/autotask/services?prefix=a&billingCycle=" + "x" * 41, 422, "billingCycle"),
        ("/autotask/companies?prefix=a&pageSize=0", 400, "pageSize"),
        ("/autotask/companies?prefix=a&continuation=x", 400, "continuation"),
    ],
)
def test_a_wrong_search_names_its_parameter(world: World, path: str, status: int, field: str) -> None:
    answer = world.clients["mapper"].get(path)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (status, [field])


@pytest.mark.parametrize("company", ["1", "nonsense", "9" * 30])
def test_a_company_that_autotask_does_not_show_is_not_found(world: World, company: str) -> None:
    answer = world.clients["mapper"].get(f"/autotask/companies/{company}/contracts")
    assert (answer.status_code, answer.json()["code"]) == (404, "company_not_found")


def test_only_who_manages_mappings_searches(world: World) -> None:
    for path in ("/autotask/companies?prefix=a", "/autotask/services?prefix=a", "/autotask/companies/1/contracts"):
        assert world.clients["reader"].get(path).status_code == 403
