"""Upgrades at the Partner Center simulator over HTTP: eligible targets, transitions over time, legacy, the renewal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.local_world.center import DAY, FABRIKAM, NORTHWIND, Center, path, refusal
from tests.local_world.vendor_processes import Entra, running_entra, running_partner_center

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_WINDOW = "7c1e2a34-90ab-4cde-8f01-23456789ab01"
THREE_YEARS = "7c1e2a34-90ab-4cde-8f01-23456789ab08"
TRIAL = "7c1e2a34-90ab-4cde-8f01-23456789ab04"
SUSPENDED = "7c1e2a34-90ab-4cde-8f01-23456789ab03"
AZURE_PLAN = "9f30c2de-6f70-4a3e-bb1a-6a7cd0d1f0a3"
PREMIUM_ANNUAL = "d3b7c9a2-9a4b-40b2-b075-6e442909e305"
ENTERPRISE = "d3b7c9a2-9a4b-40b2-b075-6e442909e309"
LEGACY_BASE = "1C2B75C1-74A5-472A-A729-7F8CEFC47701"
LEGACY_YOUNG = "1C2B75C1-74A5-472A-A729-7F8CEFC47703"
STANDARD = "CFQ7TTC0LDPB:0001:CFQ7TTC0SIM1"
PREMIUM = "CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2"
E3 = "CFQ7TTC0LFLX:0001:CFQ7TTC0SIM5"
E5 = "CFQ7TTC0LFLZ:0002:CFQ7TTC0SIM6"
ONLY = "transition_only"
TRANSFER = "transition_with_license_transfer"


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with running_entra(tmp_path_factory.mktemp("entra")) as running:
        yield running


@pytest.fixture(scope="module")
def shared(entra: Entra) -> Iterator[Center]:
    with running_partner_center(entra, "--seed-customers", "3") as running:
        yield Center(running)


@pytest.fixture
def center(shared: Center) -> Iterator[Center]:
    """The shared simulator; tests act on what they buy, and switches and plans are reset afterwards."""
    yield shared
    shared.reset()


@pytest.fixture
def fresh(entra: Entra) -> Iterator[Center]:
    """A simulator of the test's own, for tests that move the clock far."""
    with running_partner_center(entra) as running:
        yield Center(running)


def items(center: Center, source: str, customer: str = NORTHWIND, **query: str) -> list[dict[str, Any]]:
    answer = center.http.get(path(source, customer) + "/transitionEligibilities", params=query)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return found


def post(
    center: Center, source: str, customer: str = NORTHWIND, request: str | None = None, **changes: Any
) -> httpx.Response:
    body = {"toCatalogItemId": PREMIUM, "quantity": 10, "transitionType": ONLY} | changes
    headers = {"MS-RequestId": request} if request else None
    return center.http.post(path(source, customer) + "/transitions", json=body, headers=headers)


def history(center: Center, source: str, **query: str) -> list[dict[str, Any]]:
    answer = center.http.get(path(source) + "/transitions", params=query)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return found


def steps(transition: dict[str, Any]) -> list[str]:
    return [f"{event['name']} {event['status']}" for event in transition["events"]]


def test_each_target_is_listed_once_per_term_that_is_not_shorter(center: Center) -> None:
    found = {one["catalogItemId"]: one for one in items(center, IN_WINDOW)}
    assert list(found) == [PREMIUM, PREMIUM + "T", E3, E3 + "T"]
    assert (found[PREMIUM]["title"], found[PREMIUM]["quantity"]) == ("Microsoft 365 Business Premium", 25)
    monthly = center.buy("nce-monthly")
    assert [one["catalogItemId"] for one in items(center, monthly)] == [E3 + "M", E3, E3 + "T"]
    center.switch(transitionVariants="single")
    assert [one["catalogItemId"] for one in items(center, IN_WINDOW)] == [PREMIUM, E3]


