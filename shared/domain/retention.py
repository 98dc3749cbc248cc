"""What of a subscription's history may go with time; pure (docs/adr/0044).

Nothing goes that is open, that waits for a person, that something still refers to, or that says how the present bill
came about. What remains of the rest is decided by its age alone.
"""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from shared.domain.operation import LegStatus, Operation
from shared.domain.timeline import Target

UNDOABLE = 2  # of the old operations on a mapped line: the one that it is billed by, and the one before it


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept: `months` of history (0: for ever), `records` for what only says how something went."""

    months: int = 24
    records: timedelta = timedelta(days=90)
    budget: timedelta = timedelta(minutes=4)  # of one run; the next night goes on where it ended

    def history_before(self, now: datetime, idempotency: timedelta) -> datetime | None:
        """History before this moment may go; never what an idempotency key can still name. None: nothing may go."""
        return min(months_before(now, self.months), now - idempotency) if self.months else None

    def records_before(self, now: datetime, idempotency: timedelta) -> datetime:
        """Records before this moment may go."""
        return now - max(self.records, idempotency)


@dataclass(frozen=True, slots=True)
class Needed:
    """What still refers to operations of a subscription, by sequence number.

    `since`: this one and all later ones are needed. `lines`: the lines that the subscription is mapped to.
    """

    since: int
    numbers: frozenset[int] = frozenset()
    lines: frozenset[int] = frozenset()

    def and_also(self, numbers: frozenset[int]) -> Needed:
        """The same with further operations."""
        return replace(self, numbers=self.numbers | numbers)


def months_before(moment: datetime, months: int) -> datetime:
    """The same day so many months before, or that month's last day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def may_go(operations: Sequence[Operation], needed: Needed, before: datetime) -> list[Operation]:
    """Those of some operations in sequence order that may go, in the order in which they may be removed.

    The age of an operation's last event is still to be looked at.
    """
    spared = _present_bill(operations, needed.lines)
    going = {
        operation.address.sequence: operation
        for operation in operations
        if operation.address.sequence < needed.since
        and operation.address.sequence not in needed.numbers
        and operation.address.sequence not in spared
        and _over(operation)
        and _old(operation, before)
    }
    here = {operation.address.sequence for operation in operations}
    for number in sorted(going, reverse=True):  # what was followed by something goes after it
        follower = going[number].followed_by
        if follower in here and follower not in going:
            del going[number]
    return list(reversed(going.values()))


def too_young(operation: Operation, before: datetime) -> bool:
    """Whether an operation, and so every later one, was asked for after the moment."""
    return operation.requested_at >= before


def _over(operation: Operation) -> bool:
    return operation.at_rest and not operation.dead and not operation.in_review


def _old(operation: Operation, before: datetime) -> bool:
    moments = [operation.requested_at, *(leg.settled_at for leg in operation.legs)]
    days = [day for leg in operation.legs for day in _days(leg.target)]
    return all(moment is None or moment < before for moment in moments) and all(day < before.date() for day in days)


def _days(target: Target) -> Iterable[date]:
    """Every day on which a target changes something."""
    yield from (target.increase_on, target.decrease_on)
    yield from (step.on for step in (*target.price, *target.cost))
    if target.free is not None:
        yield target.free.on


def _present_bill(operations: Sequence[Operation], lines: frozenset[int]) -> set[int]:
    """The last operations of these that were billed on each line."""
    counted: Counter[int] = Counter()
    found: set[int] = set()
    for operation in reversed(operations):
        for leg in operation.legs:
            if leg.line in lines and leg.status is LegStatus.SYNCED and counted[leg.line] < UNDOABLE:
                counted[leg.line] += 1
                found.add(operation.address.sequence)
    return found
