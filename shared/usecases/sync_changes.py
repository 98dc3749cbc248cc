"""The incremental sync: audit records since the last time, and only the customers that they newly mention (ADR 0017).

Audit records are asked for by whole days and may appear late, so the window goes back a day; a record that was handled
before is known by its mark and causes no reading. Where the last time is older than Microsoft keeps audit records, a
full sync is started instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from shared import telemetry
from shared.domain.errors import CspError, Denied, Misconfigured, NotFound, RetryLater, VendorError
from shared.domain.listings import AuditRecord, Mark
from shared.domain.sync_run import Listed
from shared.storage.audit_cursor import AuditCursor, mark_of
from shared.storage.hints import Hint
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.closed import keep_problem
from shared.usecases.look import Reading, look
from shared.usecases.pace import Pace, TooFar
from shared.usecases.sync_full import begin

log = logging.getLogger(__name__)

# Records of these say nothing about a customer's subscriptions; whatever is not named here may (reference 13.3)
_NO_MATTER = frozenset(
    {"customer_user", "customer_user_credentials", "customer_directory_role", "application", "referral", "support"}
)
_DAY = timedelta(days=1)


@dataclass
class _Mentioned:
    """A customer that new records mention, with the newest record of each of its subscriptions."""

    name: str
    records: list[AuditRecord] = field(default_factory=list)

    def by_subscription(self) -> Mapping[str, AuditRecord]:
        """The newest record of each subscription."""
        newest: dict[str, AuditRecord] = {}
        for record in sorted(self.records, key=lambda one: one.at.timestamp() if one.at else 0):
            if record.subscription:
                newest[record.subscription] = record
        return newest


async def sync_changes(app: App) -> AuditCursor | None:
    """Read what the audit records mention. None where somebody else is at it, or a full sync does it instead.

    Raises RetryLater where storage is away.
    """
    cursor = await app.sync.audit.read()
    now = app.listings.microsoft_now()
    if cursor is None or _too_old(app, cursor.value, now):
        await _start_over(app, cursor, now)
        return None
    held = await _take(app, cursor)
    if held is None:
        return None
    pace = Pace(app)
    try:
        ended = await _run(app, held.value, pace)
    except TooFar as error:
        ended = replace(held.value, problem=f"Partner Center asked us to slow down until {error.until.isoformat()}")
    finally:
        await pace.close()
    await app.sync.audit.save(Stored(replace(ended, owner="", expires=None, ran_at=app.now()), held.etag))
    return ended


def _too_old(app: App, cursor: AuditCursor, now: datetime) -> bool:
    return now - cursor.until > app.policy.retention - app.policy.overlap - _DAY


async def _start_over(app: App, cursor: Stored[AuditCursor] | None, now: datetime) -> None:
    """The gap cannot be closed from audit records: a full sync reads everything, and from now on they count again."""
    await begin(app, "audit_gap", "csp-functions")
    start = AuditCursor(until=now, ran_at=app.now())
    await app.sync.audit.save(Stored(start, cursor.etag if cursor else None))


async def _take(app: App, cursor: Stored[AuditCursor]) -> Stored[AuditCursor] | None:
    now = app.now()
    if cursor.value.expires is not None and now < cursor.value.expires:
        return None
    return await app.sync.audit.save(
        Stored(
            replace(cursor.value, owner=app.new_id(), expires=now + app.policy.budget + app.times.lease), cursor.etag
        )
    )


async def _run(app: App, cursor: AuditCursor, pace: Pace) -> AuditCursor:
    now = app.listings.microsoft_now()
    first = (cursor.until - app.policy.overlap).date()
    last = (now + app.policy.overlap / 24).date()  # our clock may be a little behind Microsoft's
    handled = await app.sync.audit.handled(first.isoformat(), last.isoformat())
    fresh = replace(cursor, records=0, customers=0, detected=0, failed=0, problem="")
    try:
        records, seen_at = await _records(app, pace, first, last, handled)
    except (RetryLater, Misconfigured) as error:
        return replace(fresh, problem=str(error))
    mentioned = _mentioned(records)
    stop_at = app.now() + app.policy.budget
    counts = await _read_all(app, pace, mentioned, stop_at)
    unhandled = {record.id for customer in counts.failed for record in mentioned[customer].records}
    await _note(app, [record for record in records if record.id not in unhandled], now)
    await app.sync.audit.forget_handled((first - _DAY).isoformat())
    left = [record.at for record in records if record.id in unhandled and record.at is not None]
    return replace(
        fresh,
        until=min([seen_at or now, *left]),
        records=len(records),
        customers=len(mentioned) - len(counts.failed),
        detected=counts.detected,
        failed=len(counts.failed),
        problem=counts.problem,
    )


async def _records(
    app: App, pace: Pace, first: date, last: date, handled: set[str]
) -> tuple[list[AuditRecord], datetime | None]:
    """The records that nobody has handled, and Microsoft's clock when the first page was answered."""
    found: dict[str, AuditRecord] = {}
    seen_at: datetime | None = None
    mark: Mark | None = None
    while True:
        await pace.turn()
        page = await app.listings.audit(first, last, mark)
        seen_at = seen_at or page.observed_at
        for record in page.records:
            if mark_of(record.id, record.status) not in handled:
                found[record.id] = record
        if page.following is None or page.following == mark:
            return list(found.values()), seen_at
        mark = page.following


