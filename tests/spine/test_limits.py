"""Limits of the Autotask tenant stretch the work and lose nothing: a spent budget, a storm of 429, thread errors."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.spine.world import Subject, World, eventually, fault, requests

pytestmark = pytest.mark.usefixtures("impatient")
STORM = 2  # refusals of each kind of request
THREADS = {"errors": ["Itgenatr005: The thread threshold of 3 threads has been exceeded."]}


def used(world: World) -> int:
    """Requests of the last hour, of all integrations."""
    return int(world.autotask.get("/_control/state").raise_for_status().json()["usage"]["lastHour"])


def others_use(world: World, count: int) -> None:
    """Another integration makes requests of its own."""
    settings = world.stack.ready["settings"]
    headers = {
        "UserName": settings["AUTOTASK_USER"],
        "Secret": settings["AUTOTASK_SECRET"],
        "ApiIntegrationCode": settings["AUTOTASK_INTEGRATION_CODE"],
    }
    for _ in range(count):
        world.autotask.get("/ATServicesRest/v1.0/ThresholdInformation", headers=headers).raise_for_status()


def allow(world: World, requests_an_hour: int) -> None:
    world.autotask.post("/_control/switches", json={"hourlyRequests": requests_an_hour}).raise_for_status()
    time.sleep(0.6)  # an older reading of the budget is believed for half a second here


def one_more_each(world: World, subjects: list[Subject]) -> list[str]:
    """A change of one seat more on each; the operations."""
    return [world.done(subject, "change-quantity", quantity=subject.quantity + 1) for subject in subjects]


def all_are_billed_once(world: World, subjects: list[Subject], operations: list[str]) -> None:
    for operation in operations:
        world.wait_for_rest(operation)
    assert {tuple(world.adjustments(subject)) for subject in subjects} == {((world.today(), 1),)}


def test_a_spent_budget_lets_pushes_wait_with_its_numbers_and_other_reads_go_on(world: World) -> None:
    subjects = [world.outside_window() for _ in range(3)]
    others_use(world, 60)
    allowed = used(world) * 3 // 2
    allow(world, allowed)

    operations = one_more_each(world, subjects)

    waiting = eventually(lambda: world.operation(operations[0]), lambda seen: seen["status"] == "waiting")
    reason = waiting["autotask"][0]["reason"]
    assert reason["code"] in {"autotask_budget_spent", "autotask_stopped"}
    assert f"Of the {allowed} requests in 60 minutes" in reason["sentence"]
    assert all(world.adjustments(subject) == [] for subject in subjects)
    refused = [one for one in requests(world.autotask, "POST", "query") if one["status"] == 429]
    assert refused == []
    world.mapped(world.unmapped("closed"))  # somebody who waits for an answer gets it
    allow(world, 10_000)

    all_are_billed_once(world, subjects, operations)


def test_a_budget_that_is_used_up_by_others_before_we_look_is_waited_for(world: World) -> None:
    subjects = [world.outside_window() for _ in range(2)]
    others_use(world, 3)
    world.autotask.post("/_control/switches", json={"throttleRetryAfterSeconds": 1}).raise_for_status()
    allow(world, used(world))

    operations = one_more_each(world, subjects)

    eventually(lambda: world.operation(operations[0])["status"], lambda status: status == "waiting")
    allow(world, 10_000)
    all_are_billed_once(world, subjects, operations)


@pytest.mark.parametrize(
    "refusal",
    [{"fault": "429"}, {"fault": "500", "body": THREADS}],
    ids=["429", "a thread error with another status"],
)
def test_a_storm_of_refusals_stretches_the_work_and_doubles_nothing(world: World, refusal: dict[str, Any]) -> None:
    subjects = [world.outside_window() for _ in range(5)]
    rules = [{"path": "ServiceAdjustments", "times": STORM}, {"path": "query", "times": STORM, "skip": 3}]
    # Without a Retry-After everybody waits for a minute, longer than a test
    fault(world.autotask, *(rule | {"method": "POST", "retryAfterSeconds": 1} | refusal for rule in rules))

    operations = one_more_each(world, subjects)

    all_are_billed_once(world, subjects, operations)
