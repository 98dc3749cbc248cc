"""What needs a person: in the broker's own dead-letter queue, in our list with its reason, and healed in three ways."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest

from tests.spine.broker import Broker, Seen
from tests.spine.world import Subject, World, eventually, fault, requests

REFUSAL = {"errors": ["The contract is locked by somebody's month-end."]}


def refused_by_autotask(world: World, subject: Subject, quantity: int) -> str:
    """A change of seats whose adjustment Autotask refuses once; the operation, dead."""
    rule = {"method": "POST", "path": subject.adjustments_path, "fault": "500", "body": REFUSAL}
    fault(world.autotask, rule)
    operation = world.done(subject, "change-quantity", quantity=quantity)
    world.wait_for_rest(operation, "dead")
    return operation


def drifted(world: World, subject: Subject, *, by_hand: int, quantity: int) -> str:
    """A change of seats on a line that somebody edited in Autotask before; the operation, dead."""
    world.edit_by_hand(subject, by_hand)
    operation = world.done(subject, "change-quantity", quantity=quantity)
    world.wait_for_rest(operation, "dead")
    return operation


def listed(world: World) -> dict[str, dict[str, Any]]:
    """All dead letters on all pages, by id."""
    found: dict[str, dict[str, Any]] = {}
    path: str | None = "/dead-letters?pageSize=200"
    while path:
        page = world.clients["deadletters"].get(path.removeprefix("/api")).raise_for_status().json()
        found |= {item["id"]: item for item in page["value"]}
        path = page.get("nextLink")
    return found


def decide(world: World, operation: str, verb: str, **body: str) -> httpx.Response:
    return world.clients["deadletters"].post(f"/dead-letters/{operation}/{verb}", json=body)


def dead_message(broker: Broker, operation: str) -> Seen:
    """The one message that carries the operation in the dead-letter queue, once the broker has moved it there."""
    (message,) = eventually(lambda: broker.dead_about(operation), bool)
    return message


def test_a_refused_adjustment_is_dead_in_the_broker_and_in_the_list_with_its_reason(
    world: World, broker: Broker
) -> None:
    subject = world.outside_window()

    operation = refused_by_autotask(world, subject, subject.quantity + 2)

    assert json.loads(dead_message(broker, operation).body)["data"]["operation"] == operation
    item = listed(world)[operation]
    (reason,) = item["reasons"]
    assert reason["code"] == "autotask_refused"
    assert reason["sentence"]
    assert reason["remedy"]
    assert reason["vendorText"] == REFUSAL["errors"][0]
    assert item["operation"]["status"] == "dead"
    assert world.subscription(subject)["badge"] == "out_of_sync"
    assert world.adjustments(subject) == []
    shown = world.clients["deadletters"].get(f"/dead-letters/{operation}").raise_for_status().json()
    assert shown["operation"]["events"][-1]["to"] == "dead"


def test_a_dead_letter_resubmitted_through_the_api_is_healed(world: World, broker: Broker) -> None:
    subject = world.outside_window()
    operation = refused_by_autotask(world, subject, subject.quantity + 2)
    dead_message(broker, operation)

    answer = decide(world, operation, "resubmit", reason="the month-end is over")

    assert answer.status_code == 202
    healed = world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), 2)]
    assert world.subscription(subject)["badge"] == "synced"
    assert operation not in listed(world)
    (event,) = [event for event in healed["events"] if event["event"] == "resubmitted"]
    assert event["why"] == "the month-end is over"
    assert event["by"] != "csp-functions"


def test_a_dead_message_sent_again_with_the_plain_sdk_is_healed(world: World, broker: Broker) -> None:
    subject = world.outside_window()
    operation = refused_by_autotask(world, subject, subject.quantity + 2)
    message = dead_message(broker, operation)

    broker.send(message.body)

    world.wait_for_badge(subject)
    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), 2)]
    assert operation not in listed(world)


def test_an_older_copy_of_an_operation_that_died_again_is_healed_with_the_plain_sdk(
    world: World, broker: Broker
) -> None:
    subject = world.outside_window()
    operation = refused_by_autotask(world, subject, subject.quantity + 2)
    first = dead_message(broker, operation)
    fault(world.autotask, {"method": "POST", "path": subject.adjustments_path, "fault": "500", "body": REFUSAL})
    decide(world, operation, "resubmit")
    copies = eventually(lambda: broker.dead_about(operation), lambda found: len(found) == 2)
    assert {json.loads(copy.body)["id"] for copy in copies} > {json.loads(first.body)["id"]}

    broker.send(first.body)

    world.wait_for_badge(subject)
    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), 2)]


def test_the_sweep_removes_the_copies_of_healed_operations_and_no_others(world: World, broker: Broker) -> None:
    healed, still_dead = world.outside_window(), world.outside_window()
    gone = refused_by_autotask(world, healed, healed.quantity + 1)
    kept = refused_by_autotask(world, still_dead, still_dead.quantity + 1)
    dead_message(broker, gone)
    dead_message(broker, kept)
    decide(world, gone, "resubmit")
    world.wait_for_rest(gone)

    world.run_timer("timer_sweep")

    eventually(lambda: broker.dead_about(gone), lambda found: not found)
    assert len(broker.dead_about(kept)) == 1


def test_a_hand_edit_is_reviewed_with_its_three_numbers_and_overwritten_on_permission(
    world: World, broker: Broker
) -> None:
    subject = world.outside_window()
    before = subject.quantity

    operation = drifted(world, subject, by_hand=5, quantity=before + 1)

    dead_message(broker, operation)
    (reason,) = listed(world)[operation]["reasons"]
    assert reason["code"] == "drift"
    drift = world.operation(operation)["autotask"][0]["drift"]
    assert (drift["verified"], drift["actual"], drift["desired"]) == (before, before + 5, before + 1)
    assert world.adjustments(subject) == []

    assert decide(world, operation, "resubmit", driftPolicy="overwrite").status_code == 202
    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), -4)]
    assert world.units_before_and_from(subject, world.today()) == [before, before + 1, before + 1]


def test_a_hand_edit_that_is_respected_stays_and_our_change_is_added(world: World) -> None:
    subject = world.outside_window()
    operation = drifted(world, subject, by_hand=5, quantity=subject.quantity + 1)

    assert decide(world, operation, "resubmit", driftPolicy="respect").status_code == 202

    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), 1)]


def test_a_drift_resubmitted_without_a_permission_is_dead_again(world: World) -> None:
    subject = world.outside_window()
    operation = drifted(world, subject, by_hand=5, quantity=subject.quantity + 1)

    decide(world, operation, "resubmit")

    eventually(lambda: world.operation(operation), lambda seen: len(_deaths(seen)) == 2 and seen["atRest"])
    assert world.operation(operation)["status"] == "dead"
    assert world.adjustments(subject) == []


def _deaths(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in operation["events"] if event["event"] == "dead"]


def test_a_dismissed_dead_letter_keeps_what_autotask_has_and_later_changes_go_from_there(world: World) -> None:
    subject = world.outside_window()
    operation = drifted(world, subject, by_hand=5, quantity=subject.quantity + 1)

    answer = decide(world, operation, "dismiss", reason="billing agreed on five more by hand")

    assert answer.json()["operation"]["status"] == "dismissed"
    assert world.subscription(subject)["badge"] == "synced"
    assert operation not in listed(world)
    assert world.adjustments(subject) == []
    later = world.done(subject, "change-quantity", quantity=subject.quantity + 7)
    world.wait_for_rest(later)
    assert world.bill(subject)[-1][1] == subject.quantity + 7
    assert world.adjustments(subject) == [(world.today(), 2)]


def test_a_dead_letter_does_not_block_a_later_operation_which_heals_it_too(world: World) -> None:
    subject = world.outside_window()
    dead = refused_by_autotask(world, subject, subject.quantity + 2)

    later = world.done(subject, "change-quantity", quantity=subject.quantity + 3)

    world.wait_for_rest(later)
    world.wait_for_rest(dead)
    assert world.adjustments(subject) == [(world.today(), 3)]
    assert world.subscription(subject)["badge"] == "synced"


def test_the_manual_autotask_sync_takes_up_what_is_dead(world: World) -> None:
    subject = world.outside_window()
    dead = refused_by_autotask(world, subject, subject.quantity + 2)

    answer = world.clients["operator"].post(f"{subject.path}/autotask-sync")

    assert (answer.status_code, answer.json()["operations"]) == (202, [dead])
    world.wait_for_rest(dead)
    assert world.adjustments(subject) == [(world.today(), 2)]


def test_the_manual_autotask_sync_finds_a_hand_edit_though_nothing_is_open(world: World, broker: Broker) -> None:
    subject = world.outside_window()
    path = f"{subject.path}/autotask-sync"
    assert world.clients["operator"].post(path).json()["operations"] == []
    world.edit_by_hand(subject, 5)

    answer = world.clients["operator"].post(path)

    (operation,) = answer.json()["operations"]
    world.wait_for_rest(operation, "dead")
    dead_message(broker, operation)
    found = world.operation(operation)
    assert (answer.status_code, found["kind"]) == (202, "reconcile")
    drift = found["autotask"][0]["drift"]
    assert (drift["verified"], drift["actual"], drift["desired"]) == tuple(
        subject.quantity + more for more in (0, 5, 0)
    )
    assert decide(world, operation, "resubmit", driftPolicy="overwrite").status_code == 202
    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), -5)]
    assert world.clients["operator"].post(path).status_code == 200


def test_a_dismissal_needs_a_reason(world: World) -> None:
    subject = world.outside_window()
    operation = refused_by_autotask(world, subject, subject.quantity + 2)

    answer = decide(world, operation, "dismiss")

    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"reason"}


@pytest.mark.parametrize(
    "body",
    [
        b"garbage \x00\xff {",
        b"[]",
        json.dumps({"specversion": "1.0", "type": "somebody.elses.v1", "id": "1", "data": {}}).encode(),
        json.dumps(
            {
                "specversion": "1.0",
                "type": "csp-functions.operation.push.v1",
                "id": "1",
                "data": {"operation": f"{uuid.UUID(int=1)}_{uuid.UUID(int=2)}_1"},
            }
        ).encode(),
    ],
    ids=["garbage", "not an object", "another type", "an unknown operation"],
)
def test_a_message_that_is_not_ours_ends_in_the_dead_letter_queue_and_in_the_list(
    world: World, broker: Broker, body: bytes
) -> None:
    known = {message.sequence_number for message in broker.dead()}
    asked = len(requests(world.autotask, "POST", "."))

    broker.send(body)

    (message,) = eventually(
        lambda: [item for item in broker.dead() if item.body == body and item.sequence_number not in known], bool
    )
    item = listed(world)[f"message-{message.sequence_number}"]
    assert item["type"] == "message"
    assert item["reasons"][0]["code"] == "not_ours"
    assert item["body"] == body.decode(errors="replace")
    assert all(waiting.body != body for waiting in broker.waiting())
    assert len(requests(world.autotask, "POST", ".")) == asked


def test_messages_that_nothing_explains_are_listed_by_pages(world: World, broker: Broker) -> None:
    bodies = [f"page {number}".encode() for number in range(3)]
    broker.send(*bodies)
    dead = eventually(
        lambda: [item for item in broker.dead() if item.body in bodies], lambda found: len(found) == len(bodies)
    )
    before = min(item.sequence_number for item in dead) - 1  # and not page by page through what other tests have left
    found: list[str] = []

    path: str | None = f"/dead-letters?pageSize=1&messagesAfter={before}"
    while path:
        page = world.clients["deadletters"].get(path.removeprefix("/api")).raise_for_status().json()
        found += [item["body"] for item in page["value"] if item["type"] == "message"]
        path = page.get("nextLink")

    assert {body.decode() for body in bodies} <= set(found)
    refused = world.clients["deadletters"].get("/dead-letters?messagesAfter=some")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "messagesAfter")
