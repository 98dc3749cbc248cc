"""Work off an import of mappings: a worker claims it for one stint, and goes part by part through its rows.

    claim (alarm and row move on) ─▶ part: what is as it says ─▶ read ahead ─▶ four rows at once, stored ─▶ next part

A claim is the import's alarm, moved to when somebody else shall go on. Whatever is done twice is done once: a row that
was carried out is as it says.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared import telemetry
from shared.domain.errors import (
    Conflict,
    CspError,
    Denied,
    Malformed,
    Misconfigured,
    NotFound,
    OutcomeUnknown,
    Refused,
    RetryLater,
    VendorError,
)
from shared.domain.mapping_import import GIVE_UP, Import, Item, Part, RowStatus
from shared.domain.mapping_sheet import CustomerRow, ProductRow, SubscriptionRow
from shared.storage import keys
from shared.storage.alarms import ImportAlarm
from shared.storage.mappings import CustomerMapping, ProductMapping
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.import_rows import as_it_is, carry_out, column_of, foreseeing, try_out

log = logging.getLogger(__name__)

_ALARMS = 20
_AT_ONCE = 4  # Autotask takes three requests at once, and Partner Center is asked in between
_STINT = timedelta(seconds=20)  # of one run of the wake timer, which has other work too
_PASSES = frozenset({"operation_in_progress", "changed_meanwhile"})  # refusals that something else's end lifts


@dataclass(frozen=True, slots=True)
class _Pause:
    """A vendor is away or does not let us in: all rows wait."""

    until: datetime
    because: str


@dataclass(slots=True)
class _More:
    """What a dry run would have mapped by now."""

    customers: dict[str, CustomerMapping] = field(default_factory=dict)
    products: dict[str, ProductMapping] = field(default_factory=dict)
    owners: dict[int, tuple[str, str]] = field(default_factory=dict)

    def add(self, job: Import, items: Iterable[Item]) -> None:
        """Take in the rows that would be carried out."""
        for item in items:
            if item.status is not RowStatus.DONE:
                continue
            who = (job.requested_at, job.requested_by)
            match item.row:
                case CustomerRow(customer, company):
                    self.customers[customer] = CustomerMapping(customer, company, item.name, *who)
                case ProductRow(product, term, billing, service):
                    key = keys.mapping_product(product, term, billing)
                    self.products[key] = ProductMapping(product, term, billing, service, item.name, *who)
                case SubscriptionRow(customer, subscription) if item.line is not None:
                    self.owners[item.line] = (customer, subscription)
                case _:
                    continue


async def wake_imports(app: App) -> Counter[str]:
    """Work off the imports that are due, the longest waiting first. One failure does not stop the others."""
    counts: Counter[str] = Counter()
    stop_at = app.now() + _STINT
    for alarm in await app.alarms.due_imports(app.now(), limit=_ALARMS):
        if app.now() >= stop_at:
            break
        try:
            counts[await handle_import(app, alarm, stop_at)] += 1
        except WriteConflict:
            counts["conflict"] += 1  # somebody else is at it
        except Exception as error:  # noqa: BLE001 - one import that cannot be handled must not keep the others from waking
            counts["failed"] += 1
            level = logging.WARNING if isinstance(error, CspError) else logging.ERROR
            telemetry.tell(log, "import_failed", level=level, error=error, mapping_import=alarm.identity)
    return counts


async def handle_import(app: App, alarm: ImportAlarm, stop_at: datetime) -> str:
    """Do what one alarm's import needs."""
    imports = app.mappings.imports
    stored = await imports.get(alarm.identity)
    if stored is None:
        if app.now() > alarm.due + app.times.orphan:
            await imports.remove_parts(alarm.identity)
            await app.alarms.clear_import(alarm.identity, alarm.due)
        return "import_orphan"
    job = stored.value
    superseded = job.alarm_due != alarm.due and await app.alarms.import_exists(job.id, job.alarm_due)
    if superseded:
        await imports.save(stored)  # makes a mover late who has set this alarm and not stored it: none is lost
    if superseded or job.finished_at is not None:
        await app.alarms.clear_import(job.id, alarm.due)
        return "import_rest"
    await work_off_import(app, Stored(replace(job, alarm_due=alarm.due), stored.etag), stop_at)
    return "import"


