"""What a line's bill is otherwise than it should be, who moved it, and what that makes a month; pure.

Three timelines of a line and Microsoft's seats are compared (docs/adr/0041). What is younger than the settling time is
not judged: it may still become what we sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from shared.domain.bill_changes import changes_between, monthly
from shared.domain.calendar import BillingCalendar
from shared.domain.desk_jobs import Job
from shared.domain.explanations import Whereabouts, units_text
from shared.domain.line import Line, echo_of, fingerprint
from shared.domain.rates import Rate
from shared.domain.reading import Reading
from shared.domain.timeline import Step, Timeline, Window, first_difference


class Mover(StrEnum):
    """Who made the difference."""

    PERSON = "person"  #: somebody edited the line in Autotask
    US_LATE = "us_late"  #: a request of ours that was given up for lost took effect after all
    US_OPEN = "us_open"  #: what is wanted is not billed (yet): an operation waits, is dead, or could only come near
    MICROSOFT = "microsoft"  #: the seats at Microsoft are others than the ones that are billed, without an operation
    AUTOTASK = "autotask"  #: the line cannot be read: its contract is gone or hidden, or its rows contradict each other


_SENTENCES = {
    Mover.PERSON: "somebody changed it in Autotask",
    Mover.US_LATE: "a request of ours took effect after it was given up for lost",
    Mover.US_OPEN: "what is wanted is not billed",
    Mover.MICROSOFT: "Microsoft has other seats than are billed",
    Mover.AUTOTASK: "Autotask does not show it, or contradicts itself",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A line that is not billed as it should be; the three numbers are those of the day `on`.

    `monthly` is what is billed too much a month (negative: too little), as it stays if nobody does anything; `once` is
    that of the days from `on` whose difference ends by itself. None where a price that counts is not known. `reading`
    names exactly what Autotask showed.
    """

    customer: str
    subscription: str
    contract: int
    line: int
    found_at: datetime
    run: str
    movers: tuple[Mover, ...]
    sentence: str
    contract_name: str = ""
    on: date | None = None
    verified: int = 0
    actual: int = 0
    desired: int = 0
    seats: int | None = None
    actual_price: Decimal | None = None
    desired_price: Decimal | None = None
    monthly: Decimal | None = None
    once: Decimal | None = None
    reading: str = ""
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation(Job):
    """One run over all mapped lines. `unsettled` lines were not judged; `unpriced` findings have no money.

    `too_much` and `too_little` are a month's, those of `once` are of what ends by itself.
    """

    lines: int = 0
    unsettled: int = 0
    readings: int = 0
    movers: dict[str, int] = field(default_factory=dict)
    findings: int = 0
    too_much: Decimal = Decimal(0)
    too_little: Decimal = Decimal(0)
    once_too_much: Decimal = Decimal(0)
    once_too_little: Decimal = Decimal(0)
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """A line with everything that it is compared with; `seats` are the units that Microsoft's state stands for.

    `waiting` are the operations that are not billed yet.
    """

    line: Line
    reading: Reading
    window: Window
    calendar: BillingCalendar | None
    contract_name: str
    seats: int | None
    waiting: tuple[str, ...]
    today: date


def settled(line: Line, now: datetime, settle: timedelta) -> bool:
    """Whether a line is quiet long enough to be judged."""
    return line.intent is None and (line.last_effect is None or now >= line.last_effect + settle)


def accepted_mark(seats: int | None, reading: str) -> str:
    """What a person has accepted: this reading at these seats."""
    return f"{seats}:{reading}"


