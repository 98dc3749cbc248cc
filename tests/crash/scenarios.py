"""The stories whose every I/O step is a place to crash: what happened before, what is asked for, what must be billed.

A story's requests are asked one after the other, each until it is answered, as a portal does that repeats a request
with its Idempotency-Key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from shared.domain.actions import Action
from shared.domain.billing import Policy, StartFrom, SuspendBilling
from shared.domain.operation import Address, LegStatus
from shared.domain.planning import DriftPolicy
from shared.domain.pricing import Margin, Offer, PriceRow, PriceRule, PriceSource, Pricing
from shared.storage.prices import StoredPrice, StoredRule
from shared.usecases.act import Request, act
from shared.usecases.app import App
from shared.usecases.dead_letters import dismiss, resubmit
from shared.usecases.mapping import map_subscription
from shared.usecases.mapping_choice import MappingRequest
from shared.usecases.price_list import Scope, apply_price_list
from shared.usecases.pricing import PriceRequest, change_price
from shared.usecases.sync import sync_customer
from tests.world import checks
from tests.world.autotask import AdjustFault, Fault
from tests.world.clock import START
from tests.world.world import CONTRACT, CONTRACT_START, CUSTOMER, World, line_id, subscription_id

TODAY = START.date()
TOMORROW = TODAY + timedelta(days=1)
NEXT_PERIOD = date(2026, 4, 1)
STANDARD = "CFQ7TTC0LDPB:0001"  # the product of every subscription

Ask = Callable[[App], Awaitable[Any]]


@dataclass(frozen=True, eq=False)
class Story:
    """`billed`: the units from a date on per line number, once everything was done with `adjustments` adjustments.

    `prices` are the unit prices of line 1 on some days.
    """

    name: str
    prepare: Callable[[World], Coroutine[Any, Any, None]]
    requests: tuple[Ask, ...]
    billed: dict[int, dict[date, int]]
    adjustments: int
    legs: frozenset[LegStatus] = field(default=frozenset({LegStatus.SYNCED}))
    prices: dict[date, str] = field(default_factory=dict)


def change(number: int, action: Action, *, quantity: int | None = None, key: str = "key-1") -> Ask:
    """A portal's request on a subscription."""
    request = Request(
        action=action,
        customer=CUSTOMER,
        subscription=subscription_id(number),
        caller="portal",
        idempotency_key=key,
        target=f"/{number}/{action}",
        request_hash=f"{action}:{quantity}",
        quantity=quantity,
    )
    return lambda app: act(app, request)


def map_to(
    number: int, line: int, units: Any = None, *, policy: Policy | None = None, pricing: Pricing | None = None
) -> Ask:
    """Map a subscription to a line."""
    request = MappingRequest(
        CUSTOMER,
        subscription_id(number),
        "mapper",
        CONTRACT,
        line=line_id(line),
        units=units,
        policy=policy,
        pricing=pricing,
    )
    return lambda app: map_subscription(app, request)


def priced(price: str, cost: str | None = None) -> Pricing:
    """A fixed price and cost."""
    return Pricing(PriceSource.FIXED, Decimal(price), None if cost is None else Decimal(cost))


def reprice(number: int, pricing: Pricing, *, key: str = "price-1") -> Ask:
    """A request to bill a subscription at another price."""
    request = PriceRequest(
        CUSTOMER, subscription_id(number), "mapper", key, f"/{number}/change-price", str(pricing), pricing
    )
    return lambda app: change_price(app, request)


def first_dead(app_request: Callable[[App, Address], Awaitable[Any]]) -> Ask:
    """A decision about the operation with sequence number 2, which the preparation left dead."""
    return lambda app: app_request(app, Address(CUSTOMER, subscription_id(1), 2))


async def ask(world: World, request: Ask) -> None:
    """Ask in a healthy world and let it come to rest."""
    process = world.start()
    await world.run(process, request)
    await world.run_until_quiet(process)


def tell(world: World, *requests: Ask) -> None:
    """Ask for one after the other, each until all is quiet; then everything is as it should be."""
    for request in requests:
        asyncio.run(ask(world, request))
    asyncio.run(checks.everything(world))


