"""Stories of subscriptions that become another product or another subscription, and of what a suspension switches off.

Told like those of `tests.crash.scenarios`: every I/O step is a place to crash.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from shared.domain.actions import Action
from shared.domain.asks import Ask as Wanted
from shared.domain.asks import MigrateAsk, MigrationScheduleAsk, RenewalAsk, UpgradeAsk
from shared.domain.contract import ContractLine
from shared.storage.mappings import ProductMapping
from shared.usecases.act import Request, act
from shared.usecases.app import App
from shared.usecases.sync import sync_customer
from tests.crash.scenarios import TODAY, Story, ask, change, map_to, mapped
from tests.world.clock import START
from tests.world.conversions import LEGACY_TARGET, NEW_COMMERCE, TARGET, legacy
from tests.world.partner_center import nce
from tests.world.sync import UNTIL
from tests.world.world import CONTRACT, CONTRACT_START, CUSTOMER, PREMIUM, World, line_id, subscription_id

CONFIRMED = frozenset({"confirm", "confirmLosses"})


def wish(
    number: int, action: Action, wanted: Wanted | None = None, *, quantity: int | None = None, key: str = "key-1"
) -> Callable[[App], Awaitable[Any]]:
    """A portal's confirmed request with the choices of its dialog."""
    return wish_of(subscription_id(number), action, wanted, quantity=quantity, key=key)


def wish_of(
    subscription: str, action: Action, wanted: Wanted | None = None, *, quantity: int | None = None, key: str
) -> Callable[[App], Awaitable[Any]]:
    """The same for a subscription by its id."""
    request = Request(
        action=action,
        customer=CUSTOMER,
        subscription=subscription,
        caller="portal",
        idempotency_key=key,
        target=f"/{subscription}/{action}",
        request_hash=f"{action}:{wanted}:{quantity}",
        quantity=quantity,
        ask=wanted,
        confirmed=CONFIRMED,
    )
    return lambda app: act(app, request)


def billed_as_premium(product: str) -> Callable[[App], Awaitable[None]]:
    """Map a product to the service of the targets."""
    mapping = ProductMapping(product, "P1Y", "monthly", PREMIUM, "Business Premium", START, "mapper")

    async def put(app: App) -> None:
        await app.mappings.put_product(mapping)

    return put


async def upgradable(world: World) -> None:
    """Subscription 1 with ten seats on line 1; its target is billed as another service."""
    await mapped(world)
    await ask(world, billed_as_premium("CFQ7TTC0LCHC:0002"))


async def with_a_line_of_the_target(world: World) -> None:
    """Besides, line 2 bills five units of the target's service to somebody whose subscription is not mapped."""
    await upgradable(world)
    world.autotask.add_line(ContractLine(line_id(2), CONTRACT, PREMIUM, "", "", Decimal(22)), 5)


async def with_a_destination(world: World) -> None:
    """Besides, subscription 2 of the target with four seats, billed on line 2."""
    await upgradable(world)
    world.subscribe(2, 4)
    world.partner_center.resources(CUSTOMER)[subscription_id(2)]["offerId"] = TARGET
    world.add_line(2, 4)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    await ask(world, map_to(2, 2, "adopt"))


async def legacy_mapped(world: World) -> None:
    """Legacy subscription 1 with ten seats, billed on line 1; what it can become is mapped."""
    world.partner_center.add(CUSTOMER, legacy(subscription_id(1), 10))
    world.add_line(1, 10)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    await ask(world, map_to(1, 1, "adopt"))
    for product in (LEGACY_TARGET, ":".join(NEW_COMMERCE.split(":")[:2])):
        await ask(world, billed_as_premium(product))
    world.clock.advance(timedelta(hours=1))


async def legacy_with_an_add_on(world: World) -> None:
    """Besides, its add-on with three seats, billed on line 2."""
    await legacy_mapped(world)
    world.partner_center.add(CUSTOMER, legacy(subscription_id(2), 3, parent=subscription_id(1)))
    world.add_line(2, 3)
    await ask(world, lambda app: sync_customer(app, CUSTOMER))
    await ask(world, map_to(2, 2, "adopt"))


def migrate_at_microsoft(world: World, *, number: int = 1, made: int = 3, seats: int = 10) -> None:
    """Somebody migrates a legacy subscription directly at Partner Center."""
    bought = nce(subscription_id(made), seats, until=UNTIL) | {
        "offerId": NEW_COMMERCE,
        "migratedFromSubscriptionId": subscription_id(number).upper(),
        "creationDate": world.clock.now().isoformat(),
    }
    world.partner_center.add(CUSTOMER, bought)
    world.partner_center.put(CUSTOMER, subscription_id(number), status="suspended", autoRenewEnabled=False)


