"""The sync against a bare httpx loop over the same simulator: same requests, same concurrency, same rate, JSON parsed.

Sizes are customers with ten subscriptions each. Every case is a process of its own; the bare loop runs before and after
the cases of a size, and the quicker of its two times is what they are compared with.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import httpx

from bench.report import Case, Measure
from local.plan import REPOSITORY
from local.settings import clean_environment
from local.stack import Stack, StackOptions

EACH = 10
FIXED = 3  # customers that the simulator always has
PAGE = 500
TIME_LIMIT = 1.15
MEMORY_LIMIT = 1.2
UNLIMITED = 600_000
MICROSOFTS_LIMIT = 500  # requests per minute (partner-center reference 4.5)
DEFAULT_RATE = 360
_MEMORY_FROM = 2_000  # the size that larger ones are compared with


@dataclass(frozen=True)
class Change:
    """What is different at Microsoft before a case: every n-th customer's subscriptions have so many more seats."""

    name: str
    every: int
    seats: int


CHANGES = (
    Change("first run", 1, 0),
    Change("unchanged", 1, 0),
    Change("1 % changed", 100, 1),
    Change("all changed", 1, 2),
)


def measure(sizes: tuple[int, ...]) -> Iterator[Case]:
    """Each size with all its cases, then what follows by calculation."""
    memory: dict[str, float] = {}
    for size in sizes:
        yield from _size(size, memory)
    yield from _limited()
    yield from _calculated()


def _size(size: int, memory: dict[str, float]) -> Iterator[Case]:
    with _vendors(size) as stack:
        before = _bare(stack, UNLIMITED)
        results = []
        for change in CHANGES:
            _change(stack, change)
            results.append((change, *_counted(stack, lambda: _full(stack, UNLIMITED))))
        bare = min((before, _bare(stack, UNLIMITED)), key=lambda result: float(result["seconds"]))
    floor = ceil((size + FIXED) / PAGE) + size + FIXED
    name = f"{size:,} customers"
    yield Case("sync", f"{name}: bare loop", {"seconds": _seconds(bare), "peak": Measure(bare["peakMiB"], "MiB")})
    for change, result, requests in results:
        yield _case(f"{name}: {change.name}", change, result, requests, floor, bare, size, memory)


