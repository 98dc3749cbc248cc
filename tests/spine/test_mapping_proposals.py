"""Proposals for what is not mapped, and how they are accepted: one by one, or as a sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest

from local.forking import ForkServer
from local.stack import Stack, StackOptions
from tests.spine.conftest import SETTINGS
from tests.spine.test_mapping_at_purchase import company_of
from tests.spine.test_mapping_sheets import ask
from tests.spine.world import Subject, World, eventually, requests

PRODUCT = "CFQ7TTC0LDPB:0001~P1Y~monthly"


def everything(world: World, kind: str) -> list[dict[str, Any]]:
    """All pages of the proposals of a kind."""
    found: list[dict[str, Any]] = []
    path: str | None = f"/mappings/proposals?kind={kind}&pageSize=200"
    while path is not None:
        page = world.clients["mapper"].get(path)
        assert page.status_code == 200, page.text
        found += page.json()["value"]
        path = (page.json().get("nextLink") or "").removeprefix("/api") or None
    return found


def proposed(world: World, kind: str, subject: Subject) -> dict[str, Any]:
    """The proposal for one subject, once a sync has seen it."""
    wanted = subject.subscription if kind == "subscription" else subject.customer
    name = "subscriptionId" if kind == "subscription" else "customerId"

    def look() -> dict[str, Any]:
        return next((one for one in everything(world, kind) if one[name] == wanted), {})

    return eventually(look, bool)


@pytest.fixture(scope="module")
def world(forks: ForkServer) -> Iterator[World]:
    """A stack whose customers a sync has seen."""
    options = StackOptions(
        storage_in_memory=True,
        seed_customers=20,
        subscriptions_per_customer=2,
        first_sync=True,
        settings=SETTINGS,
        forks=forks,
    )
    with Stack(options) as stack, World(stack) as world:
        yield world


@pytest.fixture
def seen(world: World) -> Subject:
    """A subscription that is not mapped, and neither are its customer and its product."""
    world.clients["mapper"].delete(f"/mappings/products/{PRODUCT}").raise_for_status()
    return world.unmapped("open")


def test_a_customer_is_proposed_the_company_of_its_name_and_accepted_as_it_says(world: World, seen: Subject) -> None:
    proposal = proposed(world, "customer", seen)
    (candidate,) = proposal["candidates"]
    assert (candidate["id"], candidate["qualifies"]) == (company_of(seen), True)
    assert [reason["code"] for reason in candidate["because"]] == ["same_name"]

    request = proposal["request"]
    path = request["path"].removeprefix("/api")
    answer = world.clients["mapper"].request(request["method"], path, json=request["body"])

    assert answer.json()["companyId"] == company_of(seen)
    assert not [one for one in everything(world, "customer") if one["customerId"] == seen.customer]


def test_a_page_of_customers_is_at_most_two_requests_to_autotask(world: World, seen: Subject) -> None:
    proposed(world, "customer", seen)
    before = len(requests(world.autotask, "POST", "Companies/query"))
    world.clients["mapper"].get("/mappings/proposals?kind=customer&pageSize=100").raise_for_status()
    assert len(requests(world.autotask, "POST", "Companies/query")) - before <= 2


def test_a_product_is_proposed_the_service_of_its_sku_and_then_its_subscriptions_a_line(
    world: World, seen: Subject
) -> None:
    products = eventually(lambda: [one for one in everything(world, "product") if one["product"] in PRODUCT], bool)
    product = products[0]
    assert product["segment"] == "commercial"
    assert [reason["code"] for reason in product["candidates"][0]["because"]] == ["same_sku"]
    assert product["request"]["body"]["serviceId"] == 677
    before = proposed(world, "subscription", seen)
    assert {reason["code"] for reason in before["missing"]} >= {"customer_not_mapped", "product_not_mapped"}
    assert before["request"] is None

    mapper = world.clients["mapper"]
    mapper.put("/mappings/products", json=product["request"]["body"]).raise_for_status()
    mapper.put(f"/mappings/customers/{seen.customer}", json={"companyId": company_of(seen)}).raise_for_status()
    after = proposed(world, "subscription", seen)

    assert after["missing"] == []
    body = after["request"]["body"]
    assert (body["contractId"], body["contractServiceId"] // 1000) == (seen.contract, seen.line // 1000)
    answer = mapper.put(after["request"]["path"].removeprefix("/api"), json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["mapping"]["contractServiceId"] == body["contractServiceId"]


def test_proposals_as_a_sheet_are_what_an_import_takes(world: World, seen: Subject) -> None:
    proposed(world, "customer", seen)
    answer = world.clients["mapper"].get("/mappings/proposals?kind=customer&format=csv&pageSize=200")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert answer.headers["content-type"].startswith("text/csv")
    assert {row["kind"] for row in rows} == {"customer"}
    taken = ask(world, answer.text, dry_run=True)
    assert taken.status_code == 202, taken.text
    path = taken.headers["Operation-Location"].removeprefix("/api")
    mapper = world.clients["mapper"]
    job = eventually(lambda: mapper.get(path).json(), lambda found: found["status"] == "finished", 60.0)
    assert job["counts"]["refused"] == 0
    assert job["counts"]["done"] + job["counts"]["unchanged"] == len(rows)


@pytest.mark.parametrize("query", ["", "?kind=service", "?kind=customer&format=xml"])
def test_a_wrong_question_names_its_parameter(world: World, query: str) -> None:
    answer = world.clients["mapper"].get(f"/mappings/proposals{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "parameter_invalid")
