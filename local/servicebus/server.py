"""The emulator as a whole: one broker, a listener, and the clock tick that ends locks."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from local.servicebus.access import Access, SharedAccessKey
from local.servicebus.broker import Broker
from local.servicebus.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterable

HOST = "127.0.0.1"
_TICK_SECONDS = 0.1  # how late an expired lock may be noticed where nobody asks


async def serve(
    port: int, queues: Iterable[str], key: SharedAccessKey, *, max_delivery_count: int, lock_duration: timedelta
) -> None:
    """Serves the queues until cancelled. Prints one line when ready; port 0 takes a free one. Raises OSError."""
    names = list(queues)
    broker = Broker(names, lock_duration=lock_duration, max_delivery_count=max_delivery_count, now=_now)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # at the end; Python 3.12 would log it as an error
            await Connection(reader, writer, broker, Access(key, _now)).serve()

    server = await asyncio.start_server(connected, HOST, port)
    port = server.sockets[0].getsockname()[1]
    print(f"Service Bus emulator ready on {HOST}:{port} with {', '.join(names)}", flush=True)
    try:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            broker.expire_locks()
    finally:
        server.close()  # not awaited: from Python 3.12 on that would wait for clients to go


def _now() -> datetime:
    return datetime.now(UTC)