def _case(
    name: str,
    change: Change,
    result: dict[str, Any],
    requests: int,
    floor: int,
    bare: dict[str, Any],
    size: int,
    memory: dict[str, float],
) -> Case:
    writing = change.name in {"first run", "all changed"}
    rows = {"first run": None, "unchanged": 0, "1 % changed": size // 100 * EACH, "all changed": size * EACH}
    peak = float(result["peakMiB"])
    memory.setdefault(f"{change.name} {size}", peak)
    smaller = memory.get(f"{change.name} {_MEMORY_FROM}") if size > _MEMORY_FROM else None
    measures = {
        "seconds": _seconds(result),
        "time ratio": Measure(result["seconds"] / bare["seconds"], "", None if writing else TIME_LIMIT),
        "requests": Measure(requests, "", floor),
        "table reads": Measure(result["tableReads"]),
        "table writes": Measure(result["tableWrites"]),
        "rows written": Measure(result["subscriptionRows"], "", rows[change.name]),
        "peak": Measure(peak, "MiB", smaller * MEMORY_LIMIT if smaller else None),
    }
    return Case("sync", name, measures)


def _limited() -> Iterator[Case]:
    """All changed at Microsoft's own limit, where both have to wait for their turns."""
    size = 150
    with _vendors(size) as stack:
        _full(stack, UNLIMITED)
        bare = _bare(stack, MICROSOFTS_LIMIT)
        _change(stack, CHANGES[-1])
        result, requests = _counted(stack, lambda: _full(stack, MICROSOFTS_LIMIT))
    measures = {
        "seconds": _seconds(result),
        "time ratio": Measure(result["seconds"] / bare["seconds"], "", TIME_LIMIT),
        "requests": Measure(requests, "", ceil((size + FIXED) / PAGE) + size + FIXED),
        "table reads": Measure(result["tableReads"]),
        "table writes": Measure(result["tableWrites"]),
        "rows written": Measure(result["subscriptionRows"], "", size * EACH),
        "peak": Measure(result["peakMiB"], "MiB"),
    }
    note = f"both at {MICROSOFTS_LIMIT} requests per minute"
    yield Case("sync", f"{size} customers: all changed, at Microsoft's limit", measures, note)


def _calculated() -> Iterator[Case]:
    """How long 100,000 customers take where the requests are the limit, and what an incremental sync asks for."""
    customers = 100_000
    requests = ceil(customers / PAGE) + customers
    for rate in (MICROSOFTS_LIMIT, DEFAULT_RATE):
        hours = Measure(requests / rate / 60, "h")
        name = f"{customers:,} customers at {rate} requests per minute, by calculation"
        yield Case("sync", name, {"requests": Measure(requests), "hours": hours})
    note = "audit pages of two days, and one call per customer that they newly mention"
    yield Case(
        "sync",
        "incremental: 1,000 records a day, 10 customers, by calculation",
        {"requests": Measure(ceil(2 * 1000 / PAGE) + 10)},
        note,
    )


def _vendors(size: int) -> Stack:
    """The simulators and the storage, without a functions host."""
    options = StackOptions(
        hosts=0, storage_in_memory=True, seed_customers=size, subscriptions_per_customer=EACH, first_sync=False
    )
    return Stack(options)


def _change(stack: Stack, change: Change) -> None:
    body = {"every": change.every, "seats": change.seats}
    httpx.post(f"{stack.ready['partnerCenter']}/_control/state/generated", json=body).raise_for_status()


def _counted(stack: Stack, run: Any) -> tuple[dict[str, Any], int]:
    """A measurement and how many requests reached Partner Center meanwhile, the warm-up's one aside."""
    before = _requests(stack)
    result = run()
    return result, _requests(stack) - before - 1


def _requests(stack: Stack) -> int:
    answer = httpx.get(f"{stack.ready['partnerCenter']}/_control/requests", params={"limit": 0}, timeout=60)
    return int(answer.raise_for_status().json()["total"])


def _bare(stack: Stack, per_minute: float) -> dict[str, Any]:
    limit = 0 if per_minute == UNLIMITED else per_minute
    return _worker(what="bare", url=stack.ready["partnerCenter"], token=_token(stack), perMinute=limit, settings={})


def _full(stack: Stack, per_minute: float) -> dict[str, Any]:
    settings = {
        **stack.ready["settings"],
        "PARTNER_CENTER_REQUESTS_PER_MINUTE": str(per_minute),
        "LEASE_SECONDS": "120",
    }
    return _worker(what="full", settings=settings)


def _token(stack: Stack) -> str:
    settings = stack.ready["settings"]
    form = {
        "grant_type": "client_credentials",
        "client_id": settings["PARTNER_CENTER_CLIENT_ID"],
        "client_secret": settings["PARTNER_CENTER_CLIENT_SECRET"],
        "scope": settings["PARTNER_CENTER_SCOPE"],
    }
    url = f"{settings['ENTRA_AUTHORITY']}/{settings['PARTNER_CENTER_TENANT']}/oauth2/v2.0/token"
    trust = ssl.create_default_context(cafile=settings["ENTRA_CA_FILE"])
    return str(httpx.post(url, data=form, verify=trust).raise_for_status().json()["access_token"])


def _worker(**wanted: Any) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-m", "bench.sync_worker"],
        input=json.dumps(wanted),
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env=clean_environment(),
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def _seconds(result: dict[str, Any]) -> Measure:
    return Measure(round(float(result["seconds"]), 2), "s")
