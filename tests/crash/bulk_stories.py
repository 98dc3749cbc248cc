"""A bulk told like the other stories: every I/O step of its worker is a place to crash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from shared.domain.actions import Action
from shared.domain.asks import UpgradeAsk
from shared.domain.bulk import Bulk, Item, Wish
from shared.storage.rows import from_row
from shared.usecases.app import App
from shared.usecases.bulk import BulkRequest, Progress, take_in
from tests.crash.conversion_stories import upgradable
from tests.crash.scenarios import TODAY, Story, ask, map_to, mapped
from tests.world.conversions import TARGET
from tests.world.world import CONTRACT_START, CUSTOMER, World, subscription_id

CALLER = "the caller of a bulk"


def item(number: int, action: Action, quantity: int | None = None) -> Wish:
    """One item about a subscription of the one customer."""
    return Wish(CUSTOMER, subscription_id(number), action, quantity)


def bulk_of(*wishes: Wish, key: str = "bulk-1") -> Callable[[App], Awaitable[Progress]]:
    """A portal's request for a bulk."""
    request = BulkRequest(CALLER, key, "/api/bulk", repr(wishes), wishes)
    return lambda app: take_in(app, request)


async def two_mapped(world: World) -> None:
    """Subscription 1 with ten seats on line 1, subscription 2 with twenty on line 2."""
    await mapped(world)
    world.subscribe(2, 20)
    world.add_line(2, 20)
    await ask(world, map_to(2, 2, "adopt"))
    world.clock.advance(timedelta(hours=1))


def items_of(world: World) -> list[Item]:
    """The items of all bulks by position."""
    rows = [row for row in world.tables.rows("ledger") if row.key.startswith("I:")]
    return sorted((from_row(Item, row).value for row in rows), key=lambda found: found.position)


def bulks_of(world: World) -> list[Bulk]:
    """All bulks."""
    return [from_row(Bulk, row).value for row in world.tables.rows("ledger") if row.key.startswith("B:")]


UNKNOWN = 9  # a subscription that Microsoft does not know

BULKS = (
    Story(
        "a bulk with a refusal in it",
        two_mapped,
        (
            bulk_of(
                item(1, Action.CHANGE_QUANTITY, 12),
                item(UNKNOWN, Action.CANCEL),
                item(2, Action.CHANGE_QUANTITY, 25),
                item(1, Action.AUTO_RENEW_OFF),
                item(2, Action.CHANGE_QUANTITY, 25),
            ),
        ),
        {1: {CONTRACT_START: 10, TODAY: 12}, 2: {CONTRACT_START: 20, TODAY: 25}},
        adjustments=2,
    ),
    Story(
        "a bulk that moves seats, which cannot be undone",
        upgradable,
        (
            bulk_of(
                Wish(
                    CUSTOMER,
                    subscription_id(1),
                    Action.UPGRADE,
                    ask=UpgradeAsk(TARGET, quantity=4),
                    confirmed=("confirm", "confirmLosses"),
                ),
                item(1, Action.AUTO_RENEW_OFF),
            ),
        ),
        {1: {CONTRACT_START: 10, TODAY: 6}, 2: {CONTRACT_START: 0, TODAY: 4}},
        adjustments=2,
    ),
)
