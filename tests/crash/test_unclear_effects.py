"""Answers that get lost and effects that come late lead to one effect; what comes too late is recognised as ours."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from shared.domain.actions import Action
from tests.crash.scenarios import TODAY, TOMORROW, ask, change, mapped
from tests.world import autotask, checks, partner_center
from tests.world.autotask import AdjustFault
from tests.world.partner_center import ChangeFault
from tests.world.world import CONTRACT_START, World, line_id, times

FOURTEEN = change(1, Action.CHANGE_QUANTITY, quantity=14)
SETTLE = times().settle.total_seconds()


def a_mapped_world() -> World:
    world = World()
    asyncio.run(mapped(world))
    return world


@pytest.mark.parametrize(
    "fault",
    [
        autotask.Fault(AdjustFault.LOST),
        autotask.Fault(AdjustFault.ANSWER_LOST),
        autotask.Fault(AdjustFault.LATE, SETTLE - 60),
        autotask.Fault(AdjustFault.UNSENT),
        autotask.Fault(AdjustFault.THROTTLED, 90),
    ],
    ids=lambda fault: fault.kind.value,
)
def test_an_unclear_answer_of_autotask_leads_to_one_adjustment(fault: autotask.Fault) -> None:
    world = a_mapped_world()
    world.autotask.faults.append(fault)
    asyncio.run(ask(world, FOURTEEN))
    asyncio.run(checks.everything(world))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 14}
    assert checks.adjustments(world, line_id(1)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        partner_center.Fault(ChangeFault.LOST),
        partner_center.Fault(ChangeFault.ANSWER_LOST),
        partner_center.Fault(ChangeFault.LATE, 55),
        partner_center.Fault(ChangeFault.UNREACHED),
        partner_center.Fault(ChangeFault.BUSY, 90),
        partner_center.Fault(ChangeFault.WORKING, 2400),
    ],
    ids=lambda fault: fault.kind.value,
)
def test_an_unclear_answer_of_microsoft_leads_to_one_effect(fault: partner_center.Fault) -> None:
    world = a_mapped_world()
    world.partner_center.faults.append(fault)
    asyncio.run(ask(world, FOURTEEN))
    asyncio.run(checks.everything(world))
    assert [effect.after.quantity for effect in world.partner_center.effects] == [14]
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 14}
    without_effect = fault.kind in {ChangeFault.LOST, ChangeFault.UNREACHED, ChangeFault.BUSY}
    assert world.partner_center.calls == (2 if without_effect else 1)


def test_an_adjustment_that_comes_after_the_settling_time_is_recognised_and_taken_back() -> None:
    world = a_mapped_world()
    world.autotask.habits.same_date_refused = False
    world.autotask.faults.append(autotask.Fault(AdjustFault.LATE, 2 * SETTLE))
    asyncio.run(ask(world, FOURTEEN))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 18}

    world.clock.advance(timedelta(days=1))
    asyncio.run(ask(world, change(1, Action.CHANGE_QUANTITY, quantity=15, key="key-2")))
    asyncio.run(checks.everything(world))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 14, TOMORROW: 15}


def test_a_reading_that_lags_behind_is_not_taken_for_a_loss() -> None:
    world = a_mapped_world()
    world.autotask.lag = timedelta(seconds=SETTLE - 60)
    asyncio.run(ask(world, FOURTEEN))
    world.autotask.lag = timedelta()
    asyncio.run(checks.everything(world))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 14}
    assert checks.adjustments(world, line_id(1)) == 1
