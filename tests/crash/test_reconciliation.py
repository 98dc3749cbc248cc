"""A reconciliation of many lines: few requests, worked off in stints, and gone on with after whatever happened."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from datetime import timedelta
from functools import cache

import pytest

from shared.domain.errors import Misconfigured, RetryLater
from shared.domain.operation import CRASH_LIMIT
from shared.domain.reconciliation import Mover, Reconciliation
from shared.storage.rows import from_row, text_of
from shared.usecases.mapping import unmap_subscription
from shared.usecases.reconciling import start
from shared.usecases.wake import wake
from tests.crash.scenarios import TODAY, ask, map_to
from tests.world import checks
from tests.world.steps import Side, Steps
from tests.world.world import CUSTOMER, World, line_id, subscription_id

LINES = 230
EDITED = (3, 120, 229)


@cache
def _many() -> World:
    world = World()
    for number in range(1, LINES + 1):
        world.subscribe(number, 10)
        world.add_line(number, 10)
        asyncio.run(ask(world, map_to(number, number, "adopt")))
    for number in EDITED:
        world.autotask.hand_edit(line_id(number), TODAY, 3)
    world.clock.advance(timedelta(hours=1))
    return world


def many() -> World:
    return copy.deepcopy(_many())


def run_of(world: World) -> Reconciliation:
    (row,) = [
        row
        for row in world.tables.rows("ledger")
        if row.key.startswith("J:") and text_of(row.values, "kind") == "reconciliation"
    ]
    return from_row(Reconciliation, row).value


def told(world: World) -> None:
    """Everything was looked at once and the edited lines are found."""
    run = run_of(world)
    assert run.finished_at is not None
    assert (run.lines, run.findings, run.unsettled) == (LINES, len(EDITED), 0)
    assert run.movers == {Mover.PERSON.value: len(EDITED)}
    assert str(run.too_much) == "112.50"
    found = {row.key for row in world.tables.rows("views") if row.partition == "findings"}
    assert found == {f"{CUSTOMER}:{line_id(number)}" for number in EDITED}
    checks.at_rest(world)


def test_lines_are_read_in_bundles_of_a_hundred() -> None:
    world = many()
    process = world.start()
    asyncio.run(world.run(process, lambda app: start(app, "ops")))
    asyncio.run(world.run_until_quiet(process))
    told(world)
    calls = Counter(step.split(" ")[0] for step in process.steps.trace)
    assert (calls["autotask.units"], calls["autotask.contracts"]) == (3, 3)
    assert not any(step.startswith("partner_center") for step in process.steps.trace)


def slow(seconds: float) -> World:
    """Every reading of Autotask takes so long."""
    world = many()

    async def disturb(_: Steps, label: str, side: Side) -> None:
        if label.startswith("autotask.units") and side is Side.AFTER:
            world.clock.advance(timedelta(seconds=seconds))

    world.disturb = disturb
    return world


def test_a_long_run_is_worked_off_in_stints() -> None:
    world = slow(seconds=30)
    asyncio.run(world.run(world.start(), lambda app: start(app, "ops")))
    asyncio.run(world.run(world.start(), wake))
    assert 0 < run_of(world).lines < LINES
    asyncio.run(world.run_until_quiet())
    told(world)


def test_a_worker_that_dies_in_the_middle_is_followed_by_another() -> None:
    world = slow(seconds=30)
    asyncio.run(world.run(world.start(), lambda app: start(app, "ops")))
    asyncio.run(world.run(world.start(), wake))
    dying = world.start()

    async def dies(_: Steps, label: str, side: Side) -> None:
        if label.startswith("autotask.contracts") and side is Side.AFTER:
            dying.steps.die()

    dying.steps.disturb = dies
    asyncio.run(world.run(dying, wake))
    assert dying.steps.dead
    asyncio.run(world.run_until_quiet())
    told(world)


@pytest.mark.parametrize("error", [RetryLater("Autotask does not answer"), Misconfigured("credentials (401)")])
def test_while_autotask_is_away_the_run_waits_and_says_so(error: Exception) -> None:
    world = many()
    back_at = world.clock.now() + timedelta(minutes=12)

    async def away(_: Steps, label: str, side: Side) -> None:
        if label.startswith("autotask.units") and side is Side.BEFORE and world.clock.now() < back_at:
            raise error

    world.disturb = away
    asyncio.run(world.run(world.start(), lambda app: start(app, "ops")))
    asyncio.run(world.run(world.start(), wake))
    assert run_of(world).paused_because == str(error)
    asyncio.run(world.run_until_quiet())
    told(world)
    assert run_of(world).paused_because == ""


def test_a_run_that_kills_its_worker_each_time_is_given_up() -> None:
    world = many()

    async def dies(steps: Steps, label: str, _: Side) -> None:
        if label.startswith("autotask.units"):
            steps.die()

    world.disturb = dies
    asyncio.run(world.run(world.start(), lambda app: start(app, "ops")))
    asyncio.run(world.run_until_quiet())
    run = run_of(world)
    assert [problem.code for problem in run.problems] == ["crash_loop"]
    assert sum(steps.dead for steps in world.started) == CRASH_LIMIT


def test_a_second_start_is_the_run_that_is_under_way() -> None:
    world = many()

    async def twice() -> list[Reconciliation | None]:
        return [await world.run(world.start(), lambda app: start(app, "ops")) for _ in range(2)]

    first, second = asyncio.run(twice())
    assert first is not None
    assert second is not None
    assert first.id == second.id
    asyncio.run(world.run_until_quiet())
    told(world)


def test_what_is_not_mapped_any_more_is_forgotten_by_the_next_run() -> None:
    world = World()
    world.subscribe(1, 10)
    world.add_line(1, 10)
    asyncio.run(ask(world, map_to(1, 1, "adopt")))
    world.autotask.hand_edit(line_id(1), TODAY, 3)
    world.clock.advance(timedelta(hours=1))
    asyncio.run(ask(world, lambda app: start(app, "ops")))
    assert [row.key for row in world.tables.rows("views") if row.partition == "findings"]

    asyncio.run(ask(world, lambda app: unmap_subscription(app, CUSTOMER, subscription_id(1), "mapper")))
    world.clock.advance(timedelta(hours=1))
    asyncio.run(ask(world, lambda app: start(app, "ops")))
    assert not [row.key for row in world.tables.rows("views") if row.partition == "findings"]
