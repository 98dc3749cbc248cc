"""The Partner Center simulator over HTTP: tokens, pages, PATCH rules and side effects, replay, time, audit."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.local_world.vendor_processes import Entra, running_entra, running_partner_center

if TYPE_CHECKING:
    from collections.abc import Iterator

NORTHWIND = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"
FABRIKAM = "2e4d8c11-7a90-4c1c-a1b5-0f6e3b2d7a02"
CONTOSO = "3a0c0000-0000-4000-8000-00000000c0de"
IN_WINDOW = "7c1e2a34-90ab-4cde-8f01-23456789ab01"
WINDOW_CLOSED = "7c1e2a34-90ab-4cde-8f01-23456789ab02"
SUSPENDED = "7c1e2a34-90ab-4cde-8f01-23456789ab03"
TRIAL = "7c1e2a34-90ab-4cde-8f01-23456789ab04"
AZURE_PLAN = "9f30c2de-6f70-4a3e-bb1a-6a7cd0d1f0a3"
UNKNOWN_STATUS = "7c1e2a34-90ab-4cde-8f01-23456789ab06"
LEGACY_BASE = "1C2B75C1-74A5-472A-A729-7F8CEFC47701"
LEGACY_ADD_ON = "1C2B75C1-74A5-472A-A729-7F8CEFC47702"
LEGACY_YOUNG = "1C2B75C1-74A5-472A-A729-7F8CEFC47703"
SOFTWARE = "d3b7c9a2-9a4b-40b2-b075-6e442909e304"
SCHEDULED = "d3b7c9a2-9a4b-40b2-b075-6e442909e305"
EXPIRED = "d3b7c9a2-9a4b-40b2-b075-6e442909e306"
DELETED = "d3b7c9a2-9a4b-40b2-b075-6e442909e308"
GENERATED = 7
DAY = 86_400
SCHEDULE = {"product": {"productId": "CFQ7TTC0LDPB"}, "quantity": 4}


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with running_entra(tmp_path_factory.mktemp("entra")) as running:
        yield running


@pytest.fixture(scope="module")
def shared(entra: Entra) -> Iterator[httpx.Client]:
    generated = ("--seed-customers", str(GENERATED), "--subscriptions-per-customer", "3")
    with running_partner_center(entra, *generated) as running:
        yield running


@pytest.fixture
def center(shared: httpx.Client) -> Iterator[httpx.Client]:
    """The shared simulator with its switches back at their defaults afterwards; tests act on what they buy."""
    yield shared
    listed = shared.get("/_control/switches").json()["switches"]
    shared.post("/_control/switches", json={one["name"]: one["default"] for one in listed}).raise_for_status()


@pytest.fixture
def fresh(entra: Entra) -> Iterator[httpx.Client]:
    """A simulator of the test's own, for tests that move the clock or change the seed."""
    with running_partner_center(entra) as running:
        yield running


def switch(center: httpx.Client, **values: object) -> None:
    center.post("/_control/switches", json=values).raise_for_status()


def advance(center: httpx.Client, seconds: float) -> None:
    center.post("/_control/clock", json={"advanceSeconds": seconds}).raise_for_status()


def path(subscription: str, customer: str = NORTHWIND) -> str:
    return f"/v1/customers/{customer}/subscriptions/{subscription}"


def read(center: httpx.Client, subscription: str, customer: str = NORTHWIND) -> dict[str, Any]:
    found: dict[str, Any] = center.get(path(subscription, customer)).raise_for_status().json()
    return found


