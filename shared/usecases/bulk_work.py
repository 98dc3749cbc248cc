"""Work off a bulk, round by round: one action a subscription at once, each outcome stored by itself.

    round: first open item of up to eight subscriptions ─▶ each: begun stored ─▶ act ─▶ outcome stored ─▶ next round

Whatever is done twice, an action is done once: its idempotency key is the bulk's id and the item's position.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from shared import telemetry
from shared.domain.bulk import Bulk, Item, next_moment, next_round
from shared.domain.errors import CspError, Malformed, Misconfigured, NotFound, Refused, RetryLater
from shared.domain.long_work import CRASH_LOOP, MOST_TRIES, Pause, WorkKind
from shared.domain.operation import CRASH_LIMIT
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.act import AlreadySo, Expect, Request, act
from shared.usecases.app import App
from shared.usecases.long_work import Claim, Next, Procedure, pause, wake_long_work

log = logging.getLogger(__name__)

_AT_ONCE = 8
_PASSES = frozenset({"operation_in_progress", "changed_meanwhile"})  # refusals that something else's end lifts


async def wake_bulks(app: App) -> Counter[str]:
    """Work off the bulks that are due."""
    return await wake_long_work(app, _BULKS)


async def _rounds(app: App, claim: Claim[Bulk]) -> Next:
    """Go round after round until nothing is due, time is over, or Partner Center lets us go no further."""
    while True:
        items = await app.bulks.items(claim.work.id)
        due = next_round((item.value for item in items), app.now(), _AT_ONCE)
        if not due or app.now() >= claim.stop_at:
            return next_moment((item.value for item in items), app.now())
        by_position = {item.value.position: item for item in items}
        paused = await _round(app, claim.work, [by_position[item.position] for item in due])
        if paused is not None:
            return paused
        if claim.work.pauses:
            await claim.save(claim.work.resumed())


def _longest(app: App) -> timedelta:
    """The longest that one action may take: reading, accepting, calling."""
    return app.times.accept + 3 * app.times.partner_timeout


async def _round(app: App, bulk: Bulk, items: list[Stored[Item]]) -> Pause | None:
    results = await asyncio.gather(*(_one(app, bulk, item) for item in items), return_exceptions=True)
    pauses: list[Pause] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        if result is not None:
            pauses.append(result)
    return max(pauses, key=lambda found: found.until, default=None)


async def _one(app: App, bulk: Bulk, stored: Stored[Item]) -> Pause | None:
    """Carry out one item and store what came of it; a lost race leaves it to the one who won."""
    if stored.value.begun >= CRASH_LIMIT:
        await _store(app, bulk, Stored(stored.value.refused(*CRASH_LOOP, 500, app.now()), stored.etag))
        return None
    try:
        begun = replace(stored.value, begun=stored.value.begun + 1)
        stored = await app.bulks.save_item(bulk.id, Stored(begun, stored.etag))
    except WriteConflict:
        return None
    if app.now() >= bulk.alarm_due:
        return None  # we slept for so long that somebody else may be at it
    item, paused = await _outcome(app, bulk, stored.value)
    await _store(app, bulk, Stored(item, stored.etag))
    return paused


async def _store(app: App, bulk: Bulk, stored: Stored[Item]) -> None:
    try:
        await app.bulks.save_item(bulk.id, stored)
    except WriteConflict:
        telemetry.tell(log, "bulk_item_stored_by_others", bulk=bulk.id, position=stored.value.position)


async def _outcome(app: App, bulk: Bulk, item: Item) -> tuple[Item, Pause | None]:
    """What the single action answers, as the state of its item."""
    try:
        done = await act(app, request_of(bulk, item))
    except (RetryLater, Misconfigured) as error:
        paused = pause(app, bulk, error)
        code = "misconfigured" if isinstance(error, Misconfigured) else "unavailable"
        return item.waiting(code, error.reason, paused.until, counted=False), paused
    except (CspError, WriteConflict) as error:
        return _not_done(app, item, error), None
    except Exception as error:  # noqa: BLE001 - the other items go on
        telemetry.tell(log, "bulk_item_failed", level=logging.ERROR, error=error, bulk=bulk.id, position=item.position)
        return _in_the_way(app, item, "internal_error", "Something went wrong on our side.", 500), None
    if isinstance(done, AlreadySo):
        return item.already_done(app.now()), None
    return item.accepted(str(done.operation.address), app.now()), None


def _not_done(app: App, item: Item, error: Exception) -> Item:
    match error:
        case Refused():
            return _refused(app, item, error)
        case NotFound():
            sentence = f"The {error.what} {error.id} is not known to Partner Center."
            return item.refused(f"{error.what}_not_found", sentence, 404, app.now())
        case Malformed():
            return _in_the_way(app, item, "vendor_answer_unreadable", str(error), 502)
        case _:
            return _in_the_way(app, item, "changed_meanwhile", "It changed at the same moment.", 409)


def request_of(bulk: Bulk, item: Item) -> Request:
    """The request of the single action. Its key stands for what the item asks for, which never changes."""
    wish = item.wish
    target = f"bulk/{bulk.id}/{item.position}"
    return Request(
        action=wish.action,
        customer=wish.customer,
        subscription=wish.subscription,
        caller=bulk.requested_by,
        idempotency_key=bulk.id,
        target=target,
        request_hash=target,
        quantity=wish.quantity,
        expect=Expect(wish.expect_status, wish.expect_quantity),
        ask=wish.ask,
        confirmed=frozenset(wish.confirmed),
    )


def _refused(app: App, item: Item, error: Refused) -> Item:
    status = int(str(error.details.get("status", 409)))
    if error.code in _PASSES:
        return _in_the_way(app, item, error.code, error.sentence, status)
    operation = str(error.details.get("operation", ""))
    return item.refused(error.code, error.sentence, status, app.now(), operation=operation)


def _in_the_way(app: App, item: Item, code: str, sentence: str, status: int) -> Item:
    """Something that passes keeps it from being done: tried again, but not for ever."""
    if item.tries + 1 >= MOST_TRIES:
        return item.refused(code, sentence, status, app.now())
    return item.waiting(code, sentence, app.now() + app.times.backoff(item.tries), counted=True)


async def _give_up(app: App, claim: Claim[Bulk]) -> Next:
    """Refuse what could not be asked for within a day."""
    bulk = claim.work
    for stored in await app.bulks.items(bulk.id):
        item = stored.value
        if not item.settled:
            sentence = item.sentence or bulk.paused_because or "Partner Center could not be asked for a day."
            given_up = item.refused(item.code or "unavailable", sentence, 503, app.now())
            await app.bulks.save_item(bulk.id, Stored(given_up, stored.etag))
    return None


_BULKS = Procedure(
    WorkKind.BULK,
    lambda app: app.bulks,
    _rounds,
    _give_up,
    _longest,
    forget=lambda app, identity: app.bulks.remove_items(identity),
)
