"""What the use cases work with: the repositories, the ports, the clock and the times, in one frozen value.

`shared.wiring` builds it for the cloud and the laptop; the crash tests build it on fakes.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from shared.domain.calendar import business_date
from shared.domain.retention import Keep
from shared.domain.tickets import NO_TICKETS, TicketPolicy
from shared.messaging.envelope import BrokerMessage
from shared.ports import AutotaskPort, ListingsPort, MigrationsPort, PartnerCenterPort, TicketsPort, TransitionsPort
from shared.storage.alarms import Alarms
from shared.storage.audit_cursor import AuditCursors
from shared.storage.bulks import Bulks
from shared.storage.coordination import Coordination
from shared.storage.desk import Desk
from shared.storage.hints import Hints
from shared.storage.indexes import Indexes
from shared.storage.ledger import Ledger
from shared.storage.mappings import Mappings
from shared.storage.rates import Rates
from shared.storage.read_models import ReadModels
from shared.storage.records import Records
from shared.storage.store import TableStore
from shared.storage.sync_runs import SyncRuns
from shared.storage.touched import Touched


class QueuePort(Protocol):
    """The queue and its dead-letter queue."""

    async def send(self, identifier: str, body: bytes) -> None:
        """Send one message. Raises RetryLater."""

    async def dead_letters(self, limit: int, *, after: int = 0) -> list[BrokerMessage]:
        """Peek at the dead letters that follow a sequence number. Raises RetryLater."""

    async def sweep(self, remove: Callable[[BrokerMessage], Awaitable[bool]], *, through: int) -> int:
        """Remove the dead letters up to a sequence number that `remove` names. Raises RetryLater."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long things take and may take (docs/configuration.md)."""

    settle: timedelta
    autotask_timeout: timedelta
    partner_timeout: timedelta
    partner_settle: timedelta
    partner_give_up: timedelta
    lease: timedelta
    outbox: timedelta
    retry: timedelta
    retry_max: timedelta
    push_budget: timedelta
    idempotency: timedelta
    accept: timedelta = timedelta(seconds=30)
    orphan: timedelta = timedelta(minutes=10)
    misconfigured: timedelta = timedelta(minutes=5)
    change_working: timedelta = timedelta(hours=2)
    upgrade_working: timedelta = timedelta(hours=24)
    migration_working: timedelta = timedelta(hours=80)
    wake_budget: timedelta = timedelta(seconds=60)

    @property
    def call(self) -> timedelta:
        """After what time the alarm looks at a call that begins now: the caller learns of its end before."""
        return max(self.outbox, self.partner_timeout * 1.2)

    def backoff(self, retries: int) -> timedelta:
        """The wait before a further try: doubled each time up to the maximum, with a fifth of jitter."""
        return self.jittered(min(self.retry * (1 << min(retries, 16)), self.retry_max))

    def jittered(self, wait: timedelta) -> timedelta:
        """A wait that is up to a fifth longer by chance, so that what waits together does not wake together."""
        return wait * (1 + random.random() / 5)  # noqa: S311 - jitter is no secret


@dataclass(frozen=True, slots=True)
class SyncPolicy:
    """How a sync treats Partner Center and what it finds (docs/configuration.md).

    `detected` is push or hold; `budget` is how long one timer run works, `per_minute` all instances' requests together.
    """

    per_minute: float = 360
    at_once: int = 5
    budget: timedelta = timedelta(minutes=4)
    block: timedelta = timedelta(seconds=5)
    checkpoint: timedelta = timedelta(seconds=15)
    overlap: timedelta = timedelta(days=1)
    retention: timedelta = timedelta(days=90)
    detected: str = "push"


@dataclass(frozen=True, slots=True)
class SyncStores:
    """The repositories that only a sync uses."""

    runs: SyncRuns
    rates: Rates
    touched: Touched
    indexes: Indexes
    audit: AuditCursors
    hints: Hints

    @classmethod
    def on(cls, store: TableStore) -> SyncStores:
        """All of them on one store."""
        return cls(SyncRuns(store), Rates(store), Touched(store), Indexes(store), AuditCursors(store), Hints(store))


@dataclass(frozen=True, slots=True)
class App:
    """Everything a use case may need."""

    ledger: Ledger
    bulks: Bulks
    alarms: Alarms
    coordination: Coordination
    mappings: Mappings
    views: ReadModels
    partner_center: PartnerCenterPort
    transitions: TransitionsPort
    migrations: MigrationsPort
    autotask: AutotaskPort
    queue: QueuePort
    times: Times
    zone: ZoneInfo
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    sleep: Callable[[float], Awaitable[None]]
    listings: ListingsPort
    sync: SyncStores
    records: Records
    desk: Desk
    tickets: TicketsPort
    policy: SyncPolicy = SyncPolicy()
    keep: Keep = field(default_factory=Keep)
    budget_percent: float = 60.0  # of the tenant's requests: where pushes stop
    ticketing: TicketPolicy = NO_TICKETS

    def business_date(self, moment: datetime) -> date:
        """The partner's calendar day of a moment."""
        return business_date(moment, self.zone)
