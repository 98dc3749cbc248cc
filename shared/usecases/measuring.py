"""The gauges: what is open, dead, used up and ready, read from the ledger so that it is right on any instance.

Reads are bounded (docs/adr/0034): alarms are the index of open operations, the list of dead letters that of dead ones.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sized
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared import metrics, telemetry
from shared.domain.errors import RetryLater
from shared.domain.operation import Address, Operation
from shared.storage import keys
from shared.usecases.app import App
from shared.usecases.readiness import readiness

_EVER = datetime(9999, 1, 1, tzinfo=UTC)
_ALARMS = 2_500  # per shard
_OPERATIONS = 1_000
_AT_ONCE = 16
_PAGE = 1_000
_PAGES = 5

OPEN = ("settling", "working", "pushing", "waiting")
NOT_READ = "not_read"  # open operations beyond those that one run looks at


@dataclass(frozen=True, slots=True)
class Backlog:
    """Open operations by status, the age of the oldest of them, and how many are dead."""

    open: dict[str, int] = field(default_factory=dict)
    oldest: timedelta = timedelta()
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement. What could not be read is None: no figure is better than a wrong one."""

    ready: dict[str, bool]
    backlog: Backlog | None
    drifted: int | None  # lines that the last reconciliation found to differ
    sync_age: timedelta | None  # None too before the first complete sync
    autotask_used: float | None  # part of the tenant's requests in the running hour


async def measure(app: App) -> Measured:
    """Read everything once. Raises nothing where a dependency is away; that is part of the measurement."""
    ready = await readiness(app)
    backlog: Backlog | None = None
    drifted: int | None = None
    synced: datetime | None = None
    with contextlib.suppress(RetryLater):
        backlog = await backlog_of(app)
        drifted = await _drifted(app)
        synced = (await app.sync.runs.state()).value.complete_since
    threshold = ready.threshold
    return Measured(
        ready={name: state.healthy for name, state in ready.states.items()},
        backlog=backlog,
        drifted=drifted,
        sync_age=max(app.now() - synced, timedelta()) if synced else None,
        autotask_used=threshold.used / threshold.limit if threshold and threshold.limit else None,
    )


def record(found: Measured) -> None:
    """Set the gauges."""
    for name, healthy in found.ready.items():
        telemetry.measure(metrics.READY, int(healthy), {"dependency": name})
    if found.backlog is not None:
        for status, count in found.backlog.open.items():
            telemetry.measure(metrics.OPEN_OPERATIONS, count, {"status": status})
        telemetry.measure(metrics.OLDEST_OPEN_AGE, found.backlog.oldest.total_seconds())
        telemetry.measure(metrics.DEAD_LETTERS, found.backlog.dead)
    if found.drifted is not None:
        telemetry.measure(metrics.DRIFTED_LINES, found.drifted)
    if found.sync_age is not None:
        telemetry.measure(metrics.SYNC_AGE, found.sync_age.total_seconds())
    if found.autotask_used is not None:
        telemetry.measure(metrics.AUTOTASK_BUDGET_USED, found.autotask_used)


async def backlog_of(app: App, *, most: int = _OPERATIONS) -> Backlog:
    """What is open and dead; at most so many operations are read, the others are counted. Raises RetryLater."""
    addresses = await _with_alarms(app)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(address: Address) -> Operation | None:
        async with gate:
            stored = await app.ledger.operation(address)
            return stored.value if stored is not None and not stored.value.at_rest else None

    found = await asyncio.gather(*(read(address) for address in addresses[:most]))
    opened = [operation for operation in found if operation is not None]
    counts = Counter(dict.fromkeys(OPEN, 0))
    counts.update(operation.status for operation in opened)
    if len(addresses) > most:
        counts[NOT_READ] = len(addresses) - most
    now = app.now()
    oldest = max((now - operation.requested_at for operation in opened), default=timedelta())
    return Backlog(dict(counts), max(oldest, timedelta()), await _dead(app))


async def _with_alarms(app: App) -> list[Address]:
    """The operations that have an alarm, those that have been due longest first."""
    shards = await asyncio.gather(*(app.alarms.due(shard, _EVER, limit=_ALARMS) for shard in keys.ALARM_SHARDS))
    alarms = sorted((alarm for found in shards for alarm in found), key=lambda alarm: alarm.due)
    return list(dict.fromkeys(alarm.address for alarm in alarms))


async def _dead(app: App) -> int:
    return await _counted(lambda mark: app.views.dead_letters({}, _PAGE, mark))


async def _drifted(app: App) -> int:
    return await _counted(lambda mark: app.desk.findings(None, _PAGE, mark))


async def _counted(page: Callable[[str | None], Awaitable[tuple[Sized, str | None]]]) -> int:
    """How many items some pages have, up to a bound beyond which the exact number tells nobody more."""
    count, mark = 0, None
    for _ in range(_PAGES):
        items, mark = await page(mark)
        count += len(items)
        if mark is None:
            break
    return count
