"""Converge lines: make Autotask's bill equal the desired timeline, with exactly one effect (ADR 0001, 0011).

A batch of lines goes through four steps: one reading of all, a decision per line, the POSTs, one reading back. The
adjustment that is about to be sent is stored first; after a success it is only verified, never sent again; after an
unclear answer nobody decides before its send-by plus the settling time.

    intent stored ──▶ POST ──▶ 2xx ───────────▶ read back shows it ──▶ verified
          │             └────▶ no clear answer ─▶ wait until send-by + S ─▶ read the whole timeline ─▶ judge
          └─ crash ───────────────────────────────────────────────────────▲

How far a price reaches that an adjustment names is only known once it is read back; where it is not as expected, the
line is planned once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from shared.domain import explanations as say
from shared.domain.contract import Contract
from shared.domain.errors import Malformed, Misconfigured, RetryLater
from shared.domain.line import Intent, Line, Verdict, echo_of, fingerprint, forget, judge, without
from shared.domain.operation import Address, DriftSeen, Operation, Reason
from shared.domain.planning import Blocked, Drift, DriftPolicy, Nothing, Plan, plan
from shared.domain.rates import Rate, Reach
from shared.domain.reading import UnitsRow, read
from shared.domain.timeline import Timeline, Window, dates_of, first_difference
from shared.domain.unusable import Unusable, posted_through
from shared.storage.keys import ALARM_SHARDS
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.lease import Held
from shared.usecases.posting import DATE_REFUSALS, Posted, pause, send
from shared.usecases.rest import let_alarms_go
from shared.usecases.work import (
    Delivered,
    LineKey,
    Work,
    bury_orphans,
    catch_up,
    die,
    load,
    near_alarms,
    poisoned,
    save_line,
    synced,
    wait,
)

_ROUNDS = 6  # plans of one line within one push; each further one avoids a refused date, or repairs a rate
_READ_BACK_WAITS = (0.0, 0.25, 0.75)  # seconds between readings that look for an accepted adjustment


async def converge(
    app: App,
    held: Held,
    keys: Sequence[LineKey],
    deliveries: Mapping[Address, Delivered],
    known: Mapping[tuple[str, str], Sequence[Stored[Operation]]],
) -> None:
    """Converge up to 100 lines. Raises RetryLater or Misconfigured if Autotask cannot be read; LeaseLost.

    `known` is what was just read of the ledger, by customer and subscription (see `load`).
    """
    opened = await asyncio.gather(*(_opened(app, key, deliveries, known.get(key.owner, ())) for key in keys))
    works = [work for work in opened if work is not None]
    try:
        await _converge(app, held, works)
    finally:
        await let_alarms_go(app, [operation for work in works for operation in work.ended])


async def _converge(app: App, held: Held, works: Sequence[Work]) -> None:
    works = await _read(app, works)
    await asyncio.gather(*(catch_up(app, work) for work in await _with_more(app, works)))
    await held.outlive(app.now())  # a pusher that slept through its lease decides nothing from what it read
    for _ in range(_ROUNDS):
        posted = await _all(_one(app, held, work) for work in works)
        works = await _verify(app, posted) if posted else []
        if not works:
            return
    for work in works:
        await _end(app, work, say.refused_again(work.where, work.targets))


async def _with_more(app: App, works: Sequence[Work]) -> Sequence[Work]:
    """Those for which more may have been accepted while Autotask was read: all of a few, of many what alarms tell."""
    if len(works) <= len(ALARM_SHARDS):
        return works
    folded = {stored.value.address for work in works for stored in work.operations}
    new = {alarm.address.owner for alarm in await near_alarms(app) if alarm.address not in folded}
    return [work for work in works if work.key.owner in new]


async def _all(decisions: Iterable[Coroutine[Any, Any, Posted | None]]) -> list[Posted]:
    """Run the lines side by side; where one fails, the others come to their end before the failure is raised."""
    results = await asyncio.gather(*decisions, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, Posted)]


async def _opened(
    app: App, key: LineKey, deliveries: Mapping[Address, Delivered], known: Sequence[Stored[Operation]]
) -> Work | None:
    """Load a line before Autotask is read: a reading is always younger than the line's etag."""
    try:
        work = await load(app, key, known)
        if work is None:
            await bury_orphans(app, key)
            return None
        work.deliveries = deliveries
        if poisoned(work):
            await die(app, work, say.crash_loop(work.where, work.targets))
            return None
    except WriteConflict:
        return None  # somebody else wrote one of its operations; their alarms bring us back
    return work


