"""Work off a bulk: a worker claims it for as long as one round may last, and asks for one action a subscription.

    claim (alarm and row move on) ─▶ round: first open item of up to eight subscriptions ─▶ outcomes ─▶ next round
                                        │ each: begun stored ─▶ act ─▶ outcome stored

A claim is the bulk's alarm, moved to when somebody else shall go on. Whatever is done twice, an action is done once:
its idempotency key is the bulk's id and the item's position.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared import telemetry
from shared.domain.bulk import GIVE_UP, MOST_TRIES, Bulk, Item, next_moment, next_round
from shared.domain.errors import CspError, Malformed, Misconfigured, NotFound, Refused, RetryLater
from shared.domain.operation import CRASH_LIMIT
from shared.storage.alarms import BulkAlarm
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.act import AlreadySo, Expect, Request, act
from shared.usecases.app import App

log = logging.getLogger(__name__)

_ALARMS = 50
_AT_ONCE = 8
_STINT = timedelta(seconds=20)  # of one run of the wake timer, which has other work too
_PASSES = frozenset({"operation_in_progress", "changed_meanwhile"})  # refusals that something else's end lifts


@dataclass(frozen=True, slots=True)
class Pause:
    """Partner Center is away or does not let us in: all items wait."""

    until: datetime
    because: str


async def wake_bulks(app: App) -> Counter[str]:
    """Work off the bulks that are due, the longest waiting first. One failure does not stop the others."""
    counts: Counter[str] = Counter()
    stop_at = app.now() + _STINT
    for alarm in await app.alarms.due_bulks(app.now(), limit=_ALARMS):
        if app.now() >= stop_at:
            break
        try:
            counts[await handle(app, alarm, stop_at)] += 1
        except WriteConflict:
            counts["conflict"] += 1  # somebody else is at it
        except CspError as error:
            counts["failed"] += 1
            telemetry.tell(log, "bulk_waits", level=logging.WARNING, error=error, bulk=alarm.bulk)
        except Exception as error:  # noqa: BLE001 - one bulk that cannot be handled must not keep the others from waking
            counts["failed"] += 1
            telemetry.tell(log, "bulk_failed", level=logging.ERROR, error=error, bulk=alarm.bulk)
    return counts


async def handle(app: App, alarm: BulkAlarm, stop_at: datetime) -> str:
    """Do what one alarm's bulk needs."""
    stored = await app.bulks.get(alarm.bulk)
    if stored is None:
        if app.now() > alarm.due + app.times.orphan:
            await app.bulks.remove_items(alarm.bulk)
            await app.alarms.clear_bulk(alarm.bulk, alarm.due)
        return "bulk_orphan"
    bulk = stored.value
    superseded = bulk.alarm_due != alarm.due and await app.alarms.bulk_exists(bulk.id, bulk.alarm_due)
    if superseded:
        await app.bulks.save(stored)  # makes a mover late who has set this alarm and not stored it: none is lost
    if superseded or bulk.finished_at is not None:
        await app.alarms.clear_bulk(bulk.id, alarm.due)
        return "bulk_rest"
    await work_off(app, Stored(replace(bulk, alarm_due=alarm.due), stored.etag), stop_at)
    return "bulk"


async def work_off(app: App, stored: Stored[Bulk], stop_at: datetime) -> None:
    """Go round after round until nothing is due, time is over, or Partner Center lets us go no further."""
    while True:
        stored = await _look_again(app, stored, app.now() + _round_time(app))
        items = await app.bulks.items(stored.value.id)
        if app.now() > stored.value.requested_at + GIVE_UP:
            await _give_up(app, stored.value, items)
            break
        due = next_round((item.value for item in items), app.now(), _AT_ONCE)
        if not due:
            break
        by_position = {item.value.position: item for item in items}
        pause = await _round(app, stored.value, [by_position[item.position] for item in due])
        stored = Stored(_paused(stored.value, pause), stored.etag)
        if pause is not None or app.now() >= stop_at:
            break
    await _wait_or_rest(app, stored)


