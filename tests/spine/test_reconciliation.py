"""The reconciliation: a difference is found with its three numbers, its mover and its money, and decided about."""

from __future__ import annotations

import csv
import io
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

import httpx
import pytest

from tests.spine.test_desk import dead
from tests.spine.world import Subject, World, eventually


def desk(world: World) -> httpx.Client:
    return world.clients["deadletters"]


def reconciled(world: World) -> dict[str, Any]:
    """A run that begins now, once it is over."""
    started = desk(world).post("/reconciliation")
    assert started.status_code == 202
    path = started.json()["links"]["self"].removeprefix("/api")
    return eventually(lambda: desk(world).get(path).json(), lambda seen: seen["status"] == "finished")


def findings(world: World, subject: Subject, **params: str) -> list[dict[str, Any]]:
    page = desk(world).get("/reconciliation", params={"customer": subject.customer, **params}).raise_for_status()
    return list(page.json()["value"])


def found(world: World, subject: Subject) -> dict[str, Any]:
    """The one finding about a line, once it is settled enough to be judged."""
    all_found(world, [subject])
    return finding(world, subject)


def all_found(world: World, subjects: Collection[Subject]) -> None:
    """Reconcile when the lines are quiet for long enough to be judged: a run reads every mapped line of the world."""

    def look() -> bool:
        reconciled(world)
        return all(findings(world, subject) for subject in subjects)

    time.sleep(float(world.stack.ready["settings"]["SETTLE_SECONDS"]))
    eventually(look, bool)


def finding(world: World, subject: Subject) -> dict[str, Any]:
    """The one finding about a line, as the last run left it."""
    (item,) = findings(world, subject)
    return item


# What somebody has added to the line that a test looks at
EDITS = {
    "found": 3,
    "accepted": 3,
    "corrected": 3,
    "stale accept": 3,
    "stale correct": 3,
    "moved by two": -2,
    "in a file": 3,
}


@pytest.fixture(scope="module")
def edited(running_world: World) -> Mapping[str, Subject]:
    """A line for each test of an edit, all of them edited by hand before one reconciliation; and one left as it was."""
    subjects = {name: running_world.outside_window() for name in EDITS}
    # What Microsoft has is known of this one
    running_world.clients["operator"].post(f"{subjects['moved by two'].path}/sync").raise_for_status()
    for name, change in EDITS.items():
        running_world.edit_by_hand(subjects[name], change)
    calm = running_world.outside_window()
    all_found(running_world, subjects.values())
    return {**subjects, "calm": calm}


def decide(world: World, item: dict[str, Any], verb: str, key: str | None = None, **more: str) -> httpx.Response:
    path = f"/customers/{item['customerId']}/reconciliation/{item['contractServiceId']}/{verb}"
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return desk(world).post(path, json={"reading": item["reading"], "reason": "looked", **more}, headers=headers)


def test_a_hand_edit_is_found_with_three_numbers_its_mover_and_the_money_of_a_month(
    world: World, edited: Mapping[str, Subject]
) -> None:
    subject, calm = edited["found"], edited["calm"]

    item = finding(world, subject)

    before = subject.quantity
    assert (item["verified"], item["actual"], item["desired"]) == (before, before + 3, before)
    assert (item["movers"], item["on"], item["monthly"]) == (["person"], world.today().isoformat(), "37.50")
    assert (item["contractId"], item["contractServiceId"]) == (subject.contract, subject.line)
    assert "somebody changed it in Autotask" in item["sentence"]
    assert findings(world, subject, mover="person") == [item]
    assert findings(world, subject, mover="microsoft") == []
    assert findings(world, calm) == []
    run = desk(world).get("/reconciliation").json()["run"]
    assert run["findings"] >= 1
    assert float(run["monthlyTooMuch"]) >= 37.5
    assert world.adjustments(subject) == []


