"""The simulated Autotask database: tables, adjustments per line, posted rows, and what follows from them.

`adjust`, `writes` and `posting` change it under the API's rules, `units` and `query` read it, `seed` fills it.
"""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from local.autotask import generated
from local.autotask.periods import MONTHS_OF_PERIOD_TYPE, Period, billing_periods
from local.autotask.rows import RECURRING_SERVICE, day_of, moment_text
from local.autotask.tables import Table
from local.autotask.timeline import Adjustment, Segment, Step, fold, segments, step_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from local.autotask.generated import Customers
    from local.autotask.tables import Row
    from local.simulation.clock import SimulatedClock
    from local.simulation.switches import Switches

FIRST_API_ADJUSTMENT = 1001


class Tenant:
    """All data of one tenant; `customers` describes the generated ones."""

    def __init__(self, *, clock: SimulatedClock, switches: Switches, customers: Customers) -> None:
        self.clock = clock
        self.switches = switches
        self.customers = customers
        self.companies = Table(
            first_id=40_000_000, indexed=("companyName", "companyNumber"), population=generated.Companies(customers)
        )
        self.contracts = Table(
            first_id=41_000_000, indexed=("contractNumber", "companyID"), population=generated.Contracts(customers)
        )
        self.services = Table(first_id=1001, indexed=("name", "sku"))
        self.lines = Table(first_id=200_000_001, indexed=("contractID",), population=generated.Lines(customers))
        self.contract_notes = Table(indexed=("contractID",))
        self.tickets = Table(first_id=128_926, indexed=("externalID", "ticketNumber", "companyID"))
        self.ticket_notes = Table(indexed=("ticketID",))
        self.billing_items = Table(indexed=("contractServiceID", "contractID"))
        self.billing_codes = Table()
        self.posted: dict[int, dict[date, datetime]] = {}
        self.bundled: set[int] = set()  # lines that are part of a service bundle
        self._adjustments: dict[int, list[Adjustment]] = {}
        self._created: dict[int, datetime] = {}
        self._adjustment_ids = itertools.count(FIRST_API_ADJUSTMENT)
        self._seed_ids = itertools.count(1)
        self._started = clock.now()

    # Contracts

    def window(self, contract: Row) -> tuple[date, date]:
        """Return first and last day of a contract."""
        return day_of(contract["startDate"]), day_of(contract["endDate"])

    def periods(self, contract: Row) -> tuple[Period, ...]:
        """Return the billing periods of a contract; one that is not recurring has none."""
        months = MONTHS_OF_PERIOD_TYPE.get(contract["contractPeriodType"] or 0)
        if contract["contractType"] != RECURRING_SERVICE or months is None:
            return ()
        return billing_periods(*self.window(contract), months)

    def contract_of(self, line: Row) -> Row:
        """Return the contract of a line."""
        contract = self.contracts.get(line["contractID"])
        if contract is None:
            raise LookupError(f"line {line['id']} has no contract")
        return contract

    def note(self, contract_id: int, title: str, description: str) -> int:
        """Add a contract note and return its id."""
        note_id = self.contract_notes.next_id()
        self.contract_notes.put(
            {
                "id": note_id,
                "contractID": contract_id,
                "title": title,
                "description": description,
                "creatorResourceID": 29682885,
                "lastActivityDate": moment_text(self.clock.now()),
            }
        )
        return note_id

    # Lines and their adjustments

    def add_line(self, line: Row) -> None:
        """Store a new line and remember when, for the read-after-write lag."""
        self._created[line["id"]] = self.clock.now()
        self.lines.put(line)

    def history(self, line_id: int) -> list[Adjustment]:
        """Return every adjustment that ever took effect on a line, in that order; removed ones say when."""
        known = self._adjustments.get(line_id)
        if known is not None:
            return known
        units = self.customers.units_of_line(line_id)
        if units is None:
            return []
        start = self.customers.contract_start
        return [Adjustment(line_id, line_id, start, units, None, None, self._started, "seed")]

    def all_adjustments(self) -> Iterator[Adjustment]:
        """Yield the history of every line that is stored, line by line; untouched generated lines have none here."""
        for line_id in sorted(self._adjustments):
            yield from self._adjustments[line_id]

    def add_adjustment(
        self, line_id: int, effective: date, unit_change: int, price: float | None, cost: float | None, source: str
    ) -> Adjustment:
        """Let an adjustment take effect; the rules were checked before."""
        number = next(self._seed_ids if source == "seed" else self._adjustment_ids)
        adjustment = Adjustment(number, line_id, effective, unit_change, price, cost, self.clock.now(), source)
        self._adjustments.setdefault(line_id, self.history(line_id)).append(adjustment)
        return adjustment

    def remove_adjustments_after(self, line_id: int, day: date) -> None:
        """Undo what takes effect after a day, for good; the history keeps it."""
        for adjustment in self.history(line_id):
            if adjustment.removed_at is None and adjustment.effective > day:
                adjustment.removed_at = self.clock.now()

    def in_effect(self, line_id: int) -> list[Adjustment]:
        """Return the adjustments of a line that count."""
        return [one for one in self.history(line_id) if one.removed_at is None]

    def steps(self, line: Row) -> list[Step]:
        """Return the true step function of a line, whatever a lag hides."""
        return self._fold(self.in_effect(line["id"]), line)

    def segments(self, line: Row) -> Iterator[Segment]:
        """Yield the true segments of a line."""
        thirtieths = self.switches["proration"] == "thirtieths"
        return segments(self.periods(self.contract_of(line)), self.steps(line), thirtieths=thirtieths)

    def _fold(self, adjustments: list[Adjustment], line: Row) -> list[Step]:
        onwards = self.switches["priceReach"] == "onwards"
        return fold(adjustments, line["unitPrice"], line["unitCost"], onwards=onwards)

    # What reads show

    def line_is_visible(self, line_id: int) -> bool:
        """Tell whether reads already show a line."""
        created = self._created.get(line_id)
        return created is None or created <= self._shown_until()

    def visible_steps(self, line: Row) -> list[Step]:
        """Return the step function of a line as reads show it: without writes younger than the lag."""
        counting = self.in_effect(line["id"])
        if self.switches["lagSeconds"]:
            limit = self._shown_until()
            counting = [one for one in counting if one.source == "seed" or one.at <= limit]
        return self._fold(counting, line)

    def line_as_read(self, line: Row) -> dict[str, Any]:
        """Return a line with its adjusted price of today."""
        step = step_on(self.visible_steps(line), self.clock.now().date())
        shown = line if step is None else {**line, "internalCurrencyAdjustedPrice": step.price}
        return shown if self.shows_costs else {**shown, "unitCost": None}

    @property
    def shows_costs(self) -> bool:
        """Tell whether reads show costs."""
        return bool(self.switches["costs"] == "shown")

    def _shown_until(self) -> datetime:
        return self.clock.now() - timedelta(seconds=self.switches["lagSeconds"])
