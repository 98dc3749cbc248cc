"""Converge a subscription's lines now, whether an operation is open on them or not (ADR 0036).

Only open operations cause a plan. So a line that differs from what was last verified, or from what it shall bill, gets
an operation of its own that wants nothing new: pushing it recognises a late effect of ours and takes it back, and
treats a hand edit by the line's drift policy. A line that is as it shall be costs two requests and leaves no trace.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.errors import Malformed, Refused
from shared.domain.line import Line, Verdict, echo_of, judge
from shared.domain.operation import (
    PUSHABLE,
    Address,
    Kind,
    Leg,
    LegStatus,
)
from shared.domain.planning import Nothing, plan
from shared.domain.reading import Reading, read
from shared.domain.timeline import Target, Window, first_difference
from shared.domain.unusable import Unusable, posted_through
from shared.usecases.app import App
from shared.usecases.dead_letters import sync_to_autotask
from shared.usecases.on_the_bill import accept_on_the_bill, bill_operation
from shared.usecases.rest import hand_over
from shared.usecases.work import LineKey, Work, catch_up

LINES_A_READING = 100


async def converge_now(app: App, customer: str, subscription: str, caller: str) -> list[Address]:
    """Manual Autotask sync: take up what is dead or waiting; where nothing is, whatever line differs in Autotask.

    Gives the operations that are being pushed. Raises RetryLater, Misconfigured where Autotask cannot be read.
    """
    taken = await sync_to_autotask(app, customer, subscription, caller)
    if taken:
        return taken
    differing = await differing_lines(app, await lines_of(app, customer, subscription))
    address = await reconcile(app, differing, caller, why="manual sync") if differing else None
    return [address] if address is not None else []


async def lines_of(app: App, customer: str, subscription: str) -> list[LineKey]:
    """The lines that a subscription is billed on, or was, and that nothing else decides about.

    None while something is to be pushed on any of them; without those that have a dead letter, which is a person's.
    """
    operations = [stored.value for stored in await app.ledger.operations(customer, subscription)]
    legs = [leg for operation in operations for leg in operation.legs if leg.line]
    if any(leg.status in PUSHABLE for leg in legs):
        return []
    dead = {leg.line for leg in legs if leg.status is LegStatus.DEAD}
    found = {leg.line: leg.contract for leg in legs}
    mapping = await app.mappings.subscription(customer, subscription)
    if mapping is not None:  # what was adopted had no leg
        found[mapping.value.line] = mapping.value.contract
    return [LineKey(customer, subscription, contract, line) for line, contract in found.items() if line not in dead]


async def differing_lines(app: App, keys: Sequence[LineKey]) -> list[LineKey]:
    """Those of the lines on which a push would find something to do or to say; each bundle of 100 takes two requests.

    A line whose attempt is not settled is left alone, unless it shows now: what becomes of it is decided elsewhere.
    Raises RetryLater, Misconfigured; Malformed where an answer cannot be understood.
    """
    found: list[LineKey] = []
    for start in range(0, len(keys), LINES_A_READING):
        lines = {key: await _line(app, key) for key in keys[start : start + LINES_A_READING]}
        wanted = {key: line for key, line in lines.items() if line is not None}
        if not wanted:
            continue
        rows = await app.autotask.units([key.line for key in wanted])
        contracts = await app.autotask.contracts({key.contract for key in wanted})
        for key, line in wanted.items():
            contract = contracts.get(key.contract)
            if contract is None:
                continue  # it bills nothing that could be compared
            window = Window(contract.start, contract.end)
            try:
                reading = read(rows[key.line], window, contract.calendar)
            except ValueError as error:
                raise Malformed(f"line {key.line}: {error}") from error
            posted = [(row.start, row.end) for row in rows[key.line] if row.posted]
            through = posted_through(posted, prorate=line.prorate)
            unusable = Unusable(window, frozenset(line.refused_dates), through)
            if _differs(app, line, reading, unusable):
                found.append(key)
    return found


async def _line(app: App, key: LineKey) -> Line | None:
    """The ledger's line with everything folded that took effect; None where it is not the subscription's any more."""
    stored = await app.ledger.line(key.customer, key.line)
    if stored is None or stored.value.subscription != key.subscription:
        return None
    work = Work(key, stored, [])
    await catch_up(app, work)
    return work.line.value


def _differs(app: App, line: Line, reading: Reading, unusable: Unusable) -> bool:
    window = unusable.window
    if line.intent is not None:
        settled_from = line.intent.send_by + app.times.settle
        verdict = judge(
            line.intent, reading, owned=line.desired, window=window, now=app.now(), settled_from=settled_from
        )
        return verdict is Verdict.DONE
    if echo_of(line, reading, window) is not None:
        return True
    actual = reading.completed(line.verified, line.attempts)
    if first_difference(actual, line.verified, owned=line.desired, window=window) is not None:
        return True
    return not isinstance(
        plan(line.wanted, actual, line.verified, line.drift, unusable, line.events, line.reach), Nothing
    )


async def reconcile(app: App, keys: Sequence[LineKey], caller: str, *, why: str) -> Address | None:
    """Accept an operation that wants nothing new of some lines of one subscription, and send it.

    Pushing it converges them. None where the subscription changed meanwhile, or an operation of it is open at
    Microsoft: that one pushes its line when it settles.
    """
    customer, subscription = keys[0].customer, keys[0].subscription
    head = await app.ledger.head(customer, subscription)
    if head.value.open_sequence is not None:
        return None
    today = app.business_date(app.now())
    legs = [Leg(key.line, key.contract, Target(None, today, today)) for key in keys]
    operation = bill_operation(app, Kind.RECONCILE, customer, subscription, head.value, caller, legs)
    try:
        stored = await accept_on_the_bill(app, operation, head, why)
    except Refused:
        return None
    await hand_over(app, stored)
    return operation.address
