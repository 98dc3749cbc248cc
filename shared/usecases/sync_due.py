"""What a sync does every minute: customers whose moment has passed, and hints from webhooks.

A customer is in the index of due moments with the next moment at which Microsoft changes something of it by itself:
a window closes, a term ends, a grace period is over. Nobody else is read.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from shared import telemetry
from shared.domain.errors import Denied, Misconfigured, NotFound, RetryLater
from shared.domain.sync_run import Listed
from shared.storage.hints import Hint
from shared.usecases.app import App
from shared.usecases.closed import keep_problem
from shared.usecases.look import Looked, Reading, look
from shared.usecases.pace import Pace, TooFar
from shared.usecases.sync import sync_subscription

log = logging.getLogger(__name__)

_AT_A_TIME = 100
_HINT_TRIES = 10
_EVENTS_KEPT = timedelta(days=14)


async def follow_up(app: App) -> Counter[str]:
    """Read what is due and what a webhook told of. Says what was done; raises RetryLater where storage is away."""
    counts: Counter[str] = Counter()
    pace = Pace(app)
    try:
        await _follow_hints(app, pace, counts)
        await _read_due(app, pace, counts)
    except TooFar:
        counts["throttled"] += 1
    except Misconfigured as error:
        counts["misconfigured"] += 1
        telemetry.tell(log, "follow_up_stopped", level=logging.WARNING, error=error)
    finally:
        await pace.close()
    return counts


async def _read_due(app: App, pace: Pace, counts: Counter[str]) -> None:
    stop_at = app.now() + app.policy.budget
    for key, entry in await app.sync.indexes.upcoming("due", app.listings.microsoft_now(), _AT_A_TIME):
        if app.now() >= stop_at:
            return
        row = await app.views.customer(entry.customer)
        if row is None or row.value.moments.due != entry.at:
            await app.sync.indexes.drop_upcoming(key)  # left by somebody who died in between
            continue
        try:
            counts["detected"] += len((await _look_at(app, pace, entry.customer)).operations)
            counts["due"] += 1
        except (NotFound, Denied) as error:
            await keep_problem(app, Listed(entry.customer, "", ""), "no_relationship", str(error))
            await app.sync.indexes.drop_upcoming(key)
        except RetryLater as error:
            telemetry.tell(log, "customer_later", level=logging.WARNING, error=error, customer=entry.customer)
            counts["due_failed"] += 1


async def _look_at(app: App, pace: Pace, customer: str) -> Looked:
    """Read a customer."""
    heads = await app.ledger.heads(customer)
    await pace.turn()
    asked_at = app.now()
    try:
        listing = await app.listings.subscriptions(customer)
    except RetryLater as error:
        if error.after is not None:
            await pace.slow_down(error.after)
        raise
    reading = Reading(customer, listing.items(), asked_at, listing.observed_at, heads=heads)
    return await look(app, reading)


async def _follow_hints(app: App, pace: Pace, counts: Counter[str]) -> None:
    for hint in await app.sync.hints.waiting(_AT_A_TIME):
        try:
            counts[await _follow(app, pace, hint.value)] += 1
        except (NotFound, Denied):
            counts["hint_unknown"] += 1
        except RetryLater as error:
            counts["hint_failed"] += 1
            if hint.value.tries + 1 < _HINT_TRIES:
                await app.sync.hints.put(replace(hint.value, tries=hint.value.tries + 1))
                continue
            telemetry.tell(log, "hint_given_up", level=logging.WARNING, error=error, customer=hint.value.customer)
        await app.sync.hints.followed(hint)
    before = app.now() - _EVENTS_KEPT
    await app.sync.hints.forget_events(before.date().isoformat())


async def _follow(app: App, pace: Pace, hint: Hint) -> str:
    """Read what a hint is about, unless it was read after the change that the hint tells of."""
    if not hint.subscription:
        looked = await _look_at(app, pace, hint.customer)
        if looked.left:
            raise RetryLater("an operation of ours is under way at this customer")
        return "hint"
    row = await app.views.subscription(hint.customer, hint.subscription)
    if row is not None and row.value.read_at > hint.changed_at:
        return "hint_known"
    await pace.turn()
    await sync_subscription(app, hint.customer, hint.subscription)
    return "hint"
