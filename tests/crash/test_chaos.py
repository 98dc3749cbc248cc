"""Random schedules of everything end with the right bill (invariant 1).

Ten thousand short ones, and some long ones with several subscriptions. `CHAOS_SEEDS` and `CHAOS_SHORT_SEEDS` choose
other counts, `CHAOS_SEED=17` and `CHAOS_SHORT_SEED=17` replay one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import pytest

from shared.domain.billing import billed_units
from shared.domain.line import Line
from shared.domain.operation import Kind, LegStatus, Operation
from shared.domain.planning import DriftPolicy, Nothing, plan
from shared.domain.timeline import Timeline, first_difference, fold
from shared.domain.unusable import Unusable
from tests.crash.chaos import LONG, SHORT, Chaos
from tests.crash.chaos_beginnings import Size
from tests.world import checks
from tests.world.loop import run
from tests.world.world import CONTRACT_END, CONTRACT_START, CUSTOMER, World, line_id

_LAST_LINES = 120


def batches(setting: str, usually: int, size: int) -> list[range]:
    """The seeds of a setting, a test for each batch; those of the singular setting alone where it is given."""
    one = os.environ.get(setting.removesuffix("S"))
    if one is not None:
        return [range(int(one), int(one) + 1)]
    count = int(os.environ.get(setting, str(usually)))
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


@pytest.mark.parametrize("seeds", batches("CHAOS_SEEDS", 80, 20), ids=str)
def test_a_random_schedule_ends_with_the_right_bill(seeds: range) -> None:
    ends_right(seeds, LONG, "CHAOS_SEED")


@pytest.mark.parametrize("seeds", batches("CHAOS_SHORT_SEEDS", 10_000, 250), ids=str)
def test_a_short_random_schedule_ends_with_the_right_bill(seeds: range) -> None:
    ends_right(seeds, SHORT, "CHAOS_SHORT_SEED")


def ends_right(seeds: range, size: Size, setting: str) -> None:
    """Run the schedules; a failure says how to replay its own."""
    for seed in seeds:
        chaos = Chaos(seed, size)
        try:
            run(the_bill_is_right_after(chaos))
        except BaseException as error:
            schedule = "\n".join(chaos.log[-_LAST_LINES:])
            error.add_note(f"replay with {setting}={seed}\n{schedule}\n{chaos.world.describe()}")
            raise


async def the_bill_is_right_after(chaos: Chaos) -> None:
    await chaos.run()
    world = chaos.world
    assert not chaos.unexpected
    checks.at_rest(world)
    checks.events_are_gap_free(world)
    checks.no_write_at_microsoft_is_repeated(world)
    checks.dead_letters_are_listed(world)
    checks.bulks_are_over(world)
    await checks.badges_are_right(world)
    assert not [operation for operation in world.operations() if operation.dead]
    for subscription in {one.address.subscription for one in world.operations()}:
        microsoft_is_known(world, subscription)
    for line in checks.lines(world):
        if not chaos.allowed.moves:
            the_days_are_what_the_operations_want(chaos, line)
        the_bill_is_as_near_as_it_can_be(world, line)
        await what_microsoft_has_is_billed(world, line)
    no_intent_was_executed_twice(world)


def microsoft_is_known(world: World, subscription: str) -> None:
    """The last change that took effect in the ledger is what Microsoft shows."""
    known = world.partner_center.known(CUSTOMER, subscription)
    effective = [one for one in of(world, subscription) if one.took_effect]
    assert effective[-1].after == known, f"{subscription}: {effective[-1].after}, Microsoft shows {known}"


async def what_microsoft_has_is_billed(world: World, line: Line) -> None:
    """In the end a line bills what Microsoft shows of its subscription; nothing where it was given up, or migrated."""
    mappings = world.start().app.mappings
    owner = await mappings.owner(line.line)
    mapping = await mappings.subscription(*owner) if owner is not None else None
    units = 0
    if owner is not None and mapping is not None:
        known = world.partner_center.known(*owner)
        resources = world.partner_center.resources(owner[0]).values()
        migrated = any(resource.get("migratedFromSubscriptionId") == owner[1] for resource in resources)
        if known.status == "active" or not migrated:
            units = billed_units(known, mapping.value.policy) or 0
    assert world.autotask.timeline(line.line).at(CONTRACT_END) == units, f"line {line.line} of {owner}"


def the_days_are_what_the_operations_want(chaos: Chaos, line: Line) -> None:
    """The desired timeline is what the operations that took effect come to, folded anew from the first units.

    Where somebody took what Autotask billed for right, from that.
    """
    began = {line_id(number): Timeline.of((CONTRACT_START, 10 * number)) for number in chaos.numbers}
    desired = began.get(line.line, Timeline())
    operations = [one for one in of(chaos.world, line.subscription) if one.took_effect]
    if any(one.kind is Kind.RECONCILE and leg.status is LegStatus.DISMISSED for one in operations for leg in one.legs):
        assert line.base is not None
        desired = line.base
        operations = [one for one in operations if one.address.sequence > line.adopted]
    told: list[Operation] = []
    for operation in operations:
        for leg in operation.legs:
            if leg.line != line.line:
                continue
            if operation.undoes is not None:
                rest = [one for one in told if one.address.sequence != operation.undoes]
                assert leg.target.timeline == told_from(desired, rest, line.line), f"{operation.address} undoes more"
            told.append(operation)
    assert line.desired == told_from(desired, told, line.line), f"line {line.line}"


def told_from(first: Timeline, operations: Iterable[Operation], line: int) -> Timeline:
    desired = first
    for operation in operations:
        desired = fold(desired, operation.leg(line).target)
    return desired


def the_bill_is_as_near_as_it_can_be(world: World, line: Line) -> None:
    """Every day is billed as desired, or as near to that as the refused dates allow."""
    actual, desired = world.autotask.timeline(line.line), line.desired
    if not world.autotask.habits.shows_costs:  # what nobody can see can only be believed
        desired = Timeline(tuple(replace(step, cost=None) for step in desired.steps))
    posted = world.autotask.posted_through(line.line, prorate=line.prorate)
    unusable = Unusable(checks.CONTRACT_WINDOW, frozenset(line.refused_dates), posted)
    found = plan(desired, actual, actual, DriftPolicy.OVERWRITE, unusable)
    assert isinstance(found, Nothing), f"line {line.line}: {found}"
    if not line.refused_dates and posted is None:
        assert differs(actual, desired, owned=desired) is None, f"line {line.line}"


differs = partial(first_difference, window=checks.CONTRACT_WINDOW, unknown_differs=True)


def no_intent_was_executed_twice(world: World) -> None:
    ours = [(item.line, item.adjustment, item.deadline) for item in world.autotask.log if item.source == "api"]
    assert len(set(ours)) == len(ours), "an adjustment was doubled"


def of(world: World, subscription: str) -> list[Operation]:
    return [one for one in world.operations() if one.address.subscription == subscription]
