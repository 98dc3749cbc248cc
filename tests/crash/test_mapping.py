"""A mapping writes nothing anywhere until it is accepted, and all of it once it is: customer, product, line, rows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from shared.domain.actions import Action
from shared.domain.errors import Refused
from shared.domain.pricing import PriceSource, Pricing
from shared.storage.mappings import CustomerMapping, ProductMapping
from shared.storage.rows import from_row
from shared.usecases.app import App
from shared.usecases.mapping import map_subscription
from shared.usecases.mapping_choice import MappingRequest
from shared.usecases.sync import sync_customer
from tests.crash.scenarios import STANDARD, TODAY, ask, change, mapped
from tests.world import checks
from tests.world.autotask import AdjustFault, Fault
from tests.world.partner_center import nce
from tests.world.steps import Point, Side
from tests.world.world import (
    CONTRACT,
    CUSTOMER,
    PREMIUM,
    SERVICE,
    WINDOWS_OPEN_UNTIL,
    Process,
    World,
    line_id,
    subscription_id,
)

PURCHASE = MappingRequest(
    CUSTOMER, subscription_id(1), "mapper", CONTRACT, service=SERVICE, company=1, map_product=True
)


def do(world: World, request: MappingRequest) -> Any:
    return asyncio.run(world.run(world.start(), lambda app: map_subscription(app, request)))


def refused(world: World, request: MappingRequest) -> str:
    with pytest.raises(Refused) as caught:
        do(world, request)
    return caught.value.code


def lines_made(world: World) -> list[int]:
    lines = asyncio.run(world.autotask.contract_lines(CONTRACT))
    return [line.id for line in lines if line.internal_description.startswith("csp:")]


def mapping_rows(world: World) -> list[tuple[str, str]]:
    return [(row.partition, row.key) for row in world.tables.rows("mappings")]


def bought() -> World:
    """A subscription with ten seats that no sync has seen, of a customer and a product that are not mapped."""
    world = World()
    world.subscribe(1, 10)
    return world


def test_a_purchase_is_mapped_in_one_call_with_customer_product_and_a_line_of_its_own() -> None:
    world = bought()
    do(world, PURCHASE)
    asyncio.run(world.run_until_quiet())
    asyncio.run(checks.everything(world))
    (line,) = lines_made(world)
    assert checks.billed(world, line)[TODAY] == 10
    rows = {(row.partition, row.key): row for row in world.tables.rows("mappings")}
    customer = from_row(CustomerMapping, rows["customers", CUSTOMER]).value
    product = from_row(ProductMapping, rows["products", f"{STANDARD}~P1Y~monthly"]).value
    assert (customer.company, product.service) == (1, SERVICE)
    views = world.tables.rows("subscriptions")
    assert [row.key for row in views] == [subscription_id(1)], "it is listed although no sync has seen it"


@pytest.mark.parametrize("side", Side)
def test_a_kill_at_any_step_of_a_purchase_leaves_one_line_and_all_mappings(side: Side) -> None:
    healthy = bought()
    do(healthy, PURCHASE)
    steps = len(healthy.started[-1].trace)
    for number in range(1, steps + 1):
        world = bought()
        process = world.start()
        process.steps.kill_at = Point(number, side)
        asyncio.run(_killed_and_asked_again(world, process))
        assert len(lines_made(world)) == 1, f"killed {side} step {number}"
        assert checks.billed(world, lines_made(world)[0])[TODAY] == 10
        assert {partition for partition, _ in mapping_rows(world)} == {"customers", "products", "subscriptions"}


async def _killed_and_asked_again(world: World, process: Process) -> None:
    async def request(app: App) -> Any:
        return await map_subscription(app, PURCHASE)

    await world.run(process, request)
    assert process.steps.dead
    process = await world.run_until_quiet(process)
    await world.run(process if not process.steps.dead else world.start(), request)
    await world.run_until_quiet()
    await checks.everything(world)


def test_a_mapping_without_a_line_that_is_asked_for_again_keeps_its_line() -> None:
    world = bought()
    do(world, PURCHASE)
    asyncio.run(world.run_until_quiet())
    world.add_line(7, 0)  # another free line of the service, which sorts before the one that was made
    again = do(world, replace(PURCHASE, map_product=False))
    assert again.line == lines_made(world)[0]
    assert len(world.operations()) == 1


def test_a_service_that_is_not_that_of_the_line_is_refused() -> None:
    world = bought()
    world.add_line(1, 10)
    assert refused(world, replace(PURCHASE, line=line_id(1), service=PREMIUM)) == "service_not_of_line"


def test_a_product_that_is_mapped_to_another_service_is_not_changed_along_the_way() -> None:
    world = bought()
    do(world, PURCHASE)
    asyncio.run(world.run_until_quiet())
    world.subscribe(2, 5)
    other = replace(PURCHASE, subscription=subscription_id(2), service=PREMIUM)
    assert refused(world, other) == "product_mapped_differently"


def busy() -> World:
    """Subscription 1 is mapped and has a dead operation."""
    world = World()
    asyncio.run(mapped(world))
    world.autotask.faults.append(Fault(AdjustFault.REFUSED))
    asyncio.run(ask(world, change(1, Action.CHANGE_QUANTITY, quantity=12)))
    world.clock.advance(timedelta(hours=1))
    return world


def test_a_busy_subscription_is_refused_before_a_line_is_made_for_it() -> None:
    world = busy()
    request = MappingRequest(CUSTOMER, subscription_id(1), "mapper", CONTRACT, service=PREMIUM)
    assert refused(world, request) == "line_busy"
    assert lines_made(world) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pricing": Pricing(PriceSource.PRICE_LIST)}, "not_in_price_list"),
        ({"company": 2}, "contract_of_another_company"),
        ({"contract": 1}, "contract_not_found"),
        ({"service": 1}, "service_not_found"),
        ({"service": None}, "product_not_mapped"),
    ],
)
def test_a_refused_purchase_leaves_nothing_behind(changes: dict[str, Any], code: str) -> None:
    world = bought()
    assert refused(world, replace(PURCHASE, **changes)) == code
    assert lines_made(world) == []
    assert mapping_rows(world) == []
    assert world.operations() == []


def test_a_customer_stays_unmapped_where_his_subscription_s_line_is_given_away_at_the_same_moment() -> None:
    """Both ask for the same line; the loser's operation is refused and its customer is not mapped by it."""
    world = World()
    other = "c0000000-0000-4000-8000-000000000002"
    for customer, number in ((CUSTOMER, 1), (other, 2)):
        world.partner_center.add(customer, nce(subscription_id(number), 10, until=WINDOWS_OPEN_UNTIL))
    world.add_line(1, 10)

    async def race() -> list[Any]:
        requests = [
            MappingRequest(CUSTOMER, subscription_id(1), "mapper", CONTRACT, line=line_id(1)),
            MappingRequest(other, subscription_id(2), "mapper", CONTRACT, line=line_id(1)),
        ]
        asked = [world.run(world.start(), partial(map_subscription, request=request)) for request in requests]
        found = await asyncio.gather(*asked, return_exceptions=True)
        await world.run_until_quiet()
        return found

    async def pause(*_: Any) -> None:
        await asyncio.sleep(0)

    world.disturb = pause
    answers = asyncio.run(race())
    losers = [answer for answer in answers if isinstance(answer, Refused)]
    assert [loser.code for loser in losers] == ["line_taken"]
    assert sum(partition == "customers" for partition, _ in mapping_rows(world)) == 1


def test_an_appeared_subscription_that_was_mapped_first_is_no_news_to_the_sync() -> None:
    world = bought()
    do(world, PURCHASE)
    asyncio.run(world.run_until_quiet())
    before = len(world.operations())
    asyncio.run(ask(world, lambda app: sync_customer(app, CUSTOMER)))
    assert len(world.operations()) == before
