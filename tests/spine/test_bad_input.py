"""What bad input gets: wrong bodies, tokens that open nothing, and Partner Center gone."""

from __future__ import annotations

import json
import re
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.spine.world import Subject, World, codes, fault

if TYPE_CHECKING:
    from collections.abc import Iterator

NORTHWIND = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"
FABRIKAM = "2e4d8c11-7a90-4c1c-a1b5-0f6e3b2d7a02"
NOBODY = "deadbeef-0000-4000-8000-000000000000"
SEATS = f"/customers/{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab01"
CLOSED = f"/customers/{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab02"
TRIAL = f"/customers/{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab04"
STRANGE = f"/customers/{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab06"
THIRD_PARTY = f"/customers/{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab07"
AZURE_PLAN = f"/customers/{NORTHWIND}/subscriptions/9f30c2de-6f70-4a3e-bb1a-6a7cd0d1f0a3"
LEGACY = f"/customers/{FABRIKAM}/subscriptions/1C2B75C1-74A5-472A-A729-7F8CEFC47701"


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """A problem document of RFC 9457 with what every one of ours has."""
    assert answer.headers["Content-Type"].partition(";")[0] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"urn:csp-functions:problem:{problem['code']}"
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    assert re.fullmatch(r"[0-9a-f]{32}", problem["traceId"])
    return problem


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ('{"quantity": 20, "discount": 1}', 422, "discount"),
        ('{"quantity": 20, "expect": {"colour": "red"}}', 422, "expect.colour"),
        ('{"quantity": "20"}', 422, "quantity"),
        ('{"quantity": 20.5}', 422, "quantity"),
        ('{"quantity": true}', 422, "quantity"),
        ('{"quantity": null}', 422, "quantity"),
        ('{"quantity": [20]}', 422, "quantity"),
        ('{"quantity": 0}', 422, "quantity"),
        ('{"quantity": -3}', 422, "quantity"),
        ('{"quantity": 1e400}', 422, "quantity"),
        ('{"quantity": 99999999999999999999}', 422, "quantity"),
        ("{}", 422, "quantity"),
        ("", 422, "quantity"),
        ('{"quantity": 20, "expect": {"quantity": "20"}}', 422, "expect.quantity"),
        ("quantity=20", 400, "body"),
        ('{"quantity": 20', 400, "body"),
        ("[20]", 400, "body"),
        ("null", 400, "body"),
        ("[" * 5000, 400, "body"),
        (b'{"quantity": 20, "note": "\xff"}', 400, "body"),
    ],
)
def test_a_body_that_is_wrong_is_refused_and_the_field_named(
    world: World, body: str | bytes, status: int, field: str
) -> None:
    answer = world.clients["operator"].post(
        f"{SEATS}/change-quantity", content=body, headers={"Idempotency-Key": "bad-body"}
    )

    problem = problem_of(answer)
    assert answer.status_code == status, problem
    assert field in {error["field"] for error in problem["errors"]}


def test_a_body_of_more_than_64_kib_is_refused(world: World) -> None:
    body = json.dumps({"quantity": 20, "padding": "x" * 64 * 1024})

    answer = world.clients["operator"].post(f"{SEATS}/change-quantity", content=body, headers={"Idempotency-Key": "b"})

    assert (answer.status_code, problem_of(answer)["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/customers/{NOBODY}/subscriptions/{NOBODY}", "customer_not_found"),
        (f"/customers/{NORTHWIND}/subscriptions/{NOBODY}", "subscription_not_found"),
        (f"/customers/{FABRIKAM}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab01", "subscription_not_found"),
        ("/customers/not-a-guid/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab01", "customer_not_found"),
        (f"/customers/{NORTHWIND}/subscriptions/' or 1 eq 1 or '", "subscription_not_found"),
        (f"/customers/{NORTHWIND}/subscriptions/..%2F..%2Fcustomers", "subscription_not_found"),
    ],
)
@pytest.mark.parametrize("action", ["", "/cancel", "/suspend", "/sync"])
def test_what_nobody_knows_is_not_found(world: World, path: str, code: str, action: str) -> None:
    method = "POST" if action else "GET"
    answer = world.clients["operator"].request(method, f"{path}{action}", headers={"Idempotency-Key": "unknown"})

    assert (answer.status_code, problem_of(answer)["code"]) == (404, code)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/operations/{NORTHWIND}_{NOBODY}_1", "operation_not_found"),
        ("/operations/nonsense", "operation_not_found"),
        ("/operations/a_b_-1", "operation_not_found"),
        (f"/customers/{NORTHWIND}/subscriptions/{NOBODY}/mapping", "mapping_not_found"),
        (f"/mappings/customers/{NOBODY}", "mapping_not_found"),
        (f"/customers/{NORTHWIND}/subscriptions/{NOBODY}/operations", "subscription_not_found"),
    ],
)
def test_an_operation_or_mapping_that_does_not_exist_is_not_found(world: World, path: str, code: str) -> None:
    answer = world.clients["reader"].get(path)

    assert (answer.status_code, problem_of(answer)["code"]) == (404, code)


