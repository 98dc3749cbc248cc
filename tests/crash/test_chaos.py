"""Random schedules of everything end with the right bill (invariant 1).

`CHAOS_SEEDS=5000` runs more seeds than usual, `CHAOS_SEED=17` replays one.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from shared.domain.billing import Policy, billed_units
from shared.domain.operation import Operation
from shared.domain.planning import DriftPolicy, Nothing, Unusable, plan
from shared.domain.timeline import Timeline, Window, fold
from tests.crash.chaos import SUBSCRIPTIONS, Chaos
from tests.world import checks
from tests.world.world import CONTRACT_END, CONTRACT_START, CUSTOMER, World, line_id, subscription_id

_BATCH = 25
_LAST_LINES = 120


def batches() -> list[range]:
    """The seeds, a test for each batch."""
    one = os.environ.get("CHAOS_SEED")
    if one is not None:
        return [range(int(one), int(one) + 1)]
    count = int(os.environ.get("CHAOS_SEEDS", "300"))
    return [range(first, min(first + _BATCH, count)) for first in range(0, count, _BATCH)]


@pytest.mark.parametrize("seeds", batches(), ids=str)
def test_a_random_schedule_ends_with_the_right_bill(seeds: range) -> None:
    for seed in seeds:
        chaos = Chaos(seed)
        try:
            asyncio.run(the_bill_is_right_after(chaos))
        except BaseException as error:
            schedule = "\n".join(chaos.log[-_LAST_LINES:])
            error.add_note(f"replay with CHAOS_SEED={seed}\n{schedule}\n{chaos.world.describe()}")
            raise


async def the_bill_is_right_after(chaos: Chaos) -> None:
    await chaos.run()
    world = chaos.world
    assert not chaos.unexpected
    checks.at_rest(world)
    checks.events_are_gap_free(world)
    checks.no_write_at_microsoft_is_repeated(world)
    checks.dead_letters_are_listed(world)
    await checks.badges_are_right(world)
    assert not [operation for operation in world.operations() if operation.dead]
    for number in range(1, SUBSCRIPTIONS + 1):
        microsoft_is_known(world, number)
        units_are_right(world, number)
    no_intent_was_executed_twice(world)


def microsoft_is_known(world: World, number: int) -> None:
    """The last change that took effect in the ledger is what Microsoft shows, and what the customer pays for."""
    known = world.partner_center.known(CUSTOMER, subscription_id(number))
    effective = [one for one in of(world, number) if one.took_effect]
    assert effective[-1].after == known, f"subscription {number}: {effective[-1].after}, Microsoft shows {known}"
    units = billed_units(known, Policy())
    assert world.autotask.timeline(line_id(number)).at(CONTRACT_END) == units, f"subscription {number}"


def units_are_right(world: World, number: int) -> None:
    """Every day is billed as the operations want it, or as near to that as the refused dates allow."""
    line = next(line for line in checks.lines(world) if line.line == line_id(number))
    desired = Timeline.of((CONTRACT_START, 10 * number))
    for operation in of(world, number):
        for leg in operation.legs:
            if operation.took_effect:
                desired = fold(desired, leg.target)
    actual = world.autotask.timeline(line.line)
    assert line.desired == desired, f"line {line.line}"
    unusable = Unusable(Window(CONTRACT_START, CONTRACT_END), frozenset(line.refused_dates))
    assert isinstance(plan(desired, actual, actual, DriftPolicy.OVERWRITE, unusable), Nothing), f"line {line.line}"
    if not line.refused_dates:
        assert actual == desired, f"line {line.line}"


def no_intent_was_executed_twice(world: World) -> None:
    ours = [(item.line, item.adjustment, item.deadline) for item in world.autotask.log if item.source == "api"]
    assert len(set(ours)) == len(ours), "an adjustment was doubled"


def of(world: World, number: int) -> list[Operation]:
    return [one for one in world.operations() if one.address.subscription == subscription_id(number)]
