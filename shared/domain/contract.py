"""Autotask's side of a mapping, as read: company, contract, its lines, the service catalogue, the request budget.

Read-only values made by `shared.autotask.wire`; picklist values keep Autotask's integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from shared.domain.calendar import BillingCalendar, calendar_of


@dataclass(frozen=True, slots=True)
class Company:
    """An Autotask company; type 1 is a customer, None where the API user may not read it.

    `web` is the address of its pages as somebody wrote it, or "".
    """

    id: int
    name: str
    active: bool
    type: int | None = None
    web: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract; type 7 is a recurring service contract, period types as in the catalogue, status 1 is active."""

    id: int
    company_id: int
    name: str
    type: int | None
    period_type: int | None
    status: int | None
    start: date
    end: date

    @property
    def calendar(self) -> BillingCalendar | None:
        """Its billing periods; None where the period type is not known here."""
        return calendar_of(self.start, self.period_type)


@dataclass(frozen=True, slots=True)
class ContractLine:
    """A contract service: what adjustments and units rows refer to."""

    id: int
    contract_id: int
    service_id: int
    invoice_description: str
    internal_description: str
    unit_price: Decimal | None


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the catalogue."""

    id: int
    name: str
    period_type: int | None
    active: bool
    unit_price: Decimal | None
    unit_cost: Decimal | None
    sku: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The request budget of the whole Autotask tenant: `used` of `limit` requests in the last `minutes`."""

    limit: int
    minutes: int
    used: int
