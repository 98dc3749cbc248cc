"""The guided tour (`make run TOUR=1`): three operations, and what each component saw of them.

One goes through, one meets an Autotask outage and recovers by itself, one dies of a hand edit in Autotask and is
brought back. Everything shown is read from the running stack over its public API and the simulators' control paths.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from local.stack import Stack

NORTHWIND = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"
INSIDE_WINDOW = "7c1e2a34-90ab-4cde-8f01-23456789ab01"
OUTSIDE_WINDOW = "7c1e2a34-90ab-4cde-8f01-23456789ab02"
CONTRACT = 29747643
PATIENCE_SECONDS = 60
TELEMETRY_SECONDS = 1.5  # until the hosts have sent what they did last


class Lost(Exception):
    """The stack did not do what the tour came to show."""


@dataclass
class Guide:
    """Talks to the running stack and prints what it sees."""

    ready: Mapping[str, Any]
    http: httpx.Client

    def api(self, method: str, path: str, role: str = "operator", body: object = None) -> Any:
        """One call of the app's API as a portal makes it. Raises Lost where it is not answered with success."""
        headers = {"Authorization": f"Bearer {self.ready['tokens'][role]}"}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        answer = self.http.request(method, f"{self.ready['api']}{path}", headers=headers, json=body)
        print(f"    portal          {method} {path.replace(NORTHWIND, '{northwind}')} -> {answer.status_code}")
        if not answer.is_success:
            raise Lost(answer.text)
        return answer.json()

    def look(self, path: str) -> Any:
        """A quiet read of the API by the ops person."""
        headers = {"Authorization": f"Bearer {self.ready['tokens']['deadletters']}"}
        return self.http.get(f"{self.ready['api']}{path}", headers=headers).json()

    def control(self, vendor: str, method: str, path: str, body: object = None) -> Any:
        """A control path of a simulator."""
        answer = self.http.request(method, f"{self.ready[vendor]}/_control/{path}", json=body)
        return answer.json() if answer.content else None

    def until(self, what: str, probe: Callable[[], Any]) -> Any:
        """Wait until a probe gives something. Raises Lost."""
        started = time.monotonic()
        while time.monotonic() < started + PATIENCE_SECONDS:
            found = probe()
            if found:
                print(f"    after {time.monotonic() - started:4.1f} s    {what}")
                return found
            time.sleep(0.1)
        raise Lost(f"waited {PATIENCE_SECONDS} s in vain: {what}")

    def operation(self, identifier: str, status: str) -> Any:
        """Wait until an operation has a status."""

        def probe() -> Any:
            shown = self.look(f"/operations/{identifier}")
            return shown if shown["status"] == status else None

        return self.until(f"the operation is {status}", probe)

    def history(self, identifier: str) -> None:
        """Print the ledger's events of an operation."""
        for event in self.look(f"/operations/{identifier}")["events"]:
            why = f"  ({event['why']})" if event["why"] else ""
            step = f"{event['from'] or '-'} -> {event['to']}"
            print(f"    ledger          {event['at'][11:23]} {event['event']}: {step}{why}")

    def trace(self, identifier: str) -> None:
        """Print the hops of an operation's trace, once its end has arrived at the receiver."""
        trace = self.look(f"/operations/{identifier}")["traceId"]
        address = f"{self.ready['telemetry']}/_control/traces/{trace}"
        time.sleep(TELEMETRY_SECONDS)
        spans = self.http.get(address).json()["spans"]
        inside = {span["spanId"]: span["parentSpanId"] for span in spans}
        print(f"    trace           {trace}, {len(spans)} hops")
        for span in spans:
            depth, parent = 0, span["parentSpanId"]
            while parent in inside:
                depth, parent = depth + 1, inside[parent]
            name = span["name"].replace("{subscription}", "…").replace("{customer}", "…")
            print(f"                    {'  ' * depth}{name}  {span['milliseconds']:.0f} ms")

    def partner_center(self, subscription: str) -> None:
        """Print the writes that Partner Center got for a subscription, and how it is now."""
        asked = self.control("partnerCenter", "GET", f"requests?method=PATCH&path={subscription}")
        for request in asked["requests"]:
            body = request["body"]
            print(
                f"    partner center  PATCH status={body['status']} quantity={body['quantity']} -> {request['status']}"
            )

    def autotask(self, line: int) -> None:
        """Print the adjustments that ever took effect on a line, and its units from day to day."""
        for made in self.control("autotask", "GET", f"state/adjustments?contractServiceId={line}")["adjustments"]:
            if made["source"] != "seed":
                what = f"{made['source']} adjustment {made['unitChange']:+d} from {made['effectiveDate']}"
                print(f"    autotask        {what}")
        steps = self.control("autotask", "GET", f"state/units?contractServiceId={line}")["steps"]
        shown = ", ".join(f"{step['units']} from {step['from']}" for step in steps[-3:])
        print(f"    autotask        units: {shown}")

    def map(self, subscription: str, line: int) -> None:
        """Map a subscription of Northwind to its line."""
        body = {"contractId": CONTRACT, "contractServiceId": line}
        self.api("PUT", f"/customers/{NORTHWIND}/subscriptions/{subscription}/mapping", "mapper", body)

    def change_quantity(self, subscription: str, quantity: int) -> str:
        """Ask for a number of seats; the operation's id."""
        path = f"/customers/{NORTHWIND}/subscriptions/{subscription}/change-quantity"
        return str(self.api("POST", path, body={"quantity": quantity})["operation"]["id"])