def test_why_a_kind_of_upgrade_is_not_eligible(center: Center) -> None:
    def eligible(item: dict[str, Any]) -> dict[str, tuple[bool, list[int]]]:
        return {
            one["transitionType"]: (one["isEligible"], [error["code"] for error in one["errors"]])
            for one in item["eligibilities"]
        }

    premium, _, enterprise, _ = items(center, IN_WINDOW)
    assert eligible(premium) == {ONLY: (True, []), TRANSFER: (True, [])}
    assert eligible(enterprise) == {ONLY: (True, []), TRANSFER: (False, [3])}
    center.plan("transitions", ineligible={PREMIUM: 8})
    assert eligible(items(center, IN_WINDOW)[0]) == {ONLY: (False, [8]), TRANSFER: (False, [8])}
    assert eligible(items(center, SUSPENDED)[0]) == {ONLY: (False, [2]), TRANSFER: (False, [2])}


@pytest.mark.parametrize(
    ("source", "customer", "destination"),
    [(IN_WINDOW, NORTHWIND, THREE_YEARS), (PREMIUM_ANNUAL, FABRIKAM, ENTERPRISE)],
)
def test_the_seed_has_a_destination_for_an_upgrade_into_an_existing_subscription(
    center: Center, source: str, customer: str, destination: str
) -> None:
    offered = items(center, source, customer)[0]["subscriptionEligibilities"]
    assert destination in [one["subscriptionId"] for one in offered if one["isEligible"]]


def test_scheduled_targets_are_more_and_name_no_destinations(center: Center) -> None:
    immediate = items(center, PREMIUM_ANNUAL, FABRIKAM)
    assert {one["catalogItemId"] for one in immediate} == {E3, E3 + "T"}
    scheduled = items(center, PREMIUM_ANNUAL, FABRIKAM, eligibilityType="scheduled")
    assert {E3 + "M", E5} < {one["catalogItemId"] for one in scheduled}
    assert [one["subscriptionEligibilities"] for one in scheduled] == [[]] * len(scheduled)
    center.switch(subscriptionEligibilitiesWhenNone="absent")
    assert "subscriptionEligibilities" not in items(center, TRIAL)[0]


def test_existing_subscriptions_are_offered_with_each_reason_against_them(fresh: Center) -> None:
    source = fresh.buy(boughtDaysAgo=30)
    wanted = {
        fresh.buy("nce-premium", boughtDaysAgo=20): [],
        fresh.buy("nce-premium", boughtDaysAgo=20, set={"status": "suspended"}): [1],
        fresh.buy("nce-premium"): [2],
        fresh.buy("nce-monthly", boughtDaysAgo=20): [3, 4],
        fresh.buy("nce-premium", boughtDaysAgo=50): [4],
    }
    offered = {one["subscriptionId"]: one for one in items(fresh, source)[0]["subscriptionEligibilities"]}
    codes = {key: [error["code"] for error in one["errors"]] for key, one in offered.items()}
    assert {key: codes[key] for key in wanted} == wanted
    assert {key: offered[key]["isEligible"] for key in wanted} == {key: not found for key, found in wanted.items()}
    assert codes[THREE_YEARS] == []


@pytest.mark.parametrize(("source", "customer"), [(AZURE_PLAN, NORTHWIND), (LEGACY_BASE, FABRIKAM), ("", NORTHWIND)])
def test_without_a_path_the_list_is_empty_and_its_path_matches_in_any_case(
    center: Center, source: str, customer: str
) -> None:
    source = source or center.buy(set={"offerId": E5})
    answer = center.http.get(path(source, customer) + "/transitioneligibilities?eligibilityType=Immediate")
    assert (answer.status_code, answer.json()["items"], answer.json()["totalCount"]) == (200, [], 0)


