"""Mapping in one call: what the preview shows beforehand, and what the mapping then does, on the real stack."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.domain.calendar import BillingCalendar, PeriodType
from shared.domain.rates import cents
from tests.spine.world import Subject, World, fault

NORTHWIND = "/customers/0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"
FRESH = f"{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab01"
CSP, ENDED, SUPPORT = 29747643, 29747650, 29747651
PREMIUM = 678


def company_of(subject: Subject) -> int:
    return subject.contract - 1_000_000


def preview(world: World, subject: Subject | str, **body: Any) -> dict[str, Any]:
    path = subject if isinstance(subject, str) else subject.path
    answer = world.clients["mapper"].post(f"{path}/mapping/preview", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def put(world: World, subject: Subject, **body: Any) -> httpx.Response:
    return world.clients["mapper"].put(f"{subject.path}/mapping", json=body)


def contract_of(world: World, company: int, **changes: Any) -> int:
    """A contract that somebody makes in Autotask."""
    settings = world.stack.ready["settings"]
    headers = {
        "UserName": settings["AUTOTASK_USER"],
        "Secret": settings["AUTOTASK_SECRET"],
        "ApiIntegrationCode": settings["AUTOTASK_INTEGRATION_CODE"],
    }
    body = {
        "companyID": company,
        "contractName": "made by hand",
        "contractType": 7,
        "contractPeriodType": 2,
        "status": 1,
        "timeReportingRequiresStartAndStopTimes": 0,
        "startDate": "2024-01-01",
        "endDate": "2031-12-31",
    }
    answer = world.autotask.post("/ATServicesRest/v1.0/Contracts", json=body | changes, headers=headers)
    return int(answer.raise_for_status().json()["itemId"])


def lines_of(world: World, subject: Subject) -> list[dict[str, Any]]:
    shown = preview(world, subject, contractId=subject.contract)["lines"]
    return list(shown)


def test_without_a_mapped_customer_the_preview_says_what_it_needs(world: World) -> None:
    seen = preview(world, world.unmapped("open"))

    assert (seen["allowed"], seen["problem"]["code"]) == (False, "customer_not_mapped")
    assert [error["field"] for error in seen["problem"]["errors"]] == ["companyId"]
    assert (seen["contracts"], seen["bill"], seen["request"]) == ([], None, None)


def test_a_line_that_bills_already_is_adopted_and_the_bill_stays(world: World) -> None:
    subject = world.unmapped("open")
    seen = preview(world, subject, companyId=company_of(subject), contractServiceId=subject.line)

    assert seen["allowed"], seen["problem"]
    assert seen["company"] == {
        "id": company_of(subject),
        "name": f"Generated Customer {company_of(subject) - 30_000_000:06d}",
        "mapped": False,
    }
    assert seen["contract"] == {"id": subject.contract, "from": "only_one"}
    assert (seen["units"], seen["firstBill"]) == ("adopt", None)
    assert seen["bill"]["before"] == seen["bill"]["after"]
    assert seen["bill"]["before"][0]["units"] == subject.quantity
    assert world.clients["reader"].get(f"{subject.path}/mapping").status_code == 404


def test_a_purchase_is_mapped_as_its_preview_says_with_customer_product_and_a_new_line(world: World) -> None:
    subject = world.unmapped("open")
    wanted = {"companyId": company_of(subject), "serviceId": PREMIUM, "pricing": fixed("21.00")}
    seen = preview(world, subject, **wanted)

    assert seen["allowed"], seen["problem"]
    assert (seen["units"], seen["bill"]["creates"], seen["bill"]["contractServiceId"]) == ("push", True, None)
    first, today = seen["firstBill"], world.today()
    months = BillingCalendar(today.replace(day=1), PeriodType.MONTHLY)
    assert (first["from"], first["units"]) == (today.isoformat(), subject.quantity)
    last = months.next_period(today) - timedelta(days=1)
    assert first["through"] == last.isoformat()
    share = months.share(today, last)
    assert Decimal(first["amount"]) == cents(subject.quantity * Decimal(21) * share)

    answer = put(world, subject, **(wanted | seen["request"]))

    assert answer.status_code == 200, answer.text
    world.wait_for_rest(answer.json()["operation"]["id"])
    made = answer.json()["mapping"]["contractServiceId"]
    new = Subject(subject.customer, subject.subscription, subject.contract, made, subject.quantity)
    assert world.bill(new) == [(today, subject.quantity)]
    known = world.clients["reader"].get(f"/mappings/customers/{subject.customer}").json()
    assert known["companyId"] == company_of(subject)
    listed = world.clients["reader"].get(f"/customers/{subject.customer}/subscriptions").json()["value"]
    assert [item["badge"] for item in listed if item["id"] == subject.subscription] == ["synced"]


def fixed(price: str) -> dict[str, str]:
    return {"source": "fixed", "unitPrice": price}


def test_the_next_subscription_of_a_customer_is_filled_in_from_the_last_one(world: World) -> None:
    subject = world.inside_window()
    contract_of(world, company_of(subject))
    number = int(subject.customer[-12:], 16)
    other = f"5{number:07x}-0000-4000-8000-{3 - int(subject.subscription[-12:], 16):012x}"
    sibling = Subject(subject.customer, other, subject.contract, 0, 0)

    seen = preview(world, sibling, serviceId=PREMIUM)

    assert seen["contract"] == {"id": subject.contract, "from": "last_used"}
    assert next((one["id"], one["lastUsed"]) for one in seen["contracts"]) == (subject.contract, True)
    assert len(seen["contracts"]) == 2
    assert "disqualified" not in seen
    assert seen["company"]["mapped"]
    assert seen["allowed"]


def test_contracts_that_do_not_qualify_are_shown_on_request_with_their_reasons(world: World) -> None:
    seen = preview(world, FRESH, companyId=29683616, includeDisqualified=True)

    offered = {one["id"] for one in seen["contracts"]}
    reasons = {one["id"]: [reason["code"] for reason in one["reasons"]] for one in seen["disqualified"]}
    assert CSP in offered
    assert not offered & {ENDED, SUPPORT}
    assert reasons[ENDED] == ["contract_ended"]
    assert reasons[SUPPORT] == ["contract_not_recurring"]
    assert all(not one["qualifies"] for one in seen["disqualified"])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"contractPeriodType": 5}, "contract_period_differs"),
        ({"status": 0}, "contract_inactive"),
        ({"startDate": "2030-01-01"}, "contract_starts_later"),
    ],
)
def test_a_contract_that_the_preview_disqualifies_is_refused_by_the_mapping(
    world: World, changes: dict[str, Any], code: str
) -> None:
    subject = world.unmapped("open")
    made = contract_of(world, company_of(subject), **changes)

    seen = preview(world, subject, contractId=made, serviceId=PREMIUM, includeDisqualified=True)
    answer = put(world, subject, contractId=made, serviceId=PREMIUM)

    assert (seen["allowed"], seen["problem"]["code"]) == (False, code)
    assert [[reason["code"] for reason in one["reasons"]] for one in seen["disqualified"]] == [[code]]
    assert (answer.status_code, answer.json()["code"]) == (409, code)


def test_a_yearly_contract_is_taken_where_somebody_says_so(world: World) -> None:
    subject = world.unmapped("open")
    made = contract_of(world, company_of(subject), contractPeriodType=5)

    seen = preview(world, subject, contractId=made, serviceId=PREMIUM, anyPeriod=True)

    assert seen["allowed"], seen["problem"]


def test_a_busy_subscription_is_refused_before_a_line_is_made(world: World) -> None:
    subject = world.outside_window()
    fault(
        world.autotask,
        {
            "method": "POST",
            "path": subject.adjustments_path,
            "fault": "500",
            "body": {"errors": ["The contract is locked."]},
        },
    )
    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 2), "dead")
    before = lines_of(world, subject)

    answer = put(world, subject, contractId=subject.contract, serviceId=PREMIUM)

    assert (answer.status_code, answer.json()["code"]) == (409, "line_busy")
    assert lines_of(world, subject) == before


def test_a_line_of_somebody_else_is_shown_with_who_it_is_for(world: World) -> None:
    subject = world.inside_window()
    number = int(subject.customer[-12:], 16)
    other = f"5{number:07x}-0000-4000-8000-{3 - int(subject.subscription[-12:], 16):012x}"
    sibling = Subject(subject.customer, other, subject.contract, 0, 0)

    seen = preview(world, sibling, contractServiceId=subject.line)

    assert seen["problem"]["code"] == "line_taken"
    taken = {one["contractServiceId"]: [reason["code"] for reason in one["reasons"]] for one in seen["lines"]}
    assert taken[subject.line] == ["line_taken"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"contractId": "x"}, "contractId"),
        ({"companyId": 0}, "companyId"),
        ({"contract": 1}, "contract"),
        ({"includeDisqualified": 1}, "includeDisqualified"),
        ({"pricing": {"source": "fixed"}}, "pricing"),
    ],
)
def test_a_wrong_preview_names_its_field(world: World, body: dict[str, Any], field: str) -> None:
    answer = world.clients["mapper"].post(f"{world.unmapped('open').path}/mapping/preview", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
