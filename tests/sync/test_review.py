"""Detected changes that are held: they wait, hold nobody up, and are folded in their place when they are released."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.actions import Action
from shared.domain.errors import Refused
from shared.domain.operation import Address, Kind, Operation
from shared.storage.mappings import ProductMapping
from shared.usecases import review
from shared.usecases.badges import compute_badge
from shared.usecases.sync import sync_customer
from tests.crash.scenarios import TODAY, TOMORROW, Ask, ask, change, map_to, mapped
from tests.world import checks
from tests.world.steps import Point, Side, Steps
from tests.world.world import CONTRACT_START, CUSTOMER, PREMIUM, Process, World, line_id, subscription_id

pytestmark = pytest.mark.anyio
ONE = subscription_id(1)


async def held_world() -> World:
    """Somebody set thirteen seats at Microsoft; the change from ten is held."""
    world = World()
    # What is released late meets dates that are taken already
    world.autotask.habits = replace(world.autotask.habits, same_date_refused=False)
    await mapped(world)
    world.policy = replace(world.policy, detected="hold")
    world.partner_center.put(CUSTOMER, ONE, quantity=13)
    await sync(world)
    world.clock.advance(timedelta(hours=1))
    return world


@pytest.fixture
async def world(anyio_backend: str) -> World:
    return await held_world()


async def sync(world: World) -> None:
    await ask(world, lambda app: sync_customer(app, CUSTOMER))


def held(world: World) -> Operation:
    return next(one for one in world.operations() if one.kind is Kind.DETECTED)


def released(world: World) -> Ask:
    address: Address = held(world).address
    return lambda app: review.release(app, address, "ops", why="right")


def dismissed(world: World) -> Ask:
    address: Address = held(world).address
    return lambda app: review.dismiss(app, address, "ops", why="not ours")


async def reviews(world: World) -> list[str]:
    entries, _ = await world.start().app.sync.indexes.reviews(None, 10, None)
    return [entry.operation for entry in entries]


async def test_a_held_change_waits_and_says_so(world: World) -> None:
    assert (held(world).status, held(world).at_rest) == ("review", True)
    assert await reviews(world) == [str(held(world).address)]
    assert await compute_badge(world.start().app, CUSTOMER, ONE) == "pending"
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}
    await checks.everything(world)
    await sync(world)
    assert len([one for one in world.operations() if one.kind is Kind.DETECTED]) == 1, "it is told once"


async def test_a_released_change_is_billed_from_its_own_day(world: World) -> None:
    world.clock.advance(timedelta(days=2))
    await ask(world, released(world))
    assert held(world).status == "synced"
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 13}
    assert await reviews(world) == []
    await checks.everything(world)
    events = await world.start().app.ledger.events(held(world).address)
    assert [(event.name, event.by, event.why) for event in events if event.name == "released"] == [
        ("released", "ops", "right")
    ]


async def test_a_dismissed_change_leaves_the_bill_as_it_is(world: World) -> None:
    await ask(world, dismissed(world))
    assert held(world).status == "dismissed"
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}
    assert await reviews(world) == []
    await checks.everything(world)
    await sync(world)
    assert len([one for one in world.operations() if one.kind is Kind.DETECTED]) == 1


async def test_a_later_change_is_not_held_up(world: World) -> None:
    world.clock.advance(timedelta(days=1))
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=20))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TOMORROW: 20}
    assert held(world).status == "review"
    assert await compute_badge(world.start().app, CUSTOMER, ONE) == "pending", "it is not forgotten"


async def test_what_is_released_after_a_later_change_is_folded_before_it(world: World) -> None:
    world.clock.advance(timedelta(days=1))
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=20))
    await ask(world, released(world))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 13, TOMORROW: 20}
    await checks.everything(world)
    assert await compute_badge(world.start().app, CUSTOMER, ONE) == "synced"


async def test_what_is_dismissed_after_a_later_change_leaves_it_alone(world: World) -> None:
    world.clock.advance(timedelta(days=1))
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=20))
    await ask(world, dismissed(world))
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=21, key="more"))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TOMORROW: 21}
    assert await compute_badge(world.start().app, CUSTOMER, ONE) == "synced"


async def test_releasing_twice_is_releasing_once(world: World) -> None:
    await asyncio.gather(*(world.run(world.start(), released(world)) for _ in range(3)), return_exceptions=True)
    await world.run_until_quiet()
    await ask(world, released(world))
    assert checks.adjustments(world, line_id(1)) == 1


async def test_a_change_on_a_line_that_was_given_up_can_only_be_dismissed(world: World) -> None:
    world.add_line(2, 0)
    with pytest.raises(Refused) as busy:
        await ask(world, map_to(1, 2))
    assert busy.value.code == "line_busy"


async def test_another_product_is_held_too_and_placed_when_it_is_released(anyio_backend: str) -> None:
    world = World()
    await mapped(world)
    await sync(world)
    world.policy = replace(world.policy, detected="hold")
    mapping = ProductMapping("CFQ7TTC0LCHC:0002", "P1Y", "monthly", PREMIUM, "", world.clock.now(), "t")
    await world.start().app.mappings.put_product(mapping)
    world.partner_center.put(CUSTOMER, ONE, offerId="CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2")
    await sync(world)
    assert held(world).status == "review"
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}
    await ask(world, released(world))
    assert held(world).status == "synced"
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 0}
    found = await world.start().app.mappings.subscription(CUSTOMER, ONE)
    assert found is not None
    assert checks.billed(world, found.value.line)[TODAY] == 10
    await checks.everything(world)


@pytest.mark.parametrize("later", [False, True], ids=["alone", "after a later change"])
@pytest.mark.parametrize("side", Side)
async def test_a_release_that_dies_anywhere_bills_once(side: Side, later: bool) -> None:  # noqa: FBT001 - a parameter of the test
    base = await held_world()
    wanted = {CONTRACT_START: 10, TODAY: 13}
    if later:
        base.clock.advance(timedelta(days=1))
        await ask(base, change(1, Action.CHANGE_QUANTITY, quantity=20))
        wanted[TOMORROW] = 20
    dry = copy.deepcopy(base)
    process = dry.start()
    await dry.run(process, released(dry))
    await dry.run_until_quiet(process)
    for number, label in enumerate(process.steps.trace, start=1):
        world = copy.deepcopy(base)
        process = world.start()
        process.steps.kill_at = Point(number, side)
        try:
            await world.run(process, released(world))
            process = await world.run_until_quiet(process)
            await world.run(process, released(world))
            await world.run_until_quiet(process)
            assert checks.billed(world, line_id(1)) == wanted, world.describe()
            await checks.everything(world)
            assert await compute_badge(world.start().app, CUSTOMER, ONE) == "synced"
        except BaseException as error:
            error.add_note(f"killed {side} step {number}, {label}")
            raise


async def test_a_release_at_any_step_of_a_push_is_not_lost(world: World) -> None:
    """The pusher folds past a held operation while it is being released: one of the two has to look again."""
    world.clock.advance(timedelta(days=1))
    dry = copy.deepcopy(world)
    process = dry.start()
    await _change_and_push(dry, process)
    steps = len(process.steps.trace)
    assert steps > 20
    for number in range(1, steps + 1):
        other = copy.deepcopy(world)
        await _released_at(other, number)
        assert checks.billed(other, line_id(1)) == {CONTRACT_START: 10, TODAY: 13, TOMORROW: 20}, number
        await checks.everything(other)


async def _change_and_push(world: World, process: Process) -> None:
    await world.run(process, change(1, Action.CHANGE_QUANTITY, quantity=20))
    await world.run_until_quiet(process)


async def _released_at(world: World, number: int) -> None:
    """Another process releases the operation right after this step of the one that changes and pushes."""
    process = world.start()
    job = released(world)
    done = False

    async def release_now(steps: Steps, _label: str, side: Side) -> None:
        nonlocal done
        if not done and steps is process.steps and side is Side.AFTER and len(steps.trace) == number:
            done = True
            await world.run(world.start(), job)

    process.steps.disturb = release_now
    await _change_and_push(world, process)
    assert done
    await world.run_until_quiet()
