"""Migrations of legacy subscriptions, each way that they can end, and their schedules.

They run at the same time, each on a customer of its own; a test then looks at its migration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from tests.spine.conversions import EXCHANGE_SKU, bought, map_product, on_line, plan, units_today
from tests.spine.world import Subject, World, eventually, fault, requests

# A legacy subscription for each: those that are migrated by the fixture, and those that a test takes as they are
MIGRATED = ("completed", "with an add-on", "failing", "suspended", "lost before", "lost after")
UNTOUCHED = ("a second", "refused", "scheduled", "lost schedule")


@dataclass(frozen=True)
class Begun:
    """A migration that was begun: of what, its operation, the HTTP status, the bill before, and its add-on."""

    legacy: Subject
    operation: str
    status: int
    bill: tuple[tuple[date, int], ...]
    add_on: Subject | None = None


@pytest.fixture(scope="module", autouse=True)
def quick_migrations(running_world: World) -> Iterator[None]:
    plan(running_world, "migrations")
    map_product(running_world, EXCHANGE_SKU)
    map_product(running_world, "CFQ7TTC0LH0J:0001", 680)
    yield
    plan(running_world, "migrations", seconds=5)


@pytest.fixture(scope="module")
def legacies(running_world: World) -> Mapping[str, Subject]:
    """Legacy subscriptions of six seats, each billed on a line of its own."""
    names = (*MIGRATED, *UNTOUCHED)
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(lambda _: _legacy(running_world), names), strict=True))


def _legacy(world: World) -> Subject:
    return billed(world, bought(world, world.outside_window(), "legacy", 6))


@pytest.fixture(scope="module")
def begun(running_world: World, legacies: Mapping[str, Subject]) -> Mapping[str, Begun]:
    """One migration for each way, at rest but for that which Microsoft has to repair."""
    world = running_world
    plan(world, "migrations", outcome="failed_active")  # it holds for whatever begins now
    found = {"failing": _started(world, legacies["failing"])}
    _at_rest(world, found["failing"])
    plan(world, "migrations", outcome="failed_suspended")
    found["suspended"] = _started(world, legacies["suspended"])
    plan(world, "migrations")
    for when in ("before", "after"):
        legacy = legacies[f"lost {when}"]
        path = f"customers/{legacy.customer}/migrations/newcommerce$"
        fault(world.partner_center, {"method": "POST", "path": path, "when": when, "fault": "reset"})
        found[f"lost {when}"] = _begun(world, legacy)
    found["completed"] = _started(world, legacies["completed"], termDuration="P1Y", billingCycle="monthly")
    found["with an add-on"] = _with_an_add_on(world, legacies["with an add-on"])
    for name in set(found) - {"suspended"}:
        _at_rest(world, found[name])
    return found


def _begun(world: World, legacy: Subject, add_on: Subject | None = None, **body: Any) -> Begun:
    bill = tuple(world.bill(legacy))
    answer = world.act(legacy, "migrate", confirm=True, **body)
    return Begun(legacy, answer.json()["operation"]["id"], answer.status_code, bill, add_on)


def _started(world: World, legacy: Subject, add_on: Subject | None = None, **body: Any) -> Begun:
    begun = _begun(world, legacy, add_on, **body)
    assert begun.status == 202
    return begun


def _with_an_add_on(world: World, legacy: Subject) -> Begun:
    state = world.partner_center.get("/_control/state").json()
    known = [
        one["resource"]["offerId"]
        for customer in state["customers"]
        for one in customer["subscriptions"]
        if one["resource"].get("parentSubscriptionId")
    ]
    archive = {"parentSubscriptionId": legacy.subscription, "offerId": known[0]}
    add_on = billed(world, bought(world, legacy, "legacy", 3, set=archive), 680)
    assert world.act(add_on, "migrate", confirm=True).json()["code"] == "add_on"
    return _started(world, legacy, add_on)


def _at_rest(world: World, one: Begun) -> None:
    eventually(lambda: world.operation(one.operation)["atRest"], bool, 60)


def billed(world: World, subject: Subject, service: int = 679) -> Subject:
    body = {"contractId": subject.contract, "serviceId": service, "units": "push"}
    mapped = world.clients["mapper"].put(f"{subject.path}/mapping", json=body)
    assert mapped.status_code == 200, mapped.text
    world.wait_for_badge(subject)
    return on_line(world, subject)


def migrations(world: World, subject: Subject) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.at_microsoft(subject)["migrations"]
    return found


def successor(world: World, subject: Subject, operation: dict[str, Any]) -> Subject:
    made = Subject(subject.customer, operation["migration"]["newSubscriptionId"], subject.contract, 0, subject.quantity)
    world.wait_for_badge(made)
    return on_line(world, made)


def test_a_completed_migration_bills_the_new_subscription_in_the_place_of_the_legacy_one(
    world: World, begun: Mapping[str, Begun]
) -> None:
    legacy = begun["completed"].legacy

    operation = world.wait_for_rest(begun["completed"].operation)
    made = successor(world, legacy, operation)
    assert [world.bill(legacy)[-1][1], units_today(world, made)] == [0, 6]
    (moved,) = world.operations(made)
    assert (moved["kind"], moved["causedBy"]) == ("moved", operation["id"])
    assert world.subscription(made)["migratedFrom"] == legacy.subscription
    assert world.subscription(legacy)["migratedTo"] == made.subscription
    (one,) = migrations(world, legacy)
    assert one["externalReferenceId"] == operation["migration"]["reference"]


def test_a_second_subscription_of_the_same_service_gets_a_line_of_its_own(
    world: World, legacies: Mapping[str, Subject]
) -> None:
    legacy = legacies["a second"]
    second = billed(world, bought(world, legacy, "legacy", 4))

    assert (second.contract, second.line == legacy.line) == (legacy.contract, False)
    assert [units_today(world, legacy), units_today(world, second)] == [6, 4]


def test_an_add_on_goes_along_and_is_billed_by_itself(world: World, begun: Mapping[str, Begun]) -> None:
    legacy, add_on = begun["with an add-on"].legacy, begun["with an add-on"].add_on
    assert add_on is not None

    operation = world.wait_for_rest(begun["with an add-on"].operation)

    made = successor(world, legacy, operation)
    world.wait_for_badge(add_on)
    assert operation["migration"]["addOns"] == [add_on.subscription]
    assert [world.bill(legacy)[-1][1], world.bill(add_on)[-1][1], units_today(world, made)] == [0, 0, 6]
    (gone,) = world.operations(add_on)
    assert (gone["kind"], gone["status"], gone["causedBy"]) == ("moved", "synced", operation["id"])


def test_a_migration_that_failed_without_an_effect_is_started_again_and_then_refused(
    world: World, begun: Mapping[str, Begun]
) -> None:
    legacy, bill = begun["failing"].legacy, begun["failing"].bill

    operation = world.wait_for_rest(begun["failing"].operation, "refused")

    assert operation["partnerCenter"]["code"] == "migration_failed"
    assert len(migrations(world, legacy)) == 3
    assert tuple(world.bill(legacy)) == bill
    assert world.at_microsoft(legacy)["status"] == "active"


def test_a_migration_that_failed_half_way_waits_for_microsoft_to_repair_it(
    world: World, begun: Mapping[str, Begun]
) -> None:
    legacy, identity = begun["suspended"].legacy, begun["suspended"].operation

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
def test_a_lost_answer_leads_to_one_migration(world: World, begun: Mapping[str, Begun], when: str) -> None:
    one = begun[f"lost {when}"]

    assert one.status == 503
    operation = world.wait_for_rest(one.operation)
    assert len(migrations(world, one.legacy)) == 1
    assert units_today(world, successor(world, one.legacy, operation)) == 6


def test_a_migration_has_to_be_confirmed_and_what_microsoft_rules_out_is_refused(
    world: World, legacies: Mapping[str, Subject]
) -> None:
    legacy = legacies["refused"]
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


def test_schedules_are_made_listed_changed_and_cancelled(world: World, legacies: Mapping[str, Subject]) -> None:
    legacy = legacies["scheduled"]
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


def test_a_lost_answer_leads_to_one_schedule(world: World, legacies: Mapping[str, Subject]) -> None:
    legacy = legacies["lost schedule"]
    fault(world.partner_center, {"method": "POST", "path": "newcommerce/schedules$", "when": "after", "fault": "reset"})

    unclear = world.act(legacy, "migrate/schedules", confirm=True)

    assert unclear.status_code == 503
    world.wait_for_rest(unclear.json()["operation"]["id"], "done")
    assert len(world.at_microsoft(legacy)["migrationSchedules"]) == 1