def test_all_seats_are_upgraded_in_place_after_a_while(center: Center) -> None:
    source = center.buy(set={"futureField": [1]})
    scheduled = {"product": {"productId": "CFQ7TTC0LDPB"}, "quantity": 4}
    center.patch(source, scheduledNextTermInstructions=scheduled).raise_for_status()
    before = center.read(source)
    center.plan("transitions", seconds=600)
    answer = post(center, source, fromCatalogItemId=STANDARD, fromSubscriptionId=source.upper(), billingCycle="Monthly")
    started = answer.raise_for_status().json()
    assert steps(started) == ["Conversion Started"]
    assert (started["fromCatalogItemId"], started["billingCycle"]) == (STANDARD, "monthly")
    assert center.read(source) == before
    assert center.state(source)["underway"] == "transition"
    center.advance(601)
    assert steps(history(center, source)[0]) == ["Conversion Started", "Conversion Completed"]
    after = center.read(source)
    same = ("id", "quantity", "commitmentEndDate", "cancellationAllowedUntilDate", "refundableQuantity", "futureField")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert (after["offerId"], after["offerName"]) == (PREMIUM, "Microsoft 365 Business Premium")
    assert "scheduledNextTermInstructions" not in after


def test_fewer_seats_become_a_child_with_the_same_end_and_the_parents_windows(center: Center) -> None:
    source = center.buy(boughtDaysAgo=3)
    parent = center.read(source)
    before = set(center.listed())
    post(center, source, quantity=4).raise_for_status()
    center.advance(6)
    (made,) = set(center.listed()) - before
    child = center.read(made)
    inherited = ("commitmentEndDate", "cancellationAllowedUntilDate", "termDuration", "billingCycle")
    assert {name: child[name] for name in inherited} == {name: parent[name] for name in inherited}
    assert (child["offerId"], child["quantity"], child["refundableQuantity"]["totalQuantity"]) == (PREMIUM, 4, 4)
    window = parent["refundableQuantity"]["details"][0]["allowedUntilDateTime"]
    assert child["refundableQuantity"]["details"][0]["allowedUntilDateTime"] == window
    assert child["creationDate"] > parent["creationDate"]
    rest = center.read(source)
    assert (rest["offerId"], rest["quantity"], rest["refundableQuantity"]["totalQuantity"]) == (STANDARD, 6, 6)
    assert "toSubscriptionId" not in history(center, source)[0]
    center.switch(transitionToSubscriptionId="when_changed")
    assert history(center, source)[0]["toSubscriptionId"] == made


@pytest.mark.parametrize(("quantity", "left"), [(4, (6, "active")), (10, (10, "deleted"))])
def test_seats_move_into_an_existing_subscription(center: Center, quantity: int, left: tuple[int, str]) -> None:
    source = center.buy(boughtDaysAgo=30)
    destination = center.buy("nce-premium", 5, boughtDaysAgo=20)
    before = center.read(destination)
    answer = post(center, source, quantity=quantity, toSubscriptionId=destination)
    assert answer.raise_for_status().json()["toSubscriptionId"] == destination
    center.advance(6)
    joined = center.read(destination)
    assert joined["quantity"] == 5 + quantity
    assert joined["commitmentEndDate"] == before["commitmentEndDate"]
    assert joined["refundableQuantity"]["totalQuantity"] == 0
    rest = center.read(source)
    assert (rest["quantity"], rest["status"]) == left


def test_a_longer_term_begins_with_the_upgrade(center: Center) -> None:
    source = center.buy()
    post(center, source, toCatalogItemId=PREMIUM + "T", billingCycle="Annual").raise_for_status()
    center.advance(6)
    after = center.read(source)
    assert (after["termDuration"], after["billingCycle"]) == ("P3Y", "annual")
    assert int(after["commitmentEndDate"][:4]) == center.now().year + 3


