"""One line's work in a push: the ledger's line, its operations, and how each way to end is stored.

`shared.usecases.converge` decides; this module loads and writes. Everything is written under etags: a WriteConflict
means that somebody else looked at the same line, and the operation's alarm brings us back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from shared import telemetry
from shared.domain import explanations as say
from shared.domain.billing import Policy
from shared.domain.calendar import BillingCalendar
from shared.domain.line import Line
from shared.domain.money import priced
from shared.domain.operation import (
    CRASH_LIMIT,
    PUSHABLE,
    Address,
    Death,
    DriftSeen,
    Event,
    Leg,
    LegStatus,
    Operation,
    Permission,
    Reason,
)
from shared.domain.rates import Rate
from shared.domain.reading import Reading
from shared.domain.shortfalls import Shortfall
from shared.domain.timeline import Target, Timeline, Window, fold
from shared.storage.alarms import Alarm
from shared.storage.keys import ALARM_SHARDS
from shared.storage.ledger import Changes, batches
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App
from shared.usecases.rest import (
    SYSTEM,
    all_come_to_rest,
    come_to_rest,
    let_alarms_go,
    look_again,
    notice_of,
    send_notice,
    show_synced,
)

_SCAN = 200  # alarms of a shard, the next ones
_EVER = Window(date.min, date.max)
_NO_READING = Reading(Timeline())


@dataclass(frozen=True, slots=True)
class LineKey:
    """Which line of which subscription is to be converged."""

    customer: str
    subscription: str
    contract: int
    line: int

    @property
    def owner(self) -> tuple[str, str]:
        """Customer and subscription."""
        return self.customer, self.subscription

    def __str__(self) -> str:
        return f"{self.customer} {self.subscription} {self.contract} {self.line}"

    @classmethod
    def parse(cls, text: str) -> LineKey:
        """The key that is spelled so. Raises ValueError."""
        customer, subscription, contract, line = text.split(" ")
        return cls(customer, subscription, int(contract), int(line))


@dataclass(frozen=True, slots=True)
class Delivered:
    """The delivery that brought an operation: the broker's sequence number and the message's id."""

    sequence_number: int
    message: str


@dataclass(slots=True)
class Work:
    """A line being converged, what Autotask shows of it, and the deliveries that brought its operations.

    `kept` is the timeline that our last adjustments should have led to: rates that are not ours and that they touched
    all the same are brought back to it.
    """

    key: LineKey
    line: Stored[Line]
    operations: list[Stored[Operation]]
    reading: Reading = _NO_READING
    window: Window = _EVER
    calendar: BillingCalendar | None = None
    name: str = ""  # of the contract
    posted: tuple[tuple[date, date], ...] = ()
    kept: Timeline | None = None
    deliveries: Mapping[Address, Delivered] = field(default_factory=dict)
    ended: list[Operation] = field(default_factory=list)  # their alarms may go

    @property
    def legs(self) -> list[Leg]:
        """This line's part of each operation."""
        return [stored.value.leg(self.key.line) for stored in self.operations]

    @property
    def sequences(self) -> tuple[int, ...]:
        """The operations that a plan made now is for."""
        return tuple(stored.value.address.sequence for stored in self.operations)

    def span(self, name: str) -> AbstractContextManager[telemetry.Span]:
        """A hop of this line's work, in the trace of the newest operation that it serves (docs/adr/0032)."""
        pushable = [stored for stored in self.operations if stored.value.leg(self.key.line).status in PUSHABLE]
        newest = max(pushable or self.operations, key=lambda stored: stored.value.address.sequence).value
        about = {**telemetry.about(newest), "csp.line.id": self.key.line, "csp.line.operations": len(self.operations)}
        return telemetry.span(name, about, within=newest.traceparent)

    @property
    def where(self) -> say.Whereabouts:
        """The line as sentences name it."""
        window = None if self.window == _EVER else self.window
        price = self.line.value.verified.rate_at(Rate.PRICE, date.max)
        return say.Whereabouts(self.key.line, self.key.contract, self.name, window, self.calendar, price)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What the open operations want of the line."""
        return tuple(leg.target for leg in self.legs if leg.status in PUSHABLE)

    def permission(self) -> Permission | None:
        """The last decision that a person took about a drift of this line."""
        given = [leg.permission for leg in self.legs if leg.permission is not None and leg.status in PUSHABLE]
        return given[-1] if given else None


def new_line(key: LineKey, actual: Timeline, *, folded: int, policy: Policy) -> Line:
    """A line whose present units are adopted: what Autotask shows is verified, and its units are desired.

    Its rates are not ours before an operation brings some.
    """
    return Line(
        key.customer,
        key.subscription,
        key.line,
        key.contract,
        verified=actual,
        desired=actual.without_rates(),
        folded=folded,
        drift=policy.drift,
        prorate=policy.prorate,
        base=actual.without_rates(),
        adopted=folded,
    )


async def load(app: App, key: LineKey, known: Sequence[Stored[Operation]] = ()) -> Work | None:
    """Read a line and fold the operations that are new to it; None where nothing on it is to be pushed.

    `known` are the subscription's operations from one on, as just read. Where they begin early enough they are not read
    again: whoever decides about one of them writes the line too, and this reading of the line comes later.
    """
    stored = await app.ledger.line(key.customer, key.line)
    if stored is None or stored.value.subscription != key.subscription:
        return None
    line = stored.value
    older = [await app.ledger.operation(Address(key.customer, key.subscription, number)) for number in line.unsettled]
    work = Work(key, stored, [found for found in older if found is not None])
    if known and known[0].value.address.sequence <= line.folded + 1:
        _fold_new(work, known)
    else:
        await catch_up(app, work)
    return work if any(leg.status in PUSHABLE for leg in work.legs) else None


async def near_alarms(app: App) -> list[Alarm]:
    """The alarms of operations that are due or will be soon, as those of all that was accepted just now; not sorted."""
    until = app.now() + app.times.outbox
    found = await asyncio.gather(*(app.alarms.due(shard, until, limit=_SCAN) for shard in ALARM_SHARDS))
    return [alarm for shard in found for alarm in shard]


async def catch_up(app: App, work: Work) -> None:
    """Fold what was settled at Microsoft and is new to the line."""
    line = work.line.value
    _fold_new(work, await app.ledger.operations(line.customer, line.subscription, after=line.folded))


def _fold_new(work: Work, operations: Iterable[Stored[Operation]]) -> None:
    line = work.line.value
    for found in operations:
        if found.value.address.sequence <= line.folded:
            continue
        if not found.value.settled_at_microsoft or _may_come_to(line, found.value):
            break
        line, taken = _fold_one(line, found.value)
        if taken:
            work.operations.append(found)
    work.line = Stored(line, work.line.etag)


def _may_come_to(line: Line, operation: Operation) -> bool:
    """Whether an operation looks for its line still, and has not found this one only because it is about to."""
    return operation.unplaced is not None and all(leg.line != line.line for leg in operation.legs)


def _fold_one(line: Line, operation: Operation) -> tuple[Line, bool]:
    legs = [leg for leg in operation.legs if leg.line == line.line]
    sequence = operation.address.sequence
    if not legs or not operation.took_effect:
        return replace(line, folded=sequence), False
    if legs[0].status in {LegStatus.REVIEW, LegStatus.DISMISSED}:  # what waits for a person holds nobody else up
        waits = (sequence,) if legs[0].status is LegStatus.REVIEW else ()
        return replace(line, folded=sequence, reviews=(*line.reviews, *waits)), False
    desired = fold(line.desired, legs[0].target)
    return replace(line, desired=desired, folded=sequence, unsettled=(*line.unsettled, sequence)), True


async def count_attempts(app: App, keys: Iterable[LineKey]) -> None:
    """Count an attempt of each line that a pusher had begun when it died, for all operations that it still has."""
    for key in keys:
        work = await load(app, key)
        if work is None:
            continue  # it came to its end
        try:
            await _store(app, work, _counted, None)
        except WriteConflict:
            continue  # somebody works on it, so it does not kill everybody


def _counted(leg: Leg) -> Leg:
    return replace(leg, started=leg.started + 1) if leg.status in PUSHABLE else leg


def poisoned(work: Work) -> bool:
    """Whether an operation of the line was begun too often without an end."""
    return any(leg.status in PUSHABLE and leg.started >= CRASH_LIMIT for leg in work.legs)


async def save_line(app: App, work: Work, line: Line) -> None:
    """Write the line alone, under its etag."""
    _, stored = await app.ledger.commit(work.key.customer, Changes(line=Stored(line, work.line.etag)))
    work.line = stored or work.line


async def synced(app: App, work: Work, shortfalls: Sequence[Shortfall]) -> None:
    """The line is as its `verified` says: every operation of the plan is synced, dead ones too.

    Their alarms are left to the end of the batch, which removes many in one transaction.
    """
    now = app.now()
    line = replace(work.line.value, intent=None, unsettled=(), vain=())
    rest = tuple(priced(item, work.calendar) for item in shortfalls)

    def verified(leg: Leg) -> Leg:
        if leg.status not in PUSHABLE and leg.status is not LegStatus.DEAD:
            return leg
        done = leg.to(LegStatus.SYNCED)
        return replace(done, started=0, retry_at=None, reason=None, drift=None, settled_at=now, shortfalls=rest)

    due = now + app.times.outbox
    dead = {stored.value.address for stored in work.operations if stored.value.dead and stored.value.at_rest}
    for address in dead:  # their alarms are gone; where we die after the ledger, this one tidies the read models
        await app.alarms.set(address, due)

    def alarmed(operation: Operation) -> Operation:
        return replace(operation, alarm_due=due) if operation.address in dead else operation

    await _store(app, work, verified, "synced", line=line, why=say.approximation(rest, work.calendar), finish=alarmed)
    await show_synced(app, work.operations)
    resting = [stored.value for stored in work.operations if stored.value.at_rest]
    work.ended = [one for one in resting if not one.dead and not one.in_review]
    await let_alarms_go(app, [one for one in resting if one.dead or one.in_review])  # a person may open them any moment


async def wait(
    app: App,
    work: Work,
    until: datetime | None,
    reason: Reason,
    *,
    line: Line | None = None,
    earlier_attempt_open: bool = False,
) -> None:
    """Put the open operations of the line to sleep with an alarm; without a moment the back-off decides.

    This attempt ends in order. Where it only found an earlier one that had not, the earlier ones stay counted:
    otherwise a POST that kills its worker each time would never be called poison.
    """

    def waiting(leg: Leg) -> Leg:
        if leg.status not in PUSHABLE:
            return leg
        retry_at = until or app.now() + app.times.backoff(leg.retries)
        started = leg.started if earlier_attempt_open else 0
        asleep = leg.to(LegStatus.WAITING)
        return replace(asleep, started=started, retries=leg.retries + 1, retry_at=retry_at, reason=reason)

    if line is not None and line != work.line.value:
        await save_line(app, work, line)
    for index, stored in enumerate(work.operations):
        before = stored.value
        leg = waiting(before.leg(work.key.line))
        if leg.status is not LegStatus.WAITING or leg.retry_at is None:
            continue
        event = Event(app.now(), SYSTEM, "waiting", before.status, LegStatus.WAITING.value, reason.sentence)
        moved = Stored(before.with_leg(leg), stored.etag)
        work.operations[index] = await look_again(app, moved, leg.retry_at, events=(event,))


async def die(
    app: App, work: Work, reason: Reason, *, drift: DriftSeen | None = None, line: Line | None = None
) -> None:
    """The open operations of the line need a person. The ledger says so first; then the message may die."""
    now = app.now()

    def dead(leg: Leg) -> Leg:
        if leg.status not in PUSHABLE:
            return leg
        return replace(leg.to(LegStatus.DEAD), started=0, retry_at=None, reason=reason, drift=drift)

    def finish(operation: Operation) -> Operation:
        return buried(operation, now, work.deliveries.get(operation.address))

    await _store(app, work, dead, "dead", line=line, why=reason.sentence, finish=finish)
    await all_come_to_rest(app, work.operations)
    for stored in work.operations:
        if stored.value.needs_notice:
            await send_notice(app, stored)


def buried(operation: Operation, now: datetime, delivered: Delivered | None) -> Operation:
    """A dead operation with the message that shall carry it into the dead-letter queue: its delivery, or a notice."""
    if not operation.dead or operation.death is not None:
        return operation
    if delivered is not None:
        return replace(operation, death=Death(now, delivered.message, delivered.sequence_number))
    return replace(operation, death=Death(now, notice_of(operation)))


async def bury_orphans(app: App, key: LineKey) -> None:
    """End open legs on a line that the ledger does not hold for their subscription: only a person can help them.

    Where it does hold it, they wait behind an operation that is not settled at Microsoft, and keep their alarms.
    """
    line = await app.ledger.line(key.customer, key.line)
    if line is not None and line.value.subscription == key.subscription:
        return
    where = say.Whereabouts(key.line, key.contract)
    for stored in await app.ledger.operations(key.customer, key.subscription):
        before = stored.value
        legs = [leg for leg in before.legs if leg.line == key.line and leg.status in PUSHABLE]
        if not legs or not before.took_effect:
            continue
        reason = say.line_not_in_ledger(where, [legs[0].target])
        after = before.with_leg(replace(legs[0].to(LegStatus.DEAD), started=0, retry_at=None, reason=reason))
        after = buried(after, app.now(), None)
        event = Event(app.now(), SYSTEM, "dead", before.status, after.status, reason.sentence)
        (moved,), _ = await app.ledger.commit(key.customer, Changes([(Stored(after, stored.etag), [event])]))
        await come_to_rest(app, moved)
        await send_notice(app, moved)


async def _store(
    app: App,
    work: Work,
    change: Callable[[Leg], Leg],
    event: str | None,
    *,
    line: Line | None = None,
    why: str = "",
    finish: Callable[[Operation], Operation] = lambda operation: operation,
) -> None:
    """Write the changed operations, and with the last of them the line, in as few transactions as possible."""
    changed: list[tuple[Stored[Operation], list[Event]]] = []
    for stored in work.operations:
        before = stored.value
        after = finish(before.with_leg(change(before.leg(work.key.line))))
        if after == before:
            continue
        events = [Event(app.now(), SYSTEM, event, before.status, after.status, why)] if event else []
        changed.append((Stored(after, stored.etag), events))
    written: dict[Address, Stored[Operation]] = {}
    groups = batches(changed, reserve=1)
    for index, group in enumerate(groups):
        last = index == len(groups) - 1
        with_line = Stored(line or work.line.value, work.line.etag) if last and (line or event) else None
        if not group and with_line is None:
            continue
        stored_operations, stored_line = await app.ledger.commit(work.key.customer, Changes(group, line=with_line))
        written.update({stored.value.address: stored for stored in stored_operations})
        work.line = stored_line or work.line
    work.operations = [written.get(stored.value.address, stored) for stored in work.operations]