async def legacy_migrated_at_microsoft(world: World) -> None:
    await legacy_mapped(world)
    migrate_at_microsoft(world)


async def sync_all(app: App) -> None:
    """Read the customer now."""
    await sync_customer(app, CUSTOMER)


async def legacy_that_fails_at_first(world: World) -> None:
    await legacy_mapped(world)
    world.migrations.outcomes = ["failed_active"]


async def scheduled_and_mapped(world: World) -> None:
    """Subscription 1 with auto-renew on and seven seats scheduled for its renewal."""
    await mapped(world)
    await ask(world, wish(1, Action.SCHEDULE_RENEWAL, RenewalAsk(quantity=7), key="before"))
    world.clock.advance(timedelta(hours=1))


CONVERSIONS = (
    Story(
        "a migration that sync detects",
        legacy_migrated_at_microsoft,
        (sync_all,),
        {1: {CONTRACT_START: 10, TODAY: 0}, 2: {CONTRACT_START: 0, TODAY: 10}},
        adjustments=2,
    ),
    Story(
        "upgrade all seats",
        upgradable,
        (wish(1, Action.UPGRADE, UpgradeAsk(TARGET)),),
        {1: {CONTRACT_START: 10, TODAY: 0}, 2: {CONTRACT_START: 0, TODAY: 10}},
        adjustments=2,
    ),
    Story(
        "upgrade some seats",
        upgradable,
        (wish(1, Action.UPGRADE, UpgradeAsk(TARGET, quantity=4)),),
        {1: {CONTRACT_START: 10, TODAY: 6}, 2: {CONTRACT_START: 0, TODAY: 4}},
        adjustments=2,
    ),
    Story(
        "upgrade some seats to a product that the contract bills already",
        with_a_line_of_the_target,
        (wish(1, Action.UPGRADE, UpgradeAsk(TARGET, quantity=4)),),
        {1: {CONTRACT_START: 10, TODAY: 6}, 2: {CONTRACT_START: 5}, 3: {CONTRACT_START: 0, TODAY: 4}},
        adjustments=2,
    ),
    Story(
        "upgrade some seats into an existing subscription",
        with_a_destination,
        (wish(1, Action.UPGRADE, UpgradeAsk(TARGET, quantity=4, to_subscription=subscription_id(2))),),
        {1: {CONTRACT_START: 10, TODAY: 6}, 2: {CONTRACT_START: 4, TODAY: 8}},
        adjustments=2,
    ),
    Story(
        "upgrade a legacy subscription",
        legacy_mapped,
        (wish(1, Action.UPGRADE, UpgradeAsk(LEGACY_TARGET)),),
        {1: {CONTRACT_START: 10, TODAY: 0}, 2: {CONTRACT_START: 0, TODAY: 10}},
        adjustments=2,
    ),
    Story(
        "migrate",
        legacy_mapped,
        (wish(1, Action.MIGRATE, MigrateAsk()),),
        {1: {CONTRACT_START: 10, TODAY: 0}, 2: {CONTRACT_START: 0, TODAY: 10}},
        adjustments=2,
    ),
    Story(
        "migrate after a migration that failed",
        legacy_that_fails_at_first,
        (wish(1, Action.MIGRATE, MigrateAsk()),),
        {1: {CONTRACT_START: 10, TODAY: 0}, 2: {CONTRACT_START: 0, TODAY: 10}},
        adjustments=2,
    ),
    Story(
        "schedule a migration",
        legacy_mapped,
        (wish(1, Action.SCHEDULE_MIGRATION, MigrationScheduleAsk(MigrateAsk(term="P1Y"))),),
        {1: {CONTRACT_START: 10}},
        adjustments=0,
        legs=frozenset(),
    ),
    Story(
        "suspend, then reactivate what was scheduled",
        scheduled_and_mapped,
        (
            wish(1, Action.SUSPEND, key="key-1"),
            lambda app: app.sleep(timedelta(days=1).total_seconds()),
            change(1, Action.REACTIVATE, key="key-2"),
        ),
        {1: {CONTRACT_START: 10, TODAY: 0, TODAY + timedelta(days=1): 10}},
        adjustments=2,
    ),
)
