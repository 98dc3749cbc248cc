"""Migrations of legacy subscriptions, each way that they can end, and their schedules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.spine.conversions import EXCHANGE_SKU, bought, map_product, on_line, plan, units_today
from tests.spine.world import Subject, World, eventually, fault, requests

DAY = 86_400


@pytest.fixture(autouse=True)
def quick_migrations(world: World) -> Iterator[None]:
    plan(world, "migrations")
    map_product(world, EXCHANGE_SKU)
    yield
    plan(world, "migrations", seconds=5)


@pytest.fixture
def legacy(world: World) -> Subject:
    """A legacy subscription of six seats that is billed on a line of its own."""
    return billed(world, bought(world, world.outside_window(), "legacy", 6))


def billed(world: World, subject: Subject, service: int = 679) -> Subject:
    body = {"contractId": subject.contract, "serviceId": service, "units": "push"}
    mapped = world.clients["mapper"].put(f"{subject.path}/mapping", json=body)
    assert mapped.status_code == 200, mapped.text
    world.wait_for_badge(subject)
    return on_line(world, subject)


def started(world: World, subject: Subject, **body: Any) -> str:
    answer = world.act(subject, "migrate", confirm=True, **body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["operation"]["id"])


def migrations(world: World, subject: Subject) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.at_microsoft(subject)["migrations"]
    return found


def successor(world: World, subject: Subject, operation: dict[str, Any]) -> Subject:
    made = Subject(subject.customer, operation["migration"]["newSubscriptionId"], subject.contract, 0, subject.quantity)
    world.wait_for_badge(made)
    return on_line(world, made)


def test_a_completed_migration_bills_the_new_subscription_in_the_place_of_the_legacy_one(
    world: World, legacy: Subject
) -> None:
    operation = world.wait_for_rest(started(world, legacy, termDuration="P1Y", billingCycle="monthly"))

    made = successor(world, legacy, operation)
    assert [world.bill(legacy)[-1][1], units_today(world, made)] == [0, 6]
    (moved,) = world.operations(made)
    assert (moved["kind"], moved["causedBy"]) == ("moved", operation["id"])
    assert world.subscription(made)["migratedFrom"] == legacy.subscription
    assert world.subscription(legacy)["migratedTo"] == made.subscription
    (one,) = migrations(world, legacy)
    assert one["externalReferenceId"] == operation["migration"]["reference"]


def test_a_second_subscription_of_the_same_service_gets_a_line_of_its_own(world: World, legacy: Subject) -> None:
    second = billed(world, bought(world, legacy, "legacy", 4))

    assert (second.contract, second.line == legacy.line) == (legacy.contract, False)
    assert [units_today(world, legacy), units_today(world, second)] == [6, 4]


def test_an_add_on_goes_along_and_is_billed_by_itself(world: World, legacy: Subject) -> None:
    map_product(world, "CFQ7TTC0LH0J:0001", 680)
    archive = {"parentSubscriptionId": legacy.subscription, "offerId": "2828BE95-46BA-4F91-B2FD-0BEF192ECF60"}
    offer = world.partner_center.get("/_control/state").json()
    known = [
        one["resource"]["offerId"]
        for customer in offer["customers"]
        for one in customer["subscriptions"]
        if one["resource"].get("parentSubscriptionId")
    ]
    archive["offerId"] = known[0]
    add_on = billed(world, bought(world, legacy, "legacy", 3, set=archive), 680)

    assert world.act(add_on, "migrate", confirm=True).json()["code"] == "add_on"
    operation = world.wait_for_rest(started(world, legacy))

    made = successor(world, legacy, operation)
    world.wait_for_badge(add_on)
    assert operation["migration"]["addOns"] == [add_on.subscription]
    assert [world.bill(legacy)[-1][1], world.bill(add_on)[-1][1], units_today(world, made)] == [0, 0, 6]
    (gone,) = world.operations(add_on)
    assert (gone["kind"], gone["status"], gone["causedBy"]) == ("moved", "synced", operation["id"])


def test_a_migration_that_failed_without_an_effect_is_started_again_and_then_refused(
    world: World, legacy: Subject
) -> None:
    plan(world, "migrations", outcome="failed_active")
    bill = world.bill(legacy)

    operation = world.wait_for_rest(started(world, legacy), "refused", seconds=60)

    assert operation["partnerCenter"]["code"] == "migration_failed"
    assert len(migrations(world, legacy)) == 3
    assert world.bill(legacy) == bill
    assert world.at_microsoft(legacy)["status"] == "active"


def test_a_migration_that_failed_half_way_waits_for_microsoft_to_repair_it(world: World, legacy: Subject) -> None:
    plan(world, "migrations", outcome="failed_suspended")

    identity = started(world, legacy)
    waiting = eventually(
        lambda: world.operation(identity), lambda seen: "repairs or reverts" in seen["migration"]["note"], 30
    )
    assert waiting["status"] == "working"
    assert len(migrations(world, legacy)) == 1

    (one,) = migrations(world, legacy)
    world.partner_center.post(
        f"/_control/state/migrations/{one['id']}", json={"outcome": "completed"}
    ).raise_for_status()
    operation = world.wait_for_rest(identity)
    assert units_today(world, successor(world, legacy, operation)) == 6
    assert len(migrations(world, legacy)) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_leads_to_one_migration(world: World, legacy: Subject, when: str) -> None:
    path = f"customers/{legacy.customer}/migrations/newcommerce$"
    fault(world.partner_center, {"method": "POST", "path": path, "when": when, "fault": "reset"})

    unclear = world.act(legacy, "migrate", confirm=True)

    assert unclear.status_code == 503
    operation = world.wait_for_rest(unclear.json()["operation"]["id"])
    assert len(migrations(world, legacy)) == 1
    assert units_today(world, successor(world, legacy, operation)) == 6


def test_a_migration_has_to_be_confirmed_and_what_microsoft_rules_out_is_refused(world: World, legacy: Subject) -> None:
    unconfirmed = world.act(legacy, "migrate")
    assert (unconfirmed.status_code, unconfirmed.json()["code"]) == (428, "confirmation_required")

    wrong = world.act(legacy, "migrate", confirm=True, termDuration="P1M", billingCycle="annual")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "not_eligible")
    assert wrong.json()["reasons"]
    assert migrations(world, legacy) == []
    assert world.operations(legacy) == []


def test_a_new_commerce_subscription_is_not_migrated(world: World) -> None:
    subject = world.outside_window()
    refused = world.act(subject, "migrate", confirm=True)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_for_this_product")
    assert requests(world.partner_center, "POST", f"{subject.customer}/migrations") == []


def test_schedules_are_made_listed_changed_and_cancelled(world: World, legacy: Subject) -> None:
    path = f"{legacy.path}/migrate/schedules"
    operator = world.clients["operator"]

    made = world.act(legacy, "migrate/schedules", confirm=True, termDuration="P1Y", billingCycle="monthly")
    assert made.status_code == 200, made.text
    identity = made.json()["operation"]["migration"]["microsoftId"]
    (listed,) = world.clients["reader"].get(path).json()["value"]
    assert (listed["id"], listed["status"], listed["onRenewal"]) == (identity, "created", True)

    second = world.act(legacy, "migrate/schedules", confirm=True)
    assert (second.status_code, second.json()["code"]) == (409, "refused_by_partner_center")

    body = {"confirm": True, "termDuration": "P3Y", "billingCycle": "annual"}
    changed = operator.put(f"{path}/{identity}", json=body, headers={"Idempotency-Key": "change"})
    assert changed.status_code == 200, changed.text
    (listed,) = world.clients["reader"].get(path).json()["value"]
    assert listed["term"] == "P3Y"

    ended = operator.delete(f"{path}/{identity}", headers={"Idempotency-Key": "cancel"})
    assert ended.status_code == 200, ended.text
    assert [one["status"] for one in world.clients["reader"].get(path).json()["value"]] == ["cancelled"]
    again = operator.delete(f"{path}/{identity}", headers={"Idempotency-Key": "cancel-again"})
    assert (again.status_code, again.json()["code"]) == (409, "schedule_not_open")
    unknown = operator.delete(f"{path}/{legacy.subscription}", headers={"Idempotency-Key": "unknown"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "schedule_not_found")


def test_a_lost_answer_leads_to_one_schedule(world: World, legacy: Subject) -> None:
    fault(world.partner_center, {"method": "POST", "path": "newcommerce/schedules$", "when": "after", "fault": "reset"})

    unclear = world.act(legacy, "migrate/schedules", confirm=True)

    assert unclear.status_code == 503
    world.wait_for_rest(unclear.json()["operation"]["id"], "done")
    assert len(world.at_microsoft(legacy)["migrationSchedules"]) == 1
