"""Kill the process at each I/O step, and after the last of each job, and start another: all comes right (invariant 1).

`Steps.moments` says why that is before and after the effect of each step.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache

import pytest

from shared.domain.actions import Action
from shared.domain.operation import CRASH_LIMIT
from shared.domain.rates import Rate
from shared.storage.store import TABLES
from tests.crash.bulk_stories import BULKS
from tests.crash.conversion_stories import CONVERSIONS
from tests.crash.desk_stories import DESK
from tests.crash.scenarios import STORIES, TODAY, Story, ask, change, map_to, mapped
from tests.world import checks
from tests.world.loop import run
from tests.world.steps import Point, Side, Steps
from tests.world.world import CONTRACT_START, Process, World, line_id

every_story = pytest.mark.parametrize("story", [*STORIES, *CONVERSIONS, *BULKS, *DESK], ids=lambda story: story.name)


@cache
def prepared(story: Story) -> World:
    world = World()
    run(story.prepare(world))
    return world


def a_world_for(story: Story) -> World:
    return copy.deepcopy(prepared(story))


async def tell(world: World, story: Story, process: Process, *, before_delivery: Callable[[], None]) -> None:
    """Ask for everything the story asks for, each request again after a crash."""
    for request in story.requests:
        await world.run(process, request)
        before_delivery()
        crashed = process.steps.dead
        process = await world.run_until_quiet(process)
        if crashed:
            await checks.everything(world)
            await world.run(process, request)
            process = await world.run_until_quiet(process)


async def as_told(world: World, story: Story) -> None:
    await checks.everything(world)
    for number, units in story.billed.items():
        assert checks.billed(world, line_id(number)) == units, world.describe()
    true = world.autotask.timeline(line_id(1))
    assert {day: true.rate_at(Rate.PRICE, day) for day in story.prices} == {
        day: Decimal(price) for day, price in story.prices.items()
    }, world.describe()
    assert sum(item.source == "api" for item in world.autotask.log) == story.adjustments, world.describe()
    checks.legs_are(world, *story.legs)


def undisturbed(story: Story) -> Steps:
    """The I/O of a run without any fault."""
    world = a_world_for(story)
    process = world.start()
    run(tell(world, story, process, before_delivery=nothing))
    run(as_told(world, story))
    return process.steps


def nothing() -> None:
    """Nothing happens between the answer and the delivery."""


@every_story
def test_a_kill_at_any_step_loses_and_doubles_nothing(story: Story) -> None:
    healthy = undisturbed(story)
    for moment in healthy.moments():
        world = a_world_for(story)
        process = world.start()
        process.steps.kill_at = moment
        try:
            run(tell(world, story, process, before_delivery=nothing))
            assert process.steps.dead, "the run took another way"
            run(as_told(world, story))
        except BaseException as error:
            error.add_note(f"killed {moment}, {healthy.trace[moment.step - 1]}")
            raise


@pytest.mark.parametrize("story", [STORIES[0], CONVERSIONS[0]], ids=lambda story: story.name)
def test_a_kill_after_a_step_leaves_what_a_kill_before_the_next_step_of_its_job_leaves(story: Story) -> None:
    """So that `Steps.moments` leaves nothing out."""
    healthy = undisturbed(story)
    for step in sorted(set(range(1, len(healthy.trace))) - set(healthy.ends)):
        after, before = (left_by_a_kill(story, at) for at in (Point(step, Side.AFTER), Point(step + 1, Side.BEFORE)))
        assert after == before, f"step {step}, {healthy.trace[step - 1]}"


def left_by_a_kill(story: Story, moment: Point) -> object:
    """What the stores, the broker and the vendors hold when the first process is dead."""
    world = a_world_for(story)
    process = world.start()
    process.steps.kill_at = moment

    async def until_dead() -> None:
        for request in story.requests:
            await world.run(process, request)
            while not process.steps.dead and await world.turn(process):
                pass

    run(until_dead())
    assert process.steps.dead, "the run took another way"
    tables = [re.sub(r"00-[0-9a-f-]{52}", "", str(world.tables.rows(table))) for table in TABLES]  # the traces' own ids
    return tables, world.broker.waiting(), world.autotask.log, world.partner_center.effects


@every_story
def test_every_message_delivered_twice_and_the_newest_first_changes_nothing(story: Story) -> None:
    world = a_world_for(story)
    world.broker.copies, world.broker.lost_completions, world.broker.newest_first = 2, 1, True
    run(tell(world, story, world.start(), before_delivery=nothing))
    run(as_told(world, story))


@every_story
def test_a_kill_with_a_broker_that_forgets_everything_loses_nothing(story: Story) -> None:
    for moment in undisturbed(story).moments()[::3]:
        world = a_world_for(story)
        process = world.start()
        process.steps.kill_at = moment
        run(tell(world, story, process, before_delivery=world.broker.forget))
        run(as_told(world, story))


async def kill_the_first_line(steps: Steps, label: str, side: Side) -> None:
    """Whoever adjusts line 1 is dead before the request has left."""
    if label == f"autotask.adjust {line_id(1)}" and side is Side.BEFORE:
        steps.die()


def test_a_push_that_kills_its_worker_each_time_ends_dead_and_holds_nobody_up() -> None:
    world = World()
    run(two_mapped(world))
    world.disturb = kill_the_first_line

    async def story() -> None:
        await world.run(world.start(), change(1, Action.CHANGE_QUANTITY, quantity=12))
        await world.run(world.start(), change(2, Action.CHANGE_QUANTITY, quantity=22))
        await world.run_until_quiet()
        await checks.everything(world)

    run(story())
    poison, later = world.operations()[1], world.operations()[3]
    assert [leg.reason.code for leg in poison.legs if leg.reason] == ["crash_loop"]
    assert poison.death is not None
    assert later.status == "synced"
    assert later.legs[0].settled_at is not None
    assert later.legs[0].settled_at < poison.death.at
    assert checks.billed(world, line_id(2)) == {CONTRACT_START: 20, TODAY: 22}
    assert sum(steps.dead for steps in world.started) == CRASH_LIMIT


async def two_mapped(world: World) -> None:
    """Subscription 1 with ten seats on line 1, subscription 2 with twenty on line 2."""
    await mapped(world)
    world.subscribe(2, 20)
    world.add_line(2, 20)
    await ask(world, map_to(2, 2, "adopt"))
