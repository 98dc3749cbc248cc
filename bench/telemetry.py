"""What telemetry costs: the same requests and the same pushes with and without it, in turns on one stack.

A size is a number of operations: cancels that a portal asks for one after the other, and changes of seats on lines of
their own that one push drains. Telemetry is sent as in the cloud: every five seconds, over HTTP, by the same process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx

from bench.report import Case, Measure, table
from local.plan import REPOSITORY
from local.settings import clean_environment
from local.stack import Stack, StackOptions

SEEDED = 1_000
NEVER = "0 0 0 1 1 *"
OFF = {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}
SETTINGS = {
    "WAKE_SCHEDULE": NEVER,
    "METRICS_SCHEDULE": NEVER,
    "SETTLE_SECONDS": "900",
    "OUTBOX_SECONDS": "60",
    "LEASE_SECONDS": "60",
    "AUTOTASK_TIMEOUT_SECONDS": "20",
    "PARTNER_CENTER_TIMEOUT_SECONDS": "20",
    "OTEL_BSP_SCHEDULE_DELAY": "5000",
    "OTEL_BLRP_SCHEDULE_DELAY": "5000",
    "OTEL_METRIC_EXPORT_INTERVAL": "60000",
}
TURNS = ("on", "off", "off", "on")  # whoever is first is slower: each is first as often
_WAIT_SECONDS = 60.0


def measure(sizes: tuple[int, ...]) -> Iterator[Case]:
    """Requests, then pushes, of the smallest size."""
    size = min(sizes)
    options = StackOptions(
        storage_in_memory=True, seed_customers=SEEDED, subscriptions_per_customer=2, first_sync=False, settings=SETTINGS
    )
    with Stack(options) as stack:
        customers = iter(range(1, SEEDED + 1))
        quiet = stack.start_extra_host(OFF)
        yield _requests(stack, quiet, customers, size)
        stack.stop(quiet)
        yield _pushes(stack, customers, min(size, 80))


def _requests(stack: Stack, quiet: str, customers: Iterator[int], size: int) -> Case:
    hosts = {"on": stack.ready["hosts"]["host"], "off": stack.ready["hosts"][quiet]}
    seconds: dict[str, list[float]] = {"on": [], "off": []}
    with httpx.Client(timeout=_WAIT_SECONDS) as client:
        for number in range(2 * size + len(TURNS)):
            turn = TURNS[number % len(TURNS)]
            path = f"{hosts[turn]}/api{_mapped(stack, client, next(customers), window='open')}/cancel"
            began = time.perf_counter()
            answer = client.post(path, json={}, headers=_as(stack, "operator")).raise_for_status()
            taken = time.perf_counter() - began
            _until_synced(stack, client, answer.json()["operation"]["id"])
            if number >= len(TURNS):
                seconds[turn].append(taken)
    return _case("cancel, p50 of the request", seconds, 1_000, "ms")


def _pushes(stack: Stack, customers: Iterator[int], size: int) -> Case:
    """Changes are accepted while Autotask is away; the host is ended, and a process of its own drains them."""
    seconds: dict[str, list[float]] = {"on": [], "off": []}
    for number, turn in enumerate((*TURNS, *TURNS)):
        with httpx.Client(timeout=_WAIT_SECONDS) as client:
            paths = [_mapped(stack, client, next(customers), window="closed") for _ in range(size)]
            _away(stack, client)
            operations = [_changed(stack, client, path) for path in paths]
            time.sleep(2)
            stack.kill("host")
            client.delete(f"{stack.ready['autotask']}/_control/faults").raise_for_status()
        taken = _drained(stack, operations, {} if turn == "on" else OFF)
        if number >= 2:  # the first of each warms the simulators up
            seconds[turn].append(taken / size)
        stack.start("host")
    return _case("push, per operation", seconds, 1_000, "ms")


def _drained(stack: Stack, operations: list[str], settings: dict[str, str]) -> float:
    command = [sys.executable, "-m", "bench.telemetry_worker", *operations]
    environment = {**clean_environment(), **stack.ready["settings"], **settings}
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    if result["synced"] != len(operations):
        raise RuntimeError(f"only {result['synced']} of {len(operations)} operations were synced")
    return float(result["seconds"])


def _case(name: str, seconds: dict[str, list[float]], factor: int, unit: str) -> Case:
    on, off = (statistics.median(seconds[turn]) for turn in ("on", "off"))
    return Case(
        "telemetry",
        name,
        {
            "with": Measure(round(on * factor, 2), unit),
            "without": Measure(round(off * factor, 2), unit),
            "ratio": Measure(round(on / off, 3)),
            "runs": Measure(len(seconds["on"])),
        },
    )


def _as(stack: Stack, role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.ready['tokens'][role]}", "Idempotency-Key": str(uuid.uuid4())}


def _mapped(stack: Stack, client: httpx.Client, customer: int, *, window: str) -> str:
    """The path of a generated subscription whose window for cancelling is open or closed, mapped to its line."""
    even_sum = 1 if customer % 2 else 2
    number = even_sum if window == "open" else 3 - even_sum
    path = (
        f"/customers/c0000000-0000-4000-8000-{customer:012x}/subscriptions/5{customer:07x}-0000-4000-8000-{number:012x}"
    )
    line = {"contractId": 31_000_000 + customer, "contractServiceId": 32_000_000 + 1_000 * customer + number}
    address = f"{stack.ready['api']}{path}/mapping"
    client.put(address, json=line, headers=_as(stack, "mapper")).raise_for_status()
    return path


def _changed(stack: Stack, client: httpx.Client, path: str) -> str:
    """Ask for more seats than any generated subscription has; the operation's id."""
    address = f"{stack.ready['api']}{path}/change-quantity"
    answer = client.post(address, json={"quantity": 40}, headers=_as(stack, "operator")).raise_for_status()
    return str(answer.json()["operation"]["id"])


def _away(stack: Stack, client: httpx.Client) -> None:
    rule = {"path": ".*", "fault": "503", "times": 0}
    client.post(f"{stack.ready['autotask']}/_control/faults", json=rule).raise_for_status()


def _until_synced(stack: Stack, client: httpx.Client, operation: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        shown = client.get(f"{stack.ready['api']}/operations/{operation}", headers=_as(stack, "reader")).json()
        if shown["status"] == "synced":
            return
        time.sleep(0.05)
    raise TimeoutError(f"{operation} is not synced")


if __name__ == "__main__":
    print(table(list(measure((60,)))))
