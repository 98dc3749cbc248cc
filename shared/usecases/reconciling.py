"""The reconciliation: read all mapped lines in bundles and say which are not billed as they should be.

A run is a job of the desk: page after page of the mappings, each read from Autotask at once. Doing a page twice finds
the same; what a run did not find any more is forgotten when it ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from shared import telemetry
from shared.domain.billing import billed_units
from shared.domain.errors import Malformed
from shared.domain.reconciliation import Compared, Finding, Mover, Reconciliation, judge, settled
from shared.storage.mappings import SubscriptionMapping
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.badges import open_operations
from shared.usecases.desk_work import job_id
from shared.usecases.long_work import Claim, Next
from shared.usecases.outlook import LINES_A_READING, LineOutlook, ReadLine, read_lines_of
from shared.usecases.work import LineKey

log = logging.getLogger(__name__)


_NEWEST = "reconciliation"  # the fact that names the newest run
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A line that cannot be judged yet: something of ours may still be under way."""


async def start(app: App, caller: str) -> Reconciliation:
    """Start a run; one that is not over yet is given instead."""
    newest = await newest_run(app)
    if newest is not None and newest.finished_at is None:
        return newest
    now = app.now()
    job = Reconciliation(
        id=job_id(f"{_NEWEST}:{now:%Y%m%dT%H%M%S}"), requested_at=now, requested_by=caller, alarm_due=now
    )
    await app.alarms.set(job.address, job.alarm_due)
    try:
        await app.desk.add(job)
    except WriteConflict:
        job = (await newest_run(app)) or job  # somebody else started it in the same second
    await app.coordination.remember(_NEWEST, job.id)
    return job


async def newest_run(app: App) -> Reconciliation | None:
    """The run that was started last."""
    identity = await app.coordination.fact(_NEWEST)
    stored = await app.desk.job_of(Reconciliation, identity) if identity else None
    return stored.value if stored else None


async def reconcile_some(app: App, claim: Claim[Reconciliation]) -> Next:
    """One stint: page after page until all mappings are done or time is over."""
    while app.now() < claim.stop_at:
        mappings, following = await app.mappings.subscriptions(LINES_A_READING, claim.work.cursor or None)
        done = await _page(app, claim.work, mappings)
        await claim.save(replace(done, cursor=following or ""))
        if following is None:
            await _forget_others(app, claim.work.id)
            _tell(claim.work)
            return None
    return app.now()


async def _page(app: App, run: Reconciliation, mappings: Sequence[SubscriptionMapping]) -> Reconciliation:
    keys = [LineKey(one.customer, one.subscription, one.contract, one.line) for one in mappings]
    read = await _read(app, keys)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(key: LineKey, mapping: SubscriptionMapping) -> Finding | Unsettled | None:
        async with gate:
            found = await _judged(app, run.id, mapping, read[key])
            if isinstance(found, Finding):
                await app.desk.put_finding(found)
            elif found is None:
                await app.desk.drop_finding(mapping.customer, mapping.line)
            return found

    results = await asyncio.gather(*(one(key, mapping) for key, mapping in zip(keys, mappings, strict=True)))
    counted = replace(run, lines=run.lines + len(mappings), readings=run.readings + 1)
    for result in results:
        counted = _counted(counted, result)
    return counted


async def _read(app: App, keys: Sequence[LineKey]) -> Mapping[LineKey, ReadLine | LineOutlook]:
    """Read lines at once; where something cannot be understood, line by line."""
    try:
        return await read_lines_of(app, keys)
    except Malformed as error:
        if len(keys) == 1:
            return {keys[0]: LineOutlook(keys[0], problem="unreadable", sentence=str(error))}
        found: dict[LineKey, ReadLine | LineOutlook] = {}
        for key in keys:
            found |= await _read(app, [key])
        return found


async def _judged(
    app: App,
    run: str,
    mapping: SubscriptionMapping,
    found: ReadLine | LineOutlook,
) -> Finding | Unsettled | None:
    """A finding, None where all is well."""
    now = app.now()
    if isinstance(found, LineOutlook):
        return _unreadable(mapping, found, now, run)
    if not settled(found.line, now, app.times.settle):
        return Unsettled()
    return judge(await _compared(app, mapping, found), found_at=now, run=run)


async def _compared(app: App, mapping: SubscriptionMapping, found: ReadLine) -> Compared:
    """A line with what it is compared with."""
    waiting = await open_operations(app, mapping.customer, mapping.subscription)
    return Compared(
        line=found.line,
        reading=found.reading,
        window=found.window,
        calendar=found.contract.calendar,
        contract_name=found.contract.name,
        seats=await seats_of(app, mapping),
        waiting=tuple(str(one.address) for one in waiting),
        today=app.business_date(app.now()),
    )


async def seats_of(app: App, mapping: SubscriptionMapping) -> int | None:
    """The units that Microsoft's state stands for, as the ledger last knew it: by an operation or by a sync.

    None where it never did, or where another subscription has taken the place of this one.
    """
    head = (await app.ledger.head(mapping.customer, mapping.subscription)).value
    return billed_units(head.known, mapping.policy) if head.known is not None and not head.successor else None


def _unreadable(mapping: SubscriptionMapping, found: LineOutlook, now: datetime, run: str) -> Finding:
    return Finding(
        customer=mapping.customer,
        subscription=mapping.subscription,
        contract=mapping.contract,
        line=mapping.line,
        found_at=now,
        run=run,
        movers=(Mover.AUTOTASK,),
        sentence=found.sentence,
    )


def _counted(run: Reconciliation, result: Finding | Unsettled | None) -> Reconciliation:
    if isinstance(result, Unsettled):
        return replace(run, unsettled=run.unsettled + 1)
    if not isinstance(result, Finding):
        return run
    movers = dict(run.movers)
    for mover in result.movers:
        movers[mover.value] = movers.get(mover.value, 0) + 1
    money, once = result.monthly or Decimal(0), result.once or Decimal(0)
    return replace(
        run,
        findings=run.findings + 1,
        movers=movers,
        unpriced=run.unpriced + (result.monthly is None),
        too_much=run.too_much + max(money, Decimal(0)),
        too_little=run.too_little + max(-money, Decimal(0)),
        once_too_much=run.once_too_much + max(once, Decimal(0)),
        once_too_little=run.once_too_little + max(-once, Decimal(0)),
    )


async def _forget_others(app: App, run: str) -> None:
    """Forget findings about lines that this run did not meet: they are not mapped any more."""
    mark: str | None = None
    while True:
        findings, mark = await app.desk.findings(None, 200, mark)
        for finding in findings:
            if finding.run == run:
                continue
            mapping = await app.mappings.subscription(finding.customer, finding.subscription)
            if mapping is None or mapping.value.line != finding.line:
                await app.desk.drop_finding(finding.customer, finding.line)
        if mark is None:
            return


def _tell(run: Reconciliation) -> None:
    telemetry.tell(
        log,
        "reconciled",
        run=run.id,
        lines=run.lines,
        unsettled=run.unsettled,
        findings=run.findings,
        movers=dict(run.movers),
        too_much=str(run.too_much),
        too_little=str(run.too_little),
    )