@pytest.mark.parametrize("verb", ["", "/resubmit", "/dismiss"])
def test_a_dead_letter_that_does_not_exist_is_not_found(world: World, verb: str) -> None:
    path = f"/dead-letters/{NORTHWIND}_{NOBODY}_1{verb}"
    client = world.clients["deadletters"]

    answer = client.post(path, json={"reason": "test"}) if verb else client.get(path)

    assert (answer.status_code, problem_of(answer)["code"]) == (404, "operation_not_found")


@pytest.mark.parametrize(
    ("path", "action", "body", "code", "alternatives"),
    [
        (CLOSED, "cancel", {}, "cancel_window_closed", {"reduce_at_renewal", "auto_renew_off", "suspend"}),
        (CLOSED, "change-quantity", {"quantity": 1}, "seat_window_closed", {"reduce_at_renewal"}),
        (TRIAL, "cancel", {}, "trial", {"auto_renew_off"}),
        (STRANGE, "suspend", {}, "not_in_this_state", {"sync"}),
        (THIRD_PARTY, "cancel", {}, "not_for_this_product", set()),
        (AZURE_PLAN, "suspend", {}, "not_for_this_product", set()),
        (LEGACY, "cancel", {}, "not_for_this_product", {"suspend"}),
    ],
)
def test_an_action_that_the_state_does_not_allow_says_why_and_what_remains(
    world: World, path: str, action: str, body: dict[str, Any], code: str, alternatives: set[str]
) -> None:
    answer = world.clients["operator"].post(f"{path}/{action}", json=body, headers={"Idempotency-Key": "state"})

    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (409, code)
    assert codes(problem.get("alternatives", [])) == alternatives
    if code.endswith("window_closed"):
        assert problem["until"] < world.subscription(_subject(path))["commitmentEndsAt"]


def _subject(path: str) -> Subject:
    _, _, customer, _, subscription = path.split("/")
    return Subject(customer, subscription, 0, 0, 0)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "idempotency_key_missing"),
        ({"Idempotency-Key": ""}, "idempotency_key_missing"),
        ({"Idempotency-Key": "two words"}, "idempotency_key_invalid"),
        ({"Idempotency-Key": "k" * 256}, "idempotency_key_invalid"),
    ],
)
def test_an_action_without_a_usable_key_is_refused(world: World, headers: dict[str, str], code: str) -> None:
    answer = world.clients["operator"].post(f"{SEATS}/suspend", headers=headers)

    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (400, code)
    assert {error["field"] for error in problem["errors"]} == {"Idempotency-Key"}


