"""Converge lines: make Autotask's units equal the desired timeline, with exactly one effect (design 2).

A batch of lines goes through four steps: one reading of all, a decision per line, the POSTs, one reading back. The
adjustment that is about to be sent is stored first; after a success it is only verified, never sent again; after an
unclear answer nobody decides before its send-by plus the settling time.

    intent stored ──▶ POST ──▶ 2xx ───────────▶ read back == after ──▶ verified
          │             └────▶ no clear answer ─▶ wait until send-by + S ─▶ read the whole timeline ─▶ judge
          └─ crash ───────────────────────────────────────────────────────▲
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from shared.domain.errors import Malformed, Misconfigured, RetryLater
from shared.domain.line import Line, Verdict, echo_of, fingerprint, forget, judge, without
from shared.domain.operation import PUSHABLE, Address, DriftSeen, Reason
from shared.domain.planning import Blocked, Drift, DriftPolicy, Nothing, Plan, Unusable, plan
from shared.domain.timeline import Timeline, UnitsRow, Window, from_rows
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.lease import Held
from shared.usecases.posting import DATE_REFUSALS, Posted, pause, send
from shared.usecases.work import (
    Delivered,
    LineKey,
    Work,
    begin,
    bury_orphans,
    catch_up,
    die,
    load,
    save_line,
    synced,
    wait,
)

_ROUNDS = 4  # plans of one line within one push; each further one avoids a date that Autotask refused
_READ_BACK_WAITS = (0.0, 0.25, 0.75)  # seconds between readings that look for an accepted adjustment


async def converge(app: App, held: Held, keys: Sequence[LineKey], deliveries: Mapping[Address, Delivered]) -> None:
    """Converge up to 100 lines. Raises RetryLater or Misconfigured if Autotask cannot be read; LeaseLost."""
    opened = await asyncio.gather(*(_opened(app, key, deliveries) for key in keys))
    works = await _read(app, [work for work in opened if work is not None])
    await held.outlive(app.now())  # a pusher that slept through its lease decides nothing from what it read
    for _ in range(_ROUNDS):
        posted = await _all(_one(app, held, work) for work in works)
        works = await _verify(app, posted) if posted else []
        if not works:
            return
    for work in works:
        await _end(app, work, Reason("refused_again", "Autotask refused every date that was tried."))


async def _all(decisions: Iterable[Coroutine[Any, Any, Posted | None]]) -> list[Posted]:
    """Run the lines side by side; where one fails, the others come to their end before the failure is raised."""
    results = await asyncio.gather(*decisions, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, Posted)]


async def _opened(app: App, key: LineKey, deliveries: Mapping[Address, Delivered]) -> Work | None:
    """Load a line and count the attempt, before Autotask is read: a reading is always younger than the line's etag."""
    try:
        work = await load(app, key)
        if work is None:
            await bury_orphans(app, key)
            return None
        work.deliveries = deliveries
        return work if await begin(app, work) else None
    except WriteConflict:
        return None  # somebody else wrote one of its operations; their alarms bring us back


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
        await _end(app, works[0], _unreadable(error))
        return []
    readable: list[Work] = []
    for work in works:
        contract = contracts.get(work.key.contract)
        if contract is None:
            await _end(app, work, _no_contract(work.key))
            continue
        try:
            work.window = Window(contract.start, contract.end)
            work.actual, work.posted = from_rows(rows[work.key.line], work.window), _posted(rows[work.key.line])
        except ValueError as error:
            await _end(app, work, _unreadable(error))
        else:
            readable.append(work)
    return readable


async def _end(app: App, work: Work, reason: Reason) -> None:
    try:
        await die(app, work, reason)
    except WriteConflict:
        return  # somebody else wrote it; the alarms bring us back


def _unreadable(error: Exception) -> Reason:
    sentence = f"What Autotask shows of the line cannot be understood: {error}."
    return Reason("unreadable", sentence, "Correct the contract's dates or units in Autotask, then re-submit.")


