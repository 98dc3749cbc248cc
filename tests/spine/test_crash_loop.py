"""An operation that kills its worker each time ends dead, not in an endless circle, and stands in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.domain.operation import CRASH_LIMIT
from tests.spine.broker import Broker
from tests.spine.conftest import SETTINGS
from tests.spine.world import World, eventually, fault

# A killed host's lease and attempt are soon over, so that its successor begins at once
IMPATIENT = {
    **SETTINGS,
    "LEASE_SECONDS": "1.2",
    "AUTOTASK_TIMEOUT_SECONDS": "1",
    "SETTLE_SECONDS": "0.5",
    "OUTBOX_SECONDS": "0.5",
    "RETRY_SECONDS": "0.5",
}
# Some workers die while they read the units, the others while they send the adjustment
DEADLY_READINGS = 4


@pytest.fixture
def impatient(world: World) -> Iterator[World]:
    """The worker's world while its host has these settings."""
    world.stack.restart("host", IMPATIENT)
    yield world
    world.stack.restart("host")


def deaths_so_far(world: World) -> int:
    return sum(rule["fired"] for rule in world.autotask.get("/_control/faults").json()["faults"])


def kill_each_time(world: World, operation: str) -> int:
    """Kill the host whenever it waits for a deadly answer, until the operation is at rest; how often it was killed."""
    kills, answered = 0, 0

    def wait_for_the_next() -> bool:
        return deaths_so_far(world) > answered or bool(world.operation(operation)["atRest"])

    while kills <= 2 * CRASH_LIMIT:
        eventually(wait_for_the_next, bool, slower=1)  # each waits for a second only
        if world.operation(operation)["atRest"]:
            break
        world.stack.kill("host")
        answered = deaths_so_far(world)
        world.stack.start("host", IMPATIENT)
        kills += 1
    return kills


def test_an_operation_that_kills_its_worker_each_time_ends_dead_and_blocks_nobody(world: World, broker: Broker) -> None:
    subject = world.outside_window()
    world.stack.restart("host", IMPATIENT)
    fault(
        world.autotask,
        {"method": "POST", "path": "ContractServiceUnits/query", "fault": "timeout", "times": DEADLY_READINGS},
        {"method": "POST", "path": subject.adjustments_path, "fault": "timeout", "times": 0},
    )
    operation = world.done(subject, "change-quantity", quantity=subject.quantity + 1)

    kills = kill_each_time(world, operation)
    world.autotask.delete("/_control/faults").raise_for_status()

    dead = world.wait_for_rest(operation, "dead")
    assert DEADLY_READINGS < kills <= CRASH_LIMIT + 1
    assert dead["autotask"][0]["reason"]["code"] == "crash_loop"
    assert eventually(lambda: broker.dead_about(operation), bool)
    assert world.adjustments(subject) == []

    later = world.done(subject, "change-quantity", quantity=subject.quantity + 2)
    world.wait_for_rest(later)
    world.wait_for_rest(operation)
    assert world.adjustments(subject) == [(world.today(), 2)]
