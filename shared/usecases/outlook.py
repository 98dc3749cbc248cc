"""What a push of a line would send at this moment: read, planned and priced, and nothing sent.

Made for the people at the dead-letter desk: each way to decide about a hand edit is planned from one reading. It reads
Autotask in bundles as a push does, and decides nothing: the push that follows reads again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.domain.bill_changes import BillChange, changes_between
from shared.domain.calendar import BillingCalendar
from shared.domain.contract import Contract
from shared.domain.errors import Malformed, Misconfigured, RetryLater
from shared.domain.line import Line, echo_of, fingerprint, forget, without
from shared.domain.money import priced
from shared.domain.operation import LegStatus, Operation
from shared.domain.planning import Adjustment, Blocked, DriftPolicy, Nothing, Plan, plan
from shared.domain.reading import Reading, UnitsRow, read
from shared.domain.shortfalls import Shortfall
from shared.domain.timeline import Timeline, Window, first_difference
from shared.domain.unusable import Unusable
from shared.usecases.app import App
from shared.usecases.work import LineKey, Work, catch_up

LINES_A_READING = 100


@dataclass(frozen=True, slots=True)
class Option:
    """What one decision would do. `blocked` is why nothing can be sent: `contract_ended` or `no_usable_date`."""

    policy: DriftPolicy
    adjustments: tuple[Adjustment, ...] = ()
    changes: tuple[BillChange, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class LineOutlook:
    """A line as Autotask shows it now, and what each decision would do.

    `reading` names exactly what was read. Without a difference to what was last verified there is one option, whatever
    the policy. `problem` and `sentence` say why nothing can be planned.
    """

    key: LineKey
    reading: str = ""
    drifted: bool = False
    options: tuple[Option, ...] = ()
    problem: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line as the ledger has it, folded up to now, and as Autotask shows it."""

    line: Line
    contract: Contract
    reading: Reading
    rows: tuple[UnitsRow, ...]

    @property
    def window(self) -> Window:
        """The contract's days."""
        return Window(self.contract.start, self.contract.end)

    @property
    def actual(self) -> Timeline:
        """What is billed, as far as rows tell; the rest as believed."""
        return self.reading.completed(self.line.verified, self.line.attempts)

    @property
    def unusable(self) -> Unusable:
        """The dates on which nothing may lie now."""
        posted = [row for row in self.rows if row.posted]
        through = max((row.start if self.line.prorate else row.end for row in posted), default=None)
        return Unusable(self.window, frozenset(self.line.refused_dates), through)


async def outlooks(app: App, operations: Iterable[Operation]) -> dict[int, LineOutlook]:
    """What a re-submission of these operations would do, by line. Lines that are not found yet are left out."""
    keys: dict[int, LineKey] = {}
    for operation in operations:
        address = operation.address
        for leg in operation.legs:
            if leg.line and leg.status in {LegStatus.DEAD, LegStatus.OPEN, LegStatus.WAITING}:
                keys[leg.line] = LineKey(address.customer, address.subscription, leg.contract, leg.line)
    found: dict[int, LineOutlook] = {}
    wanted = list(keys.values())
    for start in range(0, len(wanted), LINES_A_READING):
        found |= await _of(app, wanted[start : start + LINES_A_READING])
    return found


async def _of(app: App, keys: Sequence[LineKey]) -> dict[int, LineOutlook]:
    try:
        read_lines = await read_lines_of(app, keys)
    except (RetryLater, Misconfigured, Malformed) as error:
        sentence = f"Autotask cannot be read now, so nothing can be planned: {error}"
        return {key.line: LineOutlook(key, problem="autotask_unavailable", sentence=sentence) for key in keys}
    return {key.line: _outlook(app, key, read_lines[key]) for key in keys}


async def read_lines_of(app: App, keys: Sequence[LineKey]) -> Mapping[LineKey, ReadLine | LineOutlook]:
    """Read up to 100 lines at once; what cannot be read is told instead.

    Raises RetryLater, Misconfigured, Malformed.
    """
    lines: dict[LineKey, Line | LineOutlook] = {key: await line_of(app, key) for key in keys}
    wanted = [key for key, line in lines.items() if isinstance(line, Line)]
    rows = await app.autotask.units([key.line for key in wanted]) if wanted else {}
    contracts = await app.autotask.contracts({key.contract for key in wanted}) if wanted else {}
    return {key: _read(key, line, rows, contracts) for key, line in lines.items()}


