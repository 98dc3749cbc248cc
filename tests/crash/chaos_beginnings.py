"""What a random schedule begins with: how the vendors behave, what is mapped by which rules, and which acts may happen.

Mapping takes longer than most schedules, so several begin with copies of one world.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from shared.domain.billing import DecreaseFrom, Policy, StartFrom, SuspendBilling
from shared.domain.planning import DriftPolicy
from shared.domain.pricing import PriceSource, Pricing
from shared.usecases.sync import sync_customer
from tests.crash.conversion_stories import billed_as_premium
from tests.crash.scenarios import ask, map_to
from tests.world.autotask import Habits
from tests.world.conversions import LEGACY_TARGET, NEW_COMMERCE, TARGET, legacy
from tests.world.loop import run
from tests.world.world import CUSTOMER, World, subscription_id


@dataclass(frozen=True)
class Size:
    """How much happens in a schedule, and to how many subscriptions on how many lines."""

    acts: int
    subscriptions: int
    lines: int


@dataclass(frozen=True)
class Allowed:
    """Which acts may happen in a schedule: where one does, some others would leave nothing that can be checked."""

    by_hand: bool  #: somebody edits in Autotask
    moves: bool  #: mappings move; nobody looks at a line that was given up
    converts: bool  #: upgrades and migrations
    undoes: bool  #: what was taken back is billed otherwise than Microsoft has it, until a last change by the rules
    renews: bool  #: a change of the seats drops a schedule, and ours would take it back: a repeated one cannot be told
    accepts: bool  #: a hand edit may stay

    @property
    def by_rule_at_last(self) -> bool:
        """Whether only a last change by the rules makes the bill what Microsoft has."""
        return self.by_hand or self.undoes


def allowed(chance: random.Random) -> Allowed:
    by_hand = chance.random() < 0.35
    moves = not by_hand and chance.random() < 0.4
    converts = not by_hand and not moves and chance.random() < 0.7
    undoes = not converts and chance.random() < 0.4
    return Allowed(by_hand, moves, converts, undoes, chance.random() < 0.4, by_hand and chance.random() < 0.5)


def beginning(number: int, size: Size) -> tuple[World, Allowed]:
    """The world of a number, for the caller alone. Not to be called while a loop runs."""
    world, what = _prepared(number, size)
    return copy.deepcopy(world), what


@cache
def _prepared(number: int, size: Size) -> tuple[World, Allowed]:
    chance = random.Random(number)  # noqa: S311 - a schedule to be replayed is no secret
    random.seed(number)  # the jitter of the back-off is replayed too
    world, what = World(), allowed(chance)
    world.autotask.habits = _habits(chance)
    run(_prepare(world, what, size, chance))
    return world, what


def _habits(chance: random.Random) -> Habits:
    return Habits(
        same_date_refused=chance.random() < 0.5,
        omitted=chance.choice(["keep", "list"]),
        reach=chance.choice(["next", "onwards"]),
        shows_costs=chance.random() < 0.7,
        thirtieths=chance.random() < 0.3,
        posted=chance.choice(["prorate", "reject"]),
    )


async def _prepare(world: World, what: Allowed, size: Size, chance: random.Random) -> None:
    for number in range(1, size.subscriptions + 1):
        if what.converts and chance.random() < 0.4:
            world.partner_center.add(CUSTOMER, legacy(subscription_id(number), 10 * number))
        else:
            world.subscribe(number, 10 * number)
        world.add_line(number, 10 * number)
        policy, pricing = _policy(what, chance), None
        if policy.suspend is SuspendBilling.PRICE_ZERO or chance.random() < 0.4:
            pricing = pricing_of(chance)
        await ask(world, map_to(number, number, "adopt", policy=policy, pricing=pricing))
    for number in range(size.subscriptions + 1, size.lines + 1):
        world.add_line(number, 0)
    if what.converts:
        for product in (TARGET, NEW_COMMERCE, LEGACY_TARGET):
            await ask(world, billed_as_premium(":".join(product.split(":")[:2])))
    await ask(world, lambda app: sync_customer(app, CUSTOMER))


def _policy(what: Allowed, chance: random.Random) -> Policy:
    """A policy by chance, half of the time the default."""
    if chance.random() < 0.5:
        return Policy()
    starts, decreases = list(StartFrom), [DecreaseFrom.BUSINESS_DATE, DecreaseFrom.NEXT_PERIOD]
    return Policy(
        suspend=chance.choice(list(SuspendBilling)),
        suspend_from=chance.choice(starts),
        increase_from=chance.choice(starts),
        decrease_in_window_from=chance.choice(decreases),
        decrease_outside_from=chance.choice(decreases),
        price_from=chance.choice(starts),
        cost_from=chance.choice(starts),
        prorate=chance.random() < 0.5,
        drift=DriftPolicy.OVERWRITE if what.by_hand and chance.random() < 0.5 else DriftPolicy.REVIEW,
    )


def pricing_of(chance: random.Random) -> Pricing:
    """A price by chance, with a cost most of the time."""
    price, cost = (Decimal(chance.randint(0, 3000)) / 100 for _ in range(2))
    return Pricing(PriceSource.FIXED, price, cost if chance.random() < 0.7 else None)
