"""One measurement of the push in a process of its own, so that its peak memory is its own.

Reads a JSON object from standard input (`what`: prepare, drain, rows or bare; see `bench.push`) and writes one to
standard output. `python -m bench.push_worker` is started by `bench.push`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient

from bench.sync_worker import CountedStore
from shared.domain.billing import Policy
from shared.domain.known import Intention, Known
from shared.domain.operation import (
    Address,
    Event,
    Kind,
    Leg,
    LegStatus,
    Operation,
    PartnerLeg,
    PartnerStatus,
)
from shared.domain.reading import read
from shared.domain.timeline import Target, Window
from shared.partner_center.wire import parse_subscription
from shared.settings import Settings
from shared.storage.ledger import Changes, Head
from shared.storage.mappings import SubscriptionMapping
from shared.storage.read_models import SubscriptionView
from shared.storage.rows import Stored
from shared.storage.store import TableStore
from shared.usecases.app import App
from shared.usecases.push import push
from shared.usecases.work import LineKey, new_line

if TYPE_CHECKING:
    from shared.storage.azure_tables import AzureTables

T = TypeVar("T")
_AT_ONCE = 100  # lines of a batch
_POSTS_AT_ONCE = 3


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def key_of(number: int) -> LineKey:
    """The generated line of a generated customer's first subscription."""
    customer = f"c0000000-0000-4000-8000-{number:012x}"
    return LineKey(
        customer, f"5{number:07x}-0000-4000-8000-{1:012x}", 31_000_000 + number, 32_000_000 + 1000 * number + 1
    )


class Bench:
    """The application on a counted store."""

    def __init__(self) -> None:
        from shared import wiring  # noqa: PLC0415 - the bare loop must not pay for what it does not use

        self._tables: list[AzureTables] = []
        self._counted: list[CountedStore] = []
        self.app: App = wiring.build(Settings(), around_store=self._count).app

    def _count(self, store: AzureTables) -> TableStore:
        self._tables.append(store)
        self._counted.append(CountedStore(store))
        return self._counted[-1]

    @property
    def store(self) -> CountedStore:
        """The store with its counts."""
        return self._counted[0]

    async def close(self) -> None:
        """Close the connections to the tables."""
        await self._tables[0].close()


async def prepare(first: int, lines: int, each: int) -> dict[str, Any]:
    """Queue `each` operations on each of so many lines, as settled at Microsoft and ready to be pushed."""
    bench = Bench()
    await bench.app.ledger.head("bench", "bench")
    rows = 0
    for numbers in _slices(range(first, first + lines), _AT_ONCE):
        keys = [key_of(number) for number in numbers]
        units = await bench.app.autotask.units([key.line for key in keys])
        contracts = await bench.app.autotask.contracts([key.contract for key in keys])
        rows += sum(len(found) for found in units.values())

        async def one(key: LineKey, units: Any = units, contracts: Any = contracts) -> None:
            contract = contracts[key.contract]
            actual = read(units[key.line], Window(contract.start, contract.end), contract.calendar)
            await _listed(bench.app, key, contract.calendar, each)
            await _queue(bench.app, key, actual.completed(actual.shown), each)

        await asyncio.gather(*(one(key) for key in keys))
    await bench.close()
    return {"rowsPerLine": rows / lines}


async def _listed(app: App, key: LineKey, calendar: Any, each: int) -> None:
    """The mapping and the row of the list as accepting so many operations leaves it."""
    now = app.now()
    raw = {"id": key.subscription, "quantity": 1, "status": "active", "offerId": "CFQ7TTC0LDPB:0001:CFQ7TTC0N9D7"}
    view = SubscriptionView(
        parse_subscription(key.customer, raw), "pending", now, "", waiting=tuple(range(1, each + 1))
    )
    mapping = SubscriptionMapping(
        key.customer,
        key.subscription,
        key.contract,
        key.line,
        677,
        calendar,
        Policy(),
        app.business_date(now),
        0,
        now,
        "",
    )
    await asyncio.gather(
        app.mappings.assign(None, mapping),
        app.views.put_subscription(Stored(view, None)),
    )


async def _queue(app: App, key: LineKey, actual: Any, each: int) -> None:
    now = app.now()
    today = app.business_date(now)
    units = actual.at(today)
    line = new_line(key, actual, folded=0, policy=Policy())
    head = Head(key.subscription, next_sequence=each + 1)
    await app.ledger.commit(key.customer, Changes(head=Stored(head, None), line=Stored(line, None)))
    for sequence in range(1, each + 1):
        address = Address(key.customer, key.subscription, sequence)
        due = now + timedelta(hours=1)
        operation = Operation(
            address=address,
            kind=Kind.CHANGE_QUANTITY,
            intention=Intention(quantity=units + sequence),
            before=Known("active", units),
            after=Known("active", units + sequence),
            requested_at=now,
            requested_by="bench",
            business_date=today,
            partner_center=PartnerLeg(PartnerStatus.APPLIED, app.new_id()),
            legs=(Leg(key.line, key.contract, Target(units + sequence, today, today), LegStatus.OPEN),),
            alarm_due=due,
        )
        event = Event(now, "bench", "accepted", "", operation.status)
        await app.alarms.set(address, due, ready=now)
        await app.ledger.commit(key.customer, Changes([(Stored(operation, None), [event])]))


