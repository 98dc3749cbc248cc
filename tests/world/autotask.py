"""Autotask in memory: contracts, lines, signed adjustments, and unit rows by billing period cut at the adjustments.

Fulfils `AutotaskPort`. Adjustments are create-only; refused are a second one through the API on a date, a date outside
the contract, one that would change a posted row, and fewer than zero units. Faults lie before or after the effect; an
effect can come late, and reads can lag behind it. What no document settles about rates is a switch (`Habits`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from shared.domain.calendar import BillingCalendar
from shared.domain.contract import Company, Contract, ContractLine, Service, Threshold
from shared.domain.errors import OutcomeUnknown, Refused, RetryLater
from shared.domain.outcomes import Accepted, AdjustmentRefused, AdjustOutcome, AdjustUnknown, RefusalKind, Unsent
from shared.domain.planning import Adjustment
from shared.domain.rates import Rate, cents
from shared.domain.reading import UnitsRow, read
from shared.domain.timeline import Step, Timeline, Window
from tests.world.clock import Clock

_DAY = timedelta(days=1)
Source = Literal["seed", "api", "hand", "opening"]  # of a line that an adjustment made


@dataclass
class Habits:
    """What Autotask does where no document says so: the same switches as the simulator's.

    `reach`: a rate that is named holds until the next adjustment that names one, or on all later days.
    """

    omitted: Literal["keep", "list"] = "keep"
    reach: Literal["next", "onwards"] = "next"
    shows_costs: bool = True
    thirtieths: bool = False
    posted: Literal["prorate", "reject"] = "prorate"
    same_date_refused: bool = True


class AdjustFault(StrEnum):
    """What goes wrong with one POST of an adjustment."""

    LOST = "lost"  #: no answer, no effect
    ANSWER_LOST = "answer_lost"  #: the effect, but no answer
    LATE = "late"  #: no answer; the effect comes `seconds` after the deadline
    UNSENT = "unsent"
    THROTTLED = "throttled"  #: no effect; leave it alone for `seconds`
    REFUSED = "refused"  #: a refusal that names no date


@dataclass(frozen=True)
class Fault:
    """One fault of one POST."""

    kind: AdjustFault
    seconds: float = 0


@dataclass(frozen=True)
class Adjusted:
    """An adjustment and when it takes effect; `deadline` tells one intent of the application from another."""

    line: int
    adjustment: Adjustment
    at: datetime
    source: Source
    deadline: datetime | None = None
    sent: Adjustment | None = None  # as it was asked for; Autotask may have added rates


class Autotask:
    """One tenant."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._contracts: dict[int, Contract] = {}
        self._lines: dict[int, ContractLine] = {}
        self._services: dict[int, Service] = {}
        self._companies: dict[int, Company] = {}
        self._posted: dict[int, set[date]] = {}  # first days of the rows
        self._bundled: set[int] = set()
        self._hidden: set[int] = set()  # contracts
        self.habits = Habits()
        self.log: list[Adjusted] = []
        self.faults: list[Fault] = []
        self.away_until: datetime | None = None
        self.lag = timedelta()
        self.used = 1  # of the tenant's requests
        self.on_effect: Callable[[Adjusted, Timeline], None] | None = None

    def add_company(self, company: Company) -> None:
        self._companies[company.id] = company

    def add_contract(self, contract: Contract) -> None:
        self._contracts[contract.id] = contract

    def add_service(self, service: Service) -> None:
        self._services[service.id] = service

    def add_line(self, line: ContractLine, units: int) -> None:
        """A line with units since its contract's first day."""
        self._lines[line.id] = line
        if units:
            first = self._contracts[line.contract_id].start
            self.log.append(Adjusted(line.id, Adjustment(first, units), self._clock.now() - timedelta(days=1), "seed"))

    def post_through(self, line: int, day: date) -> None:
        """Approve and post every row that starts until a day."""
        starts = {row.start for row in self._rows(line, self._clock.now()) if row.start <= day}
        self._posted.setdefault(line, set()).update(starts)

    def shown(self, line: int) -> Timeline:
        """What the rows tell of a line now: its units, and its rates where a whole period shows them."""
        contract = self._contracts[self._lines[line].contract_id]
        rows = self._rows(line, self._clock.now())
        return read(rows, Window(contract.start, contract.end), contract.calendar).shown

    def posted_through(self, line: int, *, prorate: bool) -> date | None:
        """The last first day of a posted row, or without proration the last day of one."""
        posted = [row for row in self._rows(line, self._clock.now()) if row.posted]
        return max((row.start if prorate else row.end for row in posted), default=None)

    def put_into_bundle(self, line: int) -> None:
        """Make a line part of a service bundle, which only its bundle's adjustments change."""
        self._bundled.add(line)

    def hide_contract(self, contract: int) -> None:
        """Show the contract to nobody any more, and its lines as before."""
        self._hidden.add(contract)

    def change_contract(self, contract: int, *, end: date) -> None:
        """Extend a contract, or shorten it: then everything after its new end is gone for good."""
        self._contracts[contract] = replace(self._contracts[contract], end=end)
        lines = {line.id for line in self._lines.values() if line.contract_id == contract}
        self.log = [item for item in self.log if item.line not in lines or item.adjustment.date <= end]

    def hand_edit(
        self, line: int, day: date, change: int, *, price: Decimal | None = None, cost: Decimal | None = None
    ) -> None:
        """Somebody changes the line in Autotask's own pages. Raises ValueError for fewer than zero units."""
        adjustment = Adjustment(day, change, price, cost)
        if self._would_be_negative(line, adjustment):
            raise ValueError(f"line {line} would have fewer than 0 units")
        self.log.append(Adjusted(line, adjustment, self._clock.now(), "hand"))

    def timeline(self, line: int, *, seen_at: datetime | None = None) -> Timeline:
        """Units and rates of a line as they truly are, or as they were at a moment."""
        moment = seen_at or self._clock.now()
        return self._sum(line, [item for item in self.log if item.line == line and item.at <= moment])

    def next_effect(self) -> datetime | None:
        """When the next effect that is under way takes place."""
        return min((item.at for item in self.log if item.at > self._clock.now()), default=None)

    async def units(self, lines: Sequence[int]) -> dict[int, tuple[UnitsRow, ...]]:
        """See AutotaskPort."""
        self._require_presence()
        if len(lines) > 100:
            raise ValueError("at most 100 lines per call")
        moment = self._clock.now() - self.lag
        return {line: tuple(self._rows(line, moment)) if line in self._lines else () for line in lines}

    async def contracts(self, ids: Iterable[int]) -> dict[int, Contract]:
        """See AutotaskPort."""
        self._require_presence()
        return {id_: self._contracts[id_] for id_ in ids if id_ in self._contracts and id_ not in self._hidden}

    async def contract_lines(self, contract: int) -> list[ContractLine]:
        """See AutotaskPort."""
        self._require_presence()
        return [line for line in self._lines.values() if line.contract_id == contract]

    async def line(self, id: int) -> ContractLine | None:  # noqa: A002 - the name in the port
        """See AutotaskPort."""
        self._require_presence()
        return self._lines.get(id)

    async def services(self, ids: Iterable[int]) -> dict[int, Service]:
        """See AutotaskPort."""
        self._require_presence()
        return {id_: self._services[id_] for id_ in ids if id_ in self._services}

    async def companies(self, ids: Iterable[int]) -> dict[int, Company]:
        """See AutotaskPort."""
        self._require_presence()
        return {id_: self._companies[id_] for id_ in ids if id_ in self._companies}

    async def companies_by_name(self, prefix: str, limit: int = 20, after: int = 0) -> list[Company]:
        """See AutotaskPort."""
        self._require_presence()
        return [company for company in self._companies.values() if _begins(company, prefix, after)][:limit]

    async def services_by_name(self, prefix: str, limit: int = 20, after: int = 0) -> list[Service]:
        """See AutotaskPort."""
        self._require_presence()
        return [service for service in self._services.values() if _begins(service, prefix, after)][:limit]

    async def contracts_of(self, companies: Iterable[int]) -> list[Contract]:
        """See AutotaskPort."""
        self._require_presence()
        wanted = set(companies)
        seen = (contract for contract in self._contracts.values() if contract.id not in self._hidden)
        return [contract for contract in seen if contract.company_id in wanted]

    async def lines_of(self, contracts: Iterable[int]) -> list[ContractLine]:
        """See AutotaskPort."""
        self._require_presence()
        wanted = set(contracts)
        return [line for line in self._lines.values() if line.contract_id in wanted]

    async def lines(self, ids: Iterable[int]) -> dict[int, ContractLine]:
        """See AutotaskPort."""
        self._require_presence()
        return {id_: self._lines[id_] for id_ in ids if id_ in self._lines}

    async def companies_named(self, names: Iterable[str]) -> list[Company]:
        """See AutotaskPort."""
        self._require_presence()
        wanted = {name.casefold() for name in names}
        return [company for company in self._companies.values() if company.name.casefold() in wanted]

    async def companies_on_web(self, domains: Iterable[str]) -> list[Company]:
        """See AutotaskPort."""
        self._require_presence()
        wanted = {domain.casefold() for domain in domains}
        return [one for one in self._companies.values() if any(domain in one.web.casefold() for domain in wanted)]

    async def services_with_sku(self, skus: Iterable[str]) -> list[Service]:
        """See AutotaskPort."""
        self._require_presence()
        wanted = {sku.casefold() for sku in skus}
        return [one for one in self._services.values() if any(sku in one.sku.casefold() for sku in wanted)]

    async def create_line(self, contract: int, service: int, description: str) -> int:
        """See AutotaskPort."""
        self._require_presence()
        if contract not in self._contracts or service not in self._services:
            raise Refused("autotask_refused", "Value does not exist or is invalid.", status=500)
        if any((line.contract_id, line.service_id) == (contract, service) for line in self._lines.values()):
            raise Refused("autotask_refused", "The service is already associated with this contract.", status=500)
        number = max(self._lines, default=0) + 1
        price = self._services[service].unit_price
        self._lines[number] = ContractLine(number, contract, service, "", description[:100], price)
        return number

    async def repeat_line(self, contract: int, service: int, day: date) -> None:
        """See AutotaskPort."""
        self._require_presence()
        if contract not in self._contracts or service not in self._services:
            raise Refused("autotask_refused", "Value does not exist or is invalid.", status=500)
        known = self._contracts[contract]
        if not known.start <= day <= known.end:
            raise Refused("autotask_refused", "effectiveDate must be between the start date and end date", status=500)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None and fault.kind is AdjustFault.REFUSED:
            raise Refused("autotask_refused", "The contract is locked.", status=500)
        if fault is None or fault.kind in {AdjustFault.ANSWER_LOST, AdjustFault.LATE}:
            number = max(self._lines, default=0) + 1
            price = self._services[service].unit_price
            self._lines[number] = ContractLine(number, contract, service, "", "", price)
            opening = Adjusted(number, Adjustment(day, 0), self._clock.now(), "opening")
            self.log.append(replace(opening, adjustment=self._completed(number, opening.adjustment)))
        if fault is not None:
            raise OutcomeUnknown("no answer")

    async def adjust(self, *, contract: int, line: int, adjustment: Adjustment, deadline: datetime) -> AdjustOutcome:
        """See AutotaskPort."""
        now = self._clock.now()
        if now >= deadline or self._is_away():
            return Unsent("no connection")
        fault = self.faults.pop(0) if self.faults else None
        without_effect = _without_effect(fault) or self._refusal(contract, line, adjustment)
        if without_effect is not None:
            return without_effect
        is_late = fault is not None and fault.kind is AdjustFault.LATE
        effective_at = deadline + timedelta(seconds=fault.seconds) if fault is not None and is_late else now
        adjusted = Adjusted(line, self._completed(line, adjustment), effective_at, "api", deadline, adjustment)
        if self.on_effect is not None:
            self.on_effect(adjusted, self._timeline_to_be(line))
        self.log.append(adjusted)
        return Accepted() if fault is None else AdjustUnknown("no answer")

    async def threshold(self) -> Threshold:
        """See AutotaskPort."""
        self._require_presence()
        return Threshold(10_000, 60, self.used)

    async def budget(self) -> Threshold | None:
        """See AutotaskPort."""
        return None if self._is_away() else await self.threshold()

    def _refusal(self, contract: int, line: int, adjustment: Adjustment) -> AdjustmentRefused | None:
        known = self._contracts.get(contract)
        if known is None or line not in self._lines or self._lines[line].contract_id != contract:
            return _refused("Value does not exist or is invalid.", "other")
        rules: tuple[tuple[bool, str, RefusalKind], ...] = (
            (
                not known.start <= adjustment.date <= known.end,
                "effectiveDate must be between the start date and end date of the Contract",
                "window",
            ),
            (line in self._bundled, "It is part of a service bundle and cannot be adjusted by itself.", "bundle"),
            (self._would_be_negative(line, adjustment), "unitChange must not reduce the units below zero.", "other"),
            (
                self._is_taken(line, adjustment.date),
                "Attempt to insert duplicate data into contract_service_period",
                "duplicate",
            ),
            (self._is_posted(line, adjustment.date), "an already approved and posted contract period", "posted"),
        )
        return next((_refused(text, kind) for broken, text, kind in rules if broken), None)

    def _is_taken(self, line: int, day: date) -> bool:
        ours = (item for item in self.log if item.line == line and item.source in {"api", "opening"})
        return self.habits.same_date_refused and any(item.adjustment.date == day for item in ours)

    def _is_posted(self, line: int, day: date) -> bool:
        """Whether a change from a day on would rewrite a posted row, or (by habit) lies inside one."""
        posted = [row for row in self._rows(line, self._clock.now()) if row.posted]
        return any(day <= (row.end if self.habits.posted == "reject" else row.start) for row in posted)

    def _completed(self, line: int, adjustment: Adjustment) -> Adjustment:
        if self.habits.omitted == "keep":
            return adjustment
        price, cost = self._list_rates(line)
        return replace(
            adjustment,
            price=price if adjustment.price is None else adjustment.price,
            cost=cost if adjustment.cost is None else adjustment.cost,
        )

    def _list_rates(self, line: int) -> tuple[Decimal, Decimal]:
        service = self._services[self._lines[line].service_id]
        return self._lines[line].unit_price or Decimal(0), service.unit_cost or Decimal(0)

    def _would_be_negative(self, line: int, adjustment: Adjustment) -> bool:
        now = self._clock.now()
        to_be = [*(item for item in self.log if item.line == line), Adjusted(line, adjustment, now, "hand")]
        after = self._sum(line, to_be)
        days = {adjustment.date, *(step.date for step in after.steps if step.date >= adjustment.date)}
        return adjustment.change < 0 and any(after.at(day) < 0 for day in days)

    def _timeline_to_be(self, line: int) -> Timeline:
        """With everything that is still under way."""
        return self._sum(line, [item for item in self.log if item.line == line])

    def _sum(self, line: int, items: Sequence[Adjusted]) -> Timeline:
        """What adjustments add up to, each rate as far as it reaches by habit."""
        ordered = sorted(items, key=lambda item: item.at)
        days = sorted({item.adjustment.date for item in ordered})
        rates = dict(zip(Rate, self._list_rates(line), strict=True))

        def rate(kind: Rate, day: date) -> Decimal:
            named = [item.adjustment for item in ordered if item.adjustment.date <= day]
            named = [adjustment for adjustment in named if adjustment.rate(kind) is not None]
            if self.habits.reach == "next":
                named.sort(key=lambda adjustment: adjustment.date)
            return (named[-1].rate(kind) if named else None) or (Decimal(0) if named else rates[kind])

        def units(day: date) -> int:
            return sum(item.adjustment.change for item in ordered if item.adjustment.date <= day)

        return Timeline(tuple(Step(day, units(day), rate(Rate.PRICE, day), rate(Rate.COST, day)) for day in days))

    def _rows(self, line: int, seen_at: datetime) -> Iterable[UnitsRow]:
        contract = self._contracts[self._lines[line].contract_id]
        calendar = contract.calendar
        if calendar is None:
            return
        seen = self.timeline(line, seen_at=seen_at)
        cuts = {step.date for step in seen.steps}
        posted = self._posted.get(line, set())
        start = contract.start
        while start <= contract.end:
            period_end = calendar.next_period(start) - _DAY
            later = [cut for cut in cuts if start < cut <= period_end]
            end = min([period_end, contract.end, *(cut - _DAY for cut in later)])
            if seen.at(start):
                yield self._row(seen.on(start), start, end, calendar, posted=start in posted)
            start = end + _DAY

    def _row(self, step: Step, start: date, end: date, calendar: BillingCalendar, *, posted: bool) -> UnitsRow:
        share = calendar.share(start, end)
        if self.habits.thirtieths and share != 1:
            share = min(Decimal(1), Decimal((end - start).days + 1) / 30)
        price, cost = step.price or Decimal(0), step.cost or Decimal(0)
        shown = cents(step.units * cost * share) if self.habits.shows_costs else None
        return UnitsRow(start, end, step.units, posted=posted, price=cents(step.units * price * share), cost=shown)

    def _require_presence(self) -> None:
        if self._is_away():
            raise RetryLater("Autotask does not answer")

    def _is_away(self) -> bool:
        return self.away_until is not None and self._clock.now() < self.away_until


def _begins(item: Company | Service, prefix: str, after: int) -> bool:
    return item.id > after and item.name.casefold().startswith(prefix.strip().casefold())


def _without_effect(fault: Fault | None) -> AdjustOutcome | None:
    match fault:
        case Fault(AdjustFault.UNSENT):
            return Unsent("no connection")
        case Fault(AdjustFault.REFUSED):
            return _refused("The service is locked.", "other")
        case Fault(AdjustFault.LOST):
            return AdjustUnknown("no answer")
        case Fault(AdjustFault.THROTTLED, seconds):
            return AdjustUnknown("throttled", timedelta(seconds=seconds or 60))
    return None


def _refused(text: str, kind: RefusalKind) -> AdjustmentRefused:
    return AdjustmentRefused(500, (text,), kind)