def test_more_seats_than_there_are_upgrade_all_and_add_the_rest(center: Center) -> None:
    source = center.buy(boughtDaysAgo=30)
    post(center, source, quantity=12).raise_for_status()
    center.advance(6)
    after = center.read(source)
    assert (after["offerId"], after["quantity"]) == (PREMIUM, 12)
    assert after["refundableQuantity"]["totalQuantity"] == 2


def test_a_trial_converts_into_a_term_of_its_own(center: Center) -> None:
    source = center.buy("trial", 25)
    assert refusal(post(center, source, quantity=5)) == (400, 2002)
    post(center, source, quantity=25).raise_for_status()
    center.advance(6)
    after = center.read(source)
    assert (after["isTrial"], after["termDuration"], after["offerId"]) == (False, "P1Y", PREMIUM)
    assert "scheduledNextTermInstructions" not in after


def test_a_failed_conversion_changes_nothing(center: Center) -> None:
    source = center.buy()
    before = center.read(source)
    center.plan("transitions", outcome="failed")
    post(center, source).raise_for_status()
    center.advance(6)
    assert steps(history(center, source)[0]) == ["Conversion Started", "Conversion Failed"]
    assert center.read(source) == before
    assert center.patch(source, quantity=11).status_code == 200


def test_licences_follow_later_and_may_fail_although_the_upgrade_is_done(center: Center) -> None:
    moved, failed = center.buy(), center.buy()
    center.plan("transitions", licenseSeconds=300)
    post(center, moved, transitionType=TRANSFER).raise_for_status()
    center.plan("transitions", outcome="license_failed")
    post(center, failed).raise_for_status()
    center.advance(6)
    assert steps(history(center, moved)[0])[1:] == ["Conversion Completed", "LicenseReassignment Started"]
    center.advance(301)
    assert steps(history(center, moved)[0])[-1] == "LicenseReassignment Completed"
    last = history(center, failed)[0]["events"][-1]
    assert (last["name"], last["status"], last["errors"][0]["code"]) == ("LicenseReassignment", "Failed", 12)
    assert center.read(failed)["offerId"] == PREMIUM


def test_an_upgrade_that_never_ends_can_be_ended_by_hand(center: Center) -> None:
    source = center.buy()
    center.plan("transitions", outcome="never")
    operation = post(center, source).json()["operationId"]
    center.advance(10 * DAY)
    assert steps(history(center, source, operationId=operation)[0]) == ["Conversion Started"]
    center.http.post(f"/_control/state/transitions/{operation}", json={"outcome": "completed"}).raise_for_status()
    assert center.read(source)["offerId"] == PREMIUM
    again = center.http.post(f"/_control/state/transitions/{operation}", json={"outcome": "completed"})
    assert again.status_code == 400


def test_while_an_upgrade_is_under_way_others_must_wait(center: Center) -> None:
    source = center.buy()
    center.plan("transitions", seconds=60)
    post(center, source).raise_for_status()
    assert refusal(post(center, source)) == (409, 900278)
    assert refusal(center.patch(source, quantity=11)) == (409, 800082)
    assert [one["errors"][0]["code"] for one in items(center, source)[0]["eligibilities"]] == [4, 4]
    center.advance(61)
    assert center.patch(source, quantity=11).status_code == 200


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"toCatalogItemId": STANDARD}, (400, 3000)),
        ({"toCatalogItemId": "CFQ7TTC0LCHC:0002:STALE"}, (400, 3000)),
        ({"fromSubscriptionId": IN_WINDOW}, (400, 3000)),
        ({"quantity": 0}, (400, 2002)),
        ({"quantity": 301}, (403, 800067)),
        ({"transitionType": "sideways"}, (400, 900126)),
        ({"toCatalogItemId": E3, "transitionType": TRANSFER}, (400, 800002)),
        ({"termDuration": "P1M"}, (400, 900267)),
        ({"toCatalogItemId": PREMIUM + "M"}, (400, 900267)),
        ({"termDuration": "P2Y"}, (400, 900268)),
        ({"billingCycle": "weekly"}, (400, 900269)),
        ({"billingCycle": "triennial"}, (400, 900270)),
        ({"toSubscriptionId": SUSPENDED}, (400, 900260)),
        ({"toSubscriptionId": "11111111-1111-4111-8111-111111111111"}, (400, 900258)),
    ],
)
def test_a_wrong_upgrade_is_refused_with_its_code_and_changes_nothing(
    center: Center, changes: dict[str, Any], refused: tuple[int, int]
) -> None:
    source = center.buy()
    assert refusal(post(center, source, **changes)) == refused
    assert (history(center, source), center.state(source)["underway"]) == ([], None)