async def count_rows(first: int, lines: int) -> dict[str, Any]:
    """How many unit rows Autotask shows of a line, on average."""
    bench = Bench()
    rows = 0
    for numbers in _slices(range(first, first + lines), _AT_ONCE):
        units = await bench.app.autotask.units([key_of(number).line for number in numbers])
        rows += sum(len(found) for found in units.values())
    await bench.close()
    return {"rowsPerLine": rows / lines}


async def drain(first: int, lines: int, each: int) -> dict[str, Any]:
    """Push the first operation; the same push drains all others."""
    bench = Bench()
    app, own = bench.app, Address(key_of(first).customer, key_of(first).subscription, 1)
    await asyncio.gather(app.ledger.operation(own), app.autotask.threshold())  # connections are open before
    bench.store.reads = bench.store.writes = 0
    began, cpu = time.perf_counter(), time.process_time()
    await push(app, own)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    counts = {"tableReads": bench.store.reads, "tableWrites": bench.store.writes}
    synced = 0
    for number in range(first, first + lines):
        found = await app.ledger.operations(key_of(number).customer, key_of(number).subscription)
        synced += sum(stored.value.status == "synced" for stored in found)
    await bench.close()
    return counts | {"seconds": seconds, "cpu": cpu, "synced": synced, "queued": lines * each}


async def bare(first: int, lines: int, each: int, days: str) -> dict[str, Any]:
    """The least that a push with an intent costs: what has to be read, written and posted, and nothing decided.

    For each batch the rows of its lines, before and after; for each operation its row read and written with its event,
    and its alarm removed; for each line its row read, the intent written before the POST, and the line after it.
    """
    settings = Settings()
    headers = {
        "UserName": settings.autotask_user,
        "Secret": settings.autotask_secret.get_secret_value(),
        "ApiIntegrationCode": settings.autotask_integration_code.get_secret_value(),
    }
    connection = settings.tables_connection_string
    if connection is None:
        raise ValueError("the benchmark needs a connection string of table storage")
    slots = asyncio.Semaphore(_POSTS_AT_ONCE)
    rest = f"{settings.autotask_url}/ATServicesRest/v1.0"
    async with (
        TableServiceClient.from_connection_string(connection.get_secret_value()) as service,
        httpx.AsyncClient(headers=headers, timeout=60) as client,
    ):
        ledger, alarms = service.get_table_client("ledger"), service.get_table_client("alarms")
        for table in (ledger, alarms):
            await anext(aiter(table.query_entities("PartitionKey eq 'none'")), None)
        await client.get(f"{rest}/ThresholdInformation")
        began, cpu = time.perf_counter(), time.process_time()

        async def query(numbers: Sequence[int]) -> None:
            after = 0
            while True:
                body = {
                    "MaxRecords": 500,
                    "filter": [
                        {"op": "in", "field": "contractServiceID", "value": [key_of(one).line for one in numbers]},
                        {"op": "gt", "field": "id", "value": after},
                    ],
                }
                async with slots:
                    answer = await client.post(f"{rest}/ContractServiceUnits/query", json=body)
                items = answer.raise_for_status().json()["items"]
                if len(items) < 500:
                    return
                after = items[-1]["id"]

        async def line(number: int) -> None:
            key = key_of(number)
            row = {"PartitionKey": key.customer, "RowKey": f"bare-line-{key.line}", "document": "x" * 1500}
            await _absent(ledger, key.customer, f"L:{key.line}")
            operations = [f"O:{key.subscription}:{sequence:010d}" for sequence in range(1, each + 1)]
            await asyncio.gather(*(_absent(ledger, key.customer, name) for name in operations))
            await ledger.upsert_entity(row)
            body = {"contractID": key.contract, "contractServiceID": key.line, "unitChange": each}
            async with slots:
                answer = await client.post(
                    f"{rest}/Contracts/{key.contract}/ServiceAdjustments",
                    json=body | {"effectiveDate": f"{days}T00:00:00"},
                )
            answer.raise_for_status()
            changed = [("upsert", row)]
            changed += [
                ("upsert", {**row, "RowKey": f"bare-{kind}-{name.replace(':', '-')}"})
                for name in operations
                for kind in ("operation", "event")
            ]
            for part in _slices(changed, 100):
                await ledger.submit_transaction(list(part))
            await asyncio.gather(*(_absent(alarms, "0", f"bare-{name}") for name in operations))

        for numbers in _slices(range(first, first + lines), _AT_ONCE):
            await query(numbers)
            await asyncio.gather(*(line(number) for number in numbers))
            await query(numbers)
        return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


async def _absent(table: Any, partition: str, row: str) -> None:
    """Read a row by its keys; whether it is there does not matter to what it costs."""
    with suppress(ResourceNotFoundError):
        await table.get_entity(partition, row)


def main() -> None:
    """Measure what standard input asks for."""
    wanted = json.load(sys.stdin)
    os.environ.update(wanted["settings"])
    size = wanted["first"], wanted["lines"], wanted["each"]
    match wanted["what"]:
        case "prepare":
            result = asyncio.run(prepare(*size))
        case "drain":
            result = asyncio.run(drain(*size))
        case "rows":
            result = asyncio.run(count_rows(*size[:2]))
        case _:
            result = asyncio.run(bare(*size, datetime.now().astimezone().date().isoformat()))
    result["peakMiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
