"""Send the adjustments of one line's plan, each with its intent stored before it (ADR 0001).

`shared.usecases.converge` plans before and reads back after. Three requests at once are all that the tenant allows;
the first throttle or refusal of our credentials ends the sending of every line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.line import Intent, IntentState, Verdict, judge
from shared.domain.operation import Reason
from shared.domain.outcomes import Accepted, AdjustmentRefused, AdjustOutcome, AdjustUnknown, Unsent
from shared.domain.planning import Adjustment, Plan, apply
from shared.domain.timeline import Timeline
from shared.usecases.app import App
from shared.usecases.budget import spent
from shared.usecases.lease import Held, Stopped
from shared.usecases.work import Work, save_line, wait

DATE_REFUSALS = frozenset({"duplicate", "posted", "window"})


@dataclass(slots=True)
class Posted:
    """What happened to a plan: the timeline that its adjustments should lead to, and what was refused of them."""

    work: Work
    plan: Plan
    before: Timeline
    expected: Timeline
    otherwise: Timeline  # what they lead to where rates reach the other way
    refused: Intent | None = None  # Autotask said no; it may have been executed all the same
    refusal: AdjustmentRefused | None = None
    maybe_ours: bool = False  # the refused date may be taken by a lost attempt of ours


async def send(app: App, held: Held, work: Work, plan: Plan) -> Posted | None:
    """Send the adjustments one after the other; None where the line is put to sleep. Raises WriteConflict, LeaseLost.

    After a refused increase no decrease is sent: alone it would bill less than was billed and less than is wanted.
    """
    verified = work.line.value.verified
    posted = Posted(work, plan, verified, verified, verified)
    increase_refused = False
    for adjustment in plan.adjustments:
        if increase_refused and adjustment.change < 0:
            break
        async with held.slots:
            held.stopped = held.stopped or await spent(app)
            if held.stopped is not None:
                await pause(app, work, held.stopped.until, held.stopped.reason)
                return None
            outcome = await _post(app, held, posted, adjustment)
        match outcome:
            case Accepted():
                continue
            case AdjustmentRefused():
                increase_refused = increase_refused or adjustment.change > 0
                if posted.maybe_ours or outcome.kind not in DATE_REFUSALS:
                    break
            case Unsent(reason):
                held.stopped = Stopped(None, Reason("autotask_unavailable", reason))
                await pause(app, work, None, held.stopped.reason)
                return None
            case AdjustUnknown(reason, retry_after):
                if retry_after is not None:
                    held.stopped = Stopped(app.now() + retry_after, Reason("autotask_stopped", reason))
                    await app.coordination.stop("autotask", app.now() + retry_after, reason)
                until = (work.line.value.last_effect or app.now()) + app.times.settle
                await pause(app, work, until, Reason("settling", reason))
                return None
    return posted


async def _post(app: App, held: Held, posted: Posted, adjustment: Adjustment) -> AdjustOutcome:
    """Store the intent, send the adjustment, store what a clear answer says."""
    work = posted.work
    deadline = app.now() + app.times.autotask_timeout
    await held.outlive(deadline)
    events, reach = work.line.value.events, work.line.value.reach
    after = apply(posted.expected, [adjustment], events, reach)
    otherwise = apply(posted.otherwise, [adjustment], events, reach.other)
    intent = Intent(adjustment, posted.expected, after, deadline, IntentState.SENDING, work.sequences)
    earlier = work.line.value.intent
    await save_line(app, work, replace(work.line.value, intent=intent, last_effect=deadline))
    outcome = await app.autotask.adjust(
        contract=work.key.contract, line=work.key.line, adjustment=adjustment, deadline=deadline
    )
    if _was_ours(app, work, intent, outcome):
        outcome = Accepted()
    match outcome:
        case Accepted():  # stored at once: after a success it is never sent again, only verified
            posted.expected, posted.otherwise = after, otherwise
            line = work.line.value.with_named(adjustment)
            await save_line(app, work, replace(line, intent=replace(intent, state=IntentState.ACCEPTED)))
        case AdjustmentRefused():
            _keep(work, earlier)
            posted.refused, posted.refusal = intent, outcome
            posted.maybe_ours = outcome.kind == "duplicate" and _lost_attempt_on(work, adjustment)
            if not posted.maybe_ours:
                _learn(work, adjustment, outcome)
        case Unsent():
            _keep(work, earlier)
    return outcome


def _keep(work: Work, intent: Intent | None) -> None:
    work.line = replace(work.line, value=replace(work.line.value, intent=intent))


async def pause(app: App, work: Work, until: datetime | None, reason: Reason) -> None:
    """Store the line as it is known and put its operations to sleep."""
    await save_line(app, work, work.line.value)
    await wait(app, work, until, reason)


def _was_ours(app: App, work: Work, intent: Intent, outcome: AdjustOutcome) -> bool:
    """Whether a date is taken by a lost attempt at the very same rates, whose effect no reading can show.

    Rates are set and not added, so it is done. Where a reading could show the effect and does not, the date is taken by
    something else.
    """
    adjustment = intent.adjustment
    is_taken = isinstance(outcome, AdjustmentRefused) and outcome.kind == "duplicate"
    if not is_taken or adjustment.change or adjustment not in work.line.value.suspects:
        return False
    accepted = replace(intent, state=IntentState.ACCEPTED)
    owned, now = work.line.value.desired, app.now()
    verdict = judge(accepted, work.reading, owned=owned, window=work.window, now=now, settled_from=now)
    return verdict is Verdict.DONE


def _lost_attempt_on(work: Work, adjustment: Adjustment) -> bool:
    """Whether a date that Autotask calls taken shows nothing, and units of ours were given up for lost on it.

    A lost attempt at rates alone does no harm, whenever it comes; nor does one on a date that an accepted one has.
    """
    line, day = work.line.value, adjustment.date
    shown = any(step.date == day for step in work.reading.shown.without_rates().steps)
    taken_by_us = any(named.on == day for named in line.named)
    return not shown and not taken_by_us and any(item.date == day and item.change for item in line.suspects)


def _learn(work: Work, adjustment: Adjustment, refusal: AdjustmentRefused) -> None:
    """A date that Autotask refused is not tried again for this line; a posted period with all its days."""
    if refusal.kind not in DATE_REFUSALS:
        return
    dates = {adjustment.date}
    for start, end in work.posted:
        if refusal.kind == "posted" and start <= adjustment.date <= end:
            dates |= {start + timedelta(days=day) for day in range((end - start).days + 1)}
    line = work.line.value
    work.line = replace(work.line, value=replace(line, refused_dates=tuple(sorted({*line.refused_dates, *dates}))))