@pytest.mark.parametrize(
    ("template", "more", "code"),
    [
        ("nce-premium", {"boughtDaysAgo": 20, "set": {"status": "suspended"}}, 900258),
        ("nce-premium", {}, 900261),
        ("nce-monthly", {"boughtDaysAgo": 20}, 900267),
        ("nce-premium", {"boughtDaysAgo": 50}, 900236),
    ],
)
def test_a_destination_that_does_not_fit_is_refused(
    center: Center, template: str, more: dict[str, Any], code: int
) -> None:
    source = center.buy(boughtDaysAgo=30)
    destination = center.buy(template, **more)
    assert refusal(post(center, source, toSubscriptionId=destination)) == (400, code)
    assert refusal(post(center, source, toSubscriptionId=source.upper())) == (400, 900259)


def test_only_active_new_commerce_licences_have_transitions(center: Center) -> None:
    assert refusal(post(center, LEGACY_BASE, FABRIKAM)) == (403, 900263)
    assert refusal(center.http.get(path(LEGACY_BASE, FABRIKAM) + "/transitions")) == (403, 900263)
    assert refusal(post(center, AZURE_PLAN)) == (400, 900127)
    assert refusal(post(center, SUSPENDED)) == (400, 800012)


def test_an_upgrade_repeated_with_its_request_id_is_one_upgrade(center: Center) -> None:
    source = center.buy()
    fault = {"method": "POST", "path": f"{source}/transitions", "when": "after", "fault": "reset"}
    center.http.post("/_control/faults", json=fault).raise_for_status()
    with pytest.raises(httpx.TransportError):
        post(center, source, quantity=4, request="upgrade-1")
    center.advance(6)
    first = post(center, source, quantity=4, request="upgrade-1").raise_for_status().json()
    assert [one["operationId"] for one in history(center, source)] == [first["operationId"]]
    assert center.read(source)["quantity"] == 6


def test_the_shape_of_the_answers_is_a_matter_of_switches(center: Center) -> None:
    source = center.buy()
    center.switch(
        transitionOperationId="absent_in_post",
        transitionEventsKey="Events",
        transitionEventStatus="trailing_blank",
        transitionsRoot="transition",
    )
    started = post(center, source).json()
    assert "operationId" not in started
    assert started["Events"][0]["status"] == "Started "
    listed = center.http.get(path(source) + "/transitions").json()
    operation = listed["transition"][0]["operationId"]
    center.switch(transitionsRoot="array", transitionOperationId="absent")
    bare = center.http.get(path(source) + "/transitions", params={"operation-id": operation}).json()
    assert [set(one) & {"operationId"} for one in bare] == [set()]
    assert center.state(source)["transitions"][0]["operationId"] == operation


def test_a_generated_subscription_can_be_upgraded_and_stays_so(center: Center) -> None:
    customer, source = "c0000000-0000-4000-8000-000000000002", "50000002-0000-4000-8000-000000000001"
    post(center, source, customer, quantity=3).raise_for_status()
    center.advance(6)
    found = center.listed(customer)
    assert sorted((one["offerId"], one["quantity"]) for one in found.values()) == [(PREMIUM, 3), (STANDARD, 5)]


