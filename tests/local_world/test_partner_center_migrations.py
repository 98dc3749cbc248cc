"""Migrations at the Partner Center simulator over HTTP: validation, each outcome, queries, events, schedules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.local_world.center import DAY, FABRIKAM, NORTHWIND, Center, refusal
from tests.local_world.vendor_processes import Entra, running_entra, running_partner_center

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = "1C2B75C1-74A5-472A-A729-7F8CEFC47701"
ADD_ON = "1C2B75C1-74A5-472A-A729-7F8CEFC47702"
YOUNG = "1C2B75C1-74A5-472A-A729-7F8CEFC47703"
SCHEDULED = "d3b7c9a2-9a4b-40b2-b075-6e442909e305"
REFERENCE = "3f4a1b7e-2c5d-4e8f-9a01-6b7c8d9e0f10"
EVERY = f"/v1/customers/{FABRIKAM}/migrations/newcommerce"
QUERY = "/v1/migrations/newcommerce"
EXCHANGE = "CFQ7TTC0LH16:0001:CFQ7TTC0SIM3"
STRANGER = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with running_entra(tmp_path_factory.mktemp("entra")) as running:
        yield running


@pytest.fixture(scope="module")
def shared(entra: Entra) -> Iterator[Center]:
    with running_partner_center(entra) as running:
        yield Center(running)


@pytest.fixture
def center(shared: Center) -> Iterator[Center]:
    """The shared simulator; tests act on what they buy, and switches and plans are reset afterwards."""
    yield shared
    shared.reset()


@pytest.fixture
def fresh(entra: Entra) -> Iterator[Center]:
    """A simulator of the test's own, for tests on the seed or that move the clock far."""
    with running_partner_center(entra) as running:
        yield Center(running)


def legacy(center: Center, days: float = 60, **properties: Any) -> str:
    return center.buy("legacy", 12, FABRIKAM, boughtDaysAgo=days, set=properties)


def validate(center: Center, subscription: str, **more: Any) -> dict[str, Any]:
    answer = center.http.post(f"{EVERY}/validate", json={"currentSubscriptionId": subscription} | more)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def errors(answer: dict[str, Any]) -> list[int]:
    return [one["code"] for one in answer["errors"]]


def create(center: Center, subscription: str, **more: Any) -> httpx.Response:
    return center.http.post(EVERY, json={"currentSubscriptionId": subscription} | more)