def judge(item: Compared, *, found_at: datetime, run: str) -> Finding | None:
    """What is otherwise than it should be on a line that is settled; None where nothing is."""
    line, window = item.line, item.window
    actual = item.reading.completed(line.verified, line.attempts)
    wanted = line.wanted
    reading = fingerprint(actual)
    movers = _movers(item, actual, wanted)
    if not movers or line.accepted == accepted_mark(item.seats, reading):
        return None
    aim = _aim(item, movers, wanted, actual)
    day = _day(item, actual, aim)
    billed, right = actual.on(day), aim.on(day)
    steady, once = _money(item, actual, aim, day)
    where = Whereabouts(line.line, line.contract, item.contract_name, window, item.calendar)
    return Finding(
        customer=line.customer,
        subscription=line.subscription,
        contract=line.contract,
        line=line.line,
        found_at=found_at,
        run=run,
        movers=movers,
        sentence=_sentence(where, movers, day, item, line.verified.on(day), billed, right),
        contract_name=item.contract_name,
        on=day,
        verified=line.verified.at(day),
        actual=billed.units,
        desired=wanted.at(day),
        seats=item.seats,
        actual_price=billed.rate(Rate.PRICE),
        desired_price=right.rate(Rate.PRICE),
        monthly=steady,
        once=once,
        reading=reading,
        operations=item.waiting,
    )


def _movers(item: Compared, actual: Timeline, wanted: Timeline) -> tuple[Mover, ...]:
    line, window = item.line, item.window
    found: list[Mover] = []
    if echo_of(line, item.reading, window) is not None:
        found.append(Mover.US_LATE)
    elif first_difference(actual, line.verified, owned=line.desired, window=window) is not None:
        found.append(Mover.PERSON)
    from_today = Window(max(item.today, window.start), window.end) if item.today <= window.end else None
    lasts = from_today is not None and _differ(actual, wanted, Window(window.end, window.end))
    if item.waiting or (lasts and not found):  # of what is over by then its operation tells, as an approximation
        found.append(Mover.US_OPEN)
    if item.seats is not None and not item.waiting and from_today and line.desired.at(window.end) != item.seats:
        found.append(Mover.MICROSOFT)
    return tuple(found)


def _differ(one: Timeline, other: Timeline, window: Window) -> bool:
    return first_difference(one, other, owned=other, window=window) is not None


def _aim(item: Compared, movers: tuple[Mover, ...], wanted: Timeline, actual: Timeline) -> Timeline:
    """What should be billed: what our operations want, or Microsoft's seats where nothing else differs.

    Rates that are not ours stay as they are.
    """
    if movers == (Mover.MICROSOFT,) and item.seats is not None:
        start = min(max(item.today, item.window.start), item.window.end)
        before = tuple(step for step in wanted.steps if step.date < start)
        wanted = Timeline((*before, replace(wanted.on(start), date=start, units=item.seats)))
    return wanted.filled_from(actual)


def _day(item: Compared, actual: Timeline, aim: Timeline) -> date:
    """The day whose numbers are told: today if it differs, else the first day from today on, else the first at all."""
    window, verified = item.window, item.line.verified
    today = min(max(item.today, window.start), window.end)
    for span in (Window(today, window.end), window):
        for other in (aim, verified):
            first = first_difference(actual, other, owned=aim, window=span)
            if first is not None:
                return first
    return today


def _money(item: Compared, actual: Timeline, aim: Timeline, day: date) -> tuple[Decimal | None, Decimal | None]:
    """What is billed too much a month to the end, and what is billed too much once, from a day on."""
    today = max(item.today, item.window.start)
    changes = changes_between(aim, actual, Window(min(day, today), item.window.end), item.calendar)
    if any(change.money is None for change in changes):
        return None, None
    amounts = [(change.end is None, change.money or Decimal(0)) for change in changes]
    steady = sum((money for lasts, money in amounts if lasts), Decimal(0))
    return monthly(steady, item.calendar), sum((money for lasts, money in amounts if not lasts), Decimal(0))


def _sentence(
    where: Whereabouts,
    movers: tuple[Mover, ...],
    day: date,
    item: Compared,
    verified: Step,
    billed: Step,
    right: Step,
) -> str:
    causes = "; ".join(_SENTENCES[mover] for mover in movers)
    seats = "" if item.seats is None else f", Microsoft stands for {item.seats}"
    calendar = item.calendar
    return (
        f"{where}: {causes}. On {day} it bills {units_text(billed.units, billed.rate(Rate.PRICE), calendar)}; last "
        f"verified were {units_text(verified.units, verified.rate(Rate.PRICE), calendar)}, wanted are "
        f"{units_text(right.units, right.rate(Rate.PRICE), calendar)}{seats}."
    )
