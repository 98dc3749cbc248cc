"""Answers that say nothing clear, before the effect and after it: the effect is there exactly once in the end.

All cases run at the same time, each on a subscription of its own; a case then looks at its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.spine.world import Subject, World, fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KINDS: dict[str, dict[str, Any]] = {
    "timeout": {"fault": "timeout"},
    "reset": {"fault": "reset"},
    "500": {"fault": "500"},
    "502 page": {"fault": "502"},
    "429": {"fault": "429", "retryAfterSeconds": 1},
    "malformed": {"fault": "malformed"},
}
CASES = [(kind, when) for kind in KINDS for when in ("before", "after")]
EVERY_CASE = pytest.mark.parametrize(("kind", "when"), CASES)
SECONDS = 60.0


@dataclass(frozen=True)
class Tried:
    """A cancel that met an unclear answer: its subscription, operation and first HTTP status."""

    subject: Subject
    operation: str
    status: int


Outcomes = dict[tuple[str, str], Tried]


def cancel_all(world: World, method: str, paths: Mapping[tuple[str, str], tuple[Subject, str]]) -> Outcomes:
    """Cancel every case's subscription at the same time, each with its own fault; its answers in the end."""
    world.calm()
    rules = [KINDS[kind] | {"method": method, "path": path, "when": when} for (kind, when), (_, path) in paths.items()]
    vendor = world.partner_center if method == "PATCH" else world.autotask
    fault(vendor, *rules)

    def cancel(case: tuple[str, str]) -> Tried:
        subject, _ = paths[case]
        answer = world.act(subject, "cancel")
        return Tried(subject, answer.json()["operation"]["id"], answer.status_code)

    with ThreadPoolExecutor(len(paths)) as pool:
        return dict(zip(paths, pool.map(cancel, paths), strict=True))


@pytest.fixture(scope="module")
def at_autotask(running_world: World) -> Iterator[Outcomes]:
    subjects = {case: running_world.inside_window() for case in CASES}
    paths = {case: (subject, subject.adjustments_path) for case, subject in subjects.items()}
    yield cancel_all(running_world, "POST", paths)
    running_world.calm()


@pytest.fixture(scope="module")
def at_microsoft(running_world: World) -> Iterator[Outcomes]:
    subjects = {case: running_world.inside_window() for case in CASES}
    paths = {case: (subject, subject.subscription) for case, subject in subjects.items()}
    yield cancel_all(running_world, "PATCH", paths)
    running_world.calm()


@EVERY_CASE
def test_an_unclear_answer_of_autotask_leads_to_exactly_one_adjustment(
    running_world: World, at_autotask: Outcomes, kind: str, when: str
) -> None:
    world, tried = running_world, at_autotask[kind, when]

    assert tried.status == 200
    world.wait_for_rest(tried.operation, seconds=SECONDS)
    assert world.adjustments(tried.subject) == [(world.today(), -tried.subject.quantity)]
    assert world.units_before_and_from(tried.subject, world.today()) == [tried.subject.quantity, 0, 0]


@EVERY_CASE
def test_an_unclear_answer_of_microsoft_leads_to_exactly_one_change_and_one_adjustment(
    running_world: World, at_microsoft: Outcomes, kind: str, when: str
) -> None:
    world, tried = running_world, at_microsoft[kind, when]

    assert tried.status == (202 if kind == "429" else 503)  # 429 is a clear "not now"
    world.wait_for_rest(tried.operation, seconds=SECONDS)
    assert world.at_microsoft(tried.subject)["status"] == "deleted"
    assert world.at_microsoft(tried.subject)["updates"] == 1
    assert world.adjustments(tried.subject) == [(world.today(), -tried.subject.quantity)]


@EVERY_CASE
def test_a_repeated_call_to_microsoft_carries_the_same_request_id(
    running_world: World, at_microsoft: Outcomes, kind: str, when: str
) -> None:
    world, tried = running_world, at_microsoft[kind, when]

    world.wait_for_rest(tried.operation, seconds=SECONDS)
    patches = world.patches(tried.subject)
    assert len(patches) <= 2
    assert len({patch["headers"]["ms-requestid"] for patch in patches}) == 1
    if when == "after":
        assert len(patches) == 1