def migrate(center: Center, subscription: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = create(center, subscription, **more).raise_for_status().json()
    return found


def migration(center: Center, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = center.http.get(f"{EVERY}/{identity}").raise_for_status().json()
    return found


def event_names(center: Center, **query: str) -> list[str]:
    events = center.http.get(f"{EVERY}/events", params=query).raise_for_status().json()
    return [one["eventName"] for one in events]


def test_validation_shows_the_offer_that_takes_its_place(center: Center) -> None:
    source = legacy(center)
    shown = validate(center, source, termDuration="P1Y", billingCycle="Monthly", purchaseFullTerm=False, quantity=12)
    assert (shown["isEligible"], shown["catalogItemId"], shown["errors"]) == (True, EXCHANGE, [])
    assert (shown["currentSubscriptionId"], shown["billingCycle"]) == (source.upper(), "monthly")


@pytest.mark.parametrize(
    ("term", "cycle", "codes"),
    [
        ("P1M", "monthly", []),
        ("P1Y", "annual", []),
        ("P3Y", "triennial", []),
        ("P1M", "annual", [6]),
        ("P1Y", "triennial", [6]),
        ("P2Y", "monthly", [6]),
    ],
)
def test_terms_and_billing_cycles_must_go_together(center: Center, term: str, cycle: str, codes: list[int]) -> None:
    source = legacy(center)
    assert errors(validate(center, source, termDuration=term, billingCycle=cycle)) == codes
    if codes:
        assert refusal(create(center, source, termDuration=term, billingCycle=cycle)) == (400, 900222)


@pytest.mark.parametrize(
    ("days", "properties", "code", "refused"),
    [
        (60, {"status": "suspended"}, 0, (400, 900215)),
        (60, {"promotionId": "39NFJQT1PJQB:0001:39NFJQT1Q5KN"}, 3, (400, 900218)),
        (60, {"offerId": "0F000000-0000-4000-8000-000000000000"}, 5, (400, 900220)),
        (20, {}, 7, (403, 900226)),
        (360, {"autoRenewEnabled": False}, 10, (400, 900217)),
    ],
)
def test_what_cannot_be_migrated_is_said_and_refused(
    center: Center, days: float, properties: dict[str, Any], code: int, refused: tuple[int, int]
) -> None:
    source = legacy(center, days, **properties)
    if code == 10:
        end = datetime.fromisoformat(center.read(source, FABRIKAM)["commitmentEndDate"])
        before = center.now()
        center.set_clock((end - timedelta(hours=1)).isoformat())
    shown = validate(center, source)
    assert (shown["isEligible"], errors(shown)) == (False, [code])
    assert refusal(create(center, source)) == refused
    if code == 10:
        assert validate(center, source, purchaseFullTerm=True)["isEligible"]
        center.set_clock(before.isoformat())


def test_several_reasons_are_one_refusal_and_the_control_path_gives_any_reason(center: Center) -> None:
    source = legacy(center, 20, promotionId="1")
    assert errors(validate(center, source)) == [3, 7]
    assert refusal(create(center, source)) == (400, 900221)
    other = legacy(center)
    center.plan("migrations", ineligible={other: 9})
    assert errors(validate(center, other)) == [9]
    assert refusal(create(center, other)) == (400, 900247)


def test_new_commerce_and_unknown_subscriptions_have_no_migration(center: Center) -> None:
    assert errors(validate(center, SCHEDULED)) == [5]
    assert refusal(create(center, SCHEDULED)) == (400, 900220)
    assert refusal(create(center, STRANGER)) == (404, 20003)
    assert refusal(create(center, YOUNG)) == (403, 900226)
    assert refusal(create(center, legacy(center), externalReferenceId="job 1")) == (400, 3000)
    assert refusal(create(center, legacy(center), quantity=0)) == (400, 2002)
    assert refusal(center.http.get(f"{EVERY}/{STRANGER}")) == (400, 900224)
    assert refusal(center.http.post(f"{EVERY}/validate", json=[])) == (400, 800002)


def test_a_migration_ends_in_a_new_commerce_subscription_with_a_window_of_its_own(center: Center) -> None:
    source = legacy(center)
    before = center.read(source, FABRIKAM)
    center.plan("migrations", seconds=3600)
    started = migrate(center, source, externalReferenceId=REFERENCE, billingCycle="Monthly", quantity=9)
    assert (started["status"], started["externalReferenceId"]) == ("Processing", REFERENCE)
    assert "newCommerceSubscriptionId" not in started
    assert center.read(source, FABRIKAM)["status"] == "suspended"
    assert refusal(create(center, source)) == (400, 900216)
    assert errors(validate(center, source)) == [1]
    assert refusal(center.patch(source, FABRIKAM, status="active")) == (409, 800082)
    center.advance(3601)
    done = migration(center, started["id"])
    assert (done["status"], done["catalogItemId"]) == ("Completed", EXCHANGE)
    made = center.read(done["newCommerceSubscriptionId"], FABRIKAM)
    assert (made["migratedFromSubscriptionId"], made["quantity"]) == (source.upper(), 9)
    assert made["refundableQuantity"]["totalQuantity"] == 9
    assert made["orderId"] == done["newCommerceOrderId"]
    # The remaining term is kept; new commerce shows its last day
    assert center.state(made["id"])["termEnd"][:10] == before["commitmentEndDate"][:10]
    assert made["cancellationAllowedUntilDate"] > done["completedTime"]
    assert center.read(source, FABRIKAM)["status"] == "suspended"
    assert refusal(center.patch(source, FABRIKAM, status="active")) == (400, 900279)
    assert refusal(create(center, source)) == (400, 900215)
    assert center.state(source)["migratedTo"] == made["id"]


def test_a_full_or_another_term_begins_with_the_migration(center: Center) -> None:
    full = migrate(center, legacy(center), purchaseFullTerm=True)
    longer = migrate(center, legacy(center), termDuration="P3Y", billingCycle="Annual")
    center.advance(6)
    year = center.now().year
    ends = [migration(center, one["id"])["subscriptionEndDate"] for one in (full, longer)]
    assert [int(end[:4]) for end in ends] == [year + 1, year + 3]


@pytest.mark.parametrize(("outcome", "status"), [("failed_active", "active"), ("failed_suspended", "suspended")])
def test_a_failed_migration_leaves_legacy_active_or_suspended(center: Center, outcome: str, status: str) -> None:
    source = legacy(center)
    center.plan("migrations", outcome=outcome)
    started = migrate(center, source)
    center.advance(6)
    failed = migration(center, started["id"])
    assert (failed["status"], center.read(source, FABRIKAM)["status"]) == ("Failed", status)
    assert "newCommerceSubscriptionId" not in failed
    assert event_names(center, migration_id=started["id"]) == ["MigrationStarted", "MigrationFailed"]
    assert create(center, source).status_code == (200 if status == "active" else 400)


def test_microsoft_repairs_or_reverts_a_failed_migration(center: Center) -> None:
    center.plan("migrations", outcome="failed_suspended")
    repaired, reverted = legacy(center), legacy(center)
    ids = [migrate(center, one)["id"] for one in (repaired, reverted)]
    center.advance(6)
    for one, outcome in zip(ids, ("completed", "failed_active"), strict=True):
        center.http.post(f"/_control/state/migrations/{one}", json={"outcome": outcome}).raise_for_status()
    assert [migration(center, one)["status"] for one in ids] == ["Completed", "Failed"]
    assert [center.read(one, FABRIKAM)["status"] for one in (repaired, reverted)] == ["suspended", "active"]
    again = center.http.post(f"/_control/state/migrations/{ids[0]}", json={"outcome": "completed"})
    assert again.status_code == 400


def test_a_migration_may_never_end(fresh: Center) -> None:
    fresh.plan("migrations", outcome="never")
    source = legacy(fresh)
    started = migrate(fresh, source)
    fresh.advance(200 * DAY)
    assert migration(fresh, started["id"])["status"] == "Processing"
    assert fresh.read(source, FABRIKAM)["status"] == "suspended"


def test_the_migrated_legacy_subscription_is_deleted_after_90_days(fresh: Center) -> None:
    source = legacy(fresh)
    migrate(fresh, source)
    seen = []
    for days in (80, 11):
        fresh.advance(days * DAY)
        seen.append(fresh.read(source, FABRIKAM)["status"])
    assert seen == ["suspended", "deleted"]


def test_a_base_goes_with_its_add_ons_or_not_at_all(fresh: Center) -> None:
    assert errors(validate(fresh, BASE)) == [4]
    assert refusal(create(fresh, BASE)) == (400, 900219)
    assert errors(validate(fresh, ADD_ON)) == [4]
    add_on = {"currentSubscriptionId": ADD_ON, "termDuration": "P1Y", "billingCycle": "Monthly"}
    assert refusal(create(fresh, BASE, addOnMigrations=[add_on, add_on])) == (400, 900248)
    for stranger in (STRANGER, YOUNG):
        wrong = [{"currentSubscriptionId": stranger}]
        assert refusal(create(fresh, BASE, addOnMigrations=wrong)) == (400, 900262)
    shown = validate(fresh, BASE, addOnMigrations=[add_on])
    assert (shown["isEligible"], shown["addOnMigrations"][0]["isEligible"]) == (True, True)
    started = migrate(fresh, BASE, addOnMigrations=[add_on])
    assert {fresh.read(one, FABRIKAM)["status"] for one in (BASE, ADD_ON)} == {"suspended"}
    fresh.advance(6)
    done = migration(fresh, started["id"])
    made = fresh.read(done["addOnMigrations"][0]["newCommerceSubscriptionId"], FABRIKAM)
    assert (made["migratedFromSubscriptionId"], "parentSubscriptionId" in made) == (ADD_ON, False)
    assert fresh.read(done["newCommerceSubscriptionId"], FABRIKAM)["migratedFromSubscriptionId"] == BASE
    assert event_names(fresh, current_subscription_id=ADD_ON)[-1] == "MigrationCompleted"


def test_a_custom_end_must_be_the_end_of_a_month_or_of_another_subscription(center: Center) -> None:
    source = legacy(center)
    last = center.now().replace(day=1) + timedelta(days=62)
    aligned = last.replace(day=1) - timedelta(days=1)
    shown = validate(center, source, customTermEndDate=f"{aligned:%Y-%m-%d}T23:59:59Z")
    assert shown["isEligible"]
    assert errors(validate(center, source, customTermEndDate=f"{last:%Y-%m}-14T23:59:59Z")) == [12]
    assert errors(validate(center, source, customTermEndDate="2020-01-31T23:59:59Z")) == [11]
    started = migrate(center, source, customTermEndDate=f"{aligned:%Y-%m-%d}T23:59:59Z")
    center.advance(6)
    made = migration(center, started["id"])["newCommerceSubscriptionId"]
    assert center.read(made, FABRIKAM)["commitmentEndDate"] == f"{aligned:%Y-%m-%d}T00:00:00Z"


def test_migrations_are_found_by_their_ids_as_a_bare_array_in_pages(fresh: Center) -> None:
    first, second = legacy(fresh), legacy(fresh)
    ids = [
        migrate(fresh, one, externalReferenceId=reference)["id"]
        for one, reference in ((first, REFERENCE), (second, STRANGER))
    ]

    def found(**query: str) -> list[str]:
        return [one["id"] for one in fresh.http.get(QUERY, params=query).raise_for_status().json()]

    assert found(ExternalReferenceId=REFERENCE.upper()) == ids[:1]
    assert found(CustomerTenantId=FABRIKAM, CurrentSubscriptionId=second) == ids[1:]
    assert found(CustomerTenantId=NORTHWIND) == []
    page = fresh.http.get(QUERY, params={"CustomerTenantId": FABRIKAM, "PageSize": "1"})
    token = {"MS-ContinuationToken": page.headers["MS-ContinuationToken"]}
    rest = fresh.http.get(QUERY, params={"CustomerTenantId": FABRIKAM, "PageSize": "1"}, headers=token)
    assert [one["id"] for one in page.json() + rest.json()] == ids
    assert "MS-ContinuationToken" not in rest.headers
    assert refusal(fresh.http.get(QUERY)) == (400, 800002)


def test_events_tell_the_steps(center: Center) -> None:
    started = migrate(center, legacy(center))
    center.advance(6)
    assert event_names(center, migration_id=started["id"]) == [
        "MigrationStarted",
        "NewCommerceSubscriptionCreated",
        "NewCommerceSubscriptionProvisioned",
        "MigrationCompleted",
    ]
    assert refusal(center.http.get(f"{EVERY}/events")) == (400, 800002)


def test_a_lost_answer_is_healed_by_the_request_id_or_found_by_the_reference(center: Center) -> None:
    source = legacy(center)
    body = {"currentSubscriptionId": source, "externalReferenceId": REFERENCE.replace("3f", "4f", 1)}
    fault = {"method": "POST", "path": "newcommerce$", "when": "after", "fault": "reset"}
    center.http.post("/_control/faults", json=fault).raise_for_status()
    headers = {"MS-RequestId": "migrate-1"}
    with pytest.raises(httpx.TransportError):
        center.http.post(EVERY, json=body, headers=headers)
    found = center.http.get(QUERY, params={"ExternalReferenceId": body["externalReferenceId"]}).json()
    again = center.http.post(EVERY, json=body, headers=headers).raise_for_status().json()
    assert [one["id"] for one in found] == [again["id"]]


def test_validations_and_migrations_have_limits_by_switch(center: Center) -> None:
    source = legacy(center)
    center.switch(validationsPerFiveMinutes=1, migrationCreateStatus=201)
    validate(center, source)
    throttled = center.http.post(f"{EVERY}/validate", json={"currentSubscriptionId": source})
    assert (throttled.status_code, throttled.json()["statusCode"]) == (429, 429)
    center.switch(migrationsPerFiveMinutes=1)
    assert create(center, source).status_code == 201
    assert create(center, legacy(center)).status_code == 429


def schedule(center: Center, subscription: str, **more: Any) -> httpx.Response:
    return center.http.post(f"{EVERY}/schedules", json={"currentSubscriptionId": subscription} | more)


def in_days(center: Center, days: int) -> str:
    return f"{center.now() + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def test_a_schedule_is_carried_out_on_its_date(fresh: Center) -> None:
    source = legacy(fresh)
    made = schedule(fresh, source, targetDate=in_days(fresh, 3), externalReferenceId=REFERENCE).json()
    assert (made["status"], made["migrateOnRenewal"]) == ("Created", False)
    assert refusal(schedule(fresh, source, targetDate=in_days(fresh, 4))) == (400, 900216)
    fresh.advance(2 * DAY)
    assert fresh.read(source, FABRIKAM)["status"] == "active"
    fresh.advance(2 * DAY)
    done = fresh.http.get(f"{EVERY}/schedules/{made['id']}").json()
    assert done["status"] == "Completed"
    carried = migration(fresh, done["newCommerceMigrationId"])
    assert (carried["status"], carried["externalReferenceId"]) == ("Completed", REFERENCE)
    assert carried["startedTime"][:19] == made["targetDate"][:19]


def test_a_schedule_for_the_renewal_starts_a_new_term_there(fresh: Center) -> None:
    source = legacy(fresh)
    made = schedule(fresh, source, migrateOnRenewal=True).raise_for_status().json()
    assert "targetDate" not in made
    end = made["subscriptionEndDate"]
    fresh.set_clock(end)
    fresh.advance(DAY)
    done = fresh.http.get(f"{EVERY}/schedules/{made['id']}").json()
    carried = migration(fresh, done["newCommerceMigrationId"])
    assert (carried["status"], carried["startedTime"][:19]) == ("Completed", end[:19])
    assert int(carried["subscriptionEndDate"][:4]) == int(end[:4]) + 1
    assert fresh.read(source, FABRIKAM)["status"] == "suspended"


def test_a_schedule_can_be_listed_changed_and_cancelled(center: Center) -> None:
    source = legacy(center)
    made = schedule(center, source, targetDate=in_days(center, 3)).json()
    one = f"{EVERY}/schedules/{made['id']}"
    wanted = {"currentSubscriptionId": source, "targetDate": in_days(center, 5), "quantity": 4}
    changed = center.http.put(one, json=wanted).raise_for_status().json()
    assert (changed["quantity"], changed["targetDate"]) == (4, wanted["targetDate"])
    assert refusal(center.http.put(one, json=wanted | {"currentSubscriptionId": BASE})) == (400, 3000)
    listed = center.http.get(f"{QUERY}/schedules", params={"CurrentSubscriptionId": source}).json()
    assert [each["id"] for each in listed] == [made["id"]]
    assert center.state(source)["migrationSchedules"] == listed
    assert center.http.post(f"{one}/cancel").json()["status"] == "Cancelled"
    assert refusal(center.http.post(f"{one}/cancel")) == (400, 900127)
    assert refusal(center.http.put(one, json=wanted)) == (400, 900127)
    center.advance(6 * DAY)
    assert center.read(source, FABRIKAM)["status"] == "active"


def test_a_schedule_that_is_refused_at_its_moment_has_failed(fresh: Center) -> None:
    source = legacy(fresh)
    made = schedule(fresh, source, targetDate=in_days(fresh, 3)).json()
    fresh.patch(source, FABRIKAM, status="suspended").raise_for_status()
    fresh.advance(4 * DAY)
    failed = fresh.http.get(f"{EVERY}/schedules/{made['id']}").json()
    assert (failed["status"], failed["errorCode"]) == ("Failed", 900215)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"targetDate": "2020-01-01T00:00:00Z"}, {"targetDate": "2090-01-01T00:00:00Z", "migrateOnRenewal": True}],
)
def test_a_schedule_needs_a_future_date_or_the_renewal(center: Center, wrong: dict[str, Any]) -> None:
    assert refusal(schedule(center, legacy(center), **wrong)) == (400, 3000)


def test_a_schedule_of_a_base_names_its_add_ons(center: Center) -> None:
    add_on = {"currentSubscriptionId": ADD_ON}
    made = schedule(center, BASE, targetDate=in_days(center, 30), addOnMigrationSchedules=[add_on]).json()
    assert made["addOnMigrationSchedules"][0]["currentSubscriptionId"] == ADD_ON.lower()
    center.switch(scheduleAddOnsKey="addOnMigrations")
    assert "addOnMigrations" in center.http.get(f"{EVERY}/schedules/{made['id']}").json()
