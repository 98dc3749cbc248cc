"""The sync against a bare httpx loop over the same simulator: same requests, same concurrency, same rate, JSON parsed.

Sizes are customers with ten subscriptions each. Every case is a process of its own; the bare loop runs before and after
the cases of a size, and the quicker of its two times is what they are compared with.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import httpx

from bench.report import Case, Measure
from bench.worker import result_of
from local.stack import Stack, StackOptions

EACH = 10
FIXED = 3  # customers that the simulator always has
PAGE = 500
TIME_LIMIT = 1.15
MEMORY_LIMIT = 1.2
UNLIMITED = 600_000
LIMITED = 1_500  # three times Microsoft's limit, so that nobody waits for minutes
MICROSOFTS_LIMIT = 500  # requests per minute (partner-center reference 4.5)
DEFAULT_RATE = 360
_MEMORY_FROM = 2_000  # the size that larger ones are compared with


@dataclass(frozen=True)
class Change:
    """What is different at Microsoft before each run of a case: the subscriptions of every n-th customer."""

    name: str
    every: int | None

    def rows(self, size: int) -> int | None:
        """The rows that have to be written; None where it is the first run."""
        if self.name == "first run":
            return None
        return 0 if self.every is None else size // self.every * EACH


FIRST, UNCHANGED, FEW, ALL = (
    Change("first run", None),
    Change("unchanged", None),
    Change("1 % changed", 100),
    Change("all changed", 1),
)


@dataclass
class Best:
    """The quickest of several runs of one case, and the requests of the last."""

    result: dict[str, Any]
    requests: int = 0


def measure(sizes: tuple[int, ...]) -> Iterator[Case]:
    """Each size with all its cases, then what follows by calculation."""
    memory: dict[str, float] = {}
    for size in sizes:
        yield from _size(size, memory)
    yield from _limited()
    yield from _calculated()


def _size(size: int, memory: dict[str, float]) -> Iterator[Case]:
    name = f"{size:,} customers"
    repeats = 5 if size <= 500 else 3 if size <= 5_000 else 1
    with _vendors(size) as stack:
        found = {FIRST: _counted(stack)}
        bare = _bare(stack, UNLIMITED)
        seats = 0
        for change in (UNCHANGED, FEW, ALL):
            for _ in range(1 if change is ALL and size > 500 else repeats):
                seats += 1
                if change.every is not None:
                    _change(stack, change.every, seats)
                found[change] = _quicker(found.get(change), _counted(stack))
                bare = min(bare, _bare(stack, UNLIMITED), key=_time)
    yield _loop(name, bare)
    for change, best in found.items():
        case = _case(name, change, best, bare, size, _time_limit(change, size))
        peak = case.measures["peak"].value
        memory[f"{change.name} {size}"] = peak
        smaller = memory.get(f"{change.name} {_MEMORY_FROM}") if size > _MEMORY_FROM else None
        if smaller is not None:
            case.measures["peak"] = Measure(peak, "MiB", round(smaller * MEMORY_LIMIT))
        yield case


def _time_limit(change: Change, size: int) -> float | None:
    """Without a rate, against a loop that waits for nothing: where neither fixed costs nor writes decide."""
    return TIME_LIMIT if change in (UNCHANGED, FEW) and size >= _MEMORY_FROM else None


def _quicker(before: Best | None, now: Best) -> Best:
    return now if before is None or _time(now.result) < _time(before.result) else Best(before.result, now.requests)


def _time(result: dict[str, Any]) -> float:
    return float(result["seconds"])


def _loop(name: str, bare: dict[str, Any]) -> Case:
    measures = {"seconds": _seconds(bare), "peak": Measure(round(bare["peakMiB"]), "MiB")}
    return Case("sync", f"{name}: bare loop", measures)


def _case(name: str, change: Change, best: Best, bare: dict[str, Any], size: int, limit: float | None) -> Case:
    result = best.result
    measures = {
        "seconds": _seconds(result),
        "time ratio": Measure(round(_time(result) / _time(bare), 3), "", limit),
        "cpu ratio": Measure(round(result["cpu"] / bare["cpu"], 3)),
        "requests": Measure(best.requests, "", _floor(size)),
        "table reads": Measure(result["tableReads"]),
        "table writes": Measure(result["tableWrites"]),
        "rows written": Measure(result["subscriptionRows"], "", change.rows(size)),
        "peak": Measure(round(result["peakMiB"]), "MiB"),
    }
    return Case("sync", f"{name}: {change.name}", measures)


def _floor(size: int) -> int:
    return ceil((size + FIXED) / PAGE) + size + FIXED


def _limited() -> Iterator[Case]:
    """At three times Microsoft's limit, where both have to wait for their turns."""
    size, name = 200, f"200 customers at {LIMITED:,} requests per minute"
    with _vendors(size) as stack:
        _counted(stack)
        bare = _bare(stack, LIMITED)
        yield _loop(name, bare)
        for change in (UNCHANGED, FEW, ALL):
            if change.every is not None:
                _change(stack, change.every, 1 if change is FEW else 2)
            yield _case(name, change, _counted(stack, LIMITED), bare, size, TIME_LIMIT)


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


def _change(stack: Stack, every: int, seats: int) -> None:
    body = {"every": every, "seats": seats}
    httpx.post(f"{stack.ready['partnerCenter']}/_control/state/generated", json=body).raise_for_status()


def _counted(stack: Stack, per_minute: float = UNLIMITED) -> Best:
    """A full sync and how many requests reached Partner Center meanwhile, the warm-up's one aside."""
    before = _requests(stack)
    settings = {
        **stack.ready["settings"],
        "PARTNER_CENTER_REQUESTS_PER_MINUTE": str(per_minute),
        "LEASE_SECONDS": "120",
    }
    result = _worker(what="full", settings=settings)
    return Best(result, _requests(stack) - before - 1)


def _requests(stack: Stack) -> int:
    answer = httpx.get(f"{stack.ready['partnerCenter']}/_control/requests", params={"limit": 0}, timeout=60)
    return int(answer.raise_for_status().json()["total"])


def _bare(stack: Stack, per_minute: float) -> dict[str, Any]:
    limit = 0 if per_minute == UNLIMITED else per_minute
    return _worker(what="bare", url=stack.ready["partnerCenter"], token=_token(stack), perMinute=limit, settings={})


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
    return result_of("bench.sync_worker", wanted)


def _seconds(result: dict[str, Any]) -> Measure:
    return Measure(round(float(result["seconds"]), 2), "s")
