"""The command line of the desk against the running stack, as a process of its own."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.forking import ForkServer
from tests.spine.test_desk import dead, drift
from tests.spine.test_undo import pushed
from tests.spine.world import World, eventually


class Ops:
    """`python -m ops` with a token of its own, without a terminal."""

    def __init__(self, world: World, forks: ForkServer, ready: Path) -> None:
        self._environment = {"PATH": os.environ["PATH"], "CSP_READY": str(ready), "COLUMNS": "400"}
        self._forks = forks
        self.world = world

    def run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        done = self._forks.run("ops", arguments, {**self._environment, **environment})
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code != 2 else done.stderr

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run("--json", *arguments, code=code))


@pytest.fixture
def ops(world: World, forks: ForkServer, tmp_path: Path) -> Ops:
    ready = tmp_path / "ready.json"
    shown = {name: world.stack.ready[name] for name in ("api", "tokens")}
    ready.write_text(json.dumps(shown), encoding="utf-8")
    return Ops(world, forks, ready)


def test_a_dead_letter_is_listed_shown_and_resubmitted(world: World, ops: Ops) -> None:
    subject, operation = dead(world, "BillingCode does not exist or is invalid")

    table = ops.run("list", "--customer", subject.customer)
    (listed,) = ops.json("list", "--customer", subject.customer)
    shown = ops.run("show", operation)

    assert operation in table
    assert "autotask_refused" in table
    assert listed["id"] == operation
    assert "Autotask said: BillingCode does not exist or is invalid" in shown
    assert "What helps: Give the service a billing code" in shown
    assert f"{world.today()}" in shown
    assert "+2" in shown
    (done,) = ops.json("resubmit", operation, "--reason", "corrected")
    assert done["id"] == operation
    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), 2)]
    assert ops.json("resubmit", "nothing", code=1)[0]["problem"] == "operation_not_found"


def test_what_a_filter_means_is_planned_and_then_resubmitted(world: World, ops: Ops) -> None:
    subject = world.outside_window()
    operation = drift(world, subject, quantity=subject.quantity + 1)
    which = ("resubmit", "--customer", subject.customer, "--drift-policy", "overwrite")

    (planned,) = ops.json(*which, "--dry-run")
    assert planned["id"] == operation
    assert "-4" in ops.run(*which, "--dry-run")
    assert world.adjustments(subject) == []
    job = ops.json(*which)
    assert job["counts"] == {"resubmitted": 1, "skipped": 0, "failed": 0}
    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), -4)]
    assert "--all" in ops.run("resubmit", code=2)


def test_a_dead_letter_is_dismissed_with_a_reason_and_the_copies_are_drained(world: World, ops: Ops) -> None:
    _, operation = dead(world, "locked")
    ops.run("dismiss", operation, code=2)
    assert ops.json("dismiss", operation, "--reason", "by hand")["operation"]["status"] == "dismissed"
    assert "copies" in ops.run("drain")
    assert ops.json("show", operation, code=1)["code"] == "not_dead"


def test_the_export_is_written_to_a_file(world: World, ops: Ops, tmp_path: Path) -> None:
    subject, operation = dead(world, "locked")
    file = tmp_path / "dead.csv"
    ops.run("list", "--customer", subject.customer, "--csv", str(file))
    with file.open(encoding="utf-8", newline="") as text:
        assert [row["id"] for row in csv.DictReader(text)] == [operation]


def test_a_reconciliation_is_run_and_its_findings_are_decided_about(world: World, ops: Ops) -> None:
    kept, corrected = world.outside_window(), world.outside_window()
    for subject in (kept, corrected):
        world.edit_by_hand(subject, 3)

    run = eventually(lambda: ops.json("reconcile"), lambda seen: seen["movers"]["person"] >= 2)

    assert run["status"] == "finished"
    assert "monthlyTooMuch" in ops.run("reconcile")
    (finding,) = ops.json("findings", "--customer", kept.customer, "--mover", "person")
    assert finding["contractServiceId"] == kept.line
    assert str(kept.line) in ops.run("findings", "--customer", kept.customer)
    assert ops.json("ticket", kept.customer, str(kept.line))["ticket"]["state"] == "open"
    accepted = ops.json("accept", kept.customer, str(kept.line), "--reason", "agreed")
    assert accepted["operation"]["status"] == "dismissed"
    made = ops.json("correct", corrected.customer, str(corrected.line))["operation"]["id"]
    world.wait_for_rest(made)
    assert world.adjustments(corrected) == [(world.today(), -3)]
    assert world.adjustments(kept) == []
    assert "nothing is found" in ops.run("accept", kept.customer, str(kept.line), code=2)


def test_an_undo_is_shown_first_and_done_with_yes(world: World, ops: Ops) -> None:
    world.autotask.post("/_control/switches", json={"sameDate": "accept"}).raise_for_status()
    subject = world.outside_window()
    operation = pushed(world, subject, subject.quantity + 4)

    shown = ops.run("undo", operation)

    assert "Microsoft is not touched" in shown
    assert "-4" in shown
    assert world.adjustments(subject) == [(world.today(), 4)]
    made = ops.json("undo", operation, "--yes", "--reason", "a mistake")["operation"]["id"]
    world.wait_for_rest(made)
    assert world.adjustments(subject) == [(world.today(), 4), (world.today(), -4)]


def test_a_subscription_is_replayed(world: World, ops: Ops) -> None:
    subject, operation = dead(world, "locked")
    assert ops.json("replay", subject.customer, subject.subscription)["operations"] == [operation]
    world.wait_for_rest(operation)
    assert "Nothing of it" in ops.run("replay", subject.customer, subject.subscription)


def test_the_status_says_what_is_ready_and_dead(world: World, ops: Ops) -> None:
    dead(world, "locked")
    found = ops.json("status")
    assert found["ready"]["status"] == "ready"
    assert found["deadLetters"]["autotask_refused"] >= 1
    table = ops.run("status")
    assert "partnerCenter" in table
    assert "autotask_refused" in table


def _without_api(ops: Ops) -> str:
    return ops.run("status", code=2, CSP_READY="")


def _without_audience(ops: Ops) -> str:
    return ops.run("--api", "https://example.invalid/api", "status", code=2, CSP_READY="")


def _without_client(ops: Ops) -> str:
    more = ("--audience", "api://x", "--device-code", "status")
    return ops.run("--api", "https://example.invalid/api", *more, code=2, CSP_READY="")


@pytest.mark.parametrize(
    ("asked", "named"),
    [(_without_api, "CSP_API"), (_without_audience, "CSP_AUDIENCE"), (_without_client, "CSP_CLIENT_ID")],
)
def test_what_is_missing_to_sign_in_is_named(ops: Ops, asked: Callable[[Ops], str], named: str) -> None:
    assert named in asked(ops)


def test_a_token_of_ones_own_is_used_and_a_wrong_one_is_a_problem(world: World, ops: Ops) -> None:
    api = ("--api", world.stack.ready["api"])
    token = world.stack.ready["tokens"]["deadletters"]
    assert "Dead letters" in ops.run(*api, "status", CSP_READY="", CSP_TOKEN=token)
    wrong = ops.run("--json", *api, "list", code=1, CSP_READY="", CSP_TOKEN="wrong")
    assert json.loads(wrong)["code"] == "unauthenticated"
