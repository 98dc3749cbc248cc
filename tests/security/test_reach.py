"""A caller who is limited to some customers meets no other one, on any route."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.security.conftest import Entra
from tests.security.inventory import GUARDED, NOBODY, Route
from tests.spine.world import Subject, World, eventually, fault

REFUSAL = {"errors": ["The contract is locked."]}
LISTS = [
    "/customers",
    "/subscriptions",
    "/mappings/customers",
    "/mappings/subscriptions",
    "/dead-letters",
    "/new-subscriptions",
    "/unreadable-items",
]


@dataclass(frozen=True)
class Two:
    """Two customers with everything that can be listed, and a caller who is limited to the first."""

    world: World
    caller: str
    limited: dict[str, str]
    own: Subject
    foreign: Subject
    own_dead: str
    foreign_dead: str

    def get(self, path: str) -> httpx.Response:
        return self.world.anonymous.get(path, headers=self.limited)

    def everything(self, path: str) -> list[dict[str, Any]]:
        """All pages of a list, each of one item."""
        found: list[dict[str, Any]] = []
        following: str | None = f"{path}?pageSize=1"
        while following:
            page = self.get(following.removeprefix("/api")).raise_for_status().json()
            assert len(page["value"]) <= 1
            found += page["value"]
            following = page.get("nextLink")
        return found


@pytest.fixture(scope="module")
def two(world: World, entra: Entra) -> Iterator[Two]:
    own, foreign = world.outside_window(), world.outside_window()
    dead = []
    for subject in (own, foreign):
        fault(
            world.autotask,
            {"method": "POST", "path": subject.adjustments_path, "fault": "500", "body": REFUSAL},
        )
        dead.append(world.done(subject, "change-quantity", quantity=subject.quantity + 2))
        world.wait_for_rest(dead[-1], "dead")
        _bought_and_broken(world, subject)
    caller = str(uuid.uuid4())
    put = world.clients["access"].put(f"/access/{caller}", json={"customers": [own.customer.upper()], "note": "desk"})
    assert put.status_code == 200, put.text
    eventually(lambda: len(_listed(world, "/customers")), lambda count: count > 2)
    yield Two(world, caller, entra.bearer(oid=caller), own, foreign, *dead)
    world.clients["access"].delete(f"/access/{caller}").raise_for_status()


def _bought_and_broken(world: World, subject: Subject) -> None:
    """A sync sees a new subscription of the customer, and one that nobody can understand."""
    world.clients["operator"].post(f"/customers/{subject.customer}/sync", json={}).raise_for_status()
    for properties in ({}, {"quantity": -1}):
        purchase = {"customerId": subject.customer, "quantity": 2, "set": properties}
        world.partner_center.post("/_control/state/subscriptions", json=purchase).raise_for_status()
    synced = world.clients["operator"].post(f"/customers/{subject.customer}/sync", json={})
    assert synced.status_code == 200, synced.text


def _listed(world: World, path: str) -> list[dict[str, Any]]:
    page: list[dict[str, Any]] = world.clients["deadletters"].get(f"{path}?pageSize=200").json()["value"]
    return page


NAMED = [route for route in GUARDED if route.names_customer]


@pytest.mark.parametrize("route", NAMED, ids=str)
def test_a_route_about_a_foreign_customer_is_refused_whether_he_exists_or_not(two: Two, route: Route) -> None:
    for customer in (two.foreign.customer, two.foreign.customer.upper(), NOBODY, "not-a-guid"):
        headers = {**two.limited, "Idempotency-Key": "foreign"}

        answer = two.world.anonymous.request(route.method, route.path(customer), headers=headers, json={})

        assert (answer.status_code, answer.json()["code"]) == (403, "customer_forbidden")


@pytest.mark.parametrize("route", NAMED, ids=str)
def test_a_route_about_his_own_customer_is_open(two: Two, route: Route) -> None:
    if "mappings/customers" in route.template and route.method == "DELETE":
        answer = two.get(f"/mappings/customers/{two.own.customer}")  # the others need the mapping
    else:
        answer = two.world.anonymous.request(route.method, route.path(two.own.customer), headers=two.limited)

    assert answer.status_code not in {401, 403, 500}, answer.text


def test_his_lists_hold_his_customer_and_nothing_foreign(two: Two) -> None:
    for path in LISTS:
        items = two.everything(path)

        assert items, path
        assert two.own.customer in str(items), path
        assert two.foreign.customer not in str(items), path


def test_everybody_else_sees_both(two: Two) -> None:
    for path in LISTS:
        text = str(_listed(two.world, path))

        assert two.own.customer in text, path
        assert two.foreign.customer in text, path


def test_his_calendar_is_about_his_customer_alone(two: Two) -> None:
    def lines(headers: dict[str, str], **params: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        following: str | None = f"/calendar?{httpx.QueryParams({'days': '400', 'pageSize': '1', **params})}"
        while following:
            page = two.world.anonymous.get(following.removeprefix("/api"), headers=headers).raise_for_status().json()
            found += page["value"]
            following = page.get("nextLink")
        return found

    everybodys = lines(dict(two.world.clients["reader"].headers))
    own = [line for line in everybodys if line["customerId"] == two.own.customer]
    assert own
    assert any(line["customerId"] == two.foreign.customer for line in everybodys)
    assert lines(two.limited) == own == lines(two.limited, customer=two.own.customer)
    csv = two.get("/calendar?days=400&format=csv")
    assert csv.text.count(two.own.customer) == len(own) == len(csv.text.splitlines()) - 1
    refused = two.get(f"/calendar?customer={two.foreign.customer}")
    assert (refused.status_code, refused.json()["code"]) == (403, "customer_forbidden")


def test_a_bulk_is_taken_in_and_shown_only_to_who_reaches_all_its_customers(two: Two) -> None:
    def ask(headers: dict[str, str], *subjects: Subject) -> httpx.Response:
        items = [
            {"customerId": one.customer, "subscriptionId": one.subscription, "action": "auto-renew-off"}
            for one in subjects
        ]
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return two.world.anonymous.post("/bulk", headers={**headers, **key}, json={"items": items})

    refused = ask(two.limited, two.own, two.foreign)
    own = ask(two.limited, two.own)
    foreign = ask(dict(two.world.clients["operator"].headers), two.own, two.foreign)

    assert (refused.status_code, refused.json()["code"]) == (403, "customer_forbidden")
    assert (own.status_code, foreign.status_code) == (202, 202)
    for path in ("", "/items"):
        assert two.get(f"/bulk/{own.json()['id']}{path}").status_code == 200
        hidden = two.get(f"/bulk/{foreign.json()['id']}{path}")
        assert (hidden.status_code, hidden.json()["code"]) == (403, "customer_forbidden")


def test_a_list_of_dead_letters_filtered_by_a_foreign_customer_is_refused(two: Two) -> None:
    refused = two.get(f"/dead-letters?customer={two.foreign.customer}")
    own = two.get(f"/dead-letters?customer={two.own.customer}")

    assert (refused.status_code, refused.json()["code"]) == (403, "customer_forbidden")
    assert [item["id"] for item in own.json()["value"]] == [two.own_dead]


def test_a_foreign_dead_letter_can_be_neither_read_nor_moved(two: Two) -> None:
    shown = two.get(f"/dead-letters/{two.foreign_dead}")
    moved = [
        two.world.anonymous.post(f"/dead-letters/{two.foreign_dead}/{verb}", headers=two.limited, json={"reason": "x"})
        for verb in ("resubmit", "dismiss")
    ]

    assert {answer.status_code for answer in (shown, *moved)} == {403}
    assert two.world.operation(two.foreign_dead)["status"] == "dead"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/mappings/products"),
        ("DELETE", "/mappings/products/CFQ7TTC0LDPB:0001~P1Y~monthly"),
        ("PUT", "/mappings/prices"),
        ("DELETE", "/mappings/prices/cfq7ttc0ldpb:0001~p1y~monthly~2026-01-01"),
        ("PUT", "/mappings/price-rules"),
        ("DELETE", "/mappings/price-rules/any~any~any~any"),
        ("POST", "/sync/runs"),
        ("GET", "/sync/runs"),
        ("GET", "/sync/runs/20260506T120000-00000000"),
    ],
)
def test_what_concerns_every_customer_is_refused(two: Two, method: str, path: str) -> None:
    body = {"product": "CFQ7TTC0LDPB:0001", "serviceId": 1}

    answer = two.world.anonymous.request(method, path, headers=two.limited, json=body)

    assert (answer.status_code, answer.json()["code"]) == (403, "customer_forbidden")


def test_a_price_list_is_applied_to_his_own_customer_only(two: Two) -> None:
    def applied(**body: Any) -> int:
        return two.world.anonymous.post("/mappings/prices/apply", headers=two.limited, json=body).status_code

    assert applied(dryRun=True) == applied(dryRun=True, customerId=two.foreign.customer) == 403
    assert applied(dryRun=True, customerId=two.own.customer) == 200


def test_rules_for_foreign_customers_are_not_listed(two: Two) -> None:
    for subject in (two.own, two.foreign):
        rule = {"kind": "fixed", "value": "1", "customerId": subject.customer}
        two.world.clients["mapper"].put("/mappings/price-rules", json=rule).raise_for_status()

    listed = two.get("/mappings/price-rules").raise_for_status().json()["value"]

    assert {rule["customerId"] for rule in listed} - {None} == {two.own.customer}


def test_a_continuation_of_somebody_who_sees_everything_leads_a_limited_caller_nowhere(two: Two) -> None:
    link = two.world.clients["reader"].get("/subscriptions?pageSize=1").json()["nextLink"]

    answer = two.get(link.removeprefix("/api"))

    assert (answer.status_code, answer.json()["code"]) == (400, "continuation_invalid")


@pytest.mark.parametrize("start", ["foreign", "", "0", "~"])
def test_a_forged_continuation_leads_to_no_foreign_customer(two: Two, start: str) -> None:
    customer = two.foreign.customer if start == "foreign" else start
    forged = base64.urlsafe_b64encode(json.dumps({"customer": customer, "mark": ""}).encode()).decode()

    page = two.get(f"/subscriptions?continuation={forged}").raise_for_status().json()

    assert {item["customerId"] for item in page["value"]} <= {two.own.customer}


def test_a_change_of_access_holds_at_once_where_it_was_made_and_soon_everywhere(two: Two, entra: Entra) -> None:
    caller = str(uuid.uuid4())
    header = entra.bearer(oid=caller)
    path = f"/customers/{two.foreign.customer}/subscriptions"
    access = two.world.clients["access"]

    before = two.world.anonymous.get(path, headers=header).status_code
    access.put(f"/access/{caller}", json={"customers": []}).raise_for_status()
    closed = two.world.anonymous.get(path, headers=header).status_code
    nothing = two.world.anonymous.get("/customers", headers=header).json()["value"]
    access.put(f"/access/{caller}", json={"customers": "all"}).raise_for_status()
    opened = two.world.anonymous.get(path, headers=header).status_code
    access.delete(f"/access/{caller}").raise_for_status()

    assert (before, closed, nothing, opened) == (200, 403, [], 200)


def test_with_the_default_none_who_has_no_grant_reaches_nobody(two: Two, entra: Entra) -> None:
    host = two.world.stack.start_extra_host({"ACCESS_DEFAULT": "none"})
    api = f"{two.world.stack.ready['hosts'][host]}/api"
    try:
        stranger = entra.bearer(oid=str(uuid.uuid4()))
        listed = two.world.anonymous.get(f"{api}/customers", headers=stranger)
        one = two.world.anonymous.get(f"{api}/customers/{two.own.customer}/subscriptions", headers=stranger)
        granted = two.world.anonymous.get(f"{api}/customers", headers=two.limited)
    finally:
        two.world.stack.stop(host)

    assert (listed.status_code, listed.json()["value"]) == (200, [])
    assert (one.status_code, one.json()["code"]) == (403, "customer_forbidden")
    assert [item["id"] for item in granted.json()["value"]] == [two.own.customer]


def test_while_grants_cannot_be_read_nobody_gets_in(two: Two, entra: Entra) -> None:
    nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:9/a;"
    host = two.world.stack.start_extra_host({"TABLES_CONNECTION_STRING": nowhere})
    api = two.world.stack.ready["hosts"][host]
    try:
        answer = two.world.anonymous.get(f"{api}/api/mappings/products", headers=entra.bearer(oid=str(uuid.uuid4())))
    finally:
        two.world.stack.stop(host)

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