async def line_of(app: App, key: LineKey) -> Line | LineOutlook:
    """The ledger's line with everything folded that took effect; or that the ledger does not hold it."""
    stored = await app.ledger.line(key.customer, key.line)
    if stored is None or stored.value.subscription != key.subscription:
        sentence = f"The ledger does not hold line {key.line} for this subscription."
        return LineOutlook(key, problem="line_not_in_ledger", sentence=sentence)
    work = Work(key, stored, [])
    await catch_up(app, work)
    return work.line.value


def _read(
    key: LineKey,
    line: Line | LineOutlook,
    rows: Mapping[int, tuple[UnitsRow, ...]],
    contracts: Mapping[int, Contract],
) -> ReadLine | LineOutlook:
    if isinstance(line, LineOutlook):
        return line
    contract = contracts.get(key.contract)
    if contract is None:
        sentence = f"Autotask does not show contract {key.contract}; it is gone or hidden from the API user."
        return LineOutlook(key, problem="contract_not_found", sentence=sentence)
    try:
        reading = read(rows[key.line], Window(contract.start, contract.end), contract.calendar)
    except ValueError as error:
        return LineOutlook(
            key, problem="unreadable", sentence=f"What Autotask shows of it cannot be understood: {error}"
        )
    return ReadLine(line, contract, reading, rows[key.line])


def _outlook(app: App, key: LineKey, found: ReadLine | LineOutlook) -> LineOutlook:
    if isinstance(found, LineOutlook):
        return found
    line = found.line
    if line.intent is not None:
        if app.now() < line.intent.send_by + app.times.settle:
            sentence = "An earlier attempt is not settled yet; look again in a moment."
            return LineOutlook(key, problem="settling", sentence=sentence)
        line = forget(line)  # a re-submission decides about it, and plans from what is there
    return options_of(key, replace(found, line=line))


def options_of(key: LineKey, found: ReadLine) -> LineOutlook:
    """What each decision about a line would do."""
    found = with_echo(found)
    actual, line = found.actual, found.line
    drifted = first_difference(actual, line.verified, owned=line.desired, window=found.window) is not None
    policies = tuple(DriftPolicy) if drifted else (line.drift,)
    return LineOutlook(key, fingerprint(actual), drifted, tuple(option(found, policy) for policy in policies))


def with_echo(found: ReadLine) -> ReadLine:
    """The line with a late effect of ours counted as ours."""
    line = found.line
    echo = echo_of(line, found.reading, found.window)
    if echo is None:
        return found
    return replace(found, line=replace(line, verified=found.actual, suspects=without(line.suspects, echo)))


def option(found: ReadLine, policy: DriftPolicy) -> Option:
    """What a push would send with a policy."""
    line, actual = found.line, found.actual
    applied = policy
    if policy is DriftPolicy.RESPECT:
        line, applied = line.respecting(actual, until=found.window.end), DriftPolicy.OVERWRITE
    calendar = found.contract.calendar
    match plan(line.wanted, actual, line.verified, applied, found.unusable, line.events, line.reach):
        case Plan(adjustments, result, shortfalls):
            changes = changes_between(actual, result, found.window, calendar)
            return Option(policy, adjustments, changes, _priced(shortfalls, calendar))
        case Nothing(shortfalls):
            return Option(policy, shortfalls=_priced(shortfalls, calendar))
        case Blocked(reason, _, shortfalls):
            return Option(policy, shortfalls=_priced(shortfalls, calendar), blocked=reason)
        case _:  # a drift under review: nothing is sent, and it asks again
            return Option(policy)


def _priced(shortfalls: Sequence[Shortfall], calendar: BillingCalendar | None) -> tuple[Shortfall, ...]:
    return tuple(priced(item, calendar) for item in shortfalls)
