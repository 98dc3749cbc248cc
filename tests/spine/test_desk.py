"""The dead-letter desk: what is listed, what a re-submission would do, and many of them at once."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.spine.broker import Broker
from tests.spine.test_dead_letters import dead_message, decide, drifted, listed
from tests.spine.world import Subject, World, eventually, fault


def desk(world: World) -> httpx.Client:
    return world.clients["deadletters"]


def dead(world: World, text: str, *, more: int = 2) -> tuple[Subject, str]:
    """A subscription whose change Autotask has refused with a text; the operation, dead."""
    subject = world.outside_window()
    rule = {"method": "POST", "path": subject.adjustments_path, "fault": "500", "body": {"errors": [text]}}
    fault(world.autotask, rule)
    operation = world.done(subject, "change-quantity", quantity=subject.quantity + more)
    world.wait_for_rest(operation, "dead")
    return subject, in_the_list(world, operation)


def in_the_list(world: World, operation: str) -> str:
    """A dead operation, once the list has it too: it is written after the ledger."""
    customer = operation.partition("_")[0]
    eventually(lambda: [item["id"] for item in listed_by(world, customer=customer)], lambda seen: operation in seen)
    return operation


def drift(world: World, subject: Subject, *, quantity: int) -> str:
    """A change on a line to which somebody had added five units; the operation, dead."""
    return in_the_list(world, drifted(world, subject, by_hand=5, quantity=quantity))


def listed_by(world: World, **params: str) -> list[dict[str, Any]]:
    page: dict[str, Any] = desk(world).get("/dead-letters", params=params).raise_for_status().json()
    return list(page["value"])


def plans(item: dict[str, Any]) -> dict[str | None, dict[str, Any]]:
    """The plans of a dead letter with one line, by decision."""
    (line,) = item["resubmission"]
    return {plan["driftPolicy"]: plan for plan in line["plans"]}


def test_dead_letters_are_filtered_by_reason_customer_and_age(world: World) -> None:
    began = datetime.now(UTC)
    subject, refused = dead(world, "The contract is locked by the month-end.")
    other = drift(world, world.outside_window(), quantity=40)
    mine = {"customer": subject.customer}

    def ids(**params: str) -> set[str]:
        return {item["id"] for item in listed_by(world, **params)}

    assert ids(**mine) == ids(code="autotask_refused", **mine) == {refused}
    assert ids(code="drift", **mine) == set()
    moment = (began - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert refused in ids(**{"from": moment})
    assert other in ids(**{"from": moment, "code": "drift"})
    assert not ids(until=moment) & {refused, other}
    wrong = desk(world).get("/dead-letters?from=yesterday")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "from")
    assert desk(world).get("/dead-letters?expand=all").status_code == 422


def test_a_dead_letter_has_its_history_autotasks_text_a_remedy_and_the_plan(world: World) -> None:
    text = "BillingCode does not exist or is invalid"
    subject, operation = dead(world, text)

    item = desk(world).get(f"/dead-letters/{operation}").raise_for_status().json()

    (reason,) = item["reasons"]
    assert reason["vendorText"] == text
    assert "billing code" in reason["remedy"]
    assert [event["event"] for event in item["operation"]["events"]][-1] == "dead"
    plan = plans(item)[None]
    (adjustment,) = plan["adjustments"]
    assert (adjustment["date"], adjustment["unitChange"]) == (world.today().isoformat(), 2)
    (*_, change) = plan["changes"]
    assert (change["unitsBefore"], change["unitsAfter"]) == (subject.quantity, subject.quantity + 2)
    assert change["perPeriod"]
    assert float(change["money"]) == pytest.approx(2 * float(change["priceAfter"]), abs=0.01)
    (expanded,) = listed_by(world, customer=subject.customer, expand="plan,events")
    assert expanded["resubmission"] == item["resubmission"]
    assert "resubmission" not in listed_by(world, customer=subject.customer)[0]


def test_the_plan_of_a_hand_edit_says_what_each_decision_would_do_and_so_it_is_done(world: World) -> None:
    subject = world.outside_window()
    operation = drift(world, subject, quantity=subject.quantity + 1)

    found = plans(desk(world).get(f"/dead-letters/{operation}").json())

    def changes(policy: str) -> list[int]:
        return [adjustment["unitChange"] for adjustment in found[policy]["adjustments"]]

    assert (changes("review"), changes("respect"), changes("overwrite")) == ([], [1], [-4])
    decide(world, operation, "resubmit", driftPolicy="overwrite")
    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), -4)]


def test_while_autotask_is_away_a_dead_letter_is_shown_without_a_plan(world: World) -> None:
    _, operation = dead(world, "The contract is locked.")
    fault(world.autotask, {"method": "POST", "path": "ContractServiceUnits/query", "fault": "503", "times": 20})

    item = desk(world).get(f"/dead-letters/{operation}").raise_for_status().json()

    assert item["resubmission"][0]["problem"]["code"] == "autotask_unavailable"
    assert item["reasons"]


def test_the_export_is_a_file_whose_cells_no_spreadsheet_runs(world: World) -> None:
    text = '=HYPERLINK("http://example.invalid","open")'
    subject, operation = dead(world, text)

    answer = desk(world).get("/dead-letters", params={"format": "csv", "customer": subject.customer})

    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    (row,) = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert row["id"] == operation
    assert row["code"] == "autotask_refused"
    assert row["autotaskText"] == f"'{text}"
    assert row["units"] == str(subject.quantity + 2)


def resubmit(world: World, key: str | None = None, **body: Any) -> httpx.Response:
    return desk(world).post("/dead-letters/resubmit", json=body, headers={"Idempotency-Key": key or str(uuid.uuid4())})


def finished(world: World, job: dict[str, Any]) -> dict[str, Any]:
    path = job["links"]["self"].removeprefix("/api")
    return eventually(lambda: desk(world).get(path).json(), lambda seen: seen["status"] == "finished")


def test_a_dry_run_says_what_a_resubmission_of_many_would_do_and_does_nothing(world: World) -> None:
    subject, operation = dead(world, "The contract is locked.")

    answer = resubmit(world, filter={"customerId": subject.customer}, dryRun=True, driftPolicy="overwrite")

    assert (answer.status_code, answer.json()["dryRun"]) == (200, True)
    (item,) = answer.json()["value"]
    assert item["id"] == operation
    assert [found["unitChange"] for found in plans(item)[None]["adjustments"]] == [2]
    assert world.operation(operation)["status"] == "dead"
    assert world.adjustments(subject) == []


def test_a_filtered_set_is_resubmitted_in_the_background_with_one_decision(world: World) -> None:
    text = f"locked {uuid.uuid4()}"
    subject, refused = dead(world, text)
    edited = world.outside_window()
    hand = drift(world, edited, quantity=edited.quantity + 1)
    key = str(uuid.uuid4())
    body = {"filter": {"customerId": edited.customer, "code": "drift"}, "driftPolicy": "respect", "reason": "agreed"}

    answer = resubmit(world, key, **body)

    assert answer.status_code == 202
    assert answer.headers["operation-location"] == answer.json()["links"]["self"]
    done = finished(world, answer.json())
    assert done["counts"] == {"resubmitted": 1, "skipped": 0, "failed": 0}
    healed = world.wait_for_rest(hand)
    assert world.adjustments(edited) == [(world.today(), 1)]
    assert [event["why"] for event in healed["events"] if event["event"] == "resubmitted"] == ["agreed"]
    assert world.operation(refused)["status"] == "dead"
    assert world.adjustments(subject) == []
    again = resubmit(world, key, **body)
    assert (again.status_code, again.json()["id"]) == (202, done["id"])
    assert resubmit(world, key, filter={}, dryRun=False).status_code == 422


def test_what_dies_again_is_not_sent_for_ever(world: World) -> None:
    subject = world.outside_window()
    hand = drift(world, subject, quantity=subject.quantity + 1)

    done = finished(world, resubmit(world, filter={"customerId": subject.customer}).json())

    assert done["counts"]["resubmitted"] == 1
    eventually(
        lambda: [event["event"] for event in world.operation(hand)["events"]].count("dead"), lambda count: count == 2
    )
    assert world.operation(hand)["status"] == "dead"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"filter": {"customerId": "nobody"}}, "filter.customerId"),
        ({"filter": {"from": "yesterday"}}, "filter.from"),
        ({"driftPolicy": "ignore"}, "driftPolicy"),
        ({"everything": True}, "everything"),
    ],
)
def test_a_wrong_request_for_many_names_its_field(world: World, body: dict[str, Any], field: str) -> None:
    answer = resubmit(world, **body)
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {field}


def test_the_sweep_can_be_asked_for(world: World, broker: Broker) -> None:
    _, operation = dead(world, "The contract is locked.")
    dead_message(broker, operation)
    decide(world, operation, "resubmit")
    world.wait_for_rest(operation)

    answer = desk(world).post("/dead-letters/sweep").raise_for_status().json()

    assert answer["removed"] >= 1
    assert broker.dead_about(operation) == []
    assert operation not in listed(world)
