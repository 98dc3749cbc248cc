"""Take in an import of mappings: stored and answered at once, worked off by the wake timer (`import_work`).

The order is that of a bulk (`shared.usecases.bulk`): alarm, rows, then one transaction with the import and its
idempotency row makes it real.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.domain.errors import Conflict, Refused, RetryLater
from shared.domain.mapping_import import PART, Import, Item, RowStatus, parts_of
from shared.domain.mapping_sheet import Numbered
from shared.storage import keys
from shared.storage.imports import ImportReplay
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """One request; `request_hash` covers the sheet and whether it is a dry run."""

    caller: str
    idempotency_key: str
    target: str
    request_hash: str
    dry_run: bool
    rows: tuple[Numbered, ...]

    @property
    def row_key(self) -> str:
        """The key of its idempotency row."""
        return keys.idempotency(self.caller, self.target, self.idempotency_key)


async def take_in_import(app: App, request: ImportRequest) -> Import:
    """Store an import once, whatever happens in between.

    Raises Refused (key used with another sheet), Conflict, RetryLater (storage is away).
    """
    imports = app.mappings.imports
    used = await imports.replay(request.row_key)
    if used is not None and used.value.expires > app.now():
        return await _replayed(app, request, used.value)
    now, parts = app.now(), parts_of(request.rows)
    job = Import(
        id=app.new_id(),
        requested_at=now,
        requested_by=request.caller,
        alarm_due=now,
        dry_run=request.dry_run,
        size=len(request.rows),
        parts=len(parts),
    )
    replay = ImportReplay(request.request_hash, job.id, expires=now + app.times.idempotency)
    try:
        async with asyncio.timeout(app.times.accept.total_seconds()):
            await app.alarms.set(job.address, job.alarm_due)
            await imports.add_parts(job.id, parts)
            await imports.add(job, request.row_key, Stored(replay, used.etag if used else None))
    except WriteConflict:
        winner = await imports.replay(request.row_key)
        if winner is None:
            raise Conflict("The request was made twice at the same moment.") from None
        return await _replayed(app, request, winner.value)
    except TimeoutError as error:
        raise RetryLater("the import could not be stored in time") from error
    return job


async def _replayed(app: App, request: ImportRequest, used: ImportReplay) -> Import:
    if used.request_hash != request.request_hash:
        raise Refused("idempotency_key_reused", "This Idempotency-Key was used with another body.", status=422)
    found = await app.mappings.imports.get(used.identity)
    if found is None:
        raise Conflict("The import of this Idempotency-Key cannot be read at the moment.")
    return found.value


async def rows_of_import(
    app: App, job: Import, *, status: RowStatus | None, size: int, after: int
) -> tuple[list[Item], int | None]:
    """A page of the rows in the order in which they are carried out, and where to go on from.

    `after` is how many rows of the import come before the page; rows of another status are passed over.
    """
    found: list[Item] = []
    place = after
    while place < job.size:
        parts = await app.mappings.imports.parts(job.id, first=place // PART, limit=1 + size // PART)
        if not parts:
            break
        for part in parts:
            for item in part.items[place - part.number * PART :]:
                place += 1
                if status is None or item.status is status:
                    found.append(item)
                if len(found) == size:
                    return found, place if place < job.size else None
            place = (part.number + 1) * PART  # some of its rows may have been deleted with their customer
    return found, None
