"""What is scheduled for the renewal, auto-renew, and what a suspension switches off and a reactivation brings back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import httpx
import pytest

from tests.spine.conversions import PREMIUM, PREMIUM_SKU
from tests.spine.world import Subject, World, fault


def schedule(world: World, subject: Subject, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    return world.clients["operator"].put(f"{subject.path}/renewal", json=body, headers=headers)


def scheduled(world: World, subject: Subject) -> Any:
    return world.at_microsoft(subject)["resource"].get("scheduledNextTermInstructions")


def test_seats_and_a_product_are_scheduled_shown_and_removed_again(world: World) -> None:
    subject = world.outside_window()
    bill = world.bill(subject)

    done = schedule(world, subject, quantity=subject.quantity - 2)
    assert done.status_code == 200, done.text
    assert scheduled(world, subject)["quantity"] == subject.quantity - 2
    shown = world.clients["reader"].get(f"{subject.path}/renewal").json()
    assert shown["scheduled"]["quantity"] == subject.quantity - 2
    assert world.subscription(subject)["scheduled"] == shown["scheduled"]
    assert schedule(world, subject, quantity=subject.quantity - 2).json()["alreadyDone"] is True

    other = schedule(world, subject, target=PREMIUM, quantity=3)
    assert other.status_code == 200, other.text
    assert (
        ":".join((scheduled(world, subject)["product"]["productId"], scheduled(world, subject)["product"]["skuId"]))
        == PREMIUM_SKU
    )

    removed = world.clients["operator"].delete(f"{subject.path}/renewal", headers={"Idempotency-Key": "remove"})
    assert removed.status_code == 200, removed.text
    assert scheduled(world, subject) is None
    assert world.bill(subject) == bill


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_body"),
        ({"quantity": 0}, 422, "invalid_body"),
        ({"target": "CFQ7TTC0NONE:0001:X"}, 409, "target_not_eligible"),
        ({"termDuration": "two years"}, 422, "invalid_body"),
        ({"customTermEndDate": "2027-01-01T00:00:00"}, 422, "invalid_body"),
        ({"customTermEndDate": "2020-01-01T00:00:00Z"}, 409, "custom_end_too_early"),
        ({"quantity": 3, "unknown": 1}, 422, "invalid_body"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(world: World, body: dict[str, Any], status: int, code: str) -> None:
    subject = world.outside_window()
    refused = schedule(world, subject, **body)
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert world.patches(subject) == []


def test_nothing_is_scheduled_for_a_renewal_that_does_not_take_place(world: World) -> None:
    subject = world.outside_window()
    off = world.act(subject, "auto-renew", enabled=False)
    assert off.status_code == 200, off.text
    assert world.at_microsoft(subject)["autoRenewEnabled"] is False

    refused = schedule(world, subject, quantity=3)

    assert (refused.status_code, refused.json()["code"]) == (409, "auto_renew_is_off")
    assert [each["code"] for each in refused.json()["alternatives"]] == ["auto_renew_on"]
    assert world.act(subject, "auto-renew", enabled=True).status_code == 200
    assert schedule(world, subject, quantity=3).status_code == 200


@pytest.mark.parametrize("action", ["suspend", "change-quantity", "auto-renew"])
def test_a_change_that_would_remove_the_schedule_has_to_be_confirmed(world: World, action: str) -> None:
    subject = world.outside_window()
    assert schedule(world, subject, quantity=3).status_code == 200
    bodies: dict[str, dict[str, Any]] = {
        "change-quantity": {"quantity": subject.quantity + 1},
        "auto-renew": {"enabled": False},
    }
    body = bodies.get(action, {})

    refused = world.act(subject, action, **body)

    assert (refused.status_code, refused.json()["code"]) == (428, "confirmation_required")
    assert [loss["code"] for loss in refused.json()["losses"]] == ["scheduled_changes"]
    assert [error["field"] for error in refused.json()["errors"]] == ["confirmLosses"]
    assert scheduled(world, subject) is not None
    assert world.act(subject, action, confirmLosses=True, **body).status_code == 200
    assert scheduled(world, subject) is None


def suspended_with_a_schedule(world: World) -> Subject:
    subject = world.outside_window()
    assert schedule(world, subject, quantity=4).status_code == 200
    world.wait_for_rest(world.done(subject, "suspend", confirmLosses=True))
    microsoft = world.at_microsoft(subject)
    assert (microsoft["status"], microsoft["autoRenewEnabled"], scheduled(world, subject)) == ("suspended", False, None)
    return subject


def test_a_reactivation_brings_back_auto_renew_and_the_schedule_each_as_a_step_of_its_own(world: World) -> None:
    subject = suspended_with_a_schedule(world)
    preview = world.clients["reader"].get(f"{subject.path}/preview/reactivate").json()
    assert [(each["code"], each["possible"]) for each in preview["restorations"]] == [
        ("auto_renew", True),
        ("scheduled_changes", True),
    ]

    answer = world.act(subject, "reactivate")

    assert answer.status_code == 200, answer.text
    restored = answer.json()["restorations"]
    assert [(each["kind"], each["partnerCenter"]["status"]) for each in restored] == [
        ("auto_renew_on", "applied"),
        ("schedule_renewal", "applied"),
    ]
    assert {each["follows"] for each in restored} == {answer.json()["operation"]["id"]}
    microsoft = world.at_microsoft(subject)
    assert (microsoft["status"], microsoft["autoRenewEnabled"]) == ("active", True)
    assert scheduled(world, subject)["quantity"] == 4
    world.wait_for_rest(answer.json()["operation"]["id"])


def test_what_shall_not_come_back_stays_off(world: World) -> None:
    subject = suspended_with_a_schedule(world)

    answer = world.act(subject, "reactivate", restore={"scheduledChanges": False})

    assert [each["kind"] for each in answer.json()["restorations"]] == ["auto_renew_on"]
    assert scheduled(world, subject) is None


def test_what_can_no_longer_be_restored_is_said_and_the_reactivation_stands(world: World) -> None:
    subject = suspended_with_a_schedule(world)
    # the second PATCH of the three is the one that turns auto-renew on
    rule = {
        "method": "PATCH",
        "path": subject.subscription,
        "when": "before",
        "fault": "400",
        "skip": 1,
        "times": 1,
        "body": '{"code": 800093, "description": "not eligible for auto-renew"}',
    }
    fault(world.partner_center, rule)

    answer = world.act(subject, "reactivate")

    assert answer.status_code == 200, answer.text
    first, second = answer.json()["restorations"]
    assert (first["status"], first["partnerCenter"]["code"]) == ("refused", "800093")
    assert (second["status"], second["partnerCenter"]["code"]) == ("refused", "auto_renew_is_off")
    assert world.at_microsoft(subject)["status"] == "active"
    world.wait_for_rest(answer.json()["operation"]["id"])
    assert world.act(subject, "auto-renew", enabled=True).status_code == 200


PATCHES = {"auto-renew": 1, "schedule": 2}  # which of a reactivation's three calls each restoration is
LOST = tuple(product(PATCHES, ("before", "after")))


@pytest.fixture(scope="module")
def reactivated(running_world: World) -> Mapping[tuple[str, str], tuple[Subject, httpx.Response]]:
    """Reactivations that lost the answer of one restoration, all at the same time."""
    world = running_world

    def reactivate(case: tuple[str, str]) -> tuple[Subject, httpx.Response]:
        subject, (restoration, when) = suspended_with_a_schedule(world), case
        rule = {"method": "PATCH", "path": subject.subscription, "when": when, "fault": "reset"}
        fault(world.partner_center, {**rule, "skip": PATCHES[restoration]})
        return subject, world.act(subject, "reactivate")

    with ThreadPoolExecutor(len(LOST)) as pool:
        return dict(zip(LOST, pool.map(reactivate, LOST), strict=True))


@pytest.mark.parametrize(("restoration", "when"), LOST)
def test_a_lost_answer_of_a_restoration_settles_by_itself(
    running_world: World,
    reactivated: Mapping[tuple[str, str], tuple[Subject, httpx.Response]],
    restoration: str,
    when: str,
) -> None:
    world, (subject, answer) = running_world, reactivated[restoration, when]

    assert answer.status_code == 200, answer.text
    follower = world.wait_for_rest(answer.json()["operation"]["followedBy"], "done")
    world.wait_for_rest(follower["followedBy"], "done")
    assert world.at_microsoft(subject)["autoRenewEnabled"] is True
    assert scheduled(world, subject)["quantity"] == 4


def test_fields_that_nobody_knows_survive_all_of_these(world: World) -> None:
    subject = world.outside_window()
    future = {"force": True, "futureField": {"nested": ["kept", 1, None]}, "scheduledActions": [{"x": 1}]}
    world.partner_center.patch(f"/_control/state/subscriptions/{subject.subscription}", json=future).raise_for_status()

    assert schedule(world, subject, quantity=4).status_code == 200
    world.done(subject, "suspend", confirmLosses=True)
    world.done(subject, "reactivate")
    assert world.act(subject, "auto-renew", enabled=False, confirmLosses=True).status_code == 200

    assert len(world.patches(subject)) == 6
    for patch in world.patches(subject):
        assert patch["body"]["futureField"] == future["futureField"]
        assert patch["body"]["scheduledActions"] == future["scheduledActions"]
    assert world.at_microsoft(subject)["resource"]["futureField"] == future["futureField"]
