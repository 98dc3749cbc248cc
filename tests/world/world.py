"""The whole application on fakes: one world of storage, broker and vendors, and the processes that live and die in it.

A process is an `App` of its own with its own count of I/O steps. What it knows dies with it; the world stays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar, cast
from zoneinfo import ZoneInfo

from shared.domain.contract import Company, Contract, ContractLine, Service
from shared.domain.operation import Operation
from shared.domain.retention import Keep
from shared.domain.tickets import TicketPolicy
from shared.ports import AutotaskPort, ListingsPort, MigrationsPort, PartnerCenterPort, TicketsPort, TransitionsPort
from shared.storage.alarms import Alarms
from shared.storage.bulks import Bulks
from shared.storage.coordination import Coordination
from shared.storage.desk import Desk
from shared.storage.ledger import Ledger
from shared.storage.mappings import Mappings
from shared.storage.read_models import ReadModels
from shared.storage.records import Records
from shared.storage.rows import from_row, text_of
from shared.storage.store import TableStore
from shared.usecases.app import App, QueuePort, SyncPolicy, SyncStores, Times
from shared.usecases.push import deliver
from shared.usecases.wake import wake
from tests.world.autotask import Autotask
from tests.world.clock import Clock
from tests.world.conversions import Migrations, Transitions
from tests.world.listings import Listings
from tests.world.partner_center import PartnerCenter, nce
from tests.world.queue import Broker, Message
from tests.world.steps import Disturbance, Killed, Steps, Watched
from tests.world.tables import Tables
from tests.world.tickets import Tickets

CUSTOMER = "c0000000-0000-4000-8000-000000000001"
CONTRACT = 31000001
SERVICE = 677
PREMIUM = 678  # what the targets of upgrades and migrations are billed as
PRICE, COST = Decimal("12.50"), Decimal("10.00")
ZONE = ZoneInfo("Europe/Berlin")
CONTRACT_START, CONTRACT_END = date(2026, 1, 1), date(2026, 12, 31)
WINDOWS_OPEN_UNTIL = datetime(2026, 12, 1, tzinfo=UTC)

T = TypeVar("T")

_ROUNDS = 1500  # of delivering and waking; a world that is not quiet by then never will be
_TICK = timedelta(milliseconds=1)


def times() -> Times:
    """The defaults of the settings."""
    return Times(
        settle=timedelta(minutes=15),
        autotask_timeout=timedelta(seconds=30),
        partner_timeout=timedelta(seconds=60),
        partner_settle=timedelta(seconds=60),
        partner_give_up=timedelta(hours=1),
        lease=timedelta(seconds=120),
        outbox=timedelta(seconds=60),
        retry=timedelta(seconds=30),
        retry_max=timedelta(minutes=15),
        push_budget=timedelta(seconds=120),
        idempotency=timedelta(days=30),
    )


def subscription_id(number: int) -> str:
    return f"50000001-0000-4000-8000-{number:012x}"


def line_id(number: int) -> int:
    return 32001000 + number


@dataclass(eq=False)
class Process:
    """One host of the application."""

    app: App
    steps: Steps

    @property
    def name(self) -> str:
        return self.steps.name


class NeverQuietError(AssertionError):
    """The world did not come to rest."""


class World:
    """One customer with a contract; subscriptions and lines are added by `subscribe` and `add_line`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.tables = Tables()
        self.broker = Broker(self.clock)
        self.partner_center = PartnerCenter(self.clock)
        self.transitions = Transitions(self.partner_center, self.clock)
        self.migrations = Migrations(self.partner_center, self.clock)
        self.listings = Listings(self.partner_center, self.clock)
        self.policy = SyncPolicy()
        self.keep = Keep()
        self.autotask = Autotask(self.clock)
        self.tickets = Tickets(self.clock)
        self.ticketing = TicketPolicy()
        self.autotask.add_company(Company(1, "Customer", active=True))
        self.autotask.add_service(
            Service(SERVICE, "Business Standard", 2, active=True, unit_price=PRICE, unit_cost=COST)
        )
        self.autotask.add_service(
            Service(PREMIUM, "Business Premium", 2, active=True, unit_price=Decimal(22), unit_cost=Decimal("17.60"))
        )
        self.autotask.add_contract(Contract(CONTRACT, 1, "CSP", 7, 2, 1, CONTRACT_START, CONTRACT_END))
        self.disturb: Disturbance | None = None  #: of every process that is started from now on
        self.started: list[Steps] = []
        self._ids = 0

    def subscribe(self, number: int, seats: int) -> str:
        """A subscription at Microsoft with open windows; its id."""
        identity = subscription_id(number)
        self.partner_center.add(CUSTOMER, nce(identity, seats, until=WINDOWS_OPEN_UNTIL))
        return identity

    def add_line(self, number: int, units: int) -> int:
        """A line of the contract with units since its start; its id."""
        line = line_id(number)
        self.autotask.add_line(ContractLine(line, CONTRACT, SERVICE, "", "", PRICE), units)
        return line

    def bundle(self) -> None:
        """Line 1 becomes part of a service bundle."""
        self.autotask.put_into_bundle(line_id(1))

    def hide_contract(self) -> None:
        """The API user does not see the contract any more."""
        self.autotask.hide_contract(CONTRACT)

    def start(self) -> Process:
        """A new process on the same stores, with nothing in memory."""
        steps = Steps(f"host-{len(self.started) + 1}", disturb=self.disturb)
        self.started.append(steps)
        store = cast("TableStore", Watched(self.tables, steps, "tables"))
        app = App(
            ledger=Ledger(store),
            bulks=Bulks(store),
            alarms=Alarms(store),
            coordination=Coordination(store),
            mappings=Mappings(store),
            views=ReadModels(store),
            partner_center=cast("PartnerCenterPort", Watched(self.partner_center, steps, "partner_center")),
            transitions=cast("TransitionsPort", Watched(self.transitions, steps, "transitions")),
            migrations=cast("MigrationsPort", Watched(self.migrations, steps, "migrations")),
            autotask=cast("AutotaskPort", Watched(self.autotask, steps, "autotask")),
            queue=cast("QueuePort", Watched(self.broker, steps, "queue")),
            times=times(),
            zone=ZONE,
            now=self.clock.now,
            new_id=self._new_id,
            sleep=self.clock.sleep,
            listings=cast("ListingsPort", Watched(self.listings, steps, "listings")),
            sync=SyncStores.on(store),
            records=Records(store),
            desk=Desk(store),
            tickets=cast("TicketsPort", Watched(self.tickets, steps, "tickets")),
            policy=self.policy,
            keep=self.keep,
            ticketing=self.ticketing,
        )
        return Process(app, steps)

    def bury(self, process: Process) -> None:
        """The process is dead: its locks are renewed no more, its leases run out by themselves."""
        process.steps.die()
        self.broker.holder_died(process.name)

    async def run(self, process: Process, job: Callable[[App], Awaitable[T]]) -> T | None:
        """Let a process do something; None where it was killed meanwhile."""
        try:
            answer = await job(process.app)
        except Killed:
            self.bury(process)
            return None
        process.steps.end()
        return answer

    async def deliver_one(self, process: Process, message: Message) -> None:
        """What the functions host does with a delivery: complete it on return, abandon it on an exception."""
        try:
            await deliver(process.app, message.delivery)
            process.steps.end()
        except Killed:
            self.bury(process)
        except Exception:  # noqa: BLE001 - so does the host, whatever a function raises
            self.broker.abandon(message)
        else:
            if not process.steps.dead:
                self.broker.complete(message)

    async def run_until_quiet(self, process: Process | None = None) -> Process:
        """Deliver, wake and let time pass until no message and no alarm is left; a dead process is followed by another.

        Raises NeverQuietError.
        """
        process = process or self.start()
        for _ in range(_ROUNDS):
            if process.steps.dead:
                process = self.start()
            if not await self.turn(process):
                return process
        raise NeverQuietError(self.describe())

    async def turn(self, process: Process) -> bool:
        """One delivery, one wake, or the time until something happens; False where no message and no alarm is left."""
        message = self.broker.receive(process.name)
        if message is not None:
            await self.deliver_one(process, message)
            return True
        if self._alarm_due():
            await self.run(process, wake)
            if self._alarm_due() and not process.steps.dead:
                self.clock.advance(timedelta(seconds=30))  # the timer's own interval
            return True
        moment = self.next_moment()
        if moment is not None:
            self.clock.advance(max(moment - self.clock.now(), _TICK))
        return moment is not None

    def next_moment(self) -> datetime | None:
        """When something happens next by itself: an alarm, the end of a dead host's lock, an effect under way."""
        moments = [
            self.broker.next_unlock(),
            self.partner_center.next_effect(),
            self.autotask.next_effect(),
            *self.alarms(),
        ]
        return min((moment for moment in moments if moment is not None), default=None)

    def alarms(self) -> list[datetime]:
        """When the alarms are due."""
        return [datetime.fromisoformat(text_of(row.values, "due")) for row in self.tables.rows("alarms")]

    def operations(self) -> list[Operation]:
        """Every operation in the ledger."""
        return [from_row(Operation, row).value for row in self.tables.rows("ledger") if row.key.startswith("O:")]

    def describe(self) -> str:
        """The state in a few lines, for a failure's message."""
        lines = [f"now {self.clock.now().isoformat()}, {self.broker.waiting()} messages"]
        for operation in self.operations():
            where = f"{operation.address.subscription[-2:]}#{operation.address.sequence} {operation.kind}"
            legs = [f"{leg.line}: {leg.status} {leg.reason.code if leg.reason else ''}" for leg in operation.legs]
            lines.append(
                f"{where} {operation.status}, at Microsoft {operation.partner_center.status}, legs {legs},"
                f" attempt {operation.attempt}, alarm {operation.alarm_due}"
            )
        lines += [f"alarm {row.key}" for row in self.tables.rows("alarms")]
        for item in self.autotask.log:
            adjustment = item.adjustment
            change = f"{adjustment.date} {adjustment.change:+d} at {adjustment.price}, {adjustment.cost}"
            lines.append(f"{item.at:%m-%d %H:%M:%S} line {item.line} {change} {item.source}")
        lines += [f"{item.at:%m-%d %H:%M:%S} {item.before} -> {item.after}" for item in self.partner_center.effects]
        return "\n".join(lines)

    def _alarm_due(self) -> bool:
        return any(due <= self.clock.now() for due in self.alarms())

    def _new_id(self) -> str:
        self._ids += 1
        return f"00000000-0000-4000-8000-{self._ids:012x}"
