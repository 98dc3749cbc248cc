"""Changes that nobody asked us for: which of them are operations, of which cause, and what they do to the bill."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.actions import Action
from shared.domain.detected import Cause
from shared.domain.operation import Kind, Operation
from shared.storage.mappings import ProductMapping
from shared.usecases.app import App
from shared.usecases.look import Reading, look
from shared.usecases.sync import sync_customer, sync_subscription
from tests.crash.scenarios import TODAY, TOMORROW, ask, change, mapped
from tests.world import checks
from tests.world.partner_center import ChangeFault, Fault, nce
from tests.world.sync import UNTIL, full_sync, requests, subscriptions
from tests.world.world import CONTRACT_START, CUSTOMER, PREMIUM, World, line_id, subscription_id

pytestmark = pytest.mark.anyio
ONE = subscription_id(1)


@pytest.fixture
async def world(anyio_backend: str) -> World:
    """Subscription 1 with ten seats, billed; everything has been read twice by a full sync."""
    world = World()
    await mapped(world)
    world.partner_center.put(CUSTOMER, ONE, scheduledNextTermInstructions=None)  # as Microsoft answers after a change
    await full_sync(world)
    world.clock.advance(timedelta(hours=1))
    return world


def detected(world: World) -> list[Operation]:
    return [one for one in world.operations() if one.kind is Kind.DETECTED]


async def sync(world: World) -> Any:
    found = await world.run(world.start(), lambda app: sync_customer(app, CUSTOMER))
    await world.run_until_quiet()
    await checks.everything(world)
    return found


@pytest.mark.parametrize(
    ("properties", "billed"),
    [
        ({"quantity": 13}, 13),
        ({"quantity": 4}, 4),
        ({"status": "suspended"}, 0),
        ({"status": "deleted"}, 0),
    ],
    ids=["more seats", "fewer seats", "suspended", "cancelled"],
)
async def test_a_change_at_microsoft_reaches_the_bill(world: World, properties: dict[str, Any], billed: int) -> None:
    world.partner_center.put(CUSTOMER, ONE, **properties)
    looked = await sync(world)
    assert [one.after.quantity for one in looked.operations] == [properties.get("quantity", 10)]
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: billed}
    assert [one.status for one in detected(world)] == ["synced"]
    assert (await sync(world)).operations == []


async def test_names_and_auto_renew_are_told_of_and_bill_nothing(world: World) -> None:
    world.partner_center.put(CUSTOMER, ONE, friendlyName="Renamed", autoRenewEnabled=False, billingCycle="annual")
    await sync(world)
    (one,) = detected(world)
    assert (one.status, one.at_rest, one.legs) == ("not_applicable", True, ())
    assert {change.field for change in one.changes} == {"friendly_name", "auto_renew", "billing_cycle"}
    assert checks.adjustments(world, line_id(1)) == 0
    await sync(world)
    assert len(detected(world)) == 1


async def test_what_an_operation_of_ours_brings_with_it_is_no_news(world: World) -> None:
    await ask(world, change(1, Action.SUSPEND))
    assert world.partner_center.known(CUSTOMER, ONE).auto_renew is False
    world.clock.advance(timedelta(hours=1))
    await sync(world)
    assert detected(world) == []
    world.partner_center.put(CUSTOMER, ONE, friendlyName="Renamed")
    await sync(world)
    assert [change.field for change in detected(world)[0].changes] == ["friendly_name"]


async def test_a_subscription_whose_operation_is_open_is_left_to_it(world: World) -> None:
    world.partner_center.faults.append(Fault(ChangeFault.WORKING, 1200))
    await world.run(world.start(), change(1, Action.CHANGE_QUANTITY, quantity=14))
    world.partner_center.put(CUSTOMER, ONE, friendlyName="Renamed")
    looked = await world.run(world.start(), lambda app: sync_customer(app, CUSTOMER))
    assert looked is not None
    assert (looked.operations, looked.settled) == ([], False)


async def test_a_reading_that_is_older_than_the_heads_is_no_change(world: World) -> None:
    """A full sync reads the heads after the listing: what was written meanwhile makes the listing say nothing."""
    app: App = world.start().app
    items = tuple(dict(one) for one in world.partner_center.resources(CUSTOMER).values())
    asked_at = world.clock.now()
    for quantity, key in ((14, "a"), (15, "b")):
        await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=quantity, key=key))
        world.clock.advance(timedelta(minutes=5))
    looked = await look(app, Reading(CUSTOMER, items, asked_at, asked_at))
    assert (looked.operations, looked.settled) == ([], False)


def listed(world: World) -> str:
    """What Partner Center lists, byte for byte."""
    return json.dumps(list(world.partner_center.resources(CUSTOMER).values()))


async def test_an_undone_change_is_seen_though_the_bytes_are_those_of_the_last_run(world: World) -> None:
    await full_sync(world)
    before = listed(world)
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=14))
    world.clock.advance(timedelta(hours=1))
    world.partner_center.put(CUSTOMER, ONE, quantity=10)
    assert listed(world) == before
    await full_sync(world)
    await world.run_until_quiet()
    assert [(one.before.quantity, one.after.quantity) for one in detected(world)] == [(14, 10)]
    # Autotask takes one adjustment a day: the bill is right again from tomorrow
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 14, TOMORROW: 10}


async def test_what_a_person_synced_and_somebody_undid_is_seen_too(anyio_backend: str) -> None:
    world = World()
    world.subscribe(1, 10)  # neither mapped nor watched: no operation tells of it
    await full_sync(world)
    world.clock.advance(timedelta(hours=1))
    before = listed(world)
    world.partner_center.put(CUSTOMER, ONE, quantity=12)
    await ask(world, lambda app: sync_subscription(app, CUSTOMER, ONE))
    assert subscriptions(world)[ONE].snapshot.quantity == 12
    world.clock.advance(timedelta(hours=1))
    world.partner_center.put(CUSTOMER, ONE, quantity=10)
    assert listed(world) == before
    await full_sync(world)
    assert subscriptions(world)[ONE].snapshot.quantity == 10
    assert world.operations() == []


async def test_another_product_of_the_same_service_stays_on_its_line(world: World) -> None:
    await map_product(world, 677)
    upgrade(world)
    await sync(world)
    (one,) = detected(world)
    assert (one.cause_kind, one.status) == (Cause.UPGRADE, "synced")
    assert one.product_change is not None
    assert (one.product_change.before, one.product_change.after) == ("CFQ7TTC0LDPB:0001", "CFQ7TTC0LCHC:0002")
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}


async def test_another_product_is_billed_as_what_it_is_mapped_to(world: World) -> None:
    await map_product(world, PREMIUM)
    upgrade(world)
    await sync(world)
    (one,) = detected(world)
    assert one.status == "synced"
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 0}
    mapping = await world.start().app.mappings.subscription(CUSTOMER, ONE)
    assert mapping is not None
    assert mapping.value.service == PREMIUM
    assert checks.billed(world, mapping.value.line)[TODAY] == 10


async def test_another_product_that_is_not_mapped_waits_for_a_person(world: World) -> None:
    upgrade(world)
    await sync(world)
    (one,) = detected(world)
    assert [leg.reason.code for leg in one.legs if leg.reason] == ["product_not_mapped"]


async def map_product(world: World, service: int) -> None:
    mapping = ProductMapping("CFQ7TTC0LCHC:0002", "P1Y", "monthly", service, "", world.clock.now(), "t")
    await world.start().app.mappings.put_product(mapping)


def upgrade(world: World) -> None:
    world.partner_center.put(CUSTOMER, ONE, offerId="CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2")


async def test_a_subscription_that_appears_is_told_of_and_watched_from_then_on(world: World) -> None:
    two = subscription_id(2)
    world.partner_center.add(CUSTOMER, nce(two, 5, until=UNTIL))
    await sync(world)
    (one,) = detected(world)
    assert (one.cause_kind, one.after.quantity, one.legs) == (Cause.PURCHASE, 5, ())
    entries, _ = await world.start().app.sync.indexes.new(None, 10, None)
    assert [(entry.subscription, entry.cause) for entry in entries] == [(two, "purchase")]
    world.partner_center.put(CUSTOMER, two, quantity=6)
    world.clock.advance(timedelta(hours=1))
    await sync(world)
    assert [(item.before.quantity, item.after.quantity) for item in detected(world)] == [(0, 5), (5, 6)]


async def test_what_a_first_look_at_a_customer_shows_is_no_change(anyio_backend: str) -> None:
    world = World()
    world.subscribe(1, 10)
    world.subscribe(2, 20)
    await full_sync(world)
    await full_sync(world)
    assert world.operations() == []
    assert requests(world, "subscriptions")[CUSTOMER] == 2
    assert (await world.start().app.sync.indexes.new(None, 10, None))[0] == []


async def test_a_late_answer_after_our_own_write_is_no_change(world: World) -> None:
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=14))
    world.partner_center.put(CUSTOMER, ONE, quantity=10)  # so an old replica would answer
    found = await world.run(world.start(), lambda app: sync_subscription(app, CUSTOMER, ONE))
    assert found is not None
    assert found.operation is None