async def _read(app: App, works: Sequence[Work]) -> list[Work]:
    """Read all lines at once; where something cannot be understood, line by line, so that only the culprit dies."""
    if not works:
        return []
    try:
        rows = await app.autotask.units([work.key.line for work in works])
        contracts = await app.autotask.contracts({work.key.contract for work in works})
    except (Malformed, ValueError) as error:
        if len(works) > 1:
            return [read for work in works for read in await _read(app, [work])]
        await _end(app, works[0], say.unreadable(works[0].where, works[0].targets, error))
        return []
    readable: list[Work] = []
    for work in works:
        contract = contracts.get(work.key.contract)
        if contract is None:
            await _end(app, work, say.contract_not_found(work.where, work.targets))
            continue
        try:
            _locate(work, contract)
            _take(work, rows[work.key.line])
        except ValueError as error:
            await _end(app, work, say.unreadable(work.where, work.targets, error))
        else:
            readable.append(work)
    return readable


def _locate(work: Work, contract: Contract) -> None:
    work.name, work.calendar = contract.name, contract.calendar
    work.window = Window(contract.start, contract.end)


def _take(work: Work, rows: Sequence[UnitsRow]) -> None:
    work.reading = read(rows, work.window, work.calendar)
    work.posted = tuple((row.start, row.end) for row in rows if row.posted)


async def _end(app: App, work: Work, reason: Reason) -> None:
    try:
        await die(app, work, reason)
    except WriteConflict:
        return  # somebody else wrote it; the alarms bring us back


async def _one(app: App, held: Held, work: Work) -> Posted | None:
    """Decide about one line and send its adjustments; None where the line is at an end for now."""
    with work.span("converge line"):
        return await _decide(app, held, work)


async def _decide(app: App, held: Held, work: Work) -> Posted | None:
    try:
        line = await _settle_intent(app, work)
        if line is None:
            return None
        line = await _explain_difference(app, work, line)
        if line is None:
            return None
        return await _plan(app, held, work, line)
    except WriteConflict:
        return None  # somebody else wrote the line or one of its operations; their alarms bring us back


async def _settle_intent(app: App, work: Work) -> Line | None:
    """Judge what an earlier attempt left open, and give the line without it; None where nothing can be said now."""
    line = work.line.value
    if line.intent is None:
        return line
    intent, settled_from = line.intent, line.intent.send_by + app.times.settle
    match _verdict(app, work, intent):
        case Verdict.DONE:
            work.kept = intent.after
            return replace(line, verified=_actual(work, line, intent.after), intent=None)
        case Verdict.NOT_DONE:  # what the plan's earlier adjustments did is in the reading, and it is ours
            return _forgotten(work, line, intent)
        case Verdict.TOO_EARLY:
            reason = Reason("settling", "An earlier attempt is not settled yet.")
            await wait(app, work, settled_from, reason, line=line, earlier_attempt_open=True)
        case Verdict.NEVER_VISIBLE if any(leg.decided_after(intent.send_by) for leg in work.legs):
            known = _forgotten(work, line, intent)
            return known.with_vain(_actual(work, known, known.verified), [intent.adjustment])
        case Verdict.NEVER_VISIBLE:  # the intent stays: whatever is pushed next on this line waits for a person too
            await die(app, work, say.never_visible(work.where, intent.adjustment), line=line)
        case Verdict.OTHER:
            seen = _numbers(work, line, intent.before)
            await die(app, work, say.outcome_unclear(work.where, seen), drift=seen, line=forget(line))
    return None


def _verdict(app: App, work: Work, intent: Intent) -> Verdict:
    return judge(
        intent,
        work.reading,
        owned=work.line.value.desired,
        window=work.window,
        now=app.now(),
        settled_from=intent.send_by + app.times.settle,
    )