def upgrades(center: Center, source: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        center.http.get(path(source, FABRIKAM) + "/upgrades").raise_for_status().json()["items"]
    )
    return found


def test_a_legacy_upgrade_moves_all_seats_to_a_new_legacy_subscription(center: Center) -> None:
    source = center.buy("legacy", 7, FABRIKAM, boughtDaysAgo=40)
    chosen = upgrades(center, source)[0]
    assert (chosen["isEligible"], chosen["quantity"], chosen["upgradeType"]) == (True, 7, "upgrade_only")
    to = path(source, FABRIKAM) + "/upgrades"
    assert refusal(center.http.post(to, json=chosen | {"quantity": 6})) == (400, 2002)
    result = center.http.post(to, json=chosen | {"upgradeType": 1}).raise_for_status().json()
    assert (result["upgradeErrors"], result["licenseErrors"]) == ([], [])
    made = center.read(result["targetSubscriptionId"], FABRIKAM)
    assert (made["offerId"], made["quantity"], made["status"]) == (chosen["targetOffer"]["id"], 7, "active")
    assert center.read(source, FABRIKAM)["status"] == "deleted"


def test_a_legacy_upgrade_that_is_not_eligible_is_answered_200_with_its_errors(center: Center) -> None:
    refused = upgrades(center, LEGACY_BASE)
    assert [[error["code"] for error in one["upgradeErrors"]] for one in refused[:2]] == [[6], [5, 6]]
    answer = center.http.post(path(LEGACY_BASE, FABRIKAM) + "/upgrades", json=refused[0])
    assert (answer.status_code, answer.json()["upgradeErrors"][0]["code"]) == (200, 6)
    assert "targetSubscriptionId" not in answer.json()
    center.switch(upgradeErrorCodes="name")
    assert upgrades(center, LEGACY_BASE)[0]["upgradeErrors"][0]["code"] == "subscription_add_ons_present"
    assert center.http.get(path(IN_WINDOW) + "/upgrades").json()["items"] == []


def test_a_legacy_upgrade_may_fail_or_lose_licences(center: Center) -> None:
    source = center.buy("legacy", 7, FABRIKAM, boughtDaysAgo=40)
    to, chosen = path(source, FABRIKAM) + "/upgrades", upgrades(center, source)[0]
    center.plan("transitions", outcome="failed")
    assert center.http.post(to, json=chosen).json()["upgradeErrors"][0]["code"] == 0
    center.plan("transitions", outcome="license_failed")
    result = center.http.post(to, json=chosen).json()
    assert result["targetSubscriptionId"]
    assert len(result["licenseErrors"]) == 1


def test_provisioning_is_for_users_only(center: Center, entra: Entra) -> None:
    to = path(IN_WINDOW) + "/provisioningstatus"
    assert refusal(center.http.get(to)) == (403, 900329)
    token = entra.access_token(grant_type="refresh_token", refresh_token="0.local-refresh-token-with-mfa")
    user = {"Authorization": f"Bearer {token}"}
    shown = center.http.get(to, headers=user).json()
    assert (shown["status"], shown["quantity"]) == ("success", 25)
    center.switch(provisioningStatus="failed")
    assert center.http.get(to, headers=user).json()["status"] == "failed"


def test_custom_term_ends_are_ends_of_months_and_of_other_subscriptions(center: Center) -> None:
    to = f"/v1/customers/{NORTHWIND}/subscriptions/customTermEndDates"
    found = center.http.get(to, params={"term_duration": "P1Y"}).raise_for_status().json()["items"]
    kinds = [one["allowedCustomTermEndDateType"] for one in found]
    assert kinds.count("calendarMonthAligned") >= 11
    aligned = {key for one in found for key in one.get("cotermSubscriptionIds", [])}
    assert IN_WINDOW in aligned
    assert THREE_YEARS not in aligned