async def mapped(world: World) -> None:
    """Subscription 1 with ten seats, billed on line 1 with ten units since the contract began."""
    world.subscribe(1, 10)
    world.add_line(1, 10)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    await ask(world, map_to(1, 1, "adopt"))
    world.clock.advance(timedelta(hours=1))


async def unmapped(world: World) -> None:
    """Subscription 1 with ten seats, and an empty line 1."""
    world.subscribe(1, 10)
    world.add_line(1, 0)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))


async def with_a_second_line(world: World) -> None:
    await mapped(world)
    world.add_line(2, 0)


async def with_a_dead_letter(world: World) -> None:
    """Autotask refused the adjustment to twelve units."""
    await mapped(world)
    world.autotask.faults.append(Fault(AdjustFault.REFUSED))
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=12))
    world.clock.advance(timedelta(hours=1))


async def with_a_drift(world: World) -> None:
    """Somebody added a unit by hand, so that the change to twelve units is dead."""
    await mapped(world)
    world.autotask.hand_edit(line_id(1), TODAY - timedelta(days=3), 1)
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=12))
    world.clock.advance(timedelta(hours=1))


async def with_its_own_price(world: World) -> None:
    """As mapped, at a price of ours; a suspension takes the price away and not the units."""
    world.subscribe(1, 10)
    world.add_line(1, 10)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    policy = Policy(suspend=SuspendBilling.PRICE_ZERO, price_from=StartFrom.BUSINESS_DATE)
    await ask(world, map_to(1, 1, "adopt", policy=policy, pricing=priced("12.50")))
    world.clock.advance(timedelta(hours=1))


def listed(product: str, cost: str) -> Ask:
    """A row of the price list, which everybody pays a fifth more than."""

    async def put(app: App) -> None:
        row = PriceRow(Offer(product, "P1Y", "monthly"), CONTRACT_START, None, Decimal(cost), None)
        rule = PriceRule(Margin.MARKUP, Decimal(20))
        await app.mappings.prices.put_row(StoredPrice(row, START, "mapper"))
        await app.mappings.prices.put_rule(StoredRule(rule, START, "mapper"))

    return put


FOLLOWS = Pricing(PriceSource.PRICE_LIST)


async def with_a_changed_list(world: World) -> None:
    """Subscription 1 follows the price list, whose cost became 11 meanwhile."""
    world.subscribe(1, 10)
    world.add_line(1, 10)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    await ask(world, listed(STANDARD, "10"))
    await ask(world, map_to(1, 1, "adopt", policy=Policy(price_from=StartFrom.BUSINESS_DATE), pricing=FOLLOWS))
    await ask(world, listed(STANDARD, "11"))
    world.clock.advance(timedelta(days=1))


async def _apply_the_list(app: App) -> None:
    """As a person does it: what did not get through is tried again, what is done changes nothing."""
    for _ in range(3):
        changes, _ = await apply_price_list(app, "mapper", Scope(), dry_run=False, size=50, continuation=None)
        if not any(change.problem for change in changes):
            return
        await app.sleep(120)


async def with_a_posted_month(world: World) -> None:
    """As mapped; March is posted, and a posted month shall not be prorated."""
    world.subscribe(1, 10)
    world.add_line(1, 10)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    await ask(world, map_to(1, 1, "adopt", policy=Policy(prorate=False)))
    world.autotask.post_through(line_id(1), TODAY)
    world.clock.advance(timedelta(hours=1))


async def changed_at_microsoft(world: World) -> None:
    await mapped(world)
    world.partner_center.edit(CUSTOMER, subscription_id(1), quantity=13)


async def _sync(app: App) -> None:
    looked = await sync_customer(app, CUSTOMER)
    assert looked.unreadable == 0


async def _a_day_passes(app: App) -> None:
    await app.sleep(timedelta(days=1).total_seconds())


