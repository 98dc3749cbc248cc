"""The two tenants of the Autotask contract: the fake of the crash tests, and the simulator behind the real client."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import httpx

from shared.domain.contract import Company, Contract, ContractLine, Service
from shared.domain.planning import Adjustment
from shared.ports import AutotaskPort
from tests.world.autotask import AdjustFault, Autotask, Fault
from tests.world.clock import Clock

COMPANY, SERVICES = 29683616, (677, 678, 679)  # Northwind and the catalogue of the simulator's seed
SKUS = ("CFQ7TTC0LDPB:0001", "CFQ7TTC0LCHC:0002", "CFQ7TTC0LH16:0001")
PRICE, COST = Decimal("12.50"), Decimal("10.00")  # of service 677
_REST = "/ATServicesRest/v1.0"


def window(today: date) -> tuple[date, date]:
    """The contract's days: from a January two years ago to a December in four years."""
    return date(today.year - 2, 1, 1), date(today.year + 4, 12, 31)


class Tenant(Protocol):
    """What the tests do around the port; each test has a contract of its own."""

    port: AutotaskPort
    today: date
    contract: int

    def deadline(self) -> datetime:
        """A moment until which there is time enough."""

    async def new_line(self, units: int) -> int:
        """A line of the contract, with units since its first day."""

    def adjustments(self, line: int) -> list[Adjustment]:
        """What the API did to a line, in that order."""

    def hand_edit(self, line: int, day: date, change: int, *, price: Decimal | None = None) -> None:
        """Somebody changes the line in Autotask's own pages."""

    def switch(self, **habits: str) -> None:
        """Choose what no document settles, by the names of the simulator's switches."""

    def put_into_bundle(self, line: int) -> None:
        """Make the line part of a service bundle."""

    def post_through(self, line: int, day: date) -> None:
        """Approve and post the rows that start until a day."""

    def lose(self, *, when: str) -> None:
        """The next adjustment gets no answer; it is lost `before` or `after` its effect."""

    def lag(self, span: timedelta) -> None:
        """Reads show everything so much later."""


class FakeTenant:
    """The fake, with the simulator's Northwind in it."""

    contract = 29747643

    def __init__(self) -> None:
        self._clock = Clock()
        self.today = self._clock.now().date()
        self._fake = Autotask(self._clock)
        self.port: AutotaskPort = self._fake
        start, end = window(self.today)
        self._fake.add_company(Company(COMPANY, "Northwind", active=True, type=1, web="https://www.northwind.example/"))
        self._fake.add_contract(Contract(self.contract, COMPANY, "CSP Northwind", 7, 2, 1, start, end))
        for service, sku in zip(SERVICES, SKUS, strict=True):
            self._fake.add_service(
                Service(service, f"Service {service}", 2, active=True, unit_price=PRICE, unit_cost=COST, sku=sku)
            )
        self._lines = 9000

    def go_away(self) -> None:
        self._fake.away_until = datetime.max.replace(tzinfo=UTC)

    def deadline(self) -> datetime:
        return self._clock.now() + timedelta(seconds=20)

    async def new_line(self, units: int) -> int:
        self._lines += 1
        self._fake.add_line(ContractLine(self._lines, self.contract, SERVICES[0], "", "", PRICE), units)
        return self._lines

    def adjustments(self, line: int) -> list[Adjustment]:
        return [item.adjustment for item in self._fake.log if item.line == line and item.source == "api"]

    def hand_edit(self, line: int, day: date, change: int, *, price: Decimal | None = None) -> None:
        self._fake.hand_edit(line, day, change, price=price)

    def switch(self, **habits: str) -> None:
        self._fake.habits.omitted = "list" if habits.get("omittedPrice") == "list" else "keep"
        self._fake.habits.reach = "onwards" if habits.get("priceReach") == "onwards" else "next"
        self._fake.habits.thirtieths = habits.get("proration") == "thirtieths"
        self._fake.habits.shows_costs = habits.get("costs") != "hidden"

    def put_into_bundle(self, line: int) -> None:
        self._fake.put_into_bundle(line)

    def post_through(self, line: int, day: date) -> None:
        self._fake.post_through(line, day)

    def lose(self, *, when: str) -> None:
        self._fake.faults.append(Fault(AdjustFault.LOST if when == "before" else AdjustFault.ANSWER_LOST))

    def lag(self, span: timedelta) -> None:
        self._fake.lag = span


@dataclass
class SimulatedTenant:
    """The simulator behind the real client."""

    port: AutotaskPort
    control: httpx.Client
    settings: dict[str, str]

    def __post_init__(self) -> None:
        self.today = datetime.fromisoformat(self._get("/_control/clock")["now"]).date()
        start, end = window(self.today)
        contract = {
            "companyID": COMPANY,
            "contractName": "Contract suite",
            "contractType": 7,
            "contractPeriodType": 2,
            "contractCategory": 1,
            "status": 1,
            "timeReportingRequiresStartAndStopTimes": 0,
            "startDate": start.isoformat(),
            "endDate": end.isoformat(),
        }
        credentials = {
            "UserName": self.settings["AUTOTASK_USER"],
            "Secret": self.settings["AUTOTASK_SECRET"],
            "ApiIntegrationCode": self.settings["AUTOTASK_INTEGRATION_CODE"],
        }
        answer = self.control.post(f"{_REST}/Contracts", json=contract, headers=credentials)
        self.contract: int = answer.raise_for_status().json()["itemId"]
        self._services = iter(SERVICES)  # Autotask takes a service only once for a contract

    def deadline(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=20)

    async def new_line(self, units: int) -> int:
        line = await self.port.create_line(self.contract, next(self._services), "contract suite")
        if units:
            self.hand_edit(line, window(self.today)[0], units)
        return line

    def adjustments(self, line: int) -> list[Adjustment]:
        found = self._get("/_control/state/adjustments", contractServiceId=line)["adjustments"]
        return [
            Adjustment(
                date.fromisoformat(item["effectiveDate"]),
                item["unitChange"],
                _amount(item["price"]),
                _amount(item["cost"]),
            )
            for item in found
            if item["source"] == "api"
        ]

    def hand_edit(self, line: int, day: date, change: int, *, price: Decimal | None = None) -> None:
        named = {} if price is None else {"adjustedUnitPrice": float(price)}
        body = {"contractServiceId": line, "effectiveDate": day.isoformat(), "unitChange": change, **named}
        self._post("/_control/state/edit", **body)

    def switch(self, **habits: str) -> None:
        self._post("/_control/switches", **habits)

    def put_into_bundle(self, line: int) -> None:
        self._post("/_control/state/bundle", contractServiceId=line)

    def post_through(self, line: int, day: date) -> None:
        self._post("/_control/state/post-periods", contractServiceId=line, through=day.isoformat())

    def lose(self, *, when: str) -> None:
        self._post("/_control/faults", method="POST", path="ServiceAdjustments", when=when, fault="reset")

    def lag(self, span: timedelta) -> None:
        self._post("/_control/switches", lagSeconds=span.total_seconds())

    def _get(self, path: str, /, **query: Any) -> Any:
        return self.control.get(path, params=query).raise_for_status().json()

    def _post(self, path: str, /, **body: Any) -> None:
        self.control.post(path, json=body).raise_for_status()


def _amount(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))
