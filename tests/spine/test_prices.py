"""Prices from a portal's request to the bill in Autotask: fixed ones, the price list, and what is refused."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.domain.calendar import BillingCalendar, PeriodType
from tests.spine.world import Subject, World, codes

PRODUCT = {"product": "CFQ7TTC0LDPB:0001", "termDuration": "P1Y", "billingCycle": "monthly"}
MONTHS = BillingCalendar(date(2000, 1, 1), PeriodType.MONTHLY)
FIXED = {"source": "fixed", "unitPrice": "13.25", "unitCost": "10.75"}


def next_period(world: World) -> date:
    return MONTHS.next_period(world.today())


def change_price(world: World, subject: Subject, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return world.clients["mapper"].post(f"{subject.path}/mapping/change-price", json=body, headers=headers)


def rates_on(world: World, subject: Subject, *days: date) -> list[tuple[Decimal, Decimal]]:
    """The true price and cost of a unit on some days."""
    found = []
    for day in days:
        query = {"contractServiceId": str(subject.line), "date": day.isoformat()}
        answer = world.autotask.get("/_control/state/units", params=query).raise_for_status().json()
        found.append((Decimal(str(answer["price"])), Decimal(str(answer["cost"]))))
    return found


OLD, NEW = (Decimal("12.5"), Decimal(10)), (Decimal("13.25"), Decimal("10.75"))


def test_a_new_price_is_billed_from_the_next_period_with_one_adjustment_and_no_units(world: World) -> None:
    subject = world.inside_window()
    start = next_period(world)

    answer = change_price(world, subject, "price", **FIXED)

    assert answer.status_code == 200, answer.text
    operation = world.wait_for_rest(answer.json()["operation"]["id"])
    assert operation["kind"] == "change_price"
    assert operation["autotask"][0]["price"] == [{"from": start.isoformat(), "amount": "13.25"}]
    assert world.adjustments(subject) == [(start, 0)]
    assert rates_on(world, subject, world.today(), start - timedelta(days=1), start) == [OLD, OLD, NEW]
    again = change_price(world, subject, "price", **FIXED)
    assert again.json()["operation"]["id"] == operation["id"]
    same = change_price(world, subject, **FIXED).json()
    assert (same["operation"], same["alreadyDone"]) == (None, True)
    assert same["mapping"]["pricing"] == {"source": "fixed", "unitPrice": "13.25", "unitCost": "10.75"}


@pytest.mark.parametrize("omitted", ["keep", "list"])
def test_seats_and_price_end_right_whatever_autotask_makes_of_a_price_that_is_left_out(
    world: World, omitted: str
) -> None:
    world.autotask.post("/_control/switches", json={"omittedPrice": omitted}).raise_for_status()
    subject = world.inside_window()
    start = next_period(world)
    world.wait_for_rest(change_price(world, subject, **FIXED).json()["operation"]["id"])

    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 3))

    far = start + timedelta(days=200)
    assert rates_on(world, subject, world.today(), start, far) == [OLD, NEW, NEW]
    assert world.units_before_and_from(subject, world.today()) == [subject.quantity, *[subject.quantity + 3] * 2]


def test_a_suspended_subscription_at_the_price_of_nothing_gets_its_price_back(world: World) -> None:
    subject = world.unmapped("open")
    policy = {"suspend": "price_zero", "priceFrom": "business_date"}
    body = {"contractId": subject.contract, "contractServiceId": subject.line, "policy": policy}
    refused = world.clients["mapper"].put(f"{subject.path}/mapping", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "policy.suspend")
    pricing = {"source": "fixed", "unitPrice": "12.50"}
    mapped = world.clients["mapper"].put(f"{subject.path}/mapping", json={**body, "pricing": pricing})
    assert mapped.status_code == 200, mapped.text
    world.wait_for_badge(subject)

    world.wait_for_rest(world.done(subject, "suspend"))
    today, tomorrow = world.today(), world.today() + timedelta(days=1)
    assert rates_on(world, subject, today) == [(Decimal(0), Decimal(10))]
    assert world.units_before_and_from(subject, today) == [subject.quantity] * 3

    world.wait_for_rest(world.done(subject, "reactivate"))
    assert rates_on(world, subject, tomorrow) == [OLD]


# The price list


def follow_the_list(world: World, subject: Subject) -> None:
    rule = {"kind": "markup", "value": "20", "customerId": subject.customer}
    world.clients["mapper"].put("/mappings/price-rules", json=rule).raise_for_status()
    answer = change_price(world, subject, source="price_list")
    assert answer.status_code == 200, answer.text
    world.wait_for_badge(subject)


def put_price(world: World, **row: Any) -> httpx.Response:
    return world.clients["mapper"].put("/mappings/prices", json={**PRODUCT, "validFrom": "2020-01-01", **row})


def apply(world: World, subject: Subject, *, dry_run: bool) -> list[dict[str, Any]]:
    body = {"dryRun": dry_run, "customerId": subject.customer}
    answer = world.clients["mapper"].post("/mappings/prices/apply", json=body)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


def test_a_changed_price_list_says_what_it_would_change_and_then_changes_it_once(world: World) -> None:
    put_price(world, unitCost="10").raise_for_status()
    subject = world.inside_window()
    start = next_period(world)
    follow_the_list(world, subject)
    assert rates_on(world, subject, start) == [(Decimal(12), Decimal(10))]
    assert apply(world, subject, dry_run=True) == []

    put_price(world, unitCost="11").raise_for_status()
    (shown,) = apply(world, subject, dry_run=True)
    assert shown["operation"] is None
    assert shown["changes"] == [
        {
            "from": start.isoformat(),
            "unitPrice": {"before": "12.00", "after": "13.20"},
            "unitCost": {"before": "10.0000", "after": "11.0000"},
        }
    ]
    assert rates_on(world, subject, start) == [(Decimal(12), Decimal(10))], "a dry run changes nothing"

    (changed,) = apply(world, subject, dry_run=False)
    operation = world.wait_for_rest(changed["operation"])
    assert operation["requestedBy"]
    # The date carries an adjustment already, so that the next one takes the new price
    day = start + timedelta(days=1)
    assert rates_on(world, subject, start, day) == [(Decimal(12), Decimal(10)), (Decimal("13.2"), Decimal(11))]
    (short,) = operation["autotask"][0]["approximations"]
    assert (short["start"], short["end"], short["desiredPrice"], short["billedPrice"]) == (
        start.isoformat(),
        start.isoformat(),
        "13.20",
        "12.00",
    )
    assert apply(world, subject, dry_run=False) == []


def test_a_promotion_ends_by_its_own_date(world: World) -> None:
    start = next_period(world)
    ends = MONTHS.next_period(start)
    promotion = {
        "name": "spring",
        "startsOn": world.today().isoformat(),
        "endsOn": (ends - timedelta(days=1)).isoformat(),
        "percentOff": "10",
    }
    put_price(world, unitCost="10", promotions=[promotion]).raise_for_status()
    subject = world.inside_window()
    follow_the_list(world, subject)
    put_price(world, unitCost="10").raise_for_status()

    assert rates_on(world, subject, start, ends) == [(Decimal("10.8"), Decimal(9)), (Decimal(12), Decimal(10))]


def test_what_the_list_cannot_price_is_refused_and_named(world: World) -> None:
    subject = world.inside_window()
    for row in world.clients["reader"].get("/mappings/prices?pageSize=200").json()["value"]:
        world.clients["mapper"].delete(f"/mappings/prices/{row['id']}").raise_for_status()

    refused = change_price(world, subject, source="price_list")

    assert (refused.status_code, refused.json()["code"]) == (409, "not_in_price_list")
    assert world.adjustments(subject) == []


def test_rows_and_rules_are_listed_and_removed(world: World) -> None:
    row = put_price(world, product="DG7GMGF0DVT9:000B", listPrice="6", validTo="2030-12-31").json()
    rule = (
        world.clients["mapper"]
        .put(
            "/mappings/price-rules",
            json={"kind": "discount", "value": "5", "product": "DG7GMGF0DVT9:000B", "digits": 4},
        )
        .json()
    )
    assert (row["listPrice"], row["validTo"], rule["value"], rule["digits"]) == ("6", "2030-12-31", "5", 4)
    for path, item in (("prices", row), ("price-rules", rule)):
        listed = world.clients["reader"].get(f"/mappings/{path}?pageSize=200").json()["value"]
        assert item in listed
        world.clients["mapper"].delete(f"/mappings/{path}/{item['id']}").raise_for_status()
        assert item not in world.clients["reader"].get(f"/mappings/{path}?pageSize=200").json()["value"]


# Bad input


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("prices", {**PRODUCT, "validFrom": "2026-01-01"}, "body"),
        ("prices", {**PRODUCT, "validFrom": "soon", "unitCost": 1}, "validFrom"),
        ("prices", {**PRODUCT, "validFrom": "2026-02-01", "validTo": "2026-01-01", "unitCost": 1}, "body"),
        ("prices", {**PRODUCT, "validFrom": "2026-02-01", "unitCost": -1}, "unitCost"),
        ("prices", {**PRODUCT, "validFrom": "2026-02-01", "unitCost": "1.00001"}, "unitCost"),
        ("prices", {**PRODUCT, "validFrom": "2026-02-01", "unitCost": "NaN"}, "unitCost"),
        ("price-rules", {"kind": "margin", "value": "100"}, "body"),
        ("price-rules", {"kind": "guess", "value": "1"}, "kind"),
        ("price-rules", {"kind": "markup", "value": "1", "digits": 3}, "digits"),
        ("price-rules", {"kind": "markup", "value": "1", "customerId": "me"}, "customerId"),
    ],
)
def test_a_wrong_price_or_rule_is_refused_with_its_field(
    world: World, path: str, body: dict[str, Any], field: str
) -> None:
    answer = world.clients["mapper"].put(f"/mappings/{path}", json=body)
    assert answer.status_code == 422, answer.text
    assert field in {error["field"] for error in answer.json()["errors"]}


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"suspend": "free"}, "policy.suspend"),
        ({"suspendFrom": "now"}, "policy.suspendFrom"),
        ({"increaseFrom": "term_end"}, "policy.increaseFrom"),
        ({"decreaseInWindowFrom": 1}, "policy.decreaseInWindowFrom"),
        ({"decreaseOutsideFrom": ""}, "policy.decreaseOutsideFrom"),
        ({"priceFrom": "term_end"}, "policy.priceFrom"),
        ({"costFrom": None}, "policy.costFrom"),
        ({"prorate": "no"}, "policy.prorate"),
        ({"drift": "ignore"}, "policy.drift"),
        ({"unheard": 1}, "policy.unheard"),
    ],
)
def test_a_wrong_rule_of_a_policy_is_refused_with_its_field(world: World, policy: dict[str, Any], field: str) -> None:
    body = {"contractId": 1, "policy": policy}
    answer = world.clients["mapper"].put(f"{world.unmapped('open').path}/mapping", json=body)
    assert answer.status_code == 422, answer.text
    assert field in {error["field"] for error in answer.json()["errors"]}


def test_a_mapping_shows_its_whole_policy(world: World) -> None:
    policy = {
        "suspend": "none",
        "suspendFrom": "next_period",
        "increaseFrom": "next_period",
        "decreaseInWindowFrom": "term_end",
        "decreaseOutsideFrom": "business_date",
        "priceFrom": "business_date",
        "costFrom": "business_date",
        "prorate": False,
        "drift": "overwrite",
    }
    subject = world.unmapped("open")
    body = {"contractId": subject.contract, "contractServiceId": subject.line, "policy": policy}
    world.clients["mapper"].put(f"{subject.path}/mapping", json=body).raise_for_status()
    shown = world.clients["reader"].get(f"{subject.path}/mapping").json()
    assert shown["policy"] == policy
    assert shown["pricing"] == {"source": "none", "unitPrice": None, "unitCost": None}


def test_who_prices_needs_a_mapping_a_key_and_the_role(world: World) -> None:
    subject = world.unmapped("open")
    assert change_price(world, subject, **FIXED).json()["code"] == "not_mapped"
    path = f"{subject.path}/mapping/change-price"
    assert world.clients["mapper"].post(path, json=FIXED).json()["code"] == "idempotency_key_missing"
    assert world.clients["operator"].post(path, json=FIXED).status_code == 403
    wrong = change_price(world, subject, source="fixed")
    assert wrong.status_code == 422
    assert codes([wrong.json()]) == {"invalid_body"}


# Posted periods and hand edits


def test_an_increase_in_a_posted_month_waits_for_the_next_one_where_it_shall_not_be_prorated(world: World) -> None:
    subject = world.unmapped("open")
    body = {"contractId": subject.contract, "contractServiceId": subject.line, "policy": {"prorate": False}}
    world.clients["mapper"].put(f"{subject.path}/mapping", json=body).raise_for_status()
    posted = {"contractServiceId": subject.line, "through": world.today().isoformat()}
    world.autotask.post("/_control/state/post-periods", json=posted).raise_for_status()

    operation = world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 2))

    assert world.adjustments(subject) == [(next_period(world), 2)]
    (short,) = operation["autotask"][0]["approximations"]
    assert (short["start"], short["billed"]) == (world.today().isoformat(), subject.quantity)
    assert Decimal(short["money"]) < 0


def test_a_hand_made_price_is_a_drift_only_where_the_price_is_ours(world: World) -> None:
    subject = world.inside_window()
    start = next_period(world)
    edit = {"contractServiceId": subject.line, "effectiveDate": start.isoformat(), "adjustedUnitPrice": 9}
    world.autotask.post("/_control/state/edit", json=edit).raise_for_status()
    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 1))
    assert rates_on(world, subject, start) == [(Decimal(9), Decimal(10))]

    world.wait_for_rest(change_price(world, subject, **FIXED).json()["operation"]["id"])
    world.autotask.post(
        "/_control/state/edit", json={**edit, "effectiveDate": (start + timedelta(days=40)).isoformat()}
    )
    world.partner_center.post("/_control/clock", json={"advanceSeconds": 86_400}).raise_for_status()
    operation = world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 5), "dead")
    drift = operation["autotask"][0]["drift"]
    assert operation["autotask"][0]["reason"]["code"] == "drift"
    assert (drift["verifiedPrice"], drift["actualPrice"], drift["desiredPrice"]) == ("13.25", "9.00", "13.25")