def test_an_accepted_difference_is_verified_and_later_changes_go_on_from_there(
    world: World, edited: Mapping[str, Subject]
) -> None:
    subject = edited["accepted"]
    item = finding(world, subject)

    answer = decide(world, item, "accept")

    assert answer.status_code == 200
    operation = answer.json()["operation"]
    assert (operation["kind"], operation["status"]) == ("reconcile", "dismissed")
    assert world.operation(operation["id"])["events"][0]["why"] == "looked"
    assert findings(world, subject) == []
    reconciled(world)
    assert findings(world, subject) == []
    assert world.subscription(subject)["badge"] == "synced"
    later = world.done(subject, "change-quantity", quantity=subject.quantity + 5)
    world.wait_for_rest(later)
    assert world.adjustments(subject) == [(world.today(), 2)]


def test_a_corrected_difference_is_pushed_once_as_an_operation_of_its_own(
    world: World, edited: Mapping[str, Subject]
) -> None:
    subject = edited["corrected"]
    item = finding(world, subject)
    key = str(uuid.uuid4())

    answer = decide(world, item, "correct", key)

    assert answer.status_code in {200, 202}
    operation = answer.json()["operation"]["id"]
    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), -3)]
    assert world.units_before_and_from(subject, world.today()) == [subject.quantity] * 3
    assert decide(world, item, "correct", key).json()["operation"]["id"] == operation
    assert world.adjustments(subject) == [(world.today(), -3)]


@pytest.mark.parametrize("verb", ["accept", "correct"])
def test_a_decision_is_valid_for_the_reading_that_was_seen_and_no_other(
    world: World, edited: Mapping[str, Subject], verb: str
) -> None:
    subject = edited[f"stale {verb}"]
    item = finding(world, subject)
    world.edit_by_hand(subject, 1)

    answer = decide(world, item, verb)

    assert (answer.status_code, answer.json()["code"]) == (409, "stale_page")
    assert answer.json()["reading"] != item["reading"]
    assert world.adjustments(subject) == []


def test_seats_that_changed_at_microsoft_alone_are_found_and_the_bill_can_follow_them(
    world: World, edited: Mapping[str, Subject]
) -> None:
    subject = edited["moved by two"]
    accepted = decide(world, finding(world, subject), "accept")
    assert accepted.status_code == 200
    world.edit_by_hand(subject, 1)

    item = found(world, subject)

    assert set(item["movers"]) == {"person", "microsoft"}
    assert item["microsoftUnits"] == subject.quantity
    operation = decide(world, item, "correct", to="microsoft").json()["operation"]["id"]
    world.wait_for_rest(operation)
    assert world.bill(subject)[-1][1] == subject.quantity


def test_a_dead_letter_is_found_as_ours_and_decided_about_at_the_desk(world: World) -> None:
    subject, operation = dead(world, "The contract is locked.")

    item = found(world, subject)

    assert item["movers"] == ["us_open"]
    assert item["operations"] == [operation]
    assert float(item["monthly"]) == -25.0
    refused = decide(world, item, "accept")
    assert (refused.status_code, refused.json()["code"]) == (409, "operation_in_progress")


def test_the_findings_are_a_file_too(world: World, edited: Mapping[str, Subject]) -> None:
    subject = edited["in a file"]
    item = finding(world, subject)

    answer = desk(world).get("/reconciliation", params={"format": "csv", "customer": subject.customer})

    (row,) = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert (row["movers"], row["monthly"], row["contractServiceId"]) == ("person", "37.50", str(subject.line))
    assert row["sentence"] == item["sentence"]


def test_the_timer_starts_a_run(world: World) -> None:
    before = desk(world).get("/reconciliation").json()["run"]
    world.run_timer("timer_reconcile")

    run = eventually(lambda: desk(world).get("/reconciliation").json()["run"], lambda seen: seen != before)
    assert run["requestedBy"] == "csp-functions"
    eventually(lambda: desk(world).get("/reconciliation").json()["run"], lambda seen: seen["status"] == "finished")


def test_a_line_that_nobody_mapped_is_not_found(world: World) -> None:
    subject = world.unmapped("closed")
    item = {"customerId": subject.customer, "contractServiceId": subject.line, "reading": "0" * 16}
    for verb in ("accept", "correct"):
        answer = decide(world, item, verb)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_mapped")
    assert decide(world, {**item, "contractServiceId": "none"}, "accept").status_code == 404
