"""Work off an import of mappings, part by part through its rows.

    part: what is as it says ─▶ begun stored ─▶ read ahead ─▶ four rows at once, stored ─▶ next part

Whatever is done twice is done once: a row that was carried out is as it says.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared import telemetry
from shared.domain.errors import (
    Conflict,
    Denied,
    Malformed,
    Misconfigured,
    NotFound,
    OutcomeUnknown,
    Refused,
    RetryLater,
    VendorError,
)
from shared.domain.long_work import Pause, WorkKind
from shared.domain.mapping_import import Import, Item, Part, RowStatus
from shared.domain.mapping_sheet import CustomerRow, ProductRow, SubscriptionRow
from shared.storage import keys
from shared.storage.mappings import CustomerMapping, ProductMapping
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.import_rows import as_it_is, carry_out, column_of, foreseeing, try_out
from shared.usecases.long_work import Claim, Next, Procedure, pause, wake_long_work

log = logging.getLogger(__name__)

_AT_ONCE = 4  # Autotask takes three requests at once, and Partner Center is asked in between
_PASSES = frozenset({"operation_in_progress", "changed_meanwhile"})  # refusals that something else's end lifts

Settle = Callable[[Stored[Part]], Awaitable[tuple[Part, Pause | None]]]  # gives the part as far as it is settled


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
    """Work off the imports that are due."""
    return await wake_long_work(app, _IMPORTS)


async def _carry_out(app: App, claim: Claim[Import]) -> Next:
    """Settle the rows until nothing is due, time is over, or a vendor lets us go no further."""
    return await _part_by_part(app, claim, _Worker(app, claim, await _so_far(app, claim.work)).part)


async def _give_up(app: App, claim: Claim[Import]) -> Next:
    """Refuse what could not be carried out within a day."""

    async def refused(stored: Stored[Part]) -> tuple[Part, Pause | None]:
        sentence = claim.work.paused_because or "It could not be carried out within a day."
        left = [
            item.refused(item.code or "unavailable", item.sentence or sentence, "")
            for item in stored.value.items
            if not item.settled
        ]
        part = stored.value.with_items(left)
        await app.mappings.imports.save_part(claim.work.id, Stored(part, stored.etag))
        return part, None

    return await _part_by_part(app, claim, refused)


async def _part_by_part(app: App, claim: Claim[Import], settle: Settle) -> Next:
    while (job := claim.work).part < job.parts:
        found = await app.mappings.imports.part(job.id, job.part)
        if found is None:
            raise Malformed(f"part {job.part} of import {job.id} is not there")
        part, paused = await settle(found)
        if not part.settled:
            return paused or part.next_moment(app.now())
        await claim.save(job.past(part).resumed())
        if app.now() >= claim.stop_at and claim.work.part < job.parts:
            return app.now()
    telemetry.tell(log, "import_finished", mapping_import=claim.work.id, counts=claim.work.counts)
    return None


def _longest(app: App) -> timedelta:
    """The longest that the last rows of a stint may take: reading at both vendors, accepting, carrying out."""
    return app.times.accept + 3 * app.times.partner_timeout + 6 * app.times.autotask_timeout


async def _so_far(app: App, job: Import) -> _More:
    more = _More()
    if job.dry_run:
        for part in await app.mappings.imports.parts(job.id, first=0, limit=job.part + 1):
            more.add(job, part.items)
    return more


class _Worker:
    """One stint of work on one import."""

    def __init__(self, app: App, claim: Claim[Import], more: _More) -> None:
        self._app = app
        self._job = claim.work
        self._stop_at = claim.stop_at
        self._more = more

    async def part(self, stored: Stored[Part]) -> tuple[Part, Pause | None]:
        """Settle the rows of a part that are due, as far as time allows."""
        stored = await self._without_what_is_so(stored)
        while due := stored.value.due(self._app.now()):
            begun = [item.started() for item in due]  # counted before, so that a row that kills us comes to an end
            stored = await self._saved(stored, begun)
            stored, paused = await self._rows(stored, [item for item in begun if not item.settled])
            if paused is not None or self._app.now() >= self._stop_at:
                left = [replace(item, begun=0) for item in stored.value.items if item.begun]
                return (await self._saved(stored, left)).value, paused
        return stored.value, None

    async def _rows(self, stored: Stored[Part], rows: list[Item]) -> tuple[Stored[Part], Pause | None]:
        """Settle rows of one kind, some at once, until a vendor makes us pause or time is over."""
        app = self._app
        try:
            ahead = await foreseeing(app, rows)
        except (RetryLater, Misconfigured) as error:
            return stored, pause(app, self._job, error)
        for start in range(0, len(rows), _AT_ONCE):
            results = await asyncio.gather(*(self._one(ahead, item) for item in rows[start : start + _AT_ONCE]))
            stored = await self._saved(stored, [item for item, _ in results])
            pauses = [found for _, found in results if found is not None]
            if pauses or app.now() >= self._stop_at:
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

    async def _one(self, app: App, item: Item) -> tuple[Item, Pause | None]:
        """What became of one row."""
        try:
            if self._job.dry_run:
                return await try_out(self._with_more(app), item, self._job.requested_by), None
            return await carry_out(app, item, self._job.requested_by), None
        except Exception as error:  # noqa: BLE001 - one row that cannot be handled must not keep the others from being done
            if not isinstance(error, RetryLater | Misconfigured) or isinstance(error, Denied | VendorError):
                return self._not_done(item, error), None
            paused = pause(app, self._job, error)
            code = "misconfigured" if isinstance(error, Misconfigured) else "unavailable"
            return item.waiting(code, error.reason, paused.until, counted=False), paused

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


_IMPORTS = Procedure(
    WorkKind.IMPORT,
    lambda app: app.mappings.imports,
    _carry_out,
    _give_up,
    _longest,
    forget=lambda app, identity: app.mappings.imports.remove_parts(identity),
)