def run(ready: Mapping[str, Any], _stack: Stack) -> int:
    """Walk through the three stops. 0 unless one of them did not end as it should."""
    with httpx.Client(timeout=60) as http:
        guide = Guide(ready, http)
        try:
            _through(guide)
            _outage(guide)
            _dead_letter(guide)
        except Lost as lost:
            print(f"\nThe tour got lost: {lost}")
            return 1
    print("\nThe end of the tour. Each stop is also a test; docs/architecture.md tells why it works.")
    return 0


def _title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def _through(guide: Guide) -> None:
    _title("1. Cancel 25 seats inside Microsoft's window")
    guide.map(INSIDE_WINDOW, 8001)
    path = f"/customers/{NORTHWIND}/subscriptions/{INSIDE_WINDOW}"
    offered = guide.look(path)["actions"]["cancel"]
    print(f"    before          cancelling is allowed until {offered['until']}")
    identifier = guide.api("POST", f"{path}/cancel", body={})["operation"]["id"]
    guide.operation(identifier, "synced")
    guide.history(identifier)
    guide.partner_center(INSIDE_WINDOW)
    guide.autotask(8001)
    guide.trace(identifier)


def _outage(guide: Guide) -> None:
    _title("2. Three changes while Autotask is down")
    guide.map(OUTSIDE_WINDOW, 8002)
    guide.control("autotask", "POST", "faults", {"path": ".*", "fault": "503", "times": 0})
    print("    autotask        answers 503 to everything from now on")
    identifiers = [guide.change_quantity(OUTSIDE_WINDOW, seats) for seats in (12, 15, 14)]
    guide.operation(identifiers[-1], "waiting")
    print("    badge           " + guide.look(f"/customers/{NORTHWIND}/subscriptions/{OUTSIDE_WINDOW}")["badge"])
    guide.control("autotask", "DELETE", "faults")
    print("    autotask        is back")
    for identifier in identifiers:
        guide.operation(identifier, "synced")
    guide.history(identifiers[0])
    guide.autotask(8002)


def _dead_letter(guide: Guide) -> None:
    _title("3. Somebody edits the line by hand: a dead letter, and back")
    settings = guide.ready["settings"]
    settle = float(settings["SETTLE_SECONDS"]) + float(settings["AUTOTASK_TIMEOUT_SECONDS"])
    print(f"    waiting         {settle:.0f} s, so that the edit cannot be taken for a late effect of ours")
    time.sleep(settle)
    changed = guide.control("autotask", "GET", "state/units?contractServiceId=8002")["steps"][-1]["from"]
    edit = {"contractServiceId": 8002, "effectiveDate": _day_before(changed), "unitChange": 3}
    guide.control("autotask", "POST", "state/edit", edit)
    print(f"    autotask        a person adds 3 units from {edit['effectiveDate']}")
    identifier = guide.change_quantity(OUTSIDE_WINDOW, 20)
    guide.operation(identifier, "dead")

    def buried() -> Any:
        listed = guide.look("/dead-letters")["value"]
        return next((item for item in listed if item["id"] == identifier and item["sequenceNumber"]), None)

    letter = guide.until("the broker has it in $deadletterqueue", buried)
    print(f"    reason          {letter['reasons'][0]['sentence']}")
    print(f"    remedy          {letter['reasons'][0]['remedy']}")
    body = {"driftPolicy": "respect", "reason": "the three extra units are agreed"}
    guide.api("POST", f"/dead-letters/{identifier}/resubmit", "deadletters", body)
    guide.operation(identifier, "synced")
    guide.history(identifier)
    guide.autotask(8002)


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()