def patch(
    center: httpx.Client,
    subscription: str,
    customer: str = NORTHWIND,
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> httpx.Response:
    """Send the whole resource back with some properties changed."""
    body = read(center, subscription, customer) | changes
    return center.patch(path(subscription, customer), json=body, headers=headers)


def buy(center: httpx.Client, template: str = "nce", quantity: int = 10, **more: Any) -> str:
    wanted = {"customerId": NORTHWIND, "template": template, "quantity": quantity, **more}
    return str(center.post("/_control/state/subscriptions", json=wanted).raise_for_status().json()["id"])


def refusal(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"]


def test_without_a_bearer_token_the_answer_is_401_without_a_body(center: httpx.Client) -> None:
    answer = center.get("/v1/customers", headers={"Authorization": ""})
    assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize("spoilt", [{"expiresInSeconds": -5}, {"signedBy": "stranger"}, {"algorithm": "none"}])
def test_a_token_that_does_not_verify_is_401_without_a_body(
    center: httpx.Client, entra: Entra, spoilt: dict[str, object]
) -> None:
    token = entra.portal_token(audience="https://api.partnercenter.microsoft.com", **spoilt)
    answer = center.get("/v1/customers", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.content) == (401, b"")


def test_a_token_for_another_audience_is_401_900420(center: httpx.Client, entra: Entra) -> None:
    token = entra.access_token(scope="https://graph.windows.net/.default")
    assert refusal(center.get("/v1/customers", headers={"Authorization": f"Bearer {token}"})) == (401, 900420)


def test_a_user_needs_the_second_factor(center: httpx.Client, entra: Entra) -> None:
    tokens = [
        entra.access_token(grant_type="refresh_token", refresh_token=f"0.local-refresh-token-{kind}-mfa")
        for kind in ("with", "without")
    ]
    answers = [center.get("/v1/customers", headers={"Authorization": f"Bearer {token}"}) for token in tokens]
    assert answers[0].status_code == 200
    assert refusal(answers[1]) == (401, 900421)


def test_request_and_correlation_ids_are_echoed(center: httpx.Client) -> None:
    answer = center.get("/v1/customers", headers={"MS-RequestId": "r-1", "MS-CorrelationId": "c-1"})
    assert (answer.headers["MS-RequestId"], answer.headers["MS-CorrelationId"]) == ("r-1", "c-1")
    assert {"ms-cv", "ms-serverid", "date"} <= set(answer.headers)


def pages(center: httpx.Client, size: int) -> list[httpx.Response]:
    answers = [center.get("/v1/customers", params={"size": size})]
    while "next" in answers[-1].json().get("links", {}):
        following = answers[-1].json()["links"]["next"]
        headers = {header["key"]: header["value"] for header in following["headers"]}
        answers.append(center.get("/v1" + following["uri"].removeprefix("/v1"), headers=headers))
    return answers


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_customers_come_in_pages_that_a_continuation_header_links(center: httpx.Client, prefix: str) -> None:
    switch(center, nextLinkPrefix=prefix)
    answers = pages(center, 4)
    ids = [item["id"] for answer in answers for item in answer.json()["items"]]
    assert [len(answer.json()["items"]) for answer in answers] == [4, 4, 2]
    assert len(set(ids)) == 3 + GENERATED
    assert ids[0] == NORTHWIND
    first = answers[0].json()
    assert first["links"]["next"]["uri"] == f"{prefix}/customers?size=4&seekOperation=Next"
    assert first["continuationToken"] == first["links"]["next"]["headers"][0]["value"]
    assert "," in first["continuationToken"]
    assert "/" in first["continuationToken"]
    assert "continuationToken" not in answers[-1].json()


def test_by_switch_the_page_past_the_end_is_400_2000(center: httpx.Client) -> None:
    switch(center, pagePastEnd="error_2000")
    answers = pages(center, 5)
    assert [answer.status_code for answer in answers] == [200, 200, 400]
    assert refusal(answers[-1]) == (400, 2000)


def test_a_continuation_token_of_another_query_is_refused(center: httpx.Client) -> None:
    token = center.get("/v1/customers?size=4").json()["continuationToken"]
    answer = center.get("/v1/customers?size=5&seekOperation=Next", headers={"MS-ContinuationToken": token})
    assert refusal(answer) == (400, 800002)


def test_customers_can_be_filtered_by_the_start_of_their_name(center: httpx.Client) -> None:
    wanted = '{"Field":"CompanyName","Value":"fab","Operator":"starts_with"}'
    found = center.get("/v1/customers", params={"size": 0, "filter": wanted}).json()["items"]
    assert [item["id"] for item in found] == [FABRIKAM]


def test_a_customer_without_delegated_access_lacks_the_personal_fields(center: httpx.Client) -> None:
    contoso, northwind = (center.get(f"/v1/customers/{one}").json() for one in (CONTOSO, NORTHWIND))
    assert "customDomains" not in contoso
    assert "address" not in contoso["companyProfile"]
    assert northwind["companyProfile"]["email"]
    assert center.get(f"/v1/customers/{CONTOSO}/subscriptions").json()["items"] == []


def test_unknown_customers_and_subscriptions_have_their_codes(center: httpx.Client) -> None:
    stranger = "11111111-1111-4111-8111-111111111111"
    assert refusal(center.get(f"/v1/customers/{stranger}")) == (403, 20002)
    assert refusal(center.get("/v1/customers/nonsense/subscriptions")) == (400, 900118)
    assert refusal(center.get(path(stranger))) == (404, 20003)
    assert refusal(center.get(path(IN_WINDOW, FABRIKAM))) == (404, 20003)
    switch(center, errorCodeType="string", unknownCustomer=60003)
    answer = center.get(f"/v1/customers/{stranger}")
    assert (answer.status_code, answer.json()["code"]) == (404, "60003")


def test_an_ended_relationship_takes_the_customer_off_the_list_and_every_path(center: httpx.Client) -> None:
    gone = f"c0000000-0000-4000-8000-{GENERATED:012x}"
    ended = center.delete(f"/_control/state/customers/{gone}")
    assert ended.status_code == 204
    assert gone not in [item["id"] for item in center.get("/v1/customers").json()["items"]]
    assert refusal(center.get(f"/v1/customers/{gone}/subscriptions")) == (403, 20002)


def test_the_list_shows_every_status_and_no_refundable_quantity_unless_switched(center: httpx.Client) -> None:
    fabrikam = center.get(f"/v1/customers/{FABRIKAM}/subscriptions").json()["items"]
    assert {"active", "expired", "disabled", "deleted"} <= {item["status"] for item in fabrikam}
    listed = center.get(f"/v1/customers/{NORTHWIND}/subscriptions")
    assert "refundableQuantity" not in listed.text
    switch(center, refundableQuantityInList="present")
    assert "refundableQuantity" in center.get(f"/v1/customers/{NORTHWIND}/subscriptions").text


def test_seats_bought_apart_have_windows_of_their_own(center: httpx.Client) -> None:
    seats = read(center, IN_WINDOW)["refundableQuantity"]
    assert seats["totalQuantity"] == 25
    assert [one["quantity"] for one in seats["details"]] == [20, 5]
    assert seats["details"][0]["allowedUntilDateTime"] == read(center, IN_WINDOW)["cancellationAllowedUntilDate"]
    assert read(center, WINDOW_CLOSED)["refundableQuantity"] == {"totalQuantity": 0, "details": []}
    assert read(center, SUSPENDED)["refundableQuantity"] is None
    assert "refundableQuantity" not in read(center, SOFTWARE, FABRIKAM)


def test_ids_match_in_any_case_and_legacy_ids_are_upper_case(center: httpx.Client) -> None:
    base = read(center, LEGACY_BASE.lower(), FABRIKAM.upper())
    assert base["id"] == LEGACY_BASE
    assert base["attributes"]["etag"]
    assert "productType" not in base
    add_ons = center.get(path(LEGACY_BASE, FABRIKAM) + "/addons").json()["items"]
    assert [one["id"] for one in add_ons] == [LEGACY_ADD_ON]
    order = {"order_id": base["orderId"].lower()}
    by_order = center.get(f"/v1/customers/{FABRIKAM}/subscriptions", params=order).json()
    assert [one["id"] for one in by_order["items"]] == [LEGACY_BASE]


def test_generated_subscriptions_follow_from_their_numbers(center: httpx.Client) -> None:
    customer = "c0000000-0000-4000-8000-000000000002"
    found = center.get(f"/v1/customers/{customer}/subscriptions").json()["items"]
    assert [one["id"] for one in found] == [f"50000002-0000-4000-8000-{number:012x}" for number in (1, 2, 3)]
    assert [one["quantity"] for one in found] == [8, 9, 10]
    refundable = [read(center, one["id"], customer)["refundableQuantity"]["totalQuantity"] for one in found]
    assert refundable == [0, 9, 0]


def test_of_the_generated_subscriptions_the_state_shows_only_the_written_ones(center: httpx.Client) -> None:
    customer, written = "c0000000-0000-4000-8000-000000000001", "50000001-0000-4000-8000-000000000001"
    assert patch(center, written, customer, quantity=9).json()["quantity"] == 9
    state = center.get("/_control/state").json()["generated"]
    assert (state["customers"], state["subscriptionsPerCustomer"]) == (GENERATED, 3)
    assert [(one["id"], one["quantity"]) for one in state["changed"]] == [(written, 9)]
    assert read(center, written, customer)["quantity"] == 9


def test_omitted_fields_are_reset(center: httpx.Client) -> None:
    bought = buy(center, set={"nextChargeInstructions": {"a": 1}, "additionalPartnerIds": ["1"], "futureField": [1]})
    body = read(center, bought)
    resettable = ("autoRenewEnabled", "nextChargeInstructions", "additionalPartnerIds", "futureField")
    kept = center.patch(path(bought), json=body).json()
    assert {name: kept[name] for name in resettable} == {name: body[name] for name in resettable}
    lossy = {name: value for name, value in body.items() if name not in resettable}
    after = center.patch(path(bought), json=lossy).json()
    assert after["autoRenewEnabled"] is False
    assert not set(resettable[1:]) & set(after)


def test_by_switch_an_unknown_field_survives_its_omission(center: httpx.Client) -> None:
    switch(center, unknownFieldOmitted="kept")
    bought = buy(center, set={"futureField": [1]})
    body = read(center, bought)
    del body["futureField"]
    assert center.patch(path(bought), json=body).json()["futureField"] == [1]


def test_property_names_match_in_any_case(center: httpx.Client) -> None:
    bought = buy(center)
    body = {name[0].upper() + name[1:]: value for name, value in read(center, bought).items()}
    answer = center.patch(path(bought), json=body | {"Quantity": 11, "Status": "Active"}).json()
    assert (answer["quantity"], answer["autoRenewEnabled"]) == (11, True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], 800002),
        ({}, 800002),
        ({"id": SUSPENDED}, 800002),
        ({"id": IN_WINDOW, "quantity": "many"}, 3000),
        ({"id": IN_WINDOW, "status": "sleeping"}, 900126),
        ({"id": IN_WINDOW, "status": "expired"}, 800040),
    ],
)
def test_a_body_that_is_wrong_is_refused(center: httpx.Client, body: object, code: int) -> None:
    assert refusal(center.patch(path(IN_WINDOW), json=body)) == (400, code)