def _no_contract(key: LineKey) -> Reason:
    sentence = f"Autotask does not show contract {key.contract}; it is gone or hidden from the API user."
    return Reason("contract_not_found", sentence, "Bring it back or let the API user see it and re-submit; or dismiss.")


def _posted(rows: Sequence[UnitsRow]) -> tuple[tuple[date, date], ...]:
    return tuple((row.start, row.end) for row in rows if row.posted)


async def _one(app: App, held: Held, work: Work) -> Posted | None:
    """Decide about one line and send its adjustments; None where the line is at an end for now."""
    await catch_up(app, work)  # reading Autotask may have taken long
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
    settled_from = line.intent.send_by + app.times.settle
    match judge(line.intent, work.actual, now=app.now(), settled_from=settled_from):
        case Verdict.DONE:
            return replace(line, verified=work.actual, intent=None)
        case Verdict.NOT_DONE:  # what the plan's earlier adjustments did is in the reading, and it is ours
            return replace(forget(line), verified=work.actual)
        case Verdict.TOO_EARLY:
            reason = Reason("settling", "An earlier attempt is not settled yet.")
            await wait(app, work, settled_from, reason, line=line, earlier_attempt_open=True)
        case Verdict.NEVER_VISIBLE if any(leg.decided and leg.status in PUSHABLE for leg in work.legs):
            return replace(forget(line), verified=work.actual)
        case Verdict.NEVER_VISIBLE:  # the intent stays: whatever is pushed next on this line waits for a person too
            reason = Reason(
                "accepted_not_visible",
                "Autotask accepted the adjustment but never showed it.",
                "Look at the contract's units in Autotask, then re-submit or dismiss.",
            )
            await die(app, work, reason, line=line)
        case Verdict.OTHER:
            seen = _numbers(line.intent.before, work.actual, line.desired)
            reason = Reason(
                "outcome_unclear",
                f"After an attempt without a clear answer, Autotask bills {seen.actual} units on {seen.on}; "
                f"before the attempt it was {seen.verified}, wanted are {seen.desired}.",
                "Look at the contract's units in Autotask, then re-submit with a drift policy or dismiss.",
            )
            await die(app, work, reason, drift=seen, line=forget(line))
    return None


async def _explain_difference(app: App, work: Work, line: Line) -> Line | None:
    """A reading that differs from the verified one: a late echo of ours, too fresh to judge, or left to the plan."""
    if work.actual == line.verified:
        return line
    echo = echo_of(line, work.actual)
    if echo is not None:
        return replace(line, verified=work.actual, suspects=without(line.suspects, echo))
    quiet_until = line.last_effect + app.times.settle if line.last_effect else None
    if quiet_until is not None and app.now() < quiet_until:
        await wait(app, work, quiet_until, Reason("settling", "Autotask does not show our last change yet."), line=line)
        return None
    return line


async def _plan(app: App, held: Held, work: Work, line: Line) -> Posted | None:
    if work.actual == line.desired:  # done, by whomever
        work.line = replace(work.line, value=line)
        await synced(app, work, ())
        return None
    unusable = Unusable(work.window, frozenset({*line.refused_dates, *(start for start, _ in work.posted)}))
    permission = work.permission()
    seen_by_person = permission is not None and permission.reading == fingerprint(work.actual)
    policy = permission.policy if permission is not None and seen_by_person else DriftPolicy.REVIEW
    match plan(line.desired, work.actual, line.verified, policy, unusable):
        case Nothing(shortfalls):
            if policy is DriftPolicy.RESPECT:
                line = replace(line, desired=work.actual)
            work.line = replace(work.line, value=line)
            await synced(app, work, shortfalls)
            return None
        case Drift() as drift:
            seen = _numbers(drift.verified, drift.actual, drift.desired, on=drift.on)
            reason = Reason(
                "drift",
                f"Somebody changed the line in Autotask: on {seen.on} it bills {seen.actual} units, "
                f"last verified were {seen.verified}, wanted are {seen.desired}.",
                "Re-submit with the drift policy overwrite or respect, or dismiss to keep what Autotask has.",
            )
            await die(app, work, reason, drift=seen, line=line)
            return None
        case Blocked(code, dates, _):
            await die(app, work, _blocked(work, code, dates), line=line)
            return None
        case Plan(adjustments, result, shortfalls):
            if policy is DriftPolicy.RESPECT:
                line = replace(line, desired=result)
            work.line = replace(work.line, value=replace(line, verified=work.actual))
            return await send(app, held, work, adjustments, shortfalls)


