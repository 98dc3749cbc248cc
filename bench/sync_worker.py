"""One measurement in a process of its own, so that its peak memory is its own: the bare loop, or one full sync.

Reads a JSON object from standard input and writes one to standard output. `python -m bench.sync_worker` is started by
`bench.sync`; see there for the fields.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httpx

from shared.domain.errors import CspError
from shared.domain.sync_run import Phase, Run
from shared.settings import Settings
from shared.storage.store import Delete, Page, Row, Scalar, TableStore, Write
from shared.usecases.app import App
from shared.usecases.pace import PARTNER_CENTER
from shared.usecases.sync_full import go_on

if TYPE_CHECKING:
    from shared.storage.azure_tables import AzureTables

_AT_ONCE = 5


class CountedStore:
    """A table store that counts transactions: each call, and each further page of a long span."""

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self.reads = self.writes = 0
        self.rows: Counter[str] = Counter()

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """See TableStore."""
        self.reads += 1
        return await self._store.get(table, partition, key)

    async def span(self, table: str, partition: str, start: str, end: str, *, limit: int | None = None) -> list[Row]:
        """See TableStore."""
        found = await self._store.span(table, partition, start, end, limit=limit)
        self.reads += 1 + len(found) // 1000
        return found

    async def page(
        self,
        table: str,
        *,
        partition: str | None,
        equals: Mapping[str, Scalar],
        size: int,
        continuation: str | None = None,
    ) -> Page:
        """See TableStore."""
        self.reads += 1
        return await self._store.page(table, partition=partition, equals=equals, size=size, continuation=continuation)

    async def following(self, table: str, partition: str) -> str | None:
        """See TableStore."""
        self.reads += 1
        return await self._store.following(table, partition)

    async def write(self, table: str, writes: Sequence[Write]) -> list[str | None]:
        """See TableStore."""
        self.writes += 1
        self.rows[table] += len(writes)
        return await self._store.write(table, writes)


async def bare(url: str, token: str, per_minute: float) -> dict[str, Any]:
    """The least that reading everything can cost: pages, then one call per customer, JSON parsed, nothing else."""
    headers = {"Authorization": f"Bearer {token}"}
    interval = 60 / per_minute if per_minute else 0.0
    limits = httpx.Limits(max_connections=20, max_keepalive_connections=20)
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60) as client:
        began, cpu = time.perf_counter(), time.process_time()
        slots = itertools.count()

        async def get(path: str, more: dict[str, str] | None = None) -> Any:
            wait = began + next(slots) * interval - time.perf_counter() if interval else 0
            if wait > 0:
                await asyncio.sleep(wait)
            answer = await client.get(path, headers=more)
            return answer.raise_for_status().json()

        async def work(customers: Iterator[str]) -> None:
            for customer in customers:
                await get(f"/v1/customers/{customer}/subscriptions")

        path, token_header = "/v1/customers?size=500", None
        while path:
            page = await get(path, token_header)
            customers = iter([item["id"] for item in page["items"]])
            await asyncio.gather(*(work(customers) for _ in range(_AT_ONCE)))
            following = page["links"].get("next")
            path = "/v1" + following["uri"] if following else ""
            token_header = {"MS-ContinuationToken": page["continuationToken"]} if following else None
        return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


async def full(settings: Settings) -> dict[str, Any]:
    """One full sync from its start to its end, as the timer runs it."""
    from shared import wiring  # noqa: PLC0415 - the bare loop must not pay for what it does not use

    counted: list[CountedStore] = []
    tables: list[AzureTables] = []

    def count(store: AzureTables) -> TableStore:
        tables.append(store)
        counted.append(CountedStore(store))
        return counted[-1]

    app = wiring.build(settings, around_store=count).app
    store = counted[0]
    await store.write("coordination", [Delete("rate", PARTNER_CENTER)])  # from a lower pace it would rise step by step
    await _warm_up(app)
    store.reads = store.writes = 0
    store.rows.clear()
    began, cpu = time.perf_counter(), time.process_time()
    run = await _whole(app)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    await tables[0].close()
    return {
        "seconds": seconds,
        "cpu": cpu,
        "tableReads": store.reads,
        "tableWrites": store.writes,
        "subscriptionRows": store.rows["subscriptions"],
        "ending": run.ending,
        "total": run.total,
        "unchanged": run.counts.unchanged,
        "written": run.counts.written,
    }


async def _warm_up(app: App) -> None:
    """What a running instance has already: connections, a token, the tables."""
    await app.ledger.head("bench", "bench")
    try:
        await app.partner_center.subscriptions("00000000-0000-4000-8000-000000000000")
    except CspError:
        return


async def _whole(app: App) -> Run:
    run = await go_on(app, start=("bench", "bench"))
    while run is None or run.phase is not Phase.ENDED:
        if run is None:
            await asyncio.sleep(0.2)  # it stands still for a moment
        run = await go_on(app)
    return run


def main() -> None:
    """Measure what standard input asks for."""
    wanted = json.load(sys.stdin)
    os.environ.update(wanted["settings"])
    if wanted["what"] == "bare":
        result = asyncio.run(bare(wanted["url"], wanted["token"], wanted["perMinute"]))
    else:
        result = asyncio.run(full(Settings()))
    result["peakMiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