def _forgotten(work: Work, line: Line, intent: Intent) -> Line:
    work.kept = intent.before
    return replace(forget(line), verified=_actual(work, line, intent.before))


def _actual(work: Work, line: Line, belief: Timeline) -> Timeline:
    """What the line bills, as far as its rows tell; the rest as believed."""
    return work.reading.completed(belief, line.attempts)


async def _explain_difference(app: App, work: Work, line: Line) -> Line | None:
    """A reading that differs from the verified one: a late echo of ours, too fresh to judge, or left to the plan."""
    echo = echo_of(line, work.reading, work.window)
    if echo is not None:
        work.kept = line.verified
        verified = _actual(work, line, line.verified)
        return replace(line, verified=verified, suspects=without(line.suspects, echo))
    actual = _actual(work, line, line.verified)
    if first_difference(actual, line.verified, owned=line.desired, window=work.window) is None:
        return line
    quiet_until = line.last_effect + app.times.settle if line.last_effect else None
    if quiet_until is not None and app.now() < quiet_until:
        await wait(app, work, quiet_until, Reason("settling", "Autotask does not show our last change yet."), line=line)
        return None
    return line


async def _plan(app: App, held: Held, work: Work, line: Line) -> Posted | None:
    actual = _actual(work, line, line.verified)
    policy = _policy(work, line, actual)
    if policy is DriftPolicy.RESPECT:
        line, policy = line.respecting(actual, until=work.window.end), DriftPolicy.OVERWRITE
    wanted = _wanted(work, line)
    known = replace(line, verified=actual)
    ever = Window(work.window.start, date.max)
    if first_difference(actual, wanted, owned=wanted, window=ever, unknown_differs=True) is None:
        work.line = replace(work.line, value=known)
        await synced(app, work, ())  # done, by whomever
        return None
    match plan(wanted, actual, line.verified, policy, _unusable(work, line), line.events, line.reach):
        case Nothing(shortfalls):
            work.line = replace(work.line, value=known)
            await synced(app, work, shortfalls)
        case Drift() as found:
            seen = _numbers(work, line, found.verified, on=found.on)
            await die(app, work, say.drift(work.where, seen), drift=seen, line=line)
        case Blocked() as found:
            reason = say.blocked(work.where, found, work.targets, posted_through(work.posted, prorate=line.prorate))
            await die(app, work, reason, line=line)
        case Plan() as found:
            if line.is_vain(actual, found.adjustments):
                await die(app, work, say.not_shown(work.where, found.adjustments), line=known)
                return None
            work.line = replace(work.line, value=known)
            return await send(app, held, work, found)
    return None


def _wanted(work: Work, line: Line) -> Timeline:
    return line.wanted if work.kept is None else line.wanted.filled_from(work.kept)


def _policy(work: Work, line: Line, actual: Timeline) -> DriftPolicy:
    """The mapping's policy, or a person's for exactly this reading."""
    permission = work.permission()
    if permission is not None and permission.reading == fingerprint(actual):
        return permission.policy
    return line.drift


def _unusable(work: Work, line: Line) -> Unusable:
    return Unusable(work.window, frozenset(line.refused_dates), posted_through(work.posted, prorate=line.prorate))


def _numbers(work: Work, line: Line, verified: Timeline, *, on: date | None = None) -> DriftSeen:
    """The three numbers of a difference on its first day: units, and the rates that are known."""
    desired, actual = line.wanted, _actual(work, line, line.verified)
    day = on or first_difference(actual, verified, owned=desired, window=work.window)
    if day is None:
        day = next(iter(dates_of(verified, actual, desired)), work.window.start)
    mine = desired.on(day)
    wanted = mine.rate(Rate.PRICE)
    return DriftSeen(
        day,
        verified.at(day),
        actual.at(day),
        mine.units,
        fingerprint(actual),
        verified_price=verified.rate_at(Rate.PRICE, day),
        actual_price=actual.rate_at(Rate.PRICE, day),
        desired_price=actual.rate_at(Rate.PRICE, day) if wanted is None else wanted,
        verified_cost=verified.rate_at(Rate.COST, day) if mine.cost is not None else None,
        actual_cost=actual.rate_at(Rate.COST, day) if mine.cost is not None else None,
        desired_cost=mine.cost,
    )


