"""The push against a bare loop over the same simulator and the same storage, with the same SDKs and concurrency.

A size is a number of operations on lines of their own (at most 5,000); besides, 1,000 operations on 10 lines. They are
queued as they are after Microsoft has settled them, and one push drains them. Each measurement has its own process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from bench.report import Case, Measure
from bench.worker import result_of
from local.stack import Stack, StackOptions

MOST = 5_000
FEW_LINES, MANY = 10, 100
ROUND_TRIPS = 8
PAGE, BUNDLE = 500, 100
SLACK = 0.02
SETTINGS = {
    "PUSH_BUDGET_SECONDS": "3600",
    "AUTOTASK_BUDGET_PERCENT": "100",
    "AUTOTASK_TIMEOUT_SECONDS": "30",
    "LEASE_SECONDS": "120",
    "SETTLE_SECONDS": "900",
    "OUTBOX_SECONDS": "3600",  # nothing that is queued here is overdue before the push comes to it
    "RETRY_MAX_SECONDS": "900",
}


def measure(sizes: tuple[int, ...]) -> Iterator[Case]:
    """Each size on distinct lines, then many operations on few lines."""
    for size in sorted({min(size, MOST) for size in sizes if size > 0}):
        yield from _compared(f"{size:,} operations on distinct lines", size, 1)
    yield from _compared(f"{FEW_LINES * MANY:,} operations on {FEW_LINES} lines", FEW_LINES, MANY)


def _compared(name: str, lines: int, each: int) -> Iterator[Case]:
    options = StackOptions(
        hosts=0,
        storage_in_memory=True,
        seed_customers=2 * lines,
        subscriptions_per_customer=1,
        first_sync=False,
        settings=SETTINGS,
    )
    with Stack(options) as stack:
        switches = {"hourlyRequests": 10_000_000}
        httpx.post(f"{stack.ready['autotask']}/_control/switches", json=switches).raise_for_status()
        prepared = _worker(stack, "prepare", 1, lines, each)
        before = _requests(stack)
        drained = _worker(stack, "drain", 1, lines, each)
        requests = _requests(stack) - before - 2  # the zone and the threshold, which open the connection
        shown = _worker(stack, "rows", 1, lines, each)
        bare = _worker(stack, "bare", lines + 1, lines, each)
    count = lines * each
    if drained["synced"] != count:
        raise RuntimeError(f"{name}: {drained['synced']} of {count} operations are synced")
    pages = _pages(lines, prepared["rowsPerLine"]) + _pages(lines, shown["rowsPerLine"])
    limit = 1 + pages / lines + SLACK if each == 1 else 3 / each
    yield Case("push", f"{name}: bare loop", {"seconds": _seconds(bare), "peak": _peak(bare)})
    yield Case(
        "push",
        name,
        {
            "seconds": _seconds(drained),
            "peak": _peak(drained),
            "requests each": Measure(round(requests / count, 3), "", round(limit, 3)),
            "table trips each": Measure(
                round((drained["tableReads"] + drained["tableWrites"]) / count, 2), "", ROUND_TRIPS
            ),
            "speed ratio": Measure(round(bare["seconds"] / drained["seconds"], 3)),
            "cpu ratio": Measure(round(drained["cpu"] / bare["cpu"], 2)),
        },
        f"{count / drained['seconds']:,.0f} operations a second; {prepared['rowsPerLine']:.0f} rows a line",
    )


def _pages(lines: int, rows: float) -> int:
    """The pages of unit rows that one reading of so many lines takes, in bundles of a hundred.

    A page that is full may have another behind it, which is asked for; an adjustment inside a month makes one row two.
    """
    return sum(round(min(BUNDLE, lines - start) * rows) // PAGE + 1 for start in range(0, lines, BUNDLE))


def _requests(stack: Stack) -> int:
    answer = httpx.get(f"{stack.ready['autotask']}/_control/requests", params={"limit": 0}, timeout=60)
    return int(answer.raise_for_status().json()["total"])


def _worker(stack: Stack, what: str, first: int, lines: int, each: int) -> dict[str, Any]:
    wanted = {"what": what, "first": first, "lines": lines, "each": each, "settings": stack.ready["settings"]}
    return result_of("bench.push_worker", wanted)


def _seconds(result: dict[str, Any]) -> Measure:
    return Measure(round(float(result["seconds"]), 2), "s")


def _peak(result: dict[str, Any]) -> Measure:
    return Measure(round(result["peakMiB"]), "MiB")
