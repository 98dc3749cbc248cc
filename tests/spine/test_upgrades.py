"""Upgrades from a portal's request to the bill in Autotask: all seats, some, into another subscription, and legacy.

What takes its time at Microsoft runs at the same time, each upgrade on a customer of its own; a test then looks at its.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from tests.spine.conversions import (
    LEGACY_ENTERPRISE,
    PREMIUM,
    PREMIUM_SKU,
    bought,
    map_product,
    on_line,
    plan,
    units_today,
    unmap_product,
)
from tests.spine.world import Subject, World, eventually, fault, requests

NO_ID = {"transitionOperationId": "absent", "transitionEventsKey": "Events"}


@pytest.fixture(scope="module", autouse=True)
def quick_upgrades(running_world: World) -> Iterator[None]:
    plan(running_world, "transitions", licenseSeconds=0)
    map_product(running_world, PREMIUM_SKU)
    map_product(running_world, LEGACY_ENTERPRISE)
    yield
    plan(running_world, "transitions", seconds=5, licenseSeconds=0)


@dataclass(frozen=True)
class Upgrade:
    """An upgrade that was begun: of what, its operation, what else its test looks at, and the bill before."""

    subject: Subject
    operation: str
    other: Subject | None = None
    bill: tuple[tuple[date, int], ...] = ()


@pytest.fixture(scope="module")
def upgrades(running_world: World, quick_upgrades: None) -> Mapping[str, Upgrade]:
    """One of each kind, all at rest."""
    world, begun = running_world, {}
    for outcome in ("failed", "license_failed"):  # it holds for whatever begins now
        plan(world, "transitions", licenseSeconds=0, outcome=outcome)
        begun[outcome] = _whole(world)
    plan(world, "transitions", licenseSeconds=0)
    kinds: dict[str, Callable[[World], Upgrade]] = {
        "all": _whole,
        "some": lambda world: _whole(world, quantity=2),
        "joining": _joining,
        "legacy": _legacy,
    }
    with ThreadPoolExecutor(len(kinds)) as pool:
        begun |= dict(zip(kinds, pool.map(lambda begin: begin(world), kinds.values()), strict=True))
    for each in begun.values():
        _at_rest(world, each.operation)
    return begun


def _whole(world: World, **body: Any) -> Upgrade:
    subject = world.outside_window()
    bill = tuple(world.bill(subject))
    return Upgrade(subject, started(world, subject, **body), bill=bill)


def _joining(world: World) -> Upgrade:
    subject = world.outside_window()
    joined = bought(world, subject, "nce-three-years", 4, set={"offerId": PREMIUM})
    _billed_as(world, joined, 678)
    return Upgrade(subject, started(world, subject, quantity=3, toSubscriptionId=joined.subscription), joined)


def _legacy(world: World) -> Upgrade:
    subject = bought(world, world.outside_window(), "legacy", 6)
    _billed_as(world, subject, 679)
    before = on_line(world, subject)
    refused = world.act(subject, "upgrade", target=LEGACY_ENTERPRISE, quantity=2, confirm=True)
    assert (refused.status_code, refused.json()["code"]) == (409, "all_seats_only")
    return Upgrade(subject, started(world, subject, target=LEGACY_ENTERPRISE), before)


def _billed_as(world: World, subject: Subject, service: int) -> None:
    body = {"contractId": subject.contract, "serviceId": service, "units": "push"}
    mapped = world.clients["mapper"].put(f"{subject.path}/mapping", json=body)
    assert mapped.status_code == 200, mapped.text
    world.wait_for_badge(subject)


def _at_rest(world: World, operation: str) -> None:
    eventually(lambda: world.operation(operation)["atRest"], bool)


@pytest.fixture(scope="module", params=[{}, NO_ID], ids=["id", "no id"])
def lost(
    running_world: World, quick_upgrades: None, request: pytest.FixtureRequest
) -> Iterator[Mapping[str, tuple[Upgrade, int]]]:
    """Upgrades whose answer got lost before their effect and after it, with the HTTP status that was answered."""
    world, begun = running_world, {}
    world.partner_center.post("/_control/switches", json=request.param).raise_for_status()
    for when in ("before", "after"):
        subject = world.outside_window()
        rule = {"method": "POST", "path": f"{subject.subscription}/transitions", "when": when, "fault": "reset"}
        fault(world.partner_center, rule)
        unclear = world.act(subject, "upgrade", target=PREMIUM, confirm=True)
        begun[when] = Upgrade(subject, unclear.json()["operation"]["id"]), unclear.status_code
    for upgrade, _ in begun.values():
        _at_rest(world, upgrade.operation)
    yield begun
    world.calm()


def started(world: World, subject: Subject, **body: Any) -> str:
    answer = world.act(subject, "upgrade", **{"target": PREMIUM, "confirm": True, **body})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Operation-Location"]
    assert answer.headers["Retry-After"]
    return str(answer.json()["operation"]["id"])


def transitions(world: World, subject: Subject) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.at_microsoft(subject)["transitions"]
    return found


def test_all_seats_become_the_new_product_on_a_line_of_its_service_from_the_same_day(
    world: World, upgrades: Mapping[str, Upgrade]
) -> None:
    subject = upgrades["all"].subject

    operation = world.wait_for_rest(upgrades["all"].operation)

    assert operation["upgrade"]["allSeats"] is True
    assert world.at_microsoft(subject)["resource"]["offerId"].startswith(PREMIUM_SKU)
    moved = on_line(world, subject)
    assert moved.line != subject.line
    assert [units_today(world, subject), units_today(world, moved)] == [0, subject.quantity]
    assert len(world.adjustments(subject)) == len(world.adjustments(moved)) == 1
    assert world.subscription(subject)["badge"] == "synced"
    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 1))
    assert [units_today(world, subject), world.bill(moved)[-1][1]] == [0, subject.quantity + 1]


def test_some_seats_become_a_subscription_of_their_own_that_is_billed_beside_the_first(
    world: World, upgrades: Mapping[str, Upgrade]
) -> None:
    subject = upgrades["some"].subject

    operation = world.wait_for_rest(upgrades["some"].operation)

    made = operation["upgrade"]["newSubscriptionId"]
    child = Subject(subject.customer, made, subject.contract, 0, 2)
    world.wait_for_badge(child)
    (moved,) = world.operations(child)
    assert (moved["kind"], moved["status"], moved["causedBy"]) == ("moved", "synced", operation["id"])
    assert units_today(world, subject) == subject.quantity - 2
    assert units_today(world, on_line(world, child)) == 2


def test_seats_that_join_an_existing_subscription_are_billed_there(
    world: World, upgrades: Mapping[str, Upgrade]
) -> None:
    subject, joined = upgrades["joining"].subject, upgrades["joining"].other
    assert joined is not None

    world.wait_for_rest(upgrades["joining"].operation)

    world.wait_for_badge(joined)
    assert world.at_microsoft(joined)["quantity"] == 7
    assert units_today(world, subject) == subject.quantity - 3
    assert world.bill(on_line(world, joined))[-1][1] == 7


def test_a_product_that_nobody_mapped_is_a_dead_letter_that_a_mapping_and_a_resubmission_heal(
    world: World, upgrades: Mapping[str, Upgrade]
) -> None:
    assert upgrades, "none of them is under way while the product is not mapped"
    unmap_product(world, PREMIUM_SKU)
    subject = world.outside_window()

    operation = started(world, subject)
    dead = world.wait_for_rest(operation, "dead")

    (reason,) = [leg["reason"] for leg in dead["autotask"] if "reason" in leg]
    assert reason["code"] == "product_not_mapped"
    assert PREMIUM_SKU in reason["sentence"]
    assert units_today(world, subject) == 0
    assert world.subscription(subject)["badge"] == "out_of_sync"
    listed = world.clients["deadletters"].get(f"/dead-letters/{operation}")
    assert listed.status_code == 200

    map_product(world, PREMIUM_SKU)
    resubmitted = world.clients["deadletters"].post(f"/dead-letters/{operation}/resubmit", json={})
    assert resubmitted.status_code == 202
    world.wait_for_rest(operation)
    assert units_today(world, on_line(world, subject)) == subject.quantity
    assert world.subscription(subject)["badge"] == "synced"


def test_an_upgrade_has_to_be_confirmed_and_the_refusal_names_what_would_be_lost(world: World) -> None:
    subject = world.outside_window()

    refused = world.act(subject, "upgrade", target=PREMIUM)

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (428, "confirmation_required")
    assert [loss["code"] for loss in problem["losses"]] == ["irreversible"]
    assert [error["field"] for error in problem["errors"]] == ["confirm"]
    assert requests(world.partner_center, "POST", f"{subject.subscription}/transitions") == []
    assert world.operations(subject) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"target": "CFQ7TTC0LDPB:0001:CFQ7TTC0SIM1"}, "same_product"),
        ({"target": "CFQ7TTC0NONE:0001:CFQ7TTC0SIM1"}, "target_not_eligible"),
        ({"quantity": 1000}, "too_many_seats"),
        ({"termDuration": "P1M"}, "term_too_short"),
        ({"transitionType": "transition_with_magic"}, "transition_type_not_eligible"),
        ({"toSubscriptionId": "11111111-1111-4111-8111-111111111111"}, "destination_not_eligible"),
        ({"expect": {"quantity": 999}}, "stale_page"),
    ],
)
def test_what_cannot_be_upgraded_is_refused_with_the_difference_and_changes_nothing(
    world: World, body: dict[str, Any], code: str
) -> None:
    subject = world.outside_window()

    refused = world.act(subject, "upgrade", **{"target": PREMIUM, "confirm": True, **body})

    assert (refused.status_code, refused.json()["code"]) == (409, code), refused.text
    assert refused.json()["differences"]
    assert world.operations(subject) == []
    assert requests(world.partner_center, "POST", f"{subject.subscription}/transitions") == []


def test_an_upgrade_that_microsoft_cannot_carry_out_ends_refused_and_bills_nothing(
    world: World, upgrades: Mapping[str, Upgrade]
) -> None:
    subject = upgrades["failed"].subject

    operation = world.wait_for_rest(upgrades["failed"].operation, "refused")

    assert operation["partnerCenter"]["code"] == "upgrade_failed"
    assert tuple(world.bill(subject)) == upgrades["failed"].bill
    assert world.act(subject, "change-quantity", quantity=subject.quantity + 1).status_code == 200


def test_licences_that_were_not_moved_are_a_warning_and_no_failure(
    world: World, upgrades: Mapping[str, Upgrade]
) -> None:
    subject = upgrades["license_failed"].subject

    operation = world.wait_for_rest(upgrades["license_failed"].operation)

    assert operation["upgrade"]["warning"]
    assert units_today(world, on_line(world, subject)) == subject.quantity


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_leads_to_one_upgrade(world: World, lost: Mapping[str, tuple[Upgrade, int]], when: str) -> None:
    upgrade, status = lost[when]

    assert status == 503
    world.wait_for_rest(upgrade.operation)
    assert len(transitions(world, upgrade.subject)) == 1
    assert units_today(world, on_line(world, upgrade.subject)) == upgrade.subject.quantity


def test_a_legacy_subscription_is_upgraded_with_all_its_seats(world: World, upgrades: Mapping[str, Upgrade]) -> None:
    subject, before = upgrades["legacy"].subject, upgrades["legacy"].other
    assert before is not None

    operation = world.wait_for_rest(upgrades["legacy"].operation)

    made = Subject(subject.customer, operation["upgrade"]["newSubscriptionId"], subject.contract, 0, 6)
    world.wait_for_badge(made)
    assert world.at_microsoft(subject)["status"] == "deleted"
    assert world.bill(before)[-1][1] == 0
    assert units_today(world, on_line(world, made)) == 6