async def _verify(app: App, posted: Sequence[Posted]) -> list[Work]:
    """Read all lines back; give the works that need a further plan."""
    pending = {item.work.key.line: item for item in posted}
    for seconds in _READ_BACK_WAITS:
        await app.sleep(seconds)
        try:
            rows = await app.autotask.units(sorted(pending))
            for number, item in pending.items():
                _take(item.work, rows[number])
        except (RetryLater, Misconfigured, Malformed, ValueError):
            break  # what is not seen to be done is verified later
        if all(_visible(app, item) is not None for item in pending.values()):
            break
    again: list[Work] = []
    for item in posted:
        try:
            if await _conclude(app, item):
                again.append(item.work)
        except WriteConflict:
            continue
    return again


def _visible(app: App, item: Posted) -> Timeline | None:
    """The timeline that the read-back shows: what was expected, or what a refused adjustment led to all the same."""
    work, accepted = item.work, item.work.line.value.intent
    refused = item.refused if item.refused is not None and item.refused.adjustment.change else None
    if refused is not None and _verdict(app, work, refused) is Verdict.DONE:
        return refused.after  # rates may show for another reason, and the next plan sees what they are
    if accepted is not None:
        return item.expected if _verdict(app, work, accepted) is Verdict.DONE else None
    owned, shown = work.line.value.desired, work.reading.shown
    return item.expected if first_difference(shown, item.expected, owned=owned, window=work.window) is None else None


async def _conclude(app: App, item: Posted) -> bool:
    """End a line after its read-back; says whether it is to be planned once more."""
    with item.work.span("verify line"):
        return await _judge(app, item, item.work)


async def _judge(app: App, item: Posted, work: Work) -> bool:
    shown = _visible(app, item)
    if shown is None:
        until = app.now() + app.times.backoff(0)
        await pause(app, work, until, Reason("settling", "Autotask accepted the change but does not show it yet."))
        return False
    work.kept = shown
    line = replace(work.line.value, verified=_actual(work, work.line.value, shown), intent=None)
    line = replace(line, reach=_reach(work, line.reach, item))
    work.line = replace(work.line, value=line)
    if item.refusal is None:
        owned = line.wanted.filled_from(shown)
        if first_difference(line.verified, shown, owned=owned, window=work.window) is not None:
            work.line = replace(work.line, value=line.with_vain(item.before, item.plan.adjustments))
            return True  # a rate reaches further, or less far, than was expected
        if item.plan.shortfalls and _has_more_to_send(work, line):
            return True
        await synced(app, work, item.plan.shortfalls)
        return False
    shown_all_the_same = item.refused is not None and shown is item.refused.after
    if shown_all_the_same or (item.refusal.kind in DATE_REFUSALS and not item.maybe_ours):
        await save_line(app, work, line)
        return True
    await die(app, work, _refused(work, item), line=line)
    return False


def _reach(work: Work, known: Reach, item: Posted) -> Reach:
    """How far a named rate reaches: as was known, or the other way where only that explains what is shown."""

    def explained(timeline: Timeline) -> bool:
        return first_difference(work.reading.shown, timeline, owned=timeline, window=work.window) is None

    return known.other if explained(item.otherwise) and not explained(item.expected) else known


def _has_more_to_send(work: Work, line: Line) -> bool:
    """Whether a second plan mends what the order of the first one overran."""
    wanted, actual, unusable = _wanted(work, line), line.verified, _unusable(work, line)
    return isinstance(plan(wanted, actual, actual, line.drift, unusable, line.events, line.reach), Plan)


def _refused(work: Work, item: Posted) -> Reason:
    text = " ".join(item.refusal.errors)[:2000] if item.refusal is not None else ""
    if item.refused is None or item.refusal is None:
        raise ValueError("nothing was refused")
    if item.maybe_ours:
        return say.date_taken(work.where, item.refused.adjustment, text)
    return say.refused(work.where, item.refused.adjustment, text, in_bundle=item.refusal.kind == "bundle")
