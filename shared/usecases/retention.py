"""Retention: remove what the configuration says may go, never what is open, dead or still billed (docs/adr/0044).

    grants' changes ─▶ ended syncs ─▶ what could not be read ─▶ bulks ─▶ customer by customer, until the budget ends
                                                                          ▲ a fact says where the next run goes on

Each removal is one transaction under the etags that it was decided by, so that a run may die anywhere: the next one
decides anew from what is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared import telemetry
from shared.domain.bulk import Bulk
from shared.domain.errors import CspError, Misconfigured, RetryLater
from shared.domain.line import Line
from shared.domain.operation import Operation
from shared.domain.retention import Needed, may_go, too_young
from shared.storage import keys
from shared.storage.indexes import UnreadableEntry
from shared.storage.ledger import Head
from shared.storage.records import OldChange
from shared.storage.rows import Stored, from_row
from shared.usecases.app import App

log = logging.getLogger(__name__)

_PROGRESS = "retention"  # the fact: the last customer that was looked through, empty where all were
_OPERATIONS = 200  # of a subscription looked at together
_SUBSCRIPTIONS = 8  # of a customer looked at at once
_PAGE = 100


@dataclass
class Pruned:
    """What a run removed, by kind; `complete` where it has looked at everything since the last round began."""

    counts: Counter[str] = field(default_factory=Counter)
    complete: bool = False


async def prune(app: App) -> Pruned:
    """Remove what may go, for one budget. Raises RetryLater or Misconfigured where storage is away."""
    pruned = Pruned()
    stop_at = app.now() + app.keep.budget
    await _grant_changes(app, pruned)
    await _sync_runs(app, pruned)
    await _unreadable(app, pruned)
    await _bulks(app, pruned, stop_at)
    await _customers(app, pruned, stop_at)
    return pruned


async def _grant_changes(app: App, pruned: Pruned) -> None:
    """The last change of each caller stays: it says who gave the grant that holds."""
    before = app.keep.history_before(app.now(), app.times.idempotency)
    if before is None:
        return
    last: OldChange | None = None
    after = ""
    while changes := await app.records.grant_changes(after):
        paired = zip([last, *changes], changes, strict=False)
        old = [one for one, newer in paired if one and one.caller == newer.caller and one.change.at < before]
        pruned.counts["grant_changes"] += await app.records.forget_changes(old)
        last, after = changes[-1], changes[-1].row.key


async def _sync_runs(app: App, pruned: Pruned) -> None:
    before = app.keep.records_before(app.now(), app.times.idempotency)
    for run in (await app.sync.runs.ended())[1:]:  # the newest stays, so that somebody sees how the last one ended
        if run.started_at < before:
            await app.sync.runs.forget_run(run.id)
            pruned.counts["sync_runs"] += 1


async def _unreadable(app: App, pruned: Pruned) -> None:
    """What could not be understood stays while Partner Center lists its customer: it may still be so."""
    before = app.keep.records_before(app.now(), app.times.idempotency)
    continuation: str | None = None
    while True:
        entries, continuation = await app.sync.indexes.unreadable(None, _PAGE, continuation)
        for customer in {entry.customer for entry in entries if entry.seen_at < before}:
            if not await _listed(app, customer):
                await app.sync.indexes.exchange_unreadable(customer, list[UnreadableEntry]())
                pruned.counts["unreadable"] += sum(entry.customer == customer for entry in entries)
        if continuation is None:
            return


async def _listed(app: App, customer: str) -> bool:
    row = await app.views.customer(customer)
    return row is not None and row.value.missing_since is None


async def _bulks(app: App, pruned: Pruned, stop_at: datetime) -> None:
    now = app.now()
    before = app.keep.records_before(now, app.times.idempotency)
    pruned.counts["idempotency_keys"] += await app.records.forget_keys(keys.BULKS, now)
    continuation: str | None = None
    while app.now() < stop_at:
        rows, continuation = await app.records.bulks(_PAGE, continuation)
        for stored in (from_row(Bulk, row) for row in rows):
            bulk = stored.value
            if bulk.finished_at is None or bulk.finished_at >= before:
                continue
            await app.bulks.remove_items(bulk.id)  # the bulk last: its row is how the items are found
            pruned.counts["bulks"] += await app.records.forget_bulk(bulk.id, stored.etag)
        if continuation is None:
            return


async def _customers(app: App, pruned: Pruned, stop_at: datetime) -> None:
    customer = await app.records.customer_after(await app.coordination.fact(_PROGRESS))
    while customer is not None:
        if app.now() >= stop_at:
            return
        try:
            pruned.counts.update(await prune_customer(app, customer))
        except (RetryLater, Misconfigured):
            raise
        except (CspError, ValueError) as error:  # one customer's rows that cannot be read keep no other from its turn
            pruned.counts["failed"] += 1
            telemetry.tell(log, "retention_failed", level=logging.ERROR, error=error, customer=customer)
        await app.coordination.remember(_PROGRESS, customer)
        customer = await app.records.customer_after(customer)
    await app.coordination.remember(_PROGRESS, "")
    pruned.complete = True


async def prune_customer(app: App, customer: str) -> Counter[str]:
    """Remove what may go of one customer; says how much of each kind. Raises RetryLater, Misconfigured."""
    now = app.now()
    counts = Counter({"idempotency_keys": await app.records.forget_keys(customer, now)})
    before = app.keep.history_before(now, app.times.idempotency)
    if before is None:
        return counts
    heads, lines, mapped = await asyncio.gather(
        app.ledger.heads(customer), app.records.lines(customer), app.mappings.mapped_of(customer)
    )
    gate = asyncio.Semaphore(_SUBSCRIPTIONS)

    async def one(head: Head) -> int:
        mapping = mapped.get(head.subscription)
        mine = [stored.value for stored in lines if stored.value.subscription == head.subscription]
        made_by = frozenset({mapping.since_sequence} if mapping else ())
        needed = needed_of(head, mine, made_by, frozenset({mapping.line} if mapping else ()))
        async with gate:
            return await _operations(app, customer, head.subscription, needed, before)

    counts["operations"] += sum(await asyncio.gather(*(one(head.value) for head in heads.values())))
    billed = {mapping.line for mapping in mapped.values()}
    for stored in lines:
        if stored.value.line not in billed:
            counts["lines"] += await _line(app, stored, before)
    return counts


def needed_of(head: Head, lines: Iterable[Line], made_by: frozenset[int], mapped: frozenset[int]) -> Needed:
    """What the head, the lines and the mapping of a subscription refer to.

    Operations since the facts were noted explain differences at Microsoft, and the last operation shows who came last.
    """
    named = {*head.unplaced, *made_by, *([head.open_sequence] if head.open_sequence else [])}
    for line in lines:
        named.update((*line.unsettled, *line.reviews, *(line.intent.operations if line.intent else ())))
    return Needed(min(head.next_sequence - 1, head.facts_at), frozenset(named), mapped)


async def _operations(app: App, customer: str, subscription: str, needed: Needed, before: datetime) -> int:
    removed, after = 0, 0
    while after + 1 < needed.since:
        found = await app.ledger.operations(customer, subscription, after=after, limit=_OPERATIONS)
        old = [stored for stored in found if not too_young(stored.value, before)]
        etags = {stored.value.address: stored.etag for stored in old}
        operations = [stored.value for stored in old]
        leaders = await _followed_by_others(app, operations)
        for operation in may_go(operations, needed.and_also(leaders), before):
            events = await app.ledger.events(operation.address)
            if all(event.at < before for event in events):
                removed += await app.records.forget_operation(
                    operation.address, etags[operation.address], operation.events
                )
        if len(old) < _OPERATIONS:
            break
        after = old[-1].value.address.sequence
    return removed


async def _followed_by_others(app: App, operations: list[Operation]) -> frozenset[int]:
    """Those whose follower is there, but not among these."""
    here = {operation.address.sequence for operation in operations}
    leaders = {one.followed_by: one.address for one in operations if one.followed_by and one.followed_by not in here}
    there = [
        address.sequence
        for follower, address in leaders.items()
        if await app.ledger.operation(replace(address, sequence=follower)) is not None
    ]
    return frozenset(there)


async def _line(app: App, stored: Stored[Line], before: datetime) -> int:
    """A line goes where no mapping and no operation refers to it any more, and nothing was sent to it for long."""
    line = stored.value
    if line.intent is not None or line.unsettled or line.reviews:
        return 0
    if line.last_effect is not None and line.last_effect >= before:
        return 0
    if await app.mappings.owner(line.line) is not None:
        return 0
    for found in await app.ledger.operations(line.customer, line.subscription):
        if any(leg.line == line.line for leg in found.value.legs):
            return 0
    return await app.records.forget_line(stored)