def test_more_seats_are_a_batch_and_a_reduction_takes_the_newest_first(center: httpx.Client) -> None:
    bought = buy(center, quantity=10, boughtDaysAgo=8)
    assert patch(center, bought, quantity=14).json()["refundableQuantity"]["totalQuantity"] == 4
    reduced = patch(center, bought, quantity=11).json()
    assert (reduced["quantity"], reduced["refundableQuantity"]["totalQuantity"]) == (11, 1)
    assert refusal(patch(center, bought, quantity=9)) == (400, 800090)


def test_the_oldest_open_batch_gives_first_by_switch(center: httpx.Client) -> None:
    switch(center, seatBatchOrder="oldest_first", seatWindowError=900257)
    bought = buy(center, quantity=10)
    patch(center, bought, quantity=15)
    details = patch(center, bought, quantity=12).json()["refundableQuantity"]["details"]
    assert [one["quantity"] for one in details] == [7, 5]
    closed = buy(center, quantity=10, boughtDaysAgo=8)
    assert refusal(patch(center, closed, quantity=9)) == (400, 900257)


@pytest.mark.parametrize(("quantity", "refused"), [(0, (400, 2002)), (-1, (400, 2002)), (301, (403, 800067))])
def test_seats_have_limits(center: httpx.Client, quantity: int, refused: tuple[int, int]) -> None:
    assert refusal(patch(center, IN_WINDOW, quantity=quantity)) == refused


