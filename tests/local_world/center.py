"""A running Partner Center simulator with the few calls that the tests of upgrades and migrations share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

NORTHWIND = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"
FABRIKAM = "2e4d8c11-7a90-4c1c-a1b5-0f6e3b2d7a02"
DAY = 86_400


@dataclass(frozen=True)
class Center:
    """The simulator as seen through a client with an app token."""

    http: httpx.Client

    def switch(self, **values: object) -> None:
        """Set switches."""
        self.http.post("/_control/switches", json=values).raise_for_status()

    def reset(self) -> None:
        """Bring switches and plans back to their defaults."""
        listed = self.http.get("/_control/switches").json()["switches"]
        self.switch(**{one["name"]: one["default"] for one in listed})
        self.plan("transitions", seconds=5, outcome="completed", licenseSeconds=0, ineligible={})
        self.plan("migrations", seconds=5, outcome="completed", ineligible={})

    def plan(self, what: str, **values: object) -> None:
        """Say how the next transitions or migrations go."""
        self.http.post(f"/_control/state/{what}", json=values).raise_for_status()

    def advance(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.http.post("/_control/clock", json={"advanceSeconds": seconds}).raise_for_status()

    def set_clock(self, moment: str) -> None:
        """Set the simulated clock."""
        self.http.post("/_control/clock", json={"set": moment}).raise_for_status()

    def now(self) -> datetime:
        """The simulated moment."""
        return datetime.fromisoformat(self.http.get("/_control/clock").json()["now"])

    def buy(self, template: str = "nce", quantity: int = 10, customer: str = NORTHWIND, **more: Any) -> str:
        """Buy a subscription at Microsoft and return its id."""
        wanted = {"customerId": customer, "template": template, "quantity": quantity, **more}
        return str(self.http.post("/_control/state/subscriptions", json=wanted).raise_for_status().json()["id"])

    def state(self, subscription: str) -> dict[str, Any]:
        """What the control path shows of a subscription."""
        found: dict[str, Any] = self.http.get(f"/_control/state/subscriptions/{subscription}").raise_for_status().json()
        return found

    def read(self, subscription: str, customer: str = NORTHWIND) -> dict[str, Any]:
        """The resource."""
        found: dict[str, Any] = self.http.get(path(subscription, customer)).raise_for_status().json()
        return found

    def patch(self, subscription: str, customer: str = NORTHWIND, **changes: Any) -> httpx.Response:
        """Send the whole resource back with some properties changed."""
        return self.http.patch(path(subscription, customer), json=self.read(subscription, customer) | changes)

    def listed(self, customer: str = NORTHWIND) -> dict[str, dict[str, Any]]:
        """The customer's subscriptions by id."""
        items = self.http.get(f"/v1/customers/{customer}/subscriptions").raise_for_status().json()["items"]
        return {one["id"]: one for one in items}


def path(subscription: str, customer: str = NORTHWIND) -> str:
    """The path of a subscription."""
    return f"/v1/customers/{customer}/subscriptions/{subscription}"


def refusal(answer: httpx.Response) -> tuple[int, int]:
    """The status and the code of a refusal."""
    return answer.status_code, answer.json()["code"]
