"""Take in a bulk: up to a hundred actions in one request, stored and answered at once.

The order is that of a single action (`shared.usecases.act`): alarm, items, then one transaction with the bulk and its
idempotency row makes it real. The wake timer works it off (`shared.usecases.bulk_work`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.bulk import Bulk, Item, Wish
from shared.domain.errors import Conflict, Refused, RetryLater
from shared.domain.operation import Address, Operation
from shared.storage import keys
from shared.storage.bulks import BulkReplay
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """One request of a portal; `request_hash` covers the body."""

    caller: str
    idempotency_key: str
    target: str
    request_hash: str
    wishes: tuple[Wish, ...]

    @property
    def row_key(self) -> str:
        """The key of its idempotency row."""
        return keys.idempotency(self.caller, self.target, self.idempotency_key)


@dataclass(frozen=True, slots=True)
class Progress:
    """A bulk and its items by position."""

    bulk: Bulk
    items: tuple[Item, ...]


async def take_in(app: App, request: BulkRequest) -> Progress:
    """Store a bulk once, whatever happens in between.

    Raises Refused (key used with another body), Conflict, RetryLater (storage is away).
    """
    used = await app.bulks.replay(request.row_key)
    if used is not None and used.value.expires > app.now():
        return await _replayed(app, request, used.value)
    now = app.now()
    bulk = Bulk(id=app.new_id(), requested_at=now, requested_by=request.caller, alarm_due=now, size=len(request.wishes))
    items = tuple(Item(position, wish) for position, wish in enumerate(request.wishes))
    replay = BulkReplay(request.request_hash, bulk.id, expires=now + app.times.idempotency)
    try:
        async with asyncio.timeout(app.times.accept.total_seconds()):
            await app.alarms.set(bulk.address, bulk.alarm_due)
            await app.bulks.add_items(bulk.id, items)
            await app.bulks.add(bulk, request.row_key, Stored(replay, used.etag if used else None))
    except WriteConflict:
        winner = await app.bulks.replay(request.row_key)
        if winner is None:
            raise Conflict("The request was made twice at the same moment.") from None
        return await _replayed(app, request, winner.value)
    except TimeoutError as error:
        raise RetryLater("the bulk could not be stored in time") from error
    return Progress(bulk, items)


async def _replayed(app: App, request: BulkRequest, used: BulkReplay) -> Progress:
    if used.request_hash != request.request_hash:
        raise Refused("idempotency_key_reused", "This Idempotency-Key was used with another body.", status=422)
    found = await progress(app, used.bulk)
    if found is None:
        raise Conflict("The bulk of this Idempotency-Key cannot be read at the moment.")
    return found


async def progress(app: App, identity: str) -> Progress | None:
    """How far a bulk has come, None where there is none with this id."""
    stored = await app.bulks.get(identity)
    if stored is None:
        return None
    return Progress(stored.value, tuple(item.value for item in await app.bulks.items(identity)))


async def operations_of(app: App, items: Sequence[Item]) -> dict[str, Operation]:
    """The operations that items have become, as they are now, by their addresses."""
    addresses = [Address.parse(item.operation) for item in items if item.operation]
    found = await asyncio.gather(*(app.ledger.operation(address) for address in addresses))
    return {str(stored.value.address): stored.value for stored in found if stored is not None}
