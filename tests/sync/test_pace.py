"""All instances together stay under the rate, whatever they do at the same time and whatever their clocks say."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.storage.rates import Rates
from shared.usecases.app import App, SyncPolicy
from shared.usecases.pace import PARTNER_CENTER, Pace, TooFar
from tests.world.tables import Tables
from tests.world.world import World

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)


@pytest.fixture
def world() -> World:
    world = World()
    world.policy = SyncPolicy(per_minute=60)
    return world


async def turns(world: World, pace: Pace, count: int) -> list[datetime]:
    found = []
    for _ in range(count):
        await pace.turn()
        found.append(world.clock.now())
    return found


def most_in_a_minute(moments: list[datetime]) -> int:
    ordered = sorted(moments)
    return max(sum(first <= other < first + MINUTE for other in ordered) for first in ordered)


async def test_turns_come_at_the_rate(world: World) -> None:
    found = await turns(world, Pace(world.start().app), 30)
    gaps = {(after - before).total_seconds() for before, after in itertools.pairwise(found)}
    assert gaps == {1.0}


async def test_the_table_is_not_asked_for_each_turn(world: World) -> None:
    process = world.start()
    await turns(world, Pace(process.app), 30)
    assert sum(step.startswith("tables.write") for step in process.steps.trace) == 6, "one block is five seconds"


async def test_instances_share_the_rate(world: World) -> None:
    paces = [Pace(world.start().app) for _ in range(3)]
    moments: list[datetime] = []
    for _ in range(40):
        for pace in paces:
            moments += await turns(world, pace, 1)
    assert most_in_a_minute(moments) <= 60 + 3


async def test_instances_that_reserve_at_the_same_moment_get_different_turns(world: World) -> None:
    async def slowly(*_: object) -> None:
        await asyncio.sleep(0)

    world.disturb = slowly
    rates = [Rates(world.tables) for _ in range(4)]
    now = world.clock.now()
    blocks = await asyncio.gather(
        *(one.reserve("r", now=now, per_minute=60, span=timedelta(seconds=5)) for one in rates)
    )
    spans = sorted((block.start, block.end) for block in blocks)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


async def test_clocks_that_differ_do_not_raise_the_rate() -> None:
    rates = Rates(Tables())
    now = World().clock.now()
    count = 0
    for step in range(12):
        skew = timedelta(seconds=20 if step % 2 else -20)
        block = await rates.reserve("r", now=now + skew, per_minute=60, span=timedelta(seconds=5))
        count += block.count
        last = block.end
    assert (last - (now - timedelta(seconds=20))).total_seconds() >= count - 1


async def test_turns_that_passed_unused_are_lost(world: World) -> None:
    pace = Pace(world.start().app)
    await turns(world, pace, 1)
    world.clock.advance(timedelta(seconds=300))
    found = await turns(world, pace, 30)
    assert most_in_a_minute(found) <= 60
    assert found[-1] - found[0] == timedelta(seconds=29)


async def test_unused_turns_are_given_back(world: World) -> None:
    first = Pace(world.start().app)
    await turns(world, first, 1)
    await first.close()
    begin = world.clock.now()
    found = await turns(world, Pace(world.start().app), 1)
    assert found[0] - begin <= timedelta(seconds=1)


async def test_turns_are_not_given_back_once_somebody_has_reserved_behind_them(world: World) -> None:
    first, second = Pace(world.start().app), Pace(world.start().app)
    moments = await turns(world, first, 1)
    moments += await turns(world, second, 1)
    await first.close()
    moments += await turns(world, Pace(world.start().app), 20)
    assert most_in_a_minute(moments) <= 60


async def test_a_complaint_is_kept_by_everybody(world: World) -> None:
    one, other = Pace(world.start().app), Pace(world.start().app)
    await turns(world, one, 1)
    complained = world.clock.now()
    await one.slow_down(timedelta(seconds=20))
    found = await turns(world, other, 3)
    assert found[0] - complained >= timedelta(seconds=20)
    assert found[2] - found[1] == timedelta(seconds=2), "half of the rate"


async def test_complaints_do_not_bring_the_rate_to_nothing_and_it_recovers(world: World) -> None:
    pace = Pace(world.start().app)
    for _ in range(10):
        await pace.slow_down(timedelta(seconds=1))
    world.clock.advance(timedelta(seconds=20))
    found = await turns(world, pace, 2)
    assert found[1] - found[0] == timedelta(seconds=8), "an eighth"
    world.clock.advance(timedelta(minutes=20))
    await pace.close()
    found = await turns(world, Pace(world.start().app), 3)
    assert found[2] - found[1] == timedelta(seconds=1)


async def test_a_wait_of_minutes_ends_the_timer_run(world: World) -> None:
    pace = Pace(world.start().app)
    await pace.slow_down(timedelta(minutes=10))
    with pytest.raises(TooFar) as far:
        await pace.turn()
    assert far.value.until - world.clock.now() > timedelta(minutes=9)
    with pytest.raises(TooFar) as again:
        await pace.turn()
    assert again.value.until == far.value.until, "asking does not move it"


async def test_a_rate_that_was_lowered_in_the_settings_holds_at_once(world: World) -> None:
    await turns(world, Pace(world.start().app), 1)
    app: App = world.start().app
    slower = replace(app, policy=replace(app.policy, per_minute=30))
    world.clock.advance(timedelta(minutes=1))
    found = await turns(world, Pace(slower), 3)
    assert found[2] - found[1] == timedelta(seconds=2)


async def test_a_reservation_names_the_row_of_its_vendor(world: World) -> None:
    await turns(world, Pace(world.start().app), 1)
    assert [row.key for row in world.tables.rows("coordination") if row.partition == "rate"] == [PARTNER_CENTER]
