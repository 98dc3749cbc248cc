"""One random schedule: several hosts work on several subscriptions while everything goes wrong that can go wrong.

All chance comes from one seed. When the schedule is over the faults end, the world comes to rest, and people decide
about what is dead; then the bill must be right.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from shared.domain.actions import Action
from shared.domain.errors import CspError, RetryLater
from shared.domain.operation import Address
from shared.domain.planning import DriftPolicy
from shared.domain.timeline import Timeline, first_difference
from shared.usecases.app import App
from shared.usecases.dead_letters import resubmit
from shared.usecases.sync import sync_customer
from tests.crash import chaos_people, chaos_vendors
from tests.crash.chaos_beginnings import Size, beginning
from tests.crash.conversion_stories import wish
from tests.crash.scenarios import ask
from tests.world.autotask import Adjusted
from tests.world.checks import CONTRACT_WINDOW, lines
from tests.world.steps import Side, Steps
from tests.world.world import CUSTOMER, Process, subscription_id

_HOSTS = 2
_BEGINNINGS = 250
_DECISIONS = 12  # rounds of re-submitting until nothing is dead


LONG = Size(acts=60, subscriptions=3, lines=5)
SHORT = Size(acts=7, subscriptions=1, lines=2)


class Chaos:
    """The schedule of one seed on a world of its own."""

    def __init__(self, seed: int, size: Size = LONG) -> None:
        self.size = size
        self.numbers = range(1, size.subscriptions + 1)  #: of the first subscriptions and their lines
        self.world, self.allowed = beginning(seed % _BEGINNINGS, size)
        self.chance = random.Random(seed)  # noqa: S311 - a schedule to be replayed is no secret
        random.seed(seed)  # the jitter of the back-off is replayed too
        self.log: list[str] = []
        self.unexpected: list[str] = []
        self._hosts: list[Process] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_quantity = 100
        self._key = 0
        self._danger = self.chance.choice([0.0, 0.005, 0.02])

    async def run(self) -> None:
        self.world.disturb = self._disturb
        self.world.autotask.on_effect = self._check_effect
        acts = [*chaos_people.acts(self), *chaos_vendors.acts(self)]
        weights = [weight for weight, _ in acts]
        for _ in range(self.size.acts):
            self.chance.choices([act for _, act in acts], weights)[0](self)
            for _ in range(self.chance.randrange(40)):
                await asyncio.sleep(0)
        await self._calm()
        await self._decide()

    # What goes wrong inside a process

    async def _disturb(self, steps: Steps, label: str, side: Side) -> None:
        self.world.clock.advance(timedelta(microseconds=self.chance.randint(1, 20_000)))
        if self._tasks:  # otherwise there is nobody to let go first
            for _ in range(self.chance.randrange(3)):
                await asyncio.sleep(0)
        if self.chance.random() >= self._danger:
            return
        match self.chance.randrange(4):
            case 0:
                self.note(f"{steps.name} is killed {side} {label}")
                steps.die()
                self.world.broker.holder_died(steps.name)
            case 1 | 2:
                span = timedelta(seconds=self.chance.choice([1, 40, 150, 1000]))
                self.note(f"{steps.name} freezes for {span} {side} {label}")
                self.world.broker.holder_died(steps.name)
                await self.world.clock.until(self.world.clock.now() + span)
            case 3 if label.startswith("tables."):
                self.note(f"{steps.name} gets no answer {side} {label}")
                raise RetryLater("table storage does not answer")

    def _check_effect(self, adjusted: Adjusted, before: Timeline) -> None:
        """Each POST was announced by an intent, meets the timeline that it was planned on, and is under a lease."""
        lease = next(row for row in self.world.tables.rows("coordination") if row.partition == "lease")
        if adjusted.deadline is None or datetime.fromisoformat(str(lease.values["expires"])) < adjusted.deadline:
            self.unexpected.append(f"{adjusted} without a lease that outlives it")
        line = next(line for line in lines(self.world) if line.line == adjusted.line)
        intent = line.intent
        announced = intent is not None and (intent.adjustment, intent.send_by) == (
            adjusted.sent,
            adjusted.deadline,
        )
        if not announced:
            self.unexpected.append(f"{adjusted} without its intent")
        elif intent is not None and not self.allowed.by_hand and _differ(intent.before, before):
            self.unexpected.append(f"{adjusted} planned on {intent.before}, met {before}")

    # How it ends

    async def _calm(self) -> None:
        world = self.world
        self.note("faults are over")
        self._danger = 0
        world.autotask.faults.clear()
        world.partner_center.faults.clear()
        world.autotask.away_until = world.partner_center.away_until = None
        world.autotask.lag, world.autotask.used = timedelta(), 1
        world.broker.away, world.broker.copies, world.broker.lost_completions = False, 1, 0
        while self._tasks:
            moment = world.clock.next_waking()
            if moment is not None:
                world.clock.advance(max(moment - world.clock.now(), timedelta()))
            await asyncio.wait(self._tasks, timeout=0)
        for host in self._hosts:
            world.bury(host)
        await world.run_until_quiet()
        world.clock.advance(timedelta(minutes=5))
        await ask(world, lambda app: sync_customer(app, CUSTOMER))

    async def _decide(self) -> None:
        """People look at what is dead and let it be pushed, over a hand edit too; then a last change by the rules."""
        await self._resubmit_all()
        if self.allowed.by_rule_at_last:
            self.world.clock.advance(timedelta(days=1))
            for number in self.numbers:
                known = self.world.partner_center.known(CUSTOMER, subscription_id(number))
                last = Action.REACTIVATE if known.status == "suspended" else Action.CHANGE_QUANTITY
                quantity = 90 if last is Action.CHANGE_QUANTITY else None
                await ask(self.world, wish(number, last, quantity=quantity, key="last"))
            await self._resubmit_all()

    async def _resubmit_all(self) -> None:
        for _ in range(_DECISIONS):
            dead = [operation.address for operation in self.world.operations() if operation.dead]
            if not dead:
                return
            for address in dead:
                self.note(f"re-submit {address.subscription[-2:]}#{address.sequence}")
                await ask(self.world, _overwrite(address))

    # The machinery

    def subscription(self) -> str:
        """One of the subscriptions that Microsoft has by now."""
        return self.chance.choice(list(self.world.partner_center.resources(CUSTOMER)))

    def new_quantity(self) -> int:
        """Seats that nobody has asked for before."""
        self._next_quantity += 1
        return self._next_quantity

    def new_key(self) -> str:
        """A key that was not used before."""
        self._key += 1
        return f"key-{self._key}"

    def spawn(self, what: str, job: Callable[[App], Awaitable[Any]]) -> None:
        host = self.host()
        self.note(f"{host.name} {what}")
        self.start(self._guarded(host, what, job))

    async def _guarded(self, host: Process, what: str, job: Callable[[App], Awaitable[Any]]) -> None:
        try:
            await self.world.run(host, job)
        except CspError as error:
            self.note(f"{host.name} {what}: {type(error).__name__} {error}")
        except Exception as error:  # noqa: BLE001 - whatever else comes out of a use case is a finding
            self.unexpected.append(f"{what}: {error!r}")

    def start(self, job: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def host(self) -> Process:
        self._hosts = [host for host in self._hosts if not host.steps.dead]
        while len(self._hosts) < _HOSTS:
            self._hosts.append(self.world.start())
        return self.chance.choice(self._hosts)

    def note(self, text: str) -> None:
        self.log.append(f"{self.world.clock.now().isoformat()[8:26]} {text}")


def _differ(planned_on: Timeline, met: Timeline) -> bool:
    """In units: how far a price of ours reached is only known once it is read back."""
    return first_difference(planned_on, met, owned=Timeline(), window=CONTRACT_WINDOW) is not None


def _overwrite(address: Address) -> Callable[[App], Awaitable[Any]]:
    return lambda app: resubmit(app, address, "ops", why="", policy=DriftPolicy.OVERWRITE)