def _round_time(app: App) -> timedelta:
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
    return max(pauses, key=lambda pause: pause.until, default=None)


def _paused(bulk: Bulk, pause: Pause | None) -> Bulk:
    if pause is None:
        return replace(bulk, paused_until=None, paused_because="", pauses=0)
    return replace(bulk, paused_until=pause.until, paused_because=pause.because, pauses=bulk.pauses + 1)


async def _one(app: App, bulk: Bulk, stored: Stored[Item]) -> Pause | None:
    """Carry out one item and store what came of it; a lost race leaves it to the one who won."""
    if stored.value.begun >= CRASH_LIMIT:
        sentence = f"It was begun {CRASH_LIMIT} times and never ended; the log has the cause."
        await _store(app, bulk, Stored(stored.value.refused("crash_loop", sentence, 500, app.now()), stored.etag))
        return None
    try:
        begun = replace(stored.value, begun=stored.value.begun + 1)
        stored = await app.bulks.save_item(bulk.id, Stored(begun, stored.etag))
    except WriteConflict:
        return None
    if app.now() >= bulk.alarm_due:
        return None  # we slept for so long that somebody else may be at it
    item, pause = await _outcome(app, bulk, stored.value)
    await _store(app, bulk, Stored(item, stored.etag))
    return pause


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
        pause = _pause(app, bulk, error)
        code = "misconfigured" if isinstance(error, Misconfigured) else "unavailable"
        return item.waiting(code, error.reason, pause.until, counted=False), pause
    except (CspError, WriteConflict) as error:
        return _not_done(app, item, error), None
    except Exception as error:  # noqa: BLE001 - the other items go on
        telemetry.tell(log, "bulk_failed", level=logging.ERROR, error=error, bulk=bulk.id, position=item.position)
        return _in_the_way(app, item, "internal_error", "Something went wrong on our side.", 500), None
    if isinstance(done, AlreadySo):
        return item.already_done(app.now()), None
    return item.accepted(str(done.operation.address), app.now()), None


def _pause(app: App, bulk: Bulk, error: RetryLater | Misconfigured) -> Pause:
    asked = error.after if isinstance(error, RetryLater) else app.times.misconfigured
    return Pause(app.now() + (asked or app.times.backoff(bulk.pauses)), error.reason)


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


async def _give_up(app: App, bulk: Bulk, items: list[Stored[Item]]) -> None:
    """Refuse what could not be asked for within a day."""
    for stored in items:
        item = stored.value
        if not item.settled:
            sentence = item.sentence or bulk.paused_because or "Partner Center could not be asked for a day."
            given_up = item.refused(item.code or "unavailable", sentence, 503, app.now())
            await app.bulks.save_item(bulk.id, Stored(given_up, stored.etag))


async def _wait_or_rest(app: App, stored: Stored[Bulk]) -> None:
    """Set the alarm of what is left; an alarm goes only after the row is at rest."""
    bulk = stored.value
    items = [item.value for item in await app.bulks.items(bulk.id)]
    due = next_moment(items, app.now())
    if due is not None:
        await _look_again(app, stored, max(due, bulk.paused_until or due))
        return
    finished = replace(bulk, finished_at=app.now(), paused_until=None, paused_because="")
    await app.bulks.save(Stored(finished, stored.etag))
    await app.alarms.clear_bulk(bulk.id, bulk.alarm_due)


async def _look_again(app: App, stored: Stored[Bulk], due: datetime) -> Stored[Bulk]:
    """Exchange the bulk's alarm for another and store the bulk. Raises WriteConflict."""
    bulk = stored.value
    await app.alarms.set_bulk(bulk.id, due)
    stored = await app.bulks.save(Stored(replace(bulk, alarm_due=due), stored.etag))
    if bulk.alarm_due != due:
        await app.alarms.clear_bulk(bulk.id, bulk.alarm_due)
    return stored
