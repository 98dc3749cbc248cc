"""A manual Autotask sync without an open operation: a late effect is taken back, a hand edit is treated by policy."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from shared.domain.actions import Action
from shared.domain.billing import Policy
from shared.domain.operation import Address, Kind, Leg, Operation
from shared.domain.planning import DriftPolicy
from shared.domain.timeline import Target
from shared.partner_center.wire import parse_subscription
from shared.storage.ledger import Changes
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.converge_now import converge_now
from shared.usecases.dead_letters import resubmit
from shared.usecases.moving import linked
from shared.usecases.push import push
from shared.usecases.sync import sync_customer
from tests.crash.scenarios import TODAY, ask, change, map_to, mapped
from tests.world import checks
from tests.world.autotask import AdjustFault, Fault
from tests.world.partner_center import ChangeFault
from tests.world.partner_center import Fault as ChangeLost
from tests.world.world import CONTRACT, CONTRACT_START, CUSTOMER, World, line_id, subscription_id, times

SETTLE = times().settle.total_seconds()
FOURTEEN = change(1, Action.CHANGE_QUANTITY, quantity=14)


def a_mapped_world(policy: Policy | None = None) -> World:
    world = World()

    async def prepare() -> None:
        if policy is None:
            await mapped(world)
            return
        world.subscribe(1, 10)
        world.add_line(1, 10)
        await ask(world, lambda app: sync_customer(app, CUSTOMER))
        await ask(world, map_to(1, 1, "adopt", policy=policy))

    asyncio.run(prepare())
    return world


def sync_now(world: World) -> list[Address]:
    """A person asks for the manual sync, and the world comes to rest."""
    found: list[Address] = []

    async def run(app: App) -> None:
        found.extend(await converge_now(app, CUSTOMER, subscription_id(1), "ops"))

    asyncio.run(ask(world, run))
    return found


def reconciliations(world: World) -> list[Operation]:
    return [operation for operation in world.operations() if operation.kind is Kind.RECONCILE]


def test_a_line_that_is_as_it_shall_be_is_left_alone_without_a_trace() -> None:
    world = a_mapped_world()
    asyncio.run(ask(world, FOURTEEN))
    assert sync_now(world) == []
    assert reconciliations(world) == []
    assert checks.adjustments(world, line_id(1)) == 1


def test_an_effect_of_ours_that_came_too_late_is_taken_back() -> None:
    world = a_mapped_world()
    world.autotask.habits.same_date_refused = False
    world.autotask.faults.append(Fault(AdjustFault.LATE, 2 * SETTLE))
    asyncio.run(ask(world, FOURTEEN))
    world.clock.advance(timedelta(hours=3))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 18}, "sent twice, and both took effect"

    (address,) = sync_now(world)

    assert [operation.status for operation in reconciliations(world)] == ["synced"]
    assert reconciliations(world)[0].address == address
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 14}
    asyncio.run(checks.everything(world))
    assert sync_now(world) == []


def test_a_hand_edit_is_reviewed_with_its_numbers_and_corrected_on_permission() -> None:
    world = a_mapped_world()
    world.autotask.hand_edit(line_id(1), TODAY, 3)
    world.clock.advance(timedelta(hours=1))

    (address,) = sync_now(world)

    (operation,) = reconciliations(world)
    (leg,) = operation.legs
    assert operation.status == "dead"
    assert leg.drift is not None
    assert (leg.drift.verified, leg.drift.actual, leg.drift.desired) == (10, 13, 10)
    assert checks.adjustments(world, line_id(1)) == 0
    asyncio.run(ask(world, lambda app: resubmit(app, address, "ops", why="", policy=DriftPolicy.OVERWRITE)))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}
    asyncio.run(checks.everything(world))


@pytest.mark.parametrize(("policy", "units"), [(DriftPolicy.OVERWRITE, 10), (DriftPolicy.RESPECT, 13)])
def test_a_hand_edit_is_overwritten_or_respected_where_the_mapping_says_so(policy: DriftPolicy, units: int) -> None:
    world = a_mapped_world(Policy(drift=policy))
    world.autotask.hand_edit(line_id(1), TODAY, 3)
    world.clock.advance(timedelta(hours=1))

    assert len(sync_now(world)) == 1

    assert world.autotask.timeline(line_id(1)).at(TODAY) == units
    asyncio.run(checks.everything(world))
    assert sync_now(world) == [], "what is respected is no difference any more"


def test_a_dead_letter_that_only_the_desk_may_open_keeps_its_line() -> None:
    world = a_mapped_world()
    world.autotask.hand_edit(line_id(1), TODAY, 3)
    sync_now(world)
    assert len(reconciliations(world)) == 1
    (again,) = sync_now(world)
    assert again == reconciliations(world)[0].address, "the dead letter itself is taken up, no second one is made"
    assert len(reconciliations(world)) == 1


def test_a_line_is_left_to_the_operation_that_is_open_at_microsoft() -> None:
    world = a_mapped_world()
    world.autotask.hand_edit(line_id(1), TODAY, 3)
    world.partner_center.faults.append(ChangeLost(ChangeFault.ANSWER_LOST))
    process = world.start()
    asyncio.run(world.run(process, FOURTEEN))

    taken = asyncio.run(world.run(process, lambda app: converge_now(app, CUSTOMER, subscription_id(1), "ops")))

    assert (taken, reconciliations(world)) == ([], [])


def test_what_waits_behind_an_operation_that_is_open_at_microsoft_is_not_called_lost() -> None:
    world = a_mapped_world()
    world.partner_center.faults.append(ChangeLost(ChangeFault.LATE, 50))

    async def seats_come_meanwhile(app: App) -> None:
        source = (await FOURTEEN(app)).operation
        reading = await app.partner_center.subscription(CUSTOMER, subscription_id(1))
        leg = Leg(line_id(1), CONTRACT, Target(16, TODAY, TODAY))
        snapshot = parse_subscription(CUSTOMER, reading.raw)
        moved = await linked(app, source, snapshot, source.before, (leg,), day=TODAY)
        await app.alarms.set(moved.operation.address, app.now())
        await app.ledger.commit(CUSTOMER, Changes([(Stored(moved.operation, None), [])], head=moved.head))
        await push(app, moved.operation.address)
        (waiting,) = [operation for operation in world.operations() if operation.kind is Kind.MOVED]
        assert waiting.status == "pushing"

    asyncio.run(ask(world, seats_come_meanwhile))
    assert world.autotask.timeline(line_id(1)).at(TODAY) == 16