def test_a_key_that_was_used_with_another_body_is_refused(world: World) -> None:
    subject = world.outside_window()
    first = world.act(subject, "change-quantity", key="reused", quantity=subject.quantity + 1)

    second = world.act(subject, "change-quantity", key="reused", quantity=subject.quantity + 2)

    assert first.status_code == 200
    assert (second.status_code, problem_of(second)["code"]) == (422, "idempotency_key_reused")
    assert len(world.patches(subject)) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"product": "CFQ7TTC0LDPB/0001"}, "product"),
        ({"product": "what?#"}, "product"),
        ({"product": "x" * 121}, "product"),
        ({"product": ""}, "product"),
        ({"termDuration": "a year"}, "termDuration"),
        ({"billingCycle": "each\tmonth"}, "billingCycle"),
        ({"serviceId": 0}, "serviceId"),
    ],
)
def test_an_offer_that_no_catalogue_could_name_is_not_mapped(world: World, changes: dict[str, Any], field: str) -> None:
    body = {"product": "CFQ7TTC0LDPB:0001", "termDuration": "P1Y", "billingCycle": "monthly", "serviceId": 1}

    answer = world.clients["mapper"].put("/mappings/products", json=body | changes)

    assert answer.status_code == 422
    assert [error["field"] for error in problem_of(answer)["errors"]] == [field]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/customers?pageSize=0", 400, "pageSize"),
        ("/customers?pageSize=201", 400, "pageSize"),
        ("/customers?pageSize=many", 400, "pageSize"),
        ("/customers?continuation=ours-not", 400, "continuation"),
        (f"{SEATS}/operations?continuation=bm8", 400, "continuation"),
        (f"{SEATS}/operations?continuation=dHJ1ZQ==", 400, "continuation"),
        ("/subscriptions?badge=golden", 422, "badge"),
        ("/subscriptions?state=asleep", 422, "state"),
        (f"/customers/{NORTHWIND}/subscriptions?family=none", 422, "family"),
    ],
)
def test_a_query_that_is_wrong_is_refused_and_the_parameter_named(
    world: World, path: str, status: int, field: str
) -> None:
    answer = world.clients["reader"].get(path)

    problem = problem_of(answer)
    assert answer.status_code == status
    assert {error["field"] for error in problem["errors"]} == {field}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_body"),
        ({"contractId": 0}, 422, "invalid_body"),
        ({"contractId": "29747643"}, 422, "invalid_body"),
        ({"contractId": 29747643, "policy": {"suspend": "sometimes"}}, 422, "invalid_body"),
        ({"contractId": 1, "contractServiceId": 8001}, 422, "contract_not_found"),
        ({"contractId": 29747643, "contractServiceId": 1}, 422, "line_not_on_contract"),
        ({"contractId": 29747643, "contractServiceId": 8101}, 422, "line_not_on_contract"),
        ({"contractId": 29747651, "contractServiceId": 8001}, 409, "contract_not_recurring"),
        ({"contractId": 29747650, "contractServiceId": 8201}, 409, "contract_ended"),
        ({"contractId": 29747643}, 409, "product_not_mapped"),
    ],
)
def test_a_mapping_that_cannot_bill_is_refused(world: World, body: dict[str, Any], status: int, code: str) -> None:
    answer = world.clients["mapper"].put(f"{SEATS}/mapping", json=body)

    assert (answer.status_code, problem_of(answer)["code"]) == (status, code), answer.text