async def work_off_import(app: App, stored: Stored[Import], stop_at: datetime) -> None:
    """Go part by part until nothing is due, time is over, or a vendor lets us go no further."""
    stored = await _look_again(app, stored, max(app.now(), stop_at) + _longest(app))
    worker = _Worker(app, stored.value, await _so_far(app, stored.value))
    due: datetime | None = None
    while stored.value.part < stored.value.parts:
        found = await app.mappings.imports.part(stored.value.id, stored.value.part)
        if found is None:
            raise Malformed(f"part {stored.value.part} of import {stored.value.id} is not there")
        part, pause = await worker.part(found, stop_at)
        stored = Stored(_paused(stored.value, pause), stored.etag)
        if not part.settled:
            due = max(part.next_moment(app.now()), pause.until if pause else app.now())
            break
        stored = await app.mappings.imports.save(Stored(stored.value.past(part), stored.etag))
        if app.now() >= stop_at and stored.value.part < stored.value.parts:
            due = app.now()
            break
    await _wait_or_rest(app, stored, due)


def _longest(app: App) -> timedelta:
    """The longest that the last rows of a stint may take: reading at both vendors, accepting, carrying out."""
    return app.times.accept + 3 * app.times.partner_timeout + 6 * app.times.autotask_timeout


def _paused(job: Import, pause: _Pause | None) -> Import:
    if pause is None:
        return replace(job, paused_until=None, paused_because="", pauses=0)
    return replace(job, paused_until=pause.until, paused_because=pause.because, pauses=job.pauses + 1)


async def _so_far(app: App, job: Import) -> _More:
    more = _More()
    if job.dry_run:
        for part in await app.mappings.imports.parts(job.id, first=0, limit=job.part + 1):
            more.add(job, part.items)
    return more