def instructions(item: str, quantity: int = 8, **more: Any) -> dict[str, Any]:
    product, sku, availability = item.split(":")
    named = {"productId": product, "skuId": sku, "availabilityId": availability, "termDuration": "P1Y"}
    return {"product": named | {"billingCycle": "monthly"} | more, "quantity": quantity}


@pytest.mark.parametrize(
    ("wanted", "refused"),
    [
        (instructions(PREMIUM), (400, 3000)),
        (instructions(STANDARD, termDuration="P9Y"), (400, 900268)),
        (instructions(STANDARD, billingCycle="triennial"), (400, 900270)),
        (instructions(STANDARD, 0), (400, 2002)),
        (instructions(STANDARD) | {"customTermEndDate": "someday"}, (400, 900244)),
        (instructions(STANDARD) | {"customTermEndDate": "2020-01-31T23:59:59Z"}, (400, 900245)),
        (instructions(STANDARD) | {"customTermEndDate": "2090-01-31T23:59:59Z"}, (400, 900246)),
    ],
)
def test_instructions_for_the_next_term_must_be_possible(
    center: Center, wanted: dict[str, Any], refused: tuple[int, int]
) -> None:
    exchange = wanted["product"]["skuId"] == "0002"
    source = center.buy(set={"offerId": E5}) if exchange else center.buy()
    assert refusal(center.patch(source, scheduledNextTermInstructions=wanted)) == refused


def test_the_renewal_follows_the_instructions_to_another_product(fresh: Center) -> None:
    source = fresh.buy("nce-premium", 10, boughtDaysAgo=300)
    wanted = instructions(E5, 7, billingCycle="Annual")
    fresh.patch(source, scheduledNextTermInstructions=wanted).raise_for_status()
    fresh.set_clock(fresh.state(source)["termEnd"])
    fresh.advance(60)
    assert fresh.read(source)["offerId"] == PREMIUM
    assert refusal(post(fresh, source, toCatalogItemId=E3)) == (409, 900278)
    assert refusal(fresh.patch(source, autoRenewEnabled=False)) == (400, 900280)
    assert refusal(fresh.patch(source, quantity=11)) == (409, 800082)
    fresh.switch(renewalBlackoutCode=900278)
    assert refusal(fresh.patch(source, status="deleted")) == (409, 900278)
    fresh.advance(3600)
    renewed = fresh.read(source)
    assert (renewed["offerId"], renewed["offerName"], renewed["quantity"]) == (E5, "Microsoft 365 E5", 7)
    assert renewed["billingCycle"] == "annual"
    assert "scheduledNextTermInstructions" not in renewed
    assert renewed["refundableQuantity"]["totalQuantity"] == 7


def test_the_next_term_can_have_an_end_of_its_own(fresh: Center) -> None:
    source = fresh.buy(boughtDaysAgo=300)
    end = fresh.state(source)["termEnd"]
    custom = f"{datetime.fromisoformat(end) + timedelta(days=60):%Y-%m-%d}T23:59:59Z"
    wanted = instructions(STANDARD) | {"customTermEndDate": custom}
    fresh.patch(source, scheduledNextTermInstructions=wanted).raise_for_status()
    fresh.set_clock(end)
    fresh.advance(2 * DAY)
    assert fresh.read(source)["commitmentEndDateTime"] == custom


def test_by_switch_a_licence_without_auto_renew_goes_on_from_month_to_month(fresh: Center) -> None:
    source = fresh.buy(boughtDaysAgo=300)
    fresh.patch(source, autoRenewEnabled=False).raise_for_status()
    fresh.switch(endWithoutRenewal="extended")
    fresh.set_clock(fresh.state(source)["termEnd"])
    fresh.advance(DAY)
    extended = fresh.read(source)
    assert (extended["status"], extended["termDuration"]) == ("active", "P1M")
    assert extended["offerName"].endswith("(Extended Service Term)")
    assert fresh.patch(source, status="deleted").json()["status"] == "deleted"
