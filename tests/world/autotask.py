"""Autotask in memory: contracts, lines, signed adjustments, and unit rows by billing period cut at the adjustments.

Fulfils `AutotaskPort`. Adjustments are create-only; refused are a second one through the API on a date, a date outside
the contract, one in a posted period, and fewer than zero units. Faults lie before or after the effect; an effect can
come late, and reads can lag behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Literal

from shared.domain.calendar import PeriodType, period_start_after
from shared.domain.contract import Company, Contract, ContractLine, Service, Threshold
from shared.domain.errors import Refused, RetryLater
from shared.domain.outcomes import Accepted, AdjustmentRefused, AdjustOutcome, AdjustUnknown, RefusalKind, Unsent
from shared.domain.planning import Adjustment, apply
from shared.domain.timeline import Timeline, UnitsRow
from tests.world.clock import Clock

_DAY = timedelta(days=1)
Source = Literal["seed", "api", "hand"]


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


class Autotask:
    """One tenant."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._contracts: dict[int, Contract] = {}
        self._lines: dict[int, ContractLine] = {}
        self._services: dict[int, Service] = {}
        self._companies: dict[int, Company] = {}
        self._posted_until: dict[int, date] = {}
        self.log: list[Adjusted] = []
        self.faults: list[Fault] = []
        self.away_until: datetime | None = None
        self.lag = timedelta()
        self.same_date_refused = True
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
        self._posted_until[line] = day

    def hand_edit(self, line: int, day: date, change: int) -> None:
        """Somebody changes the units in Autotask's own pages. Raises ValueError for fewer than zero units."""
        if self._would_be_negative(line, Adjustment(day, change)):
            raise ValueError(f"line {line} would have fewer than 0 units")
        self.log.append(Adjusted(line, Adjustment(day, change), self._clock.now(), "hand"))

    def timeline(self, line: int, *, seen_at: datetime | None = None) -> Timeline:
        """The units of a line as they truly are, or as they were at a moment."""
        moment = seen_at or self._clock.now()
        return apply(Timeline(), [item.adjustment for item in self.log if item.line == line and item.at <= moment])

    def next_effect(self) -> datetime | None:
        """When the next effect that is under way takes place."""
        return min((item.at for item in self.log if item.at > self._clock.now()), default=None)

    async def units(self, lines: Sequence[int]) -> dict[int, tuple[UnitsRow, ...]]:
        """See AutotaskPort."""
        self._require_presence()
        if len(lines) > 100:
            raise ValueError("at most 100 lines per call")
        return {line: tuple(self._rows(line)) if line in self._lines else () for line in lines}

    async def contracts(self, ids: Iterable[int]) -> dict[int, Contract]:
        """See AutotaskPort."""
        self._require_presence()
        return {id_: self._contracts[id_] for id_ in ids if id_ in self._contracts}

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

    async def companies_by_name(self, prefix: str, limit: int = 20) -> list[Company]:
        """See AutotaskPort."""
        self._require_presence()
        begins = prefix.strip().casefold()
        return [company for company in self._companies.values() if company.name.casefold().startswith(begins)][:limit]

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

    async def adjust(
        self, *, contract: int, line: int, change: int, effective: date, deadline: datetime
    ) -> AdjustOutcome:
        """See AutotaskPort."""
        now = self._clock.now()
        if now >= deadline or self._is_away():
            return Unsent("no connection")
        fault = self.faults.pop(0) if self.faults else None
        adjustment = Adjustment(effective, change)
        without_effect = _without_effect(fault) or self._refusal(contract, line, adjustment)
        if without_effect is not None:
            return without_effect
        is_late = fault is not None and fault.kind is AdjustFault.LATE
        effective_at = deadline + timedelta(seconds=fault.seconds) if fault is not None and is_late else now
        adjusted = Adjusted(line, adjustment, effective_at, "api", deadline)
        if self.on_effect is not None:
            self.on_effect(adjusted, self._timeline_to_be(line))
        self.log.append(adjusted)
        return Accepted() if fault is None else AdjustUnknown("no answer")

    async def threshold(self) -> Threshold:
        """See AutotaskPort."""
        self._require_presence()
        return Threshold(10_000, 60, 1)

    def _refusal(self, contract: int, line: int, adjustment: Adjustment) -> AdjustmentRefused | None:
        known = self._contracts.get(contract)
        if known is None or line not in self._lines or self._lines[line].contract_id != contract:
            return _refused("Value does not exist or is invalid.", "other")
        if not known.start <= adjustment.date <= known.end:
            return _refused("effectiveDate must be between the start date and end date of the Contract", "window")
        if self._would_be_negative(line, adjustment):
            return _refused("unitChange must not reduce the units below zero.", "other")
        if self.same_date_refused and any(
            item.line == line and item.source == "api" and item.adjustment.date == adjustment.date for item in self.log
        ):
            return _refused("Attempt to insert duplicate data into contract_service_period", "duplicate")
        if line in self._posted_until and adjustment.date <= self._posted_until[line]:
            return _refused("an already approved and posted contract period", "posted")
        return None

    def _would_be_negative(self, line: int, adjustment: Adjustment) -> bool:
        after = apply(self._timeline_to_be(line), [adjustment])
        days = {adjustment.date, *(step.date for step in after.steps if step.date >= adjustment.date)}
        return adjustment.change < 0 and any(after.at(day) < 0 for day in days)

    def _timeline_to_be(self, line: int) -> Timeline:
        """With everything that is still under way."""
        return apply(Timeline(), [item.adjustment for item in self.log if item.line == line])

    def _rows(self, line: int) -> Iterable[UnitsRow]:
        contract = self._contracts[self._lines[line].contract_id]
        seen = self.timeline(line, seen_at=self._clock.now() - self.lag)
        cuts = {step.date for step in seen.steps}
        posted_until = self._posted_until.get(line, date.min)
        start = contract.start
        while start <= contract.end:
            period_end = period_start_after(start, contract.start, PeriodType(contract.period_type or 2)) - _DAY
            later = [cut for cut in cuts if start < cut <= period_end]
            end = min([period_end, contract.end, *(cut - _DAY for cut in later)])
            if seen.at(start):
                yield UnitsRow(start, end, seen.at(start), posted=start <= posted_until)
            start = end + _DAY

    def _require_presence(self) -> None:
        if self._is_away():
            raise RetryLater("Autotask does not answer")

    def _is_away(self) -> bool:
        return self.away_until is not None and self._clock.now() < self.away_until


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
