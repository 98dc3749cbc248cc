"""Command line of the Service Bus emulator; ends cleanly on SIGINT and SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from datetime import timedelta

from local.servicebus import DEFAULT_KEY, KEY_NAME
from local.servicebus.access import SharedAccessKey
from local.servicebus.server import serve


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.servicebus", description="Azure Service Bus queues, in memory."
    )
    parser.add_argument("--port", type=int, default=5672, help="TCP port; 0 takes a free one")
    parser.add_argument("--queue", action="append", required=True, metavar="NAME", help="a queue to have; repeatable")
    parser.add_argument("--max-delivery-count", type=int, default=10, help="failed deliveries before a dead letter")
    parser.add_argument("--lock-seconds", type=float, default=30, help="duration of a peek-lock")
    parser.add_argument("--key", default=DEFAULT_KEY, help="the shared access key")
    arguments = parser.parse_args()
    if arguments.max_delivery_count < 1 or arguments.lock_seconds <= 0:
        parser.error("--max-delivery-count and --lock-seconds must be positive")
    return arguments


async def _run(arguments: argparse.Namespace) -> None:
    serving = asyncio.create_task(
        serve(
            arguments.port,
            arguments.queue,
            SharedAccessKey(KEY_NAME, arguments.key),
            max_delivery_count=arguments.max_delivery_count,
            lock_duration=timedelta(seconds=arguments.lock_seconds),
        )
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main() -> None:
    """Runs the emulator until it is told to end."""
    try:
        asyncio.run(_run(_arguments()))
    except OSError as problem:
        sys.exit(f"The Service Bus emulator cannot listen: {problem}")


if __name__ == "__main__":
    main()
