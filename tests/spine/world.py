"""What the end-to-end tests say and see: a portal's calls, the vendors' true state, and waiting for rest.

A `Subject` is one mapped subscription that nobody else uses, with the line that it is billed on. Everything is read
from outside: the API over HTTP, the simulators over their control paths.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from tests.conftest import plain_client
from tests.openapi import conforming

if TYPE_CHECKING:
    from types import TracebackType

    from local.stack import Stack

SEEDED_CUSTOMERS = 600
SUBSCRIPTIONS_EACH = 2
REST_SECONDS = 30.0
_POLL_SECONDS = 0.15
_MOST_POLL_SECONDS = 0.6

T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """A subscription and its line, as both vendors generated them."""

    customer: str
    subscription: str
    contract: int
    line: int
    quantity: int

    @property
    def path(self) -> str:
        return f"/customers/{self.customer}/subscriptions/{self.subscription}"

    @property
    def adjustments_path(self) -> str:
        """A pattern of the path on which Autotask takes this line's adjustments, and no other line's."""
        return f"Contracts/{self.contract}/ServiceAdjustments"


class World:
    """One stack as its users, its operators and an omniscient observer see it."""

    def __init__(self, stack: Stack, *, keep_alive: bool = True) -> None:
        """Without keep-alive a client does not mind that a host is killed between two of its calls."""
        self.stack = stack
        self._limits = httpx.Limits(max_keepalive_connections=20 if keep_alive else 0)
        self._customers = itertools.count(1)
        self._open = contextlib.ExitStack()
        self.problems: list[str] = []  # every problem document that was answered

    def __enter__(self) -> World:
        ready = self.stack.ready
        self.partner_center = self._client(ready["partnerCenter"])
        self.autotask = self._client(ready["autotask"])
        self.clients = {name: self._client(ready["api"], token) for name, token in ready["tokens"].items()}
        self.anonymous = self._client(ready["api"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _client(self, base_url: str, token: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        hooks = {"response": [self._keep_problem, conforming.require]}
        return self._open.enter_context(plain_client(base_url, headers=headers, limits=self._limits, event_hooks=hooks))

    def _keep_problem(self, answer: httpx.Response) -> None:
        if answer.headers.get("content-type", "").startswith("application/problem+json"):
            answer.read()
            self.problems.append(answer.text)

    # -- the stack itself

    def calm(self) -> None:
        """No faults, real time, every switch at its default."""
        for vendor in (self.partner_center, self.autotask):
            vendor.post("/_control/calm").raise_for_status()
        self.partner_center.post("/_control/state/async", json={"times": 0}).raise_for_status()

    def run_timer(self, function: str, *hosts: str) -> None:
        """Run a timer function at these addresses, without any at the first host's, at once; its end is not awaited."""
        addresses = hosts or (str(self.stack.ready["host"]),)

        def post(address: str) -> None:
            self.anonymous.post(f"{address}/admin/functions/{function}", json={}).raise_for_status()

        with ThreadPoolExecutor(len(addresses)) as pool:
            list(pool.map(post, addresses))

    # -- subjects

    def inside_window(self) -> Subject:
        """A subscription bought three days ago, mapped to the line that bills its seats."""
        return self.mapped(self.unmapped("open"))

    def outside_window(self) -> Subject:
        """A subscription bought a hundred days ago, mapped to the line that bills its seats."""
        return self.mapped(self.unmapped("closed"))

    def unmapped(self, window: str) -> Subject:
        """A generated subscription whose window for cancelling is `open` or `closed`."""
        customer = next(self._customers)  # never shared: what is posted is told apart by the contract
        assert customer <= SEEDED_CUSTOMERS, "seed more customers"
        even_sum = 1 if customer % 2 else 2
        number = even_sum if window == "open" else 3 - even_sum
        return Subject(
            customer=f"c0000000-0000-4000-8000-{customer:012x}",
            subscription=f"5{customer:07x}-0000-4000-8000-{number:012x}",
            contract=31_000_000 + customer,
            line=32_000_000 + 1000 * customer + number,
            quantity=5 + (customer + number) % 20,
        )

    def mapped(self, subject: Subject, **policy: str) -> Subject:
        """Map the subscription to its line, which bills its seats already, so that they are adopted."""
        body: dict[str, Any] = {"contractId": subject.contract, "contractServiceId": subject.line}
        if policy:
            body["policy"] = policy
        answer = self.clients["mapper"].put(f"{subject.path}/mapping", json=body)
        assert answer.status_code == 200, answer.text
        return subject

    # -- what a portal does

    def act(self, subject: Subject, action: str, key: str | None = None, **body: Any) -> httpx.Response:
        """Ask for an action as an operator."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self.clients["operator"].post(f"{subject.path}/{action}", json=body, headers=headers)

    def done(self, subject: Subject, action: str, **body: Any) -> str:
        """Ask for an action that is accepted and settled at Microsoft at once; the operation's id."""
        answer = self.act(subject, action, **body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["operation"]["id"])

    def subscription(self, subject: Subject) -> dict[str, Any]:
        return self._read(subject.path)

    def operation(self, identity: str) -> dict[str, Any]:
        return self._read(f"/operations/{identity}")

    def operations(self, subject: Subject) -> list[dict[str, Any]]:
        """The subscription's operations without the one that mapped it."""
        found: list[dict[str, Any]] = self._read(f"{subject.path}/operations")["value"]
        return [operation for operation in found if operation["kind"] != "map"]

    def _read(self, path: str) -> dict[str, Any]:
        answer = self.clients["reader"].get(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    # -- waiting

    def wait_for_badge(self, subject: Subject, badge: str = "synced", seconds: float = REST_SECONDS) -> None:
        eventually(lambda: self.subscription(subject)["badge"], lambda seen: seen == badge, seconds)

    def wait_for_rest(self, identity: str, status: str = "synced", seconds: float = REST_SECONDS) -> dict[str, Any]:
        """Wait until nothing more will happen to an operation by itself; what it is then."""
        found = eventually(lambda: self.operation(identity), lambda seen: bool(seen["atRest"]), seconds)
        assert found["status"] == status, found
        return found

    # -- what the vendors really have

    def today(self) -> date:
        return datetime.now(UTC).date()

    def bill(self, subject: Subject) -> list[tuple[date, int]]:
        """The units that the line is really billed for: each change with its first day."""
        answer = self.autotask.get("/_control/state/units", params={"contractServiceId": subject.line})
        steps = answer.raise_for_status().json()["steps"]
        return [(date.fromisoformat(step["from"]), step["units"]) for step in steps]

    def units_before_and_from(self, subject: Subject, *days: date) -> list[int]:
        """Billed units on the day before each day and on it, in that order, last a year later."""
        steps = self.bill(subject)
        looked_at = [day + timedelta(days=offset) for day in days for offset in (-1, 0)]
        looked_at.append(looked_at[-1] + timedelta(days=365))
        return [next((units for start, units in reversed(steps) if start <= day), 0) for day in looked_at]

    def adjustments(self, subject: Subject) -> list[tuple[date, int]]:
        """All adjustments of this line that ever took effect through the API."""
        answer = self.autotask.get("/_control/state/adjustments", params={"contractServiceId": subject.line})
        found = answer.raise_for_status().json()["adjustments"]
        return [
            (date.fromisoformat(item["effectiveDate"]), item["unitChange"]) for item in found if item["source"] == "api"
        ]

    def edit_by_hand(self, subject: Subject, change: int, on: date | None = None) -> None:
        """Somebody changes the line in Autotask's own pages."""
        body = {
            "contractServiceId": subject.line,
            "effectiveDate": (on or self.today()).isoformat(),
            "unitChange": change,
        }
        self.autotask.post("/_control/state/edit", json=body).raise_for_status()

    def at_microsoft(self, subject: Subject) -> dict[str, Any]:
        answer = self.partner_center.get(f"/_control/state/subscriptions/{subject.subscription}")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def patches(self, subject: Subject) -> list[dict[str, Any]]:
        """All PATCH requests that reached Partner Center for this subscription."""
        return requests(self.partner_center, "PATCH", subject.subscription)


def requests(simulator: httpx.Client, method: str, path: str) -> list[dict[str, Any]]:
    """A simulator's log of requests of a method whose path matches a pattern."""
    answer = simulator.get("/_control/requests", params={"method": method, "path": path})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["requests"]
    return found


def fault(simulator: httpx.Client, *rules: dict[str, Any]) -> None:
    """Inject faults."""
    simulator.post("/_control/faults", json=list(rules)).raise_for_status()


def eventually(
    look: Callable[[], T], wanted: Callable[[T], bool], seconds: float = REST_SECONDS, *, slower: float = 1.25
) -> T:
    """Look again and again until what is seen is wanted; the last sight is in the failure.

    What takes long is looked at more and more rarely, for each look costs the host as much as a step of its work; with
    `slower` 1 it is not, for what is over in a moment.
    """
    deadline = time.monotonic() + seconds
    pause = _POLL_SECONDS
    seen = look()
    while not wanted(seen):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s; last seen: {seen}"
        time.sleep(pause)
        pause = min(pause * slower, _MOST_POLL_SECONDS)
        seen = look()
    return seen


def codes(items: Iterable[dict[str, Any]]) -> set[str]:
    """The `code` of each item."""
    return {str(item["code"]) for item in items}
