"""Migrations made directly at Partner Center: the bill moves as after one of ours, and nobody is billed twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from shared.domain.actions import Action
from shared.domain.asks import MigrateAsk
from shared.domain.detected import Cause
from shared.domain.operation import Kind, Operation
from shared.usecases.app import SyncPolicy
from shared.usecases.review import release
from shared.usecases.sync import sync_customer, sync_subscription
from tests.crash.conversion_stories import legacy_mapped, migrate_at_microsoft, sync_all, wish
from tests.crash.scenarios import TODAY, TOMORROW, ask
from tests.world import checks
from tests.world.sync import full_sync, subscriptions
from tests.world.world import CONTRACT_START, CUSTOMER, World, line_id, subscription_id

pytestmark = pytest.mark.anyio
LEGACY, MADE = subscription_id(1), subscription_id(3)


@pytest.fixture
async def world(anyio_backend: str) -> World:
    world = World()
    await legacy_mapped(world)
    return world


def about(world: World, subscription: str) -> list[Operation]:
    """The operations of a subscription, those that mapped it aside."""
    found = [one for one in world.operations() if one.address.subscription == subscription]
    return [one for one in found if one.kind is not Kind.MAP]


async def bill_of(world: World) -> dict[str, dict[date, int]]:
    app = world.start().app
    found = {}
    for subscription in (LEGACY, MADE):
        mapping = await app.mappings.subscription(CUSTOMER, subscription)
        assert mapping is not None, subscription
        found[subscription] = dict(checks.billed(world, mapping.value.line))
    return found


async def test_the_bill_moves_to_the_new_subscription_on_its_day_and_both_are_linked(world: World) -> None:
    migrate_at_microsoft(world, seats=8)
    await ask(world, sync_all)
    await checks.everything(world)
    assert await bill_of(world) == {
        LEGACY: {CONTRACT_START: 10, TODAY: 0},
        MADE: {CONTRACT_START: 0, TODAY: 8},
    }
    (made,), (gone,) = about(world, MADE), about(world, LEGACY)
    assert (made.kind, made.cause_kind, made.status) == (Kind.DETECTED, Cause.MIGRATION, "synced")
    assert (gone.kind, gone.cause_kind, gone.linked) == (Kind.MOVED, Cause.MIGRATION, str(made.address))
    app = world.start().app
    assert (await app.ledger.head(CUSTOMER, LEGACY)).value.successor == MADE
    assert (await app.ledger.head(CUSTOMER, MADE)).value.predecessor == LEGACY
    await ask(world, sync_all)
    assert (len(about(world, MADE)), len(about(world, LEGACY))) == (1, 1), "it is told once"


async def test_a_legacy_subscription_that_was_seen_suspended_before_is_not_billed_beside_the_new_one(
    world: World,
) -> None:
    world.partner_center.put(CUSTOMER, LEGACY, status="suspended", autoRenewEnabled=False)
    await ask(world, sync_all)
    world.clock.advance(timedelta(days=1))
    migrate_at_microsoft(world)
    await ask(world, sync_all)
    await checks.everything(world)
    assert await bill_of(world) == {
        LEGACY: {CONTRACT_START: 10, TODAY: 0},
        MADE: {CONTRACT_START: 0, TOMORROW: 10},
    }
    assert len(about(world, LEGACY)) == 2


async def test_the_new_subscription_alone_is_enough(world: World) -> None:
    migrate_at_microsoft(world)
    await ask(world, lambda app: sync_subscription(app, CUSTOMER, MADE))
    await checks.everything(world)
    assert await bill_of(world) == {
        LEGACY: {CONTRACT_START: 10, TODAY: 0},
        MADE: {CONTRACT_START: 0, TODAY: 10},
    }


async def test_a_product_that_is_not_mapped_waits_for_a_person_while_the_legacy_line_is_ended(world: World) -> None:
    app = world.start().app
    for mapped in (await app.mappings.products(50, None))[0]:
        await app.mappings.remove("products", mapped.key)
    migrate_at_microsoft(world)
    await ask(world, sync_all)
    (made,), (gone,) = about(world, MADE), about(world, LEGACY)
    assert [leg.reason.code for leg in made.legs if leg.reason] == ["product_not_mapped"]
    assert gone.status == "synced"
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 0}


async def test_held_for_review_neither_bill_moves_until_it_is_released(world: World) -> None:
    world.policy = replace(SyncPolicy(), detected="hold")
    migrate_at_microsoft(world)
    await ask(world, sync_all)
    (made,), (gone,) = about(world, MADE), about(world, LEGACY)
    assert (made.status, gone.status) == ("review", "review")
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}
    await ask(world, lambda app: release(app, gone.address, "desk", why="it was us"))
    await ask(world, lambda app: release(app, made.address, "desk", why="it was us"))
    await checks.everything(world)
    assert await bill_of(world) == {
        LEGACY: {CONTRACT_START: 10, TODAY: 0},
        MADE: {CONTRACT_START: 0, TODAY: 10},
    }


async def test_a_migration_of_ours_is_left_to_its_operation(world: World) -> None:
    await world.run(world.start(), wish(1, Action.MIGRATE, MigrateAsk()))
    for _ in range(4):  # syncs in between see its halves
        await world.run(world.start(), lambda app: sync_customer(app, CUSTOMER))
        world.clock.advance(timedelta(seconds=40))
    await world.run_until_quiet()
    await ask(world, sync_all)
    await checks.everything(world)
    assert [one for one in world.operations() if one.kind is Kind.DETECTED] == []
    assert [one for one in subscriptions(world).values() if one.unjudged] == []


async def test_what_appears_while_an_operation_is_under_way_is_told_when_that_has_ended(world: World) -> None:
    await full_sync(world)
    await world.run(world.start(), wish(1, Action.MIGRATE, MigrateAsk()))
    bought = dict(world.partner_center.resources(CUSTOMER)[LEGACY]) | {"id": subscription_id(7), "status": "active"}
    world.partner_center.add(CUSTOMER, bought)
    await world.run(world.start(), lambda app: sync_customer(app, CUSTOMER))
    assert subscriptions(world)[subscription_id(7)].unjudged
    await world.run_until_quiet()
    await ask(world, sync_all)
    (told,) = about(world, subscription_id(7))
    assert told.cause_kind is Cause.PURCHASE
    entries, _ = await world.start().app.sync.indexes.new(CUSTOMER, 10, None)
    assert subscription_id(7) in {entry.subscription for entry in entries}
    assert not subscriptions(world)[subscription_id(7)].unjudged
