"""The sync against a bare httpx loop over the same simulator: same requests, same concurrency, same pace, JSON parsed.

Sizes are customers with ten subscriptions each. Both wait for their turns at a pace well above Microsoft's limit:
BENCH_PACE requests a minute where hardly anything is written. Where everything is, at a part of that, so that storage
keeps up: its SDK takes 25 ms of processor time for a customer's ten rows, and Azurite looks at every row of a table to
find those of one customer. Without a pace, where the processor alone decides, they are compared for information. Every
measurement is a process of its own; of a small size the quickest of several counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from bench.report import Case, Measure
from bench.sync_vendors import EACH, FIXED, Vendors

PAGE = 500  # customers that Microsoft lists in one answer
TIME_LIMIT = 1.15
MEMORY_LIMIT = 1.2
MICROSOFTS_LIMIT = 500  # requests per minute (partner-center reference 4.5)
DEFAULT_RATE = 360
PACE = float(os.environ.get("BENCH_PACE", str(12 * MICROSOFTS_LIMIT)))
SMALL = 2_000  # where every row is written: a quarter of the pace up to this size, an eighth above
UNPACED = 0.0


@dataclass(frozen=True)
class Change:
    """What is different at Microsoft before a run: nothing, or the subscriptions of every n-th customer."""

    name: str
    every: int | None = None
    new: bool = False  # nothing was read before

    def rows(self, size: int) -> int:
        """The rows that have to be written; a first run writes those of the fixed customers besides."""
        return 0 if self.every is None else size // self.every * EACH


FIRST, UNCHANGED = Change("first run", new=True), Change("unchanged")
FEW, ALL = Change("1 % changed", 100), Change("all changed", 1)


def measure(sizes: tuple[int, ...]) -> Iterator[Case]:
    """Each size with all its cases, then what follows by calculation."""
    memory: dict[str, float] = {}
    for size in sorted(sizes):
        with Vendors(size) as vendors:
            yield from _Size(vendors, size, memory).cases()
    yield from _calculated()


class _Size:
    """One size; `memory` is what each case needed at the size that larger ones are compared with."""

    def __init__(self, vendors: Vendors, size: int, memory: dict[str, float]) -> None:
        self._vendors = vendors
        self._size = size
        self._memory = memory
        self._repeats = 3 if size <= SMALL else 1

    def cases(self) -> Iterator[Case]:
        """All of them, those where every row is written first and last."""
        yield from self._compared((FIRST,), UNPACED, 1)
        yield from self._compared((UNCHANGED, FEW), PACE, self._repeats)
        yield from self._compared((UNCHANGED, FEW), UNPACED, self._repeats)
        yield from self._compared((ALL,), PACE / (4 if self._size <= SMALL else 8), 1)

    def _compared(self, changes: tuple[Change, ...], pace: float, repeats: int) -> Iterator[Case]:
        loop = min((self._vendors.bare(pace) for _ in range(repeats)), key=_time)
        yield Case("sync", self._name(pace, "bare loop"), _needed(loop))
        for change in changes:
            result = min((self._run(change, pace) for _ in range(repeats)), key=_time)
            yield self._case(change, result, loop, pace)

    def _run(self, change: Change, pace: float) -> dict[str, Any]:
        if change.every is not None:
            self._vendors.change(change.every)
        result = self._vendors.full(pace)
        whole = result["ending"] == "complete" and result["total"] == self._size + FIXED
        if not whole or result["requests"] < _floor(self._size) or result["subscriptionRows"] < change.rows(self._size):
            raise RuntimeError(f"{self._size} customers, {change.name}: not everything was read or written: {result}")
        return result

    def _name(self, pace: float, what: str) -> str:
        return f"{self._size:,} customers, {f'{pace:,.0f} requests a minute' if pace else 'no pace'}: {what}"

    def _case(self, change: Change, result: dict[str, Any], loop: dict[str, Any], pace: float) -> Case:
        measures = {
            **_needed(result),
            "peak": self._peak(change, result),
            "time ratio": Measure(round(_time(result) / _time(loop), 3), "", TIME_LIMIT if pace else None),
            "cpu ratio": Measure(round(result["cpu"] / loop["cpu"], 3)),
            "requests": Measure(result["requests"], "", _floor(self._size)),
            "table reads": Measure(result["tableReads"]),
            "table writes": Measure(result["tableWrites"]),
            "rows written": Measure(result["subscriptionRows"], "", None if change.new else change.rows(self._size)),
        }
        return Case("sync", self._name(pace, change.name), measures)

    def _peak(self, change: Change, result: dict[str, Any]) -> Measure:
        peak = float(result["peakMiB"])
        if self._size == SMALL:
            self._memory.setdefault(change.name, peak)
        smaller = self._memory.get(change.name) if self._size > SMALL else None
        return Measure(round(peak), "MiB", None if smaller is None else round(smaller * MEMORY_LIMIT))


def _calculated() -> Iterator[Case]:
    """How long 100,000 customers take where the requests are the limit, and what an incremental sync asks for."""
    customers = 100_000
    requests = ceil(customers / PAGE) + customers
    for rate in (MICROSOFTS_LIMIT, DEFAULT_RATE):
        name = f"{customers:,} customers, {rate} requests a minute: by calculation"
        yield Case("sync", name, {"requests": Measure(requests), "hours": Measure(requests / rate / 60, "h")})
    note = "audit pages of two days, and one call per customer that they newly mention"
    yield Case(
        "sync",
        "incremental: 1,000 records a day, 10 customers, by calculation",
        {"requests": Measure(ceil(2 * 1000 / PAGE) + 10)},
        note,
    )


def _floor(size: int) -> int:
    return ceil((size + FIXED) / PAGE) + size + FIXED


def _time(result: dict[str, Any]) -> float:
    return float(result["seconds"])


def _needed(result: dict[str, Any]) -> dict[str, Measure]:
    return {"seconds": Measure(round(_time(result), 2), "s"), "peak": Measure(round(result["peakMiB"]), "MiB")}