def _mentioned(records: list[AuditRecord]) -> dict[str, _Mentioned]:
    mentioned: dict[str, _Mentioned] = {}
    for record in records:
        if record.customer and record.status != "failed" and record.resource not in _NO_MATTER:
            mentioned.setdefault(record.customer, _Mentioned(record.customer_name)).records.append(record)
    return mentioned


@dataclass
class _Counts:
    detected: int = 0
    failed: set[str] = field(default_factory=set)
    problem: str = ""


async def _read_all(app: App, pace: Pace, mentioned: Mapping[str, _Mentioned], stop_at: datetime) -> _Counts:
    counts = _Counts()
    customers = iter(mentioned.items())

    async def work() -> None:
        for customer, about in customers:
            if counts.problem or app.now() >= stop_at:
                counts.failed.add(customer)
                continue
            try:
                counts.detected += await _read_one(app, pace, customer, about)
            except TooFar as error:
                counts.failed.add(customer)
                counts.problem = str(error)
            except (Denied, VendorError) as error:
                await keep_problem(app, Listed(customer, about.name, ""), "access_denied", str(error))
            except Misconfigured as error:
                counts.failed.add(customer)
                counts.problem = error.reason
            except CspError as error:
                counts.failed.add(customer)
                telemetry.tell(log, "customer_later", level=logging.WARNING, error=error, customer=customer)
            except Exception as error:  # noqa: BLE001 - one customer's trouble keeps no other from being read
                counts.failed.add(customer)
                telemetry.tell(log, "customer_not_looked_at", level=logging.ERROR, error=error, customer=customer)

    await asyncio.gather(*(work() for _ in range(app.policy.at_once)))
    return counts


async def _read_one(app: App, pace: Pace, customer: str, about: _Mentioned) -> int:
    heads = await app.ledger.heads(customer)
    await pace.turn()
    asked_at = app.now()
    try:
        listing = await app.listings.subscriptions(customer)
    except NotFound:
        sentence = "Partner Center knows no relationship with this customer."
        await keep_problem(app, Listed(customer, about.name, ""), "no_relationship", sentence)
        return 0
    except RetryLater as error:
        if error.after is not None:
            await pace.slow_down(error.after)
        raise
    known = await app.views.customer(customer)
    reading = Reading(
        customer,
        listing.items(),
        asked_at,
        listing.observed_at,
        heads=heads,
        name=None if known else about.name,  # the list of customers knows the name better, and the domain
        records=about.by_subscription(),
    )
    looked = await look(app, reading)
    if looked.left:  # the tick comes back to it, and if that is too early the next full sync
        await app.sync.hints.put(Hint(customer, "", "left_over", listing.observed_at, app.now()))
    return len(looked.operations)


async def _note(app: App, records: list[AuditRecord], now: datetime) -> None:
    """Note records as handled, by their days."""
    days: dict[str, list[str]] = {}
    for record in records:
        day = (record.at or now).date().isoformat()
        days.setdefault(day, []).append(mark_of(record.id, record.status))
    for day, marks in days.items():
        await app.sync.audit.add_handled(day, marks)
