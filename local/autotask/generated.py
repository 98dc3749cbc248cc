"""The generated customers: any number of companies with one contract each and some lines, computed from their number.

Ids are arithmetic (see the constants), so that 100,000 customers cost no memory until something about them changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from local.autotask.rows import company_row, contract_row, line_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.autotask.tables import Row

COMPANY_BASE = 30_000_000
CONTRACT_BASE = 31_000_000
LINE_BASE = 32_000_000
LINES_PER_CUSTOMER = 1000
SERVICE = 677


@dataclass(frozen=True, slots=True)
class Customers:
    """How many customers there are, how many subscriptions each has, and the window of their contracts."""

    count: int
    subscriptions: int
    contract_start: date
    contract_end: date
    unit_price: float
    unit_cost: float

    def numbers_of_line(self, line_id: int) -> tuple[int, int] | None:
        """Return customer and subscription number (from 1) of a line id, or None."""
        customer, subscription = divmod(line_id - LINE_BASE, LINES_PER_CUSTOMER)
        if 1 <= customer <= self.count and 1 <= subscription <= self.subscriptions:
            return customer, subscription
        return None

    def units_of_line(self, line_id: int) -> int | None:
        """Return the units that a generated line has from its contract's first day, or None for another line."""
        numbers = self.numbers_of_line(line_id)
        return None if numbers is None else 5 + sum(numbers) % 20


@dataclass(frozen=True, slots=True)
class Companies:
    """The generated companies."""

    customers: Customers

    def get(self, row_id: int) -> Row | None:
        """Compute one company."""
        number = row_id - COMPANY_BASE
        if not 1 <= number <= self.customers.count:
            return None
        return company_row(row_id, f"Generated Customer {number:06d}")

    def ids_above(self, after: int) -> Iterable[int]:
        """Return the ids above a number."""
        return range(max(COMPANY_BASE, after) + 1, COMPANY_BASE + self.customers.count + 1)

    def ids_with(self, name: str, value: Any) -> Iterable[int]:
        """Find a company by its name."""
        prefix = "generated customer "
        if name == "companyName" and isinstance(value, str) and value.lower().startswith(prefix):
            number = value[len(prefix) :]
            return (COMPANY_BASE + int(number),) if number.isdecimal() else ()
        return ()


@dataclass(frozen=True, slots=True)
class Contracts:
    """The generated contracts, one per company."""

    customers: Customers

    def get(self, row_id: int) -> Row | None:
        """Compute one contract."""
        number = row_id - CONTRACT_BASE
        if not 1 <= number <= self.customers.count:
            return None
        return contract_row(
            row_id,
            COMPANY_BASE + number,
            f"CSP Generated Customer {number:06d}",
            self.customers.contract_start,
            self.customers.contract_end,
        )

    def ids_above(self, after: int) -> Iterable[int]:
        """Return the ids above a number."""
        return range(max(CONTRACT_BASE, after) + 1, CONTRACT_BASE + self.customers.count + 1)

    def ids_with(self, name: str, value: Any) -> Iterable[int]:
        """Find the contract of a company."""
        if name == "companyID" and isinstance(value, int):
            return (value - COMPANY_BASE + CONTRACT_BASE,)
        return ()


@dataclass(frozen=True, slots=True)
class Lines:
    """The generated contract services."""

    customers: Customers

    def get(self, row_id: int) -> Row | None:
        """Compute one line."""
        numbers = self.customers.numbers_of_line(row_id)
        if numbers is None:
            return None
        return line_row(
            row_id, CONTRACT_BASE + numbers[0], SERVICE, self.customers.unit_price, self.customers.unit_cost
        )

    def ids_above(self, after: int) -> Iterable[int]:
        """Yield the ids above a number."""
        first = max(1, (after - LINE_BASE) // LINES_PER_CUSTOMER)
        for customer in range(first, self.customers.count + 1):
            base = LINE_BASE + customer * LINES_PER_CUSTOMER
            for line_id in range(base + 1, base + self.customers.subscriptions + 1):
                if line_id > after:
                    yield line_id

    def ids_with(self, name: str, value: Any) -> Iterable[int]:
        """Return the lines of a contract."""
        if name == "contractID" and isinstance(value, int) and 1 <= value - CONTRACT_BASE <= self.customers.count:
            base = LINE_BASE + (value - CONTRACT_BASE) * LINES_PER_CUSTOMER
            return range(base + 1, base + self.customers.subscriptions + 1)
        return ()
