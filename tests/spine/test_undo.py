"""Undo a verified push: shown first with its dates and money, then done once, and never at Microsoft."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import httpx

from tests.spine.test_desk import dead
from tests.spine.world import Subject, World, fault


def undo(world: World, operation: str, key: str | None = None, **body: Any) -> httpx.Response:
    return world.clients["deadletters"].post(
        f"/operations/{operation}/undo", json=body, headers={"Idempotency-Key": key or str(uuid.uuid4())}
    )


def preview(world: World, operation: str) -> httpx.Response:
    return world.clients["deadletters"].get(f"/operations/{operation}/undo")


def pushed(world: World, subject: Subject, quantity: int) -> str:
    operation = world.done(subject, "change-quantity", quantity=quantity)
    world.wait_for_rest(operation)
    return operation


def test_the_preview_shows_dates_and_money_and_the_undo_does_exactly_that_and_leaves_microsoft_alone(
    world: World,
) -> None:
    world.autotask.post("/_control/switches", json={"sameDate": "accept"}).raise_for_status()
    subject = world.outside_window()
    before = subject.quantity
    operation = pushed(world, subject, before + 4)
    patches = len(world.patches(subject))

    shown = preview(world, operation).raise_for_status().json()

    (line,) = shown["lines"]
    (plan,) = line["plans"]
    assert [(item["date"], item["unitChange"]) for item in plan["adjustments"]] == [(world.today().isoformat(), -4)]
    last = plan["changes"][-1]
    assert (last["unitsBefore"], last["unitsAfter"], last["money"]) == (before + 4, before, "-50.00")
    assert {"microsoft_untouched", "date_taken"} == {item["code"] for item in shown["warnings"]}
    assert world.adjustments(subject) == [(world.today(), 4)]

    key = str(uuid.uuid4())
    answer = undo(world, operation, key, confirm=True, reason="sold to somebody else")
    made = answer.json()["operation"]
    assert answer.status_code in {200, 202}
    assert (made["kind"], made["undoes"]) == ("undo", operation)
    world.wait_for_rest(made["id"])
    assert world.adjustments(subject) == [(world.today(), 4), (world.today(), -4)]
    assert world.units_before_and_from(subject, world.today()) == [before, before, before]
    assert len(world.patches(subject)) == patches
    assert world.at_microsoft(subject)["quantity"] == before + 4
    assert world.operation(operation)["undoneBy"] == made["id"]
    assert (
        undo(world, operation, key, confirm=True, reason="sold to somebody else").json()["operation"]["id"]
        == made["id"]
    )
    assert world.adjustments(subject) == [(world.today(), 4), (world.today(), -4)]


def test_an_undo_has_to_be_confirmed(world: World) -> None:
    subject = world.outside_window()
    operation = pushed(world, subject, subject.quantity + 4)

    answer = undo(world, operation)

    assert (answer.status_code, answer.json()["code"]) == (428, "confirmation_required")
    assert answer.json()["errors"][0]["field"] == "confirm"
    assert "microsoft_untouched" in str(answer.json()["losses"])
    assert len(world.operations(subject)) == 1


def test_a_later_operation_stays_in_force(world: World) -> None:
    subject = world.outside_window()
    first = pushed(world, subject, subject.quantity + 4)
    later = pushed(world, subject, subject.quantity + 6)

    refused = preview(world, first)

    # both have the same date, so that the later one has taken the place of the first on every day
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_undo")
    shown = preview(world, later).raise_for_status().json()
    (line,) = shown["lines"]
    change = line["plans"][0]["changes"][-1]
    assert (change["unitsBefore"], change["unitsAfter"]) == (subject.quantity + 6, subject.quantity + 4)


def test_what_is_dead_cannot_be_undone_and_is_in_the_way_of_another_undo(world: World) -> None:
    subject = world.outside_window()
    first = pushed(world, subject, subject.quantity + 4)
    rule = {"method": "POST", "path": subject.adjustments_path, "fault": "500", "body": {"errors": ["locked"]}}
    fault(world.autotask, rule)
    broken = world.done(subject, "change-quantity", quantity=subject.quantity + 6)
    world.wait_for_rest(broken, "dead")

    assert preview(world, broken).json()["code"] == "not_pushed"
    assert preview(world, first).json()["code"] == "operation_in_progress"


def test_what_was_adopted_since_cannot_be_gone_back_behind(world: World) -> None:
    subject = world.outside_window()
    first = pushed(world, subject, subject.quantity + 4)
    world.edit_by_hand(subject, 1)
    broken = world.done(subject, "change-quantity", quantity=subject.quantity + 6)
    world.wait_for_rest(broken, "dead")
    dismissed = world.clients["deadletters"].post(f"/dead-letters/{broken}/dismiss", json={"reason": "by hand"})
    assert dismissed.status_code == 200

    assert preview(world, first).json()["code"] == "adopted_since"


def test_a_hand_edit_is_planned_by_each_decision_and_reviewed_when_the_undo_is_pushed(world: World) -> None:
    world.autotask.post("/_control/switches", json={"sameDate": "accept"}).raise_for_status()
    subject = world.outside_window()
    operation = pushed(world, subject, subject.quantity + 4)
    world.edit_by_hand(subject, 1, world.today() + timedelta(days=40))

    (line,) = preview(world, operation).json()["lines"]

    assert line["handEdited"]
    assert {plan["driftPolicy"] for plan in line["plans"]} == {"review", "respect", "overwrite"}
    made = undo(world, operation, confirm=True).json()["operation"]
    world.wait_for_rest(made["id"], "dead")
    world.clients["deadletters"].post(f"/dead-letters/{made['id']}/resubmit", json={"driftPolicy": "respect"})
    world.wait_for_rest(made["id"])
    assert world.bill(subject)[-1][1] == subject.quantity + 1


def test_who_may_not_decide_about_dead_letters_may_not_undo(world: World) -> None:
    _, operation = dead(world, "locked")
    for name in ("reader", "operator", "mapper"):
        assert world.clients[name].get(f"/operations/{operation}/undo").status_code == 403