def test_a_window_closes_by_the_clock(fresh: httpx.Client) -> None:
    advance(fresh, 3 * DAY + 60)
    seats = read(fresh, IN_WINDOW)["refundableQuantity"]
    assert seats["totalQuantity"] == 5
    assert refusal(patch(fresh, IN_WINDOW, quantity=19)) == (400, 800090)
    assert refusal(patch(fresh, IN_WINDOW, status="deleted")) == (400, 900117)
    assert patch(fresh, IN_WINDOW, quantity=20).json()["quantity"] == 20


def test_suspending_switches_off_auto_renew_and_the_schedule_and_nothing_brings_them_back(
    center: httpx.Client,
) -> None:
    bought = buy(center, set={"scheduledNextTermInstructions": SCHEDULE, "futureField": [1]})
    suspended = patch(center, bought, status="suspended").json()
    assert (suspended["status"], suspended["autoRenewEnabled"]) == ("suspended", False)
    assert suspended["refundableQuantity"] is None
    assert suspended["suspensionReasons"]
    assert "scheduledNextTermInstructions" not in suspended
    assert suspended["futureField"] == [1]
    active = patch(center, bought, status="active").json()
    assert (active["status"], active["autoRenewEnabled"]) == ("active", False)
    assert "suspensionReasons" not in active
    assert patch(center, bought, autoRenewEnabled=True).json()["autoRenewEnabled"] is True


