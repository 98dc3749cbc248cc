"""An operation that kills its worker each time ends dead, and stands in nobody's way."""

from __future__ import annotations

import pytest

from shared.domain.operation import CRASH_LIMIT
from tests.spine.broker import Broker
from tests.spine.conftest import SETTINGS
from tests.spine.world import Subject, World, eventually, fault, requests

# A killed host's lease and attempt are soon over, so that its successor begins at once
IMPATIENT = {
    **SETTINGS,
    "LEASE_SECONDS": "1.2",
    "AUTOTASK_TIMEOUT_SECONDS": "1",
    "SETTLE_SECONDS": "0.5",
    "OUTBOX_SECONDS": "0.5",
    "RETRY_SECONDS": "0.5",
}
MOST_KILLS = 3 * CRASH_LIMIT


def kill_each_time(world: World, operation: str, path: str) -> int:
    """Kill the host whenever a request to that path of Autotask is under way, until the operation rests; how often."""
    kills = 0
    seen = len(requests(world.autotask, "POST", path))
    while kills < MOST_KILLS:

        def look(seen: int = seen) -> bool:
            return len(requests(world.autotask, "POST", path)) > seen or bool(world.operation(operation)["atRest"])

        eventually(look, bool)
        if world.operation(operation)["atRest"]:
            return kills
        world.stack.restart("host", IMPATIENT)
        kills += 1
        seen = len(requests(world.autotask, "POST", path))
    return kills


@pytest.mark.parametrize("where", ["the reading of units", "the adjustment"])
def test_an_operation_that_kills_its_worker_each_time_ends_dead_and_blocks_nobody(
    world: World, broker: Broker, where: str
) -> None:
    subject = world.outside_window()
    path = {"the reading of units": "ContractServiceUnits/query", "the adjustment": subject.adjustments_path}[where]
    world.stack.restart("host", IMPATIENT)
    fault(world.autotask, {"method": "POST", "path": path, "fault": "timeout", "times": 0})
    operation = world.done(subject, "change-quantity", quantity=subject.quantity + 1)

    kills = kill_each_time(world, operation, path)
    world.autotask.delete("/_control/faults").raise_for_status()

    dead = world.wait_for_rest(operation, "dead")
    assert kills <= CRASH_LIMIT + 1
    assert dead["autotask"][0]["reason"]["code"] == "crash_loop"
    assert eventually(lambda: broker.dead_about(operation), bool)
    assert world.adjustments(subject) == []
    _works_on(world, subject, operation)


def _works_on(world: World, subject: Subject, dead: str) -> None:
    later = world.done(subject, "change-quantity", quantity=subject.quantity + 2)
    world.wait_for_rest(later)
    world.wait_for_rest(dead)
    assert world.adjustments(subject) == [(world.today(), 2)]
