"""Upgrades and migrations whose answers get lost, or that fail or never end: one effect, or a clear end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.actions import Action
from shared.domain.asks import MigrateAsk, UpgradeAsk
from shared.domain.operation import Kind, Operation
from tests.crash.conversion_stories import legacy_mapped, upgradable, wish, with_a_line_of_the_target
from tests.crash.scenarios import TODAY, ask
from tests.world import checks
from tests.world.autotask import AdjustFault
from tests.world.autotask import Fault as AutotaskFault
from tests.world.conversions import TARGET
from tests.world.partner_center import ChangeFault, Fault
from tests.world.world import CONTRACT, CONTRACT_END, CONTRACT_START, PREMIUM, SERVICE, World, line_id

UPGRADE = wish(1, Action.UPGRADE, UpgradeAsk(TARGET))
MIGRATE = wish(1, Action.MIGRATE, MigrateAsk())
FAULTS = [
    Fault(ChangeFault.LOST),
    Fault(ChangeFault.ANSWER_LOST),
    Fault(ChangeFault.LATE, 55),
    Fault(ChangeFault.UNREACHED),
    Fault(ChangeFault.BUSY, 90),
]


def of_kind(world: World, kind: Kind) -> Operation:
    return next(operation for operation in world.operations() if operation.kind is kind)


def prepared(prepare: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    world = World()
    asyncio.run(prepare(world))
    return world


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind.value)
def test_an_unclear_answer_leads_to_one_upgrade(fault: Fault) -> None:
    world = prepared(upgradable)
    world.partner_center.faults.append(fault)
    asyncio.run(ask(world, UPGRADE))
    asyncio.run(checks.everything(world))
    assert [effect.after.product for effect in world.partner_center.effects] == ["CFQ7TTC0LCHC:0002"]
    assert checks.billed(world, line_id(2)) == {CONTRACT_START: 0, TODAY: 10}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind.value)
def test_an_unclear_answer_leads_to_one_migration(fault: Fault) -> None:
    world = prepared(legacy_mapped)
    world.partner_center.faults.append(fault)
    asyncio.run(ask(world, MIGRATE))
    asyncio.run(checks.everything(world))
    assert [effect.after.status for effect in world.partner_center.effects] == ["suspended"]
    assert checks.billed(world, line_id(2)) == {CONTRACT_START: 0, TODAY: 10}


@pytest.mark.parametrize("fault", [AdjustFault.LOST, AdjustFault.ANSWER_LOST], ids=str)
def test_a_line_of_its_own_whose_making_got_no_answer_is_made_once(fault: AdjustFault) -> None:
    world = prepared(with_a_line_of_the_target)
    world.autotask.faults.append(AutotaskFault(fault))
    asyncio.run(ask(world, wish(1, Action.UPGRADE, UpgradeAsk(TARGET, quantity=4))))
    asyncio.run(checks.everything(world))
    lines = asyncio.run(world.autotask.contract_lines(CONTRACT))
    assert [line.service_id for line in lines] == [SERVICE, PREMIUM, PREMIUM]
    assert checks.billed(world, line_id(2)) == {CONTRACT_START: 5}
    assert world.autotask.timeline(line_id(3)).at(CONTRACT_END) == 4


def test_an_upgrade_that_fails_at_microsoft_is_refused_and_bills_nothing() -> None:
    world = prepared(upgradable)
    world.transitions.fails = True
    asyncio.run(ask(world, UPGRADE))
    asyncio.run(checks.everything(world))
    assert of_kind(world, Kind.UPGRADE).partner_center.code == "upgrade_failed"
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}


def test_an_upgrade_that_is_not_over_after_a_day_ends_timed_out_and_frees_the_subscription() -> None:
    world = prepared(upgradable)
    world.transitions.seconds = timedelta(hours=30).total_seconds()
    asyncio.run(ask(world, UPGRADE))
    upgrade = of_kind(world, Kind.UPGRADE)
    assert (upgrade.status, upgrade.partner_center.code) == ("timed_out", "upgrade_timed_out")
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}
    asyncio.run(ask(world, wish(1, Action.CHANGE_QUANTITY, quantity=11, key="key-2")))
    assert of_kind(world, Kind.CHANGE_QUANTITY).status == "synced"


def test_a_migration_that_never_ends_is_timed_out_after_eighty_hours() -> None:
    world = prepared(legacy_mapped)
    world.migrations.outcomes = ["never"]
    before = world.clock.now()
    asyncio.run(ask(world, MIGRATE))
    assert of_kind(world, Kind.MIGRATE).status == "timed_out"
    assert timedelta(hours=80) <= world.clock.now() - before <= timedelta(hours=81)
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}


def test_a_migration_that_failed_half_way_is_not_repeated_and_waits_for_microsoft() -> None:
    world = prepared(legacy_mapped)
    world.migrations.outcomes = ["failed_suspended"]
    asyncio.run(ask(world, MIGRATE))
    migrate = of_kind(world, Kind.MIGRATE)
    assert (migrate.status, len(world.partner_center.patches)) == ("timed_out", 1)


def test_a_migration_that_failed_without_an_effect_is_tried_three_times() -> None:
    world = prepared(legacy_mapped)
    world.migrations.outcomes = ["failed_active"] * 5
    asyncio.run(ask(world, MIGRATE))
    migrate = of_kind(world, Kind.MIGRATE)
    assert (migrate.status, migrate.partner_center.code) == ("refused", "migration_failed")
    assert len({patch.request_id for patch in world.partner_center.patches}) == 3
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}
