"""The pusher: whoever finds the lease free drains everything that is due, its own operation first (design 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.errors import Misconfigured, RetryLater
from shared.domain.operation import PUSHABLE, Address, Operation, Reason
from shared.storage import keys
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.converge import converge
from shared.usecases.lease import Held, LeaseLost
from shared.usecases.work import Delivered, LineKey, load, wait

MAX_LINES = 100
_SCAN = 200
_ALONE_FROM = 2  # lines whose push was begun this often without an end are worked on by themselves


@dataclass(slots=True)
class Drain:
    """What one push has looked at already, and the deliveries that it was called with."""

    deliveries: dict[Address, Delivered] = field(default_factory=dict)
    seen: set[Address] = field(default_factory=set)


async def push(app: App, own: Address, *, delivered: Delivered | None = None) -> bool:
    """Push an operation's lines and everything else that is due. Says whether this call was the pusher."""
    drain = Drain()
    if delivered is not None:
        drain.deliveries[own] = delivered
    worked = False
    batch = await _own(app, own)
    stop = await app.coordination.stopped_until("autotask")
    if batch and stop is not None and stop[0] > app.now():
        lines = [line for group in _groups(batch) for line in group]
        await _sleep(app, lines, stop[0], Reason("autotask_stopped", stop[1]))
        return False
    while batch:
        held = await Held.take(app)
        if held is None:
            return worked  # the operation keeps its alarm, and the pusher at work comes to it
        worked = True
        try:
            if not await _drain(app, held, drain, batch):
                return worked
        except LeaseLost:
            return worked
        finally:
            await held.release()
        # An operation whose message found the lease taken just before the release is found here.
        batch = await _due(app, drain)
    return worked


async def _drain(app: App, held: Held, drain: Drain, batch: list[Stored[Operation]]) -> bool:
    """Converge what is due until nothing is; False where Autotask wants to be left alone."""
    stop_at = app.now() + app.times.push_budget
    while batch and app.now() < stop_at:
        drain.seen.update(stored.value.address for stored in batch)
        for lines in _groups(batch):
            await held.outlive(app.now() + app.times.autotask_timeout)
            try:
                await converge(app, held, lines, drain.deliveries)
            except (RetryLater, Misconfigured) as error:
                await _postpone(app, lines, error)
                return False
            if held.stopped is not None:
                return False
        batch = await _due(app, drain)
    return True


async def _own(app: App, own: Address) -> list[Stored[Operation]]:
    stored = await app.ledger.operation(own)
    return [stored] if stored is not None and _due_now(app, stored.value) else []


async def _due(app: App, drain: Drain) -> list[Stored[Operation]]:
    """Operations with an alarm near enough, that may be pushed now."""
    now = app.now()
    alarms = await asyncio.gather(
        *(app.alarms.due(shard, now + app.times.outbox, limit=_SCAN) for shard in keys.ALARM_SHARDS)
    )
    addresses = {alarm.address for shard in alarms for alarm in shard if alarm.ready <= now or alarm.due <= now}
    found = await asyncio.gather(
        *(app.ledger.operation(address) for address in sorted(addresses - drain.seen, key=str))
    )
    return [stored for stored in found if stored is not None and _due_now(app, stored.value)][:MAX_LINES]


def _due_now(app: App, operation: Operation) -> bool:
    now = app.now()
    return operation.pushable and any(
        leg.status in PUSHABLE and (leg.retry_at is None or leg.retry_at <= now) for leg in operation.legs
    )


def _groups(batch: Iterable[Stored[Operation]]) -> list[list[LineKey]]:
    """The lines to converge: together, but those that were begun in vain before each by itself.

    Two lines of one subscription share its operations' rows and are never worked on side by side.
    """
    together: list[dict[tuple[str, str], LineKey]] = [{}]
    alone: dict[LineKey, None] = {}
    for stored in batch:
        address = stored.value.address
        for leg in stored.value.legs:
            if leg.status in PUSHABLE:
                key = LineKey(address.customer, address.subscription, leg.contract, leg.line)
                if leg.started >= _ALONE_FROM:
                    alone[key] = None
                else:
                    _put(together, key)
    groups = [[key for key in group.values() if key not in alone] for group in together]
    return [*(group for group in groups if group), *([key] for key in alone)]


def _put(groups: list[dict[tuple[str, str], LineKey]], key: LineKey) -> None:
    owner = (key.customer, key.subscription)
    for group in groups:
        if group.get(owner) == key:
            return
        if owner not in group and len(group) < MAX_LINES:
            group[owner] = key
            return
    groups.append({owner: key})


async def _postpone(app: App, lines: Iterable[LineKey], error: RetryLater | Misconfigured) -> None:
    """Autotask cannot be read: every operation of these lines waits, and nobody hammers meanwhile."""
    now = app.now()
    if isinstance(error, Misconfigured):
        until: datetime | None = now + app.times.misconfigured
        reason = Reason("misconfigured", f"Autotask does not let us in: {error.reason}", "Correct the settings.")
        await app.coordination.stop("autotask", now + app.times.misconfigured, error.reason)
    else:
        until = now + error.after if error.after else None
        reason = Reason("autotask_unavailable", f"Autotask does not answer: {error.reason}")
        if until is not None:
            await app.coordination.stop("autotask", until, error.reason)
    await _sleep(app, lines, until, reason)


async def _sleep(app: App, lines: Iterable[LineKey], until: datetime | None, reason: Reason) -> None:
    for key in lines:
        work = await load(app, key)
        if work is not None:
            try:
                await wait(app, work, until, reason)
            except WriteConflict:
                continue