class _Worker:
    """One stint of work on one import."""

    def __init__(self, app: App, job: Import, more: _More) -> None:
        self._app = app
        self._job = job
        self._more = more

    async def part(self, stored: Stored[Part], stop_at: datetime) -> tuple[Part, _Pause | None]:
        """Settle the rows of a part that are due, as far as time allows."""
        app = self._app
        if app.now() > self._job.requested_at + GIVE_UP:
            return await self._give_up(stored), None
        stored = await self._without_what_is_so(stored)
        while due := stored.value.due(app.now()):
            stored, pause = await self._rows(stored, due, stop_at)
            if pause is not None or app.now() >= stop_at:
                return stored.value, pause
        return stored.value, None

    async def _rows(
        self, stored: Stored[Part], due: list[Item], stop_at: datetime
    ) -> tuple[Stored[Part], _Pause | None]:
        """Settle rows of one kind, some at once, until a vendor makes us pause or time is over."""
        app = self._app
        try:
            ahead = await foreseeing(app, due)
        except (RetryLater, Misconfigured) as error:
            return stored, self._pause(error)
        for start in range(0, len(due), _AT_ONCE):
            results = await asyncio.gather(*(self._one(ahead, item) for item in due[start : start + _AT_ONCE]))
            stored = await self._saved(stored, [item for item, _ in results])
            pauses = [found for _, found in results if found is not None]
            if pauses or app.now() >= stop_at:
                return stored, max(pauses, key=lambda found: found.until, default=None)
        return stored, None

    async def _without_what_is_so(self, stored: Stored[Part]) -> Stored[Part]:
        left = [item for item in stored.value.items if not item.settled]
        known = await asyncio.gather(*(as_it_is(self._app, item) for item in left))
        return await self._saved(stored, [item.unchanged() for item, so in zip(left, known, strict=True) if so])

    async def _saved(self, stored: Stored[Part], items: list[Item]) -> Stored[Part]:
        if not items:
            return stored
        if self._job.dry_run:
            self._more.add(self._job, items)
        moved = Stored(stored.value.with_items(items), stored.etag)
        return await self._app.mappings.imports.save_part(self._job.id, moved)

    def _with_more(self, app: App) -> App:
        if not self._job.dry_run:
            return app
        more = self._more
        return replace(app, mappings=app.mappings.with_more(more.customers, more.products, more.owners))

    async def _one(self, app: App, item: Item) -> tuple[Item, _Pause | None]:
        """What became of one row."""
        try:
            if self._job.dry_run:
                return await try_out(self._with_more(app), item, self._job.requested_by), None
            return await carry_out(app, item, self._job.requested_by), None
        except Exception as error:  # noqa: BLE001 - one row that cannot be handled must not keep the others from being done
            if not isinstance(error, RetryLater | Misconfigured) or isinstance(error, Denied | VendorError):
                return self._not_done(item, error), None
            pause = self._pause(error)
            code = "misconfigured" if isinstance(error, Misconfigured) else "unavailable"
            return replace(item, code=code, sentence=error.reason, not_before=pause.until), pause

    def _not_done(self, item: Item, error: Exception) -> Item:
        app = self._app
        match error:
            case Refused() if error.code not in _PASSES:
                return item.refused(error.code, error.sentence, column_of(error.code))
            case NotFound():
                code = f"{error.what}_not_found"
                return item.refused(code, f"The {error.what} {error.id} is not known.", column_of(code))
            case OutcomeUnknown():
                return item.waiting("outcome_unknown", error.reason, app.now() + app.times.settle)
            case Refused():
                code, sentence = error.code, error.sentence
            case Denied() | VendorError():
                code, sentence = "vendor_refuses", error.reason
            case Malformed():
                code, sentence = "vendor_answer_unreadable", str(error)
            case WriteConflict() | Conflict():
                code, sentence = "changed_meanwhile", "It changed at the same moment."
            case _:
                telemetry.tell(log, "import_row_failed", level=logging.ERROR, error=error, mapping_import=self._job.id)
                code, sentence = "internal_error", "Something went wrong on our side."
        return self._in_the_way(item, code, sentence)

    def _in_the_way(self, item: Item, code: str, sentence: str) -> Item:
        """Something that may pass keeps it from being done: tried again, but not for ever."""
        waiting = item.waiting(code, sentence, self._app.now() + self._app.times.backoff(item.tries))
        return replace(waiting, column=column_of(code)) if waiting.settled else waiting

    def _pause(self, error: RetryLater | Misconfigured) -> _Pause:
        app = self._app
        asked = error.after if isinstance(error, RetryLater) else app.times.misconfigured
        return _Pause(app.now() + (asked or app.times.backoff(self._job.pauses)), error.reason)

    async def _give_up(self, stored: Stored[Part]) -> Part:
        """Refuse what could not be carried out within a day."""
        sentence = self._job.paused_because or "It could not be carried out within a day."
        left = [
            item.refused(item.code or "unavailable", item.sentence or sentence, "")
            for item in stored.value.items
            if not item.settled
        ]
        return (await self._saved(stored, left)).value


async def _wait_or_rest(app: App, stored: Stored[Import], due: datetime | None) -> None:
    """Set the alarm of what is left; an alarm goes only after the row is at rest."""
    if due is not None:
        await _look_again(app, stored, due)
        return
    job = replace(stored.value, finished_at=app.now(), paused_until=None, paused_because="")
    await app.mappings.imports.save(Stored(job, stored.etag))
    await app.alarms.clear_import(job.id, job.alarm_due)
    telemetry.tell(log, "import_finished", mapping_import=job.id, counts=job.counts)


async def _look_again(app: App, stored: Stored[Import], due: datetime) -> Stored[Import]:
    """Exchange the import's alarm for another and store the import. Raises WriteConflict."""
    job = stored.value
    await app.alarms.set_import(job.id, due)
    stored = await app.mappings.imports.save(Stored(replace(job, alarm_due=due), stored.etag))
    if job.alarm_due != due:
        await app.alarms.clear_import(job.id, job.alarm_due)
    return stored
