"""Drains operations in one push, as a host would, and prints how long it took: `python -m bench.telemetry_worker ID…`.

A process of its own with the settings of a host in its environment; what Autotask or an earlier pusher left standing in
the way is removed first.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient

from shared import telemetry
from shared.domain.operation import Address
from shared.settings import load
from shared.usecases.push import push
from shared.wiring import build, observe


def main() -> None:
    """Free the way, drain, tell."""
    operations = [Address.parse(text) for text in sys.argv[1:]]
    with TableServiceClient.from_connection_string(os.environ["TABLES_CONNECTION_STRING"]) as tables:
        for kind, name in (("stop", "autotask"), ("lease", "autotask-pusher")):
            try:
                tables.get_table_client("coordination").delete_entity(kind, name)
            except ResourceNotFoundError:
                continue
    time.sleep(float(os.environ["RETRY_SECONDS"]) + 1)
    observe()
    print(json.dumps(asyncio.run(_drain(operations))), flush=True)
    os._exit(0)  # connections are not closed: the process ends


async def _drain(operations: list[Address]) -> dict[str, float]:
    app = build(load()).app
    await asyncio.gather(app.ledger.operation(operations[0]), app.autotask.threshold())  # connections are open before
    began = time.perf_counter()
    with telemetry.span("bench"):
        await push(app, operations[0])
    seconds = time.perf_counter() - began
    found = [await app.ledger.operation(address) for address in operations]
    return {"seconds": seconds, "synced": sum(one is not None and one.value.status == "synced" for one in found)}


if __name__ == "__main__":
    main()