@pytest.mark.parametrize(("value", "expected"), [("accepted", True), ("ignored", False), ("refused", None)])
def test_auto_renew_in_the_reactivating_patch_is_a_switch(
    center: httpx.Client,
    value: str,
    expected: object,
) -> None:
    switch(center, autoRenewWithReactivation=value)
    bought = buy(center)
    patch(center, bought, status="suspended")
    assert patch(center, bought, status="active", autoRenewEnabled=True).json().get("autoRenewEnabled") is expected


def test_cancelling_within_the_window_deletes_even_what_is_suspended(center: httpx.Client) -> None:
    bought, suspended = buy(center), buy(center)
    assert patch(center, bought, status="deleted").json()["status"] == "deleted"
    patch(center, suspended, status="suspended")
    assert patch(center, suspended, status="deleted").json()["status"] == "deleted"
    assert refusal(patch(center, bought, quantity=1)) == (400, 2011)
    assert bought in [one["id"] for one in center.get(f"/v1/customers/{NORTHWIND}/subscriptions").json()["items"]]


@pytest.mark.parametrize(
    ("subscription", "customer", "changes", "refused"),
    [
        (WINDOW_CLOSED, NORTHWIND, {"status": "deleted"}, (400, 900117)),
        (WINDOW_CLOSED, NORTHWIND, {"quantity": 9}, (400, 800090)),
        (SUSPENDED, NORTHWIND, {"quantity": 5}, (400, 2001)),
        (SUSPENDED, NORTHWIND, {"autoRenewEnabled": True}, (400, 800091)),
        (TRIAL, NORTHWIND, {"quantity": 26}, (400, 800095)),
        (TRIAL, NORTHWIND, {"status": "suspended"}, (400, 800096)),
        (AZURE_PLAN, NORTHWIND, {"status": "suspended"}, (403, 900115)),
        (UNKNOWN_STATUS, NORTHWIND, {"quantity": 5}, (400, 900279)),
        (EXPIRED, FABRIKAM, {"status": "active"}, (400, 900279)),
        (DELETED, FABRIKAM, {"status": "active"}, (400, 2011)),
        (SOFTWARE, FABRIKAM, {"quantity": 9}, (400, 800095)),
        (SOFTWARE, FABRIKAM, {"quantity": 11}, (403, 800027)),
        (SOFTWARE, FABRIKAM, {"status": "suspended"}, (400, 800096)),
        (LEGACY_BASE, FABRIKAM, {"status": "deleted"}, (400, 800096)),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_code_and_changes_nothing(
    center: httpx.Client, subscription: str, customer: str, changes: dict[str, Any], refused: tuple[int, int]
) -> None:
    before = read(center, subscription, customer)
    assert refusal(patch(center, subscription, customer, **changes)) == refused
    assert read(center, subscription, customer) == before


def test_a_change_of_seats_removes_the_schedule_and_a_change_of_name_does_not(center: httpx.Client) -> None:
    bought = buy(center, set={"scheduledNextTermInstructions": SCHEDULE})
    named = patch(center, bought, friendlyName="Head office").json()
    assert named["scheduledNextTermInstructions"] == SCHEDULE
    assert "scheduledNextTermInstructions" not in patch(center, bought, quantity=11).json()


def test_a_schedule_needs_auto_renew(center: httpx.Client) -> None:
    bought = buy(center)
    refused = patch(center, bought, autoRenewEnabled=False, scheduledNextTermInstructions=SCHEDULE)
    assert refusal(refused) == (400, 800093)
    accepted = patch(center, bought, scheduledNextTermInstructions=SCHEDULE).json()
    assert accepted["scheduledNextTermInstructions"] == SCHEDULE


def test_suspending_a_legacy_base_takes_its_add_ons_along(fresh: httpx.Client) -> None:
    patch(fresh, LEGACY_BASE, FABRIKAM, status="suspended").raise_for_status()
    assert read(fresh, LEGACY_ADD_ON, FABRIKAM)["status"] == "suspended"
    assert refusal(patch(fresh, LEGACY_ADD_ON, FABRIKAM, status="active")) == (409, 27009)
    assert patch(fresh, LEGACY_BASE, FABRIKAM, status="active").json()["autoRenewEnabled"] is True
    assert patch(fresh, LEGACY_ADD_ON, FABRIKAM, status="active").json()["status"] == "active"


@pytest.mark.parametrize("status", [400, 412])
def test_a_stale_etag_is_refused(center: httpx.Client, status: int) -> None:
    switch(center, staleEtag=status)
    first = read(center, LEGACY_YOUNG, FABRIKAM)
    changed = patch(center, LEGACY_YOUNG, FABRIKAM, quantity=first["quantity"] - 1).json()
    assert changed["attributes"]["etag"] != first["attributes"]["etag"]
    assert refusal(center.patch(path(LEGACY_YOUNG, FABRIKAM), json=first)) == (status, 2055)
    headers = {"If-Match": f'"{first["attributes"]["etag"]}"'}
    assert refusal(patch(center, LEGACY_YOUNG, FABRIKAM, headers)) == (status, 2055)


def test_202_shows_its_change_later_and_blocks_other_changes_until_then(center: httpx.Client) -> None:
    bought = buy(center)
    center.post("/_control/state/async", json={"seconds": 60, "times": 1}).raise_for_status()
    answer = patch(center, bought, status="suspended")
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["Location"] == f"/customers/{NORTHWIND}/subscriptions/{bought}"
    assert read(center, bought)["status"] == "active"
    assert refusal(patch(center, bought, quantity=26)) == (409, 800082)
    advance(center, 61)
    assert center.get("/v1" + answer.headers["Location"]).json()["status"] == "suspended"
    assert patch(center, bought, status="active").status_code == 200


def test_a_202_can_get_lost(center: httpx.Client) -> None:
    bought = buy(center)
    center.post("/_control/state/async", json={"seconds": 5, "times": 1, "outcome": "lost"}).raise_for_status()
    assert patch(center, bought, quantity=30).status_code == 202
    advance(center, 6)
    assert read(center, bought)["quantity"] == 10
    assert patch(center, bought, quantity=30).status_code == 200


def test_a_write_repeated_with_its_request_id_has_one_effect(center: httpx.Client) -> None:
    bought = buy(center)
    body = read(center, bought) | {"quantity": 12}
    first = center.patch(path(bought), json=body, headers={"MS-RequestId": "write-1"})
    patch(center, bought, quantity=15)
    again = center.patch(path(bought), json=body, headers={"MS-RequestId": "WRITE-1", "MS-CorrelationId": "c-9"})
    assert again.json() == first.json()
    assert (again.headers["MS-CorrelationId"], len(again.headers.get_list("content-length"))) == ("c-9", 1)
    assert read(center, bought)["quantity"] == 15
    switch(center, msRequestIdReplay="error")
    repeated = center.patch(path(bought), json=body, headers={"MS-RequestId": "write-1"})
    assert refusal(repeated) == (409, 800060)
    switch(center, msRequestIdReplay="ignored")
    acted = center.patch(path(bought), json=body, headers={"MS-RequestId": "write-1"})
    assert acted.json()["quantity"] == 12


def test_a_timeout_after_the_effect_is_healed_by_the_same_request_id(center: httpx.Client) -> None:
    bought = buy(center)
    body = read(center, bought) | {"quantity": 12}
    fault = {"method": "PATCH", "path": bought, "when": "after", "fault": "reset"}
    center.post("/_control/faults", json=fault).raise_for_status()
    headers = {"MS-RequestId": "write-2"}
    with pytest.raises(httpx.TransportError):
        center.patch(path(bought), json=body, headers=headers)
    assert center.patch(path(bought), json=body, headers=headers).json()["quantity"] == 12
    assert center.get(f"/_control/state/subscriptions/{bought}").json()["updates"] == 1


def test_throttling_answers_429_with_its_odd_body(center: httpx.Client) -> None:
    switch(center, requestsPerMinute=3)
    answers = [center.get(f"/v1/customers/{NORTHWIND}") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 0 < int(answers[3].headers["Retry-After"]) <= 60
    assert answers[3].json()["statusCode"] == 429
    assert "code" not in answers[3].json()


def test_faults_without_a_body_look_like_microsofts(center: httpx.Client) -> None:
    for fault in ("429", "500", "502"):
        center.post("/_control/faults", json={"path": NORTHWIND, "fault": fault}).raise_for_status()
    answers = [center.get(f"/v1/customers/{NORTHWIND}") for _ in range(3)]
    assert answers[0].json()["statusCode"] == 429
    assert refusal(answers[1]) == (500, 800003)
    assert answers[2].text.startswith("<html>")


def test_auto_renew_goes_through_a_blackout_into_a_new_term_with_new_windows(fresh: httpx.Client) -> None:
    before = read(fresh, WINDOW_CLOSED)
    fresh.post("/_control/clock", json={"set": before["commitmentEndDateTime"]}).raise_for_status()
    advance(fresh, 600)
    assert refusal(patch(fresh, WINDOW_CLOSED, quantity=11)) == (409, 800082)
    assert refusal(patch(fresh, WINDOW_CLOSED, status="suspended")) == (400, 900280)
    advance(fresh, 3600)
    renewed = read(fresh, WINDOW_CLOSED)
    assert renewed["status"] == "active"
    assert renewed["commitmentEndDate"] > before["commitmentEndDate"]
    assert renewed["refundableQuantity"]["totalQuantity"] == 10
    assert patch(fresh, WINDOW_CLOSED, quantity=8).json()["quantity"] == 8


def test_renewal_follows_the_scheduled_instructions(fresh: httpx.Client) -> None:
    advance(fresh, 366 * DAY)
    renewed = read(fresh, SCHEDULED, FABRIKAM)
    assert (renewed["quantity"], renewed["status"]) == (6, "active")
    assert "scheduledNextTermInstructions" not in renewed


def test_without_auto_renew_it_expires_is_disabled_and_deleted(fresh: httpx.Client) -> None:
    patch(fresh, WINDOW_CLOSED, autoRenewEnabled=False).raise_for_status()
    seen = []
    for days in (40, 20, 100):
        advance(fresh, days * DAY)
        seen.append(read(fresh, WINDOW_CLOSED)["status"])
    assert seen == ["expired", "disabled", "deleted"]
    advance(fresh, 366 * DAY)
    assert read(fresh, SUSPENDED)["status"] == "deleted"


@pytest.mark.parametrize("reasons", ["kept", "removed"])
def test_a_suspended_one_is_disabled_with_its_reasons_or_without(fresh: httpx.Client, reasons: str) -> None:
    fresh.post("/_control/switches", json={"suspensionReasonsWhenDisabled": reasons}).raise_for_status()
    patch(fresh, WINDOW_CLOSED, status="suspended").raise_for_status()
    end = datetime.fromisoformat(read(fresh, WINDOW_CLOSED)["commitmentEndDate"])
    now = datetime.fromisoformat(fresh.get("/_control/clock").json()["now"])
    advance(fresh, (end - now).total_seconds() + 2 * DAY)
    disabled = read(fresh, WINDOW_CLOSED)
    assert (disabled["status"], "suspensionReasons" in disabled) == ("disabled", reasons == "kept")


def test_the_date_header_is_the_simulated_clocks(fresh: httpx.Client) -> None:
    fresh.post("/_control/clock", json={"set": "2031-02-03T04:05:06Z"}).raise_for_status()
    assert fresh.get(f"/v1/customers/{CONTOSO}").headers["Date"].startswith("Mon, 03 Feb 2031 04:05:")


def test_every_write_leaves_an_audit_record_newest_first_in_pages(center: httpx.Client) -> None:
    bought = buy(center)
    for quantity in (26, 27, 28):
        patch(center, bought, quantity=quantity).raise_for_status()
    first = center.get("/v1/auditrecords?size=2").json()
    following = first["links"]["next"]
    headers = {header["key"]: header["value"] for header in following["headers"]}
    second = center.get("/v1" + following["uri"], headers=headers).json()
    values = [one["resourceNewValue"] for page in (first, second) for one in page["items"]]
    assert [f'"Quantity": {quantity}' in values[place] for place, quantity in enumerate((28, 27, 26, 10))] == [True] * 4
    record, order = first["items"][0], second["items"][1]
    assert (record["operationType"], record["customerId"]) == ("update_subscription", NORTHWIND)
    assert (record["applicationId"], order["operationType"]) == ("CSP actions app", "create_order")


def test_audit_records_are_found_by_customer_and_day_and_end_after_90_days(fresh: httpx.Client) -> None:
    patch(fresh, IN_WINDOW, quantity=26).raise_for_status()
    patch(fresh, LEGACY_BASE, FABRIKAM, quantity=11).raise_for_status()
    wanted = f'{{"Field":"CustomerId","Value":"{FABRIKAM}","Operator":"equals"}}'
    found = fresh.get("/v1/auditrecords", params={"filter": wanted}).json()["items"]
    assert [one["customerId"] for one in found] == [FABRIKAM]
    today = fresh.get("/_control/clock").json()["now"][:10]
    assert len(fresh.get("/v1/auditrecords", params={"startDate": today, "endDate": today}).json()["items"]) == 2
    assert fresh.get("/v1/auditrecords?startDate=2020-01-01").status_code == 400
    switch(fresh, auditLagSeconds=300)
    assert fresh.get("/v1/auditrecords").json()["items"] == []


def test_somebody_can_change_a_subscription_directly_at_microsoft(center: httpx.Client) -> None:
    bought = buy(center)
    control = f"/_control/state/subscriptions/{bought}"
    changed = center.patch(control, json={"quantity": 30}).json()
    assert (changed["quantity"], [one["quantity"] for one in changed["batches"]]) == (30, [10, 20])
    assert read(center, bought)["quantity"] == 30
    assert center.get("/v1/auditrecords?size=1").json()["items"][0]["userPrincipalName"]
    refused = center.patch(control, json={"quantity": 0})
    assert (refused.status_code, refused.json()["error"][:21]) == (400, "refused with 400/2002")
    forced = center.patch(control, json={"force": True, "status": "under_review"}).json()
    assert forced["resource"]["status"] == "under_review"