STORIES = (
    Story(
        "cancel inside the window",
        mapped,
        (change(1, Action.CANCEL),),
        {1: {CONTRACT_START: 10, TODAY: 0}},
        adjustments=1,
    ),
    Story(
        "more seats",
        mapped,
        (change(1, Action.CHANGE_QUANTITY, quantity=14),),
        {1: {CONTRACT_START: 10, TODAY: 14}},
        adjustments=1,
    ),
    Story(
        "suspend, then reactivate",
        mapped,
        (change(1, Action.SUSPEND), _a_day_passes, change(1, Action.REACTIVATE, key="key-2")),
        {1: {CONTRACT_START: 10, TODAY: 0, TOMORROW: 10}},
        adjustments=2,
    ),
    Story(
        "map and push the seats", unmapped, (map_to(1, 1, "push"),), {1: {CONTRACT_START: 0, TODAY: 10}}, adjustments=1
    ),
    Story(
        "map to another line",
        with_a_second_line,
        (map_to(1, 2),),
        {1: {CONTRACT_START: 10, TODAY: 0}, 2: {CONTRACT_START: 0, TODAY: 10}},
        adjustments=2,
    ),
    Story(
        "another price, then more seats at the old one until it holds",
        mapped,
        (reprice(1, priced("13.25", "10.75")), change(1, Action.CHANGE_QUANTITY, quantity=14)),
        {1: {CONTRACT_START: 10, TODAY: 14}},
        adjustments=2,
        prices={CONTRACT_START: "12.50", TODAY: "12.50", NEXT_PERIOD: "13.25"},
    ),
    Story(
        "suspend at the price of nothing, then reactivate",
        with_its_own_price,
        (change(1, Action.SUSPEND), _a_day_passes, change(1, Action.REACTIVATE, key="key-2")),
        {1: {CONTRACT_START: 10}},
        adjustments=2,
        prices={CONTRACT_START: "12.50", TODAY: "0", TOMORROW: "12.50"},
    ),
    Story(
        "map at a price and push the seats",
        unmapped,
        (map_to(1, 1, "push", pricing=priced("11", "9")),),
        {1: {CONTRACT_START: 0, TODAY: 10}},
        adjustments=1,
        prices={TODAY: "11"},
    ),
    Story(
        "apply a changed price list",
        with_a_changed_list,
        (_apply_the_list,),
        {1: {CONTRACT_START: 10}},
        adjustments=3,  # the first price, then price and cost on dates of their own
        prices={CONTRACT_START: "12.50", TODAY: "12.00", TOMORROW: "13.20"},
    ),
    Story(
        "more seats while the month is posted",
        with_a_posted_month,
        (change(1, Action.CHANGE_QUANTITY, quantity=14),),
        {1: {CONTRACT_START: 10, NEXT_PERIOD: 14}},
        adjustments=1,
    ),
    Story(
        "re-submit a dead letter",
        with_a_dead_letter,
        (first_dead(lambda app, dead: resubmit(app, dead, "ops", why="", policy=None)),),
        {1: {CONTRACT_START: 10, TODAY: 12}},
        adjustments=1,
    ),
    Story(
        "re-submit a drift to overwrite it",
        with_a_drift,
        (first_dead(lambda app, dead: resubmit(app, dead, "ops", why="", policy=DriftPolicy.OVERWRITE)),),
        {1: {CONTRACT_START: 10, TODAY: 12}},
        adjustments=2,
    ),
    Story(
        "dismiss a dead letter",
        with_a_dead_letter,
        (first_dead(lambda app, dead: dismiss(app, dead, "ops", why="done by hand")),),
        {1: {CONTRACT_START: 10}},
        adjustments=0,
        legs=frozenset({LegStatus.DISMISSED}),
    ),
    Story(
        "a change that sync detects",
        changed_at_microsoft,
        (_sync,),
        {1: {CONTRACT_START: 10, TODAY: 13}},
        adjustments=1,
    ),
    Story(
        "a later change heals a dead letter",
        with_a_dead_letter,
        (_a_day_passes, change(1, Action.CHANGE_QUANTITY, quantity=15, key="key-2")),
        {1: {CONTRACT_START: 10, TODAY: 12, TOMORROW: 15}},
        adjustments=2,
    ),
)
