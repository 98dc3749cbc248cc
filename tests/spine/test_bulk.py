"""Many actions in one request: answered at once, worked off in the background, each outcome to be asked for."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx
import pytest

from local.plan import HOST
from tests.spine.world import Subject, World, eventually, fault

SECONDS = 60.0
STRANGER = "99999999-0000-4000-8000-000000000009"


def item(subject: Subject, action: str, **members: Any) -> dict[str, Any]:
    return {"customerId": subject.customer, "subscriptionId": subject.subscription, "action": action, **members}


def more(subject: Subject, seats: int = 1) -> dict[str, Any]:
    return item(subject, "change-quantity", quantity=subject.quantity + seats)


def ask(world: World, items: list[Any], key: str | None = None, who: str = "operator") -> httpx.Response:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return world.clients[who].post("/bulk", json={"items": items}, headers=headers)


def read(world: World, identity: str, path: str = "") -> dict[str, Any]:
    answer = world.clients["reader"].get(f"/bulk/{identity}{path}")
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def finished(world: World, items: list[Any]) -> dict[str, Any]:
    """Ask for a bulk and wait until it is over."""
    answer = ask(world, items)
    assert answer.status_code == 202, answer.text
    identity = answer.json()["id"]
    return eventually(lambda: read(world, identity), lambda found: found["status"] == "finished", SECONDS)


def test_a_bulk_is_answered_at_once_and_every_subscription_is_changed_and_billed(world: World) -> None:
    subjects = [world.outside_window() for _ in range(5)]
    began = time.monotonic()
    answer = ask(world, [more(subject) for subject in subjects])
    assert time.monotonic() - began < 2
    taken = answer.json()
    assert (answer.status_code, answer.headers["Operation-Location"]) == (202, f"/api/bulk/{taken['id']}")
    assert int(answer.headers["Retry-After"]) > 0
    assert (taken["status"], taken["counts"]["pending"]) == ("running", 5)
    assert [found["position"] for found in taken["items"]] == [0, 1, 2, 3, 4]

    over = eventually(lambda: read(world, taken["id"]), lambda found: found["status"] == "finished", SECONDS)

    assert over["counts"] == {"pending": 0, "waiting": 0, "accepted": 5, "alreadyDone": 0, "refused": 0}
    assert over["finishedAt"] > over["requestedAt"]
    for subject, found in zip(subjects, over["items"], strict=True):
        world.wait_for_rest(found["operation"])
        assert world.adjustments(subject) == [(world.today(), 1)]
        (operation,) = world.operations(subject)
        assert operation["requestedBy"] == over["requestedBy"]


def test_the_rest_goes_on_when_some_items_are_refused(world: World) -> None:
    closed, stale, suspended, good = (world.outside_window() for _ in range(4))
    world.wait_for_rest(world.done(suspended, "suspend"))
    over = finished(
        world,
        [
            item(closed, "cancel"),
            item(stale, "suspend", expect={"quantity": stale.quantity + 1}),
            {"customerId": good.customer, "subscriptionId": STRANGER, "action": "suspend"},
            {"customerId": STRANGER, "subscriptionId": STRANGER, "action": "suspend"},
            item(suspended, "suspend"),
            item(good, "upgrade", target="CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2"),
            more(good),
        ],
    )
    told = [(found["status"], found.get("code"), found.get("problemStatus")) for found in over["items"]]
    assert told[1:4] == [
        ("refused", "stale_page", 409),
        ("refused", "subscription_not_found", 404),
        ("refused", "customer_not_found", 404),
    ]
    assert told[0][:1] + told[0][2:] == ("refused", 409)
    assert told[4] == ("already_done", None, None)
    assert told[5] == ("refused", "confirmation_required", 428)
    assert told[6] == ("accepted", None, None)
    assert all(found["detail"] for found in over["items"] if found["status"] == "refused")
    assert over["counts"] == {"pending": 0, "waiting": 0, "accepted": 1, "alreadyDone": 1, "refused": 5}
    assert world.patches(closed) == world.patches(stale) == []
    world.wait_for_rest(over["items"][6]["operation"])


def test_actions_on_one_subscription_are_carried_out_in_their_order(world: World) -> None:
    subject, other = world.inside_window(), world.outside_window()
    world.partner_center.post("/_control/state/async", json={"times": 1, "seconds": 2}).raise_for_status()
    over = finished(world, [more(subject), item(subject, "suspend"), item(subject, "reactivate"), more(other)])
    assert [found["status"] for found in over["items"]] == ["accepted"] * 4
    operations = world.operations(subject)
    assert [operation["kind"] for operation in operations][:3] == ["change_quantity", "suspend", "reactivate"]
    assert [str(found["operation"]) for found in over["items"][:3]] == [found["id"] for found in operations[:3]]
    world.wait_for_badge(subject)
    assert world.at_microsoft(subject)["resource"]["status"] == "active"
    assert world.at_microsoft(subject)["quantity"] == subject.quantity + 1


def test_the_items_show_by_pages_how_their_operations_are_now(world: World) -> None:
    subjects = [world.outside_window() for _ in range(3)]
    over = finished(world, [more(subject) for subject in subjects])
    for found in over["items"]:
        world.wait_for_rest(found["operation"])
    first = read(world, over["id"], "/items?pageSize=2")
    assert [found["position"] for found in first["value"]] == [0, 1]
    second = world.clients["reader"].get(first["nextLink"].removeprefix("/api")).raise_for_status().json()
    assert [found["position"] for found in second["value"]] == [2]
    assert "nextLink" not in second
    assert {(found["operationStatus"], found["atRest"]) for found in [*first["value"], *second["value"]]} == {
        ("synced", True)
    }


def test_a_bulk_waits_while_partner_center_is_away_and_says_so(world: World) -> None:
    subjects = [world.outside_window() for _ in range(3)]
    fault(world.partner_center, {"path": "/v1/", "fault": "503", "times": 0})
    identity = ask(world, [more(subject) for subject in subjects]).json()["id"]
    paused = eventually(lambda: read(world, identity), lambda found: "pausedUntil" in found)
    assert paused["status"] == "running"
    assert "503" in paused["pausedBecause"]
    world.partner_center.delete("/_control/faults").raise_for_status()
    over = eventually(lambda: read(world, identity), lambda found: found["status"] == "finished", SECONDS)
    assert over["counts"]["accepted"] == 3
    assert "pausedUntil" not in over
    assert [len(world.patches(subject)) for subject in subjects] == [1, 1, 1]


def test_a_request_that_is_repeated_is_the_same_bulk(world: World) -> None:
    subject = world.outside_window()
    key = str(uuid.uuid4())
    first, again = (ask(world, [more(subject)], key) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    other = ask(world, [more(subject, 2)], key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    eventually(lambda: read(world, first.json()["id"]), lambda found: found["status"] == "finished", SECONDS)
    assert len(world.patches(subject)) == 1


def test_a_hundred_actions_are_one_bulk(world: World) -> None:
    subjects = [world.unmapped("open" if number % 2 else "closed") for number in range(100)]
    before = time.monotonic()
    over = finished(world, [more(subject) for subject in subjects])
    assert over["counts"]["accepted"] == 100
    assert time.monotonic() - before < SECONDS
    assert {len(world.patches(subject)) for subject in subjects} == {1}


VALID = {"customerId": STRANGER, "subscriptionId": STRANGER, "action": "suspend"}


@pytest.mark.parametrize(
    ("items", "fields"),
    [
        ([VALID, VALID | {"action": "change-quantity", "quantity": 0}], {"items[1].quantity"}),
        ([VALID, VALID, VALID], {"items[1]", "items[2]"}),
        ([VALID | {"quantity": 5}], {"items[0].quantity"}),
        ([VALID, "suspend"], {"items[1]"}),
        ([{}], {"items[0].customerId", "items[0].subscriptionId", "items[0].action"}),
        ([], {"items"}),
        ([VALID | {"expect": {"quantity": number + 1}} for number in range(101)], {"items"}),
    ],
)
def test_a_wrong_item_refuses_the_whole_request_by_its_name(world: World, items: list[Any], fields: set[str]) -> None:
    answer = ask(world, items)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert {error["field"] for error in answer.json()["errors"]} == fields


def test_a_bulk_needs_a_key_a_body_and_the_right_to_operate(world: World) -> None:
    operator = world.clients["operator"]
    without = operator.post("/bulk", json={"items": [VALID]})
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_missing")
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    unknown = operator.post("/bulk", json={"items": [VALID], "more": 1}, headers=headers)
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "more")
    assert operator.post("/bulk", content=b'{"items": "' + b"x" * 70_000, headers=headers).status_code == 413
    assert ask(world, [VALID], who="reader").status_code == 403
    assert world.anonymous.post("/bulk", json={"items": [VALID]}, headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["", "/items"])
@pytest.mark.parametrize("identity", [STRANGER, "nonsense"])
def test_a_bulk_that_nobody_knows_is_not_found(world: World, identity: str, path: str) -> None:
    answer = world.clients["reader"].get(f"/bulk/{identity}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "bulk_not_found")


def test_a_host_that_is_killed_in_the_middle_is_followed_by_one_that_repeats_nothing(world: World) -> None:
    subjects = [world.outside_window() for _ in range(12)]
    fault(world.partner_center, {"method": "PATCH", "path": ".", "fault": "slow", "delaySeconds": 0.5, "times": 0})
    identity = ask(world, [more(subject) for subject in subjects]).json()["id"]
    eventually(lambda: sum(len(world.patches(subject)) for subject in subjects), lambda count: count >= 3)
    world.stack.kill(HOST)
    world.partner_center.delete("/_control/faults").raise_for_status()
    world.stack.start(HOST)
    over = eventually(lambda: read(world, identity), lambda found: found["status"] == "finished", SECONDS)
    assert over["counts"]["accepted"] == 12
    for subject, found in zip(subjects, over["items"], strict=True):
        world.wait_for_rest(found["operation"])
        assert world.adjustments(subject) == [(world.today(), 1)]
        assert world.at_microsoft(subject)["quantity"] == subject.quantity + 1
        assert len(world.operations(subject)) == 1
