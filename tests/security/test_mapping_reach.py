"""A caller who is limited to some customers maps, exports and imports his own, and searches nobody else's."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.security.conftest import Entra
from tests.spine.world import Subject, World


class Limited:
    """A caller who reaches `own` and not `foreign`, both mapped; ids of foreign customers sort before his own."""

    def __init__(self, world: World, headers: dict[str, str], own: Subject, foreign: Subject) -> None:
        self.world, self.headers, self.own, self.foreign = world, headers, own, foreign

    def get(self, path: str) -> httpx.Response:
        return self.world.anonymous.get(path, headers=self.headers)

    def post(self, path: str, content: str) -> httpx.Response:
        headers = {**self.headers, "Idempotency-Key": str(uuid.uuid4())}
        return self.world.anonymous.post(path, content=content, headers=headers)


@pytest.fixture(scope="module")
def limited(world: World, entra: Entra) -> Iterator[Limited]:
    foreign, own = world.inside_window(), world.inside_window()
    caller = str(uuid.uuid4())
    access = world.clients["access"]
    access.put(f"/access/{caller}", json={"customers": [own.customer], "note": "desk"}).raise_for_status()
    yield Limited(world, entra.bearer(oid=caller), own, foreign)
    access.delete(f"/access/{caller}").raise_for_status()


@pytest.mark.parametrize(
    "path",
    [
        "/autotask/companies?prefix=a",
        "/autotask/companies/29683616/contracts",
        "/mappings/proposals?kind=customer",
        "/mappings/proposals?kind=subscription",
    ],
)
def test_searches_over_all_companies_are_refused(limited: Limited, path: str) -> None:
    answer = limited.get(path)
    assert (answer.status_code, answer.json()["code"]) == (403, "customer_forbidden")


def test_the_catalogue_of_services_is_everybodys(limited: Limited) -> None:
    assert limited.get("/autotask/services?prefix=Microsoft").status_code == 200


def test_his_export_has_his_customer_alone(limited: Limited) -> None:
    text = limited.get("/mappings/export").raise_for_status().text
    assert limited.own.customer in text
    assert limited.foreign.customer not in text


def forged(**members: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode()


@pytest.mark.parametrize("mark", ["A", "S:", "L:", ""])
def test_a_forged_mark_inside_his_customer_leads_to_no_other(limited: Limited, mark: str) -> None:
    own, foreign = limited.own.customer, limited.foreign.customer
    assert foreign < own
    exported = limited.get(f"/mappings/export?continuation={forged(kind='subscription', customer=own, mark=mark)}")
    listed = limited.get(f"/mappings/subscriptions?continuation={forged(customer=own, mark=mark)}")
    for answer in (exported, listed):
        assert answer.status_code == 200, answer.text
        assert foreign not in answer.text
        assert own in answer.text


def test_he_imports_his_customers_and_nothing_for_everybody(limited: Limited) -> None:
    own = f"kind,customerId,companyId\ncustomer,{limited.own.customer},{limited.own.contract - 1_000_000}\n"
    foreign = f"kind,customerId,companyId\ncustomer,{limited.foreign.customer},1\n"
    product = "kind,product,serviceId\nproduct,X,677\n"
    assert limited.post("/mappings/import?dryRun=true", own).status_code == 202
    for text in (foreign, product):
        answer = limited.post("/mappings/import?dryRun=true", text)
        assert (answer.status_code, answer.json()["code"]) == (403, "customer_forbidden")


def test_he_sees_his_own_imports_and_nobody_elses(limited: Limited) -> None:
    text = f"kind,customerId,companyId\ncustomer,{limited.own.customer},{limited.own.contract - 1_000_000}\n"
    own = limited.post("/mappings/import?dryRun=true", text).json()["links"]["self"].removeprefix("/api")
    mapper, key = limited.world.clients["mapper"], {"Idempotency-Key": str(uuid.uuid4())}
    others = mapper.post("/mappings/import?dryRun=true", content=text, headers=key).json()["links"]["self"]
    for path in ("", "/rows"):
        assert limited.get(f"{own}{path}").status_code == 200
        assert limited.get(f"{others.removeprefix('/api')}{path}").json()["code"] == "customer_forbidden"


def test_a_preview_shows_him_no_contracts_of_companies_that_are_not_his_customers(limited: Limited) -> None:
    path = f"{limited.own.path}/mapping/preview"
    world = limited.world
    world.clients["mapper"].delete(f"/mappings/customers/{limited.own.customer}").raise_for_status()
    body = {"companyId": 29683616, "includeDisqualified": True}
    answer = world.anonymous.post(path, json=body, headers=limited.headers)
    assert answer.status_code == 200
    assert (answer.json()["contracts"], answer.json()["disqualified"], answer.json()["company"]) == ([], [], None)
    assert "Northwind" not in answer.text


def test_he_cannot_map_a_product_along_the_way(limited: Limited) -> None:
    body = {"contractId": limited.own.contract, "contractServiceId": limited.own.line, "mapProduct": True}
    answer = limited.world.anonymous.put(f"{limited.own.path}/mapping", json=body, headers=limited.headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "customer_forbidden")