def _blocked(work: Work, code: str, dates: Sequence[date]) -> Reason:
    days = ", ".join(day.isoformat() for day in dates)
    contract = f"contract {work.key.contract}, {work.window.start} to {work.window.end}"
    if code == "contract_ended":
        sentence = f"The change is wanted from {days}, when the {contract}, is over."
        return Reason(code, sentence, "Extend the contract or map the subscription to another one, then re-submit.")
    return Reason(
        code, f"No usable date is left for the change wanted from {days} ({contract}).", "Dismiss or correct by hand."
    )


def _numbers(verified: Timeline, actual: Timeline, desired: Timeline, *, on: date | None = None) -> DriftSeen:
    """The three numbers of a difference on its first day."""
    days = sorted({step.date for timeline in (verified, actual, desired) for step in timeline.steps})
    day = on or next((day for day in days if verified.at(day) != actual.at(day)), days[0] if days else date.min)
    return DriftSeen(day, verified.at(day), actual.at(day), desired.at(day), fingerprint(actual))


async def _verify(app: App, posted: Sequence[Posted]) -> list[Work]:
    """Read all lines back; give the works that need a further plan because a date was refused."""
    pending = {item.work.key.line: item for item in posted}
    for seconds in _READ_BACK_WAITS:
        await app.sleep(seconds)
        try:
            rows = await app.autotask.units(sorted(pending))
            for number, item in pending.items():
                item.work.actual = from_rows(rows[number], item.work.window)
                item.work.posted = _posted(rows[number])
        except (RetryLater, Misconfigured, Malformed, ValueError):
            break  # what is not seen to be done is verified later
        if all(_visible(item) for item in pending.values()):
            break
    again: list[Work] = []
    for item in posted:
        try:
            if await _conclude(app, item):
                again.append(item.work)
        except WriteConflict:
            continue
    return again


def _visible(item: Posted) -> bool:
    return item.work.actual in {item.expected, item.alternative} - {None}


async def _conclude(app: App, item: Posted) -> bool:
    """End a line after its read-back; says whether it is to be planned once more."""
    with item.work.span("verify line"):
        return await _judge(app, item, item.work)


async def _judge(app: App, item: Posted, work: Work) -> bool:
    if not _visible(item):
        until = app.now() + app.times.backoff(0)
        await pause(app, work, until, Reason("settling", "Autotask accepted the change but does not show it yet."))
        return False
    line = replace(work.line.value, verified=work.actual, intent=None)
    work.line = replace(work.line, value=line)
    if item.refusal is None:
        await synced(app, work, item.shortfalls)
        return False
    shown_all_the_same = work.actual != item.expected
    if shown_all_the_same or (item.refusal.kind in DATE_REFUSALS and not item.maybe_ours):
        await save_line(app, work, line)
        return True
    await die(app, work, _refused(item, " ".join(item.refusal.errors)[:2000]), line=line)
    return False


def _refused(item: Posted, text: str) -> Reason:
    if item.maybe_ours:
        sentence = (
            "Autotask says that the date is taken, and it shows nothing there: a lost attempt of ours may be under way."
        )
        return Reason("outcome_unclear", sentence, "Look at the contract in Autotask, then re-submit or dismiss.", text)
    return Reason("autotask_refused", "Autotask refused the adjustment.", "Correct the cause, then re-submit.", text)