@pytest.fixture(scope="module")
def entra(running_world: World) -> Iterator[httpx.Client]:
    ready = running_world.stack.ready
    trust = ssl.create_default_context(cafile=ready["caFile"])
    with httpx.Client(base_url=ready["entra"], verify=trust, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ({"expiresInSeconds": -3600}, 401),
        ({"signedBy": "stranger"}, 401),
        ({"audience": "api://somebody-else"}, 401),
        ({"audience": "https://api.partnercenter.microsoft.com"}, 401),
        ({"tenant": NOBODY}, 401),
        ({"issuer": "https://example.com/"}, 401),
        ({"algorithm": "none"}, 401),
        ({"algorithm": "HS256"}, 401),
        ({"roles": []}, 403),
        ({"roles": ["Subscriptions.Operate"]}, 403),
        ({"roles": ["subscriptions.read"]}, 403),
    ],
)
def test_a_token_that_does_not_verify_or_lacks_the_role_opens_nothing(
    world: World, entra: httpx.Client, token: dict[str, Any], status: int
) -> None:
    asked = {"name": "Somebody", "roles": ["Subscriptions.Read"], **token}
    issued = entra.post("/_control/tokens", json=asked).raise_for_status().json()["access_token"]

    answer = world.anonymous.get("/customers", headers={"Authorization": f"Bearer {issued}"})

    assert answer.status_code == status
    assert problem_of(answer)["code"] == {401: "unauthenticated", 403: "forbidden"}[status]
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer not.a.token", "Basic dXNlcjpwYXNz", "Bearer a b"])
def test_what_is_no_token_opens_nothing(world: World, header: str) -> None:
    answer = world.anonymous.get("/customers", headers={"Authorization": header})

    assert (answer.status_code, problem_of(answer)["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("kind", ["reset", "503"])
def test_while_partner_center_cannot_be_read_nothing_is_begun(world: World, kind: str) -> None:
    subject = world.inside_window()
    fault(world.partner_center, {"path": f"subscriptions/{subject.subscription}", "fault": kind, "times": 0})

    answer = world.act(subject, "cancel")

    assert (answer.status_code, problem_of(answer)["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert world.operations(subject) == []
    assert world.patches(subject) == []


def test_while_partner_center_is_gone_the_answer_is_503_and_the_next_one_works(world: World) -> None:
    subject = world.inside_window()
    world.stack.kill("partner-center")
    try:
        answer = world.act(subject, "cancel")
    finally:
        world.stack.start("partner-center")

    assert (answer.status_code, problem_of(answer)["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert world.operations(subject) == []
    world.wait_for_rest(world.done(subject, "cancel"))


def test_what_may_have_reached_microsoft_is_503_and_settles_by_itself(world: World) -> None:
    subject = world.inside_window()
    fault(world.partner_center, {"method": "PATCH", "path": subject.subscription, "fault": "reset", "when": "after"})

    answer = world.act(subject, "cancel", key="unclear")

    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (503, "partner_center_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Operation-Location"] == problem["operation"]["links"]["self"]
    world.wait_for_rest(problem["operation"]["id"])
    assert world.at_microsoft(subject)["updates"] == 1
    assert world.adjustments(subject) == [(world.today(), -subject.quantity)]


def test_who_asks_again_while_the_outcome_is_open_is_told_so(world: World) -> None:
    subject = world.inside_window()
    fault(world.partner_center, {"path": subject.subscription, "method": "PATCH", "fault": "503", "when": "before"})
    operation = world.act(subject, "cancel", key="still-open").json()["operation"]["id"]

    other = world.act(subject, "suspend")
    same = world.act(subject, "cancel", key="still-open")

    assert (other.status_code, problem_of(other)["code"]) == (409, "operation_in_progress")
    assert (same.status_code, same.json()["operation"]["id"]) == (202, operation)
    world.wait_for_rest(operation)
    assert world.at_microsoft(subject)["status"] == "deleted"


def test_a_call_that_takes_longer_than_the_alarm_of_messages_is_answered_by_its_caller_first(world: World) -> None:
    subject = world.inside_window()
    fault(world.partner_center, {"method": "PATCH", "path": subject.subscription, "fault": "timeout", "when": "after"})
    patient = world.stack.start_extra_host({"PARTNER_CENTER_TIMEOUT_SECONDS": "5"})
    try:
        answer = world.clients["operator"].post(
            f"{world.stack.ready['hosts'][patient]}/api{subject.path}/cancel", headers={"Idempotency-Key": "patient"}
        )
    finally:
        world.stack.stop(patient)

    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (503, "partner_center_unavailable")
    assert problem["operation"]["partnerCenter"]["status"] == "unknown"
    settled = world.wait_for_rest(problem["operation"]["id"])
    assert settled["partnerCenter"]["status"] == "applied"


def test_a_refused_request_binds_its_key_to_nothing(world: World) -> None:
    subject = world.inside_window()
    stale = world.act(subject, "change-quantity", key="one-key", quantity=3, expect={"quantity": 999})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_page")
    unknown = world.act(subject, "change-quantity", key="one-key", seats=3)
    assert unknown.status_code == 422
    already = world.act(subject, "change-quantity", key="one-key", quantity=subject.quantity)
    assert (already.status_code, already.json()["operation"]) == (200, None)

    accepted = world.act(subject, "change-quantity", key="one-key", quantity=subject.quantity + 1)
    assert accepted.status_code == 200
    other = world.act(subject, "change-quantity", key="one-key", quantity=subject.quantity + 2)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(world.operations(subject)) == 1
