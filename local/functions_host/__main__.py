"""Command line of the local Functions host: `python -m local.functions_host --app DIR --port P`.

`--list` only indexes the app and prints its functions as JSON. Exit codes: 0 after SIGTERM or SIGINT, 1 with a
sentence on stderr if the app, its `host.json` or its settings are unusable.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from local.functions_host import logs
from local.functions_host.bindings import IndexingError, describe, index_app
from local.functions_host.host import GRACE_SECONDS, FunctionsHost
from local.functions_host.host_json import HostJsonError, read_host_json
from local.functions_host.settings import Settings, SettingsError, add_local_settings

if TYPE_CHECKING:
    import socket
    from types import FrameType

KEY_SETTING = "LOCAL_FUNCTION_KEY"
"""The key that opens functions of authorization level FUNCTION and ADMIN; without it they are closed."""
CLOSE_SECONDS = 5
"""How long closing may take after the grace of running invocations."""


class _Server(uvicorn.Server):
    """Tells the host about SIGTERM at once, not only after the last HTTP request is answered."""

    def __init__(self, config: uvicorn.Config, host: FunctionsHost, give_up_seconds: float) -> None:
        super().__init__(config)
        self._host = host
        self._give_up_seconds = give_up_seconds
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Remember the loop that the signal handler has to wake."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop the listeners together with uvicorn's own shutdown."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_stop, self._loop)

    def _begin_stop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._host.begin_stop()
        # A function that swallows its cancellation would keep the event loop for ever.
        loop.call_later(self._give_up_seconds, _exit_now, "what did not end when cancelled")


def main() -> None:
    """Parse the command line, index the app, resolve its settings, and serve until a signal ends it."""
    arguments = _parser().parse_args()
    log = logging.getLogger("functions_host")
    app_dir = Path(arguments.app).resolve()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    logs.configure()
    try:
        add_local_settings(app_dir, os.environ)
        functions = index_app(app_dir)
        if arguments.list:
            print(json.dumps([describe(function) for function in functions], indent=2))
            return
        host = FunctionsHost(
            functions,
            read_host_json(app_dir),
            Settings(os.environ),
            function_key=os.environ.get(KEY_SETTING),
            grace_seconds=arguments.grace_seconds,
        )
    except (IndexingError, HostJsonError, SettingsError) as error:
        # The sentence is the answer; a traceback is wanted only where the app itself raised.
        cause = error.__cause__ if isinstance(error, IndexingError) else None
        log.log(logging.ERROR, "%s", error, exc_info=cause)
        sys.exit(1)
    _serve(host, arguments.port, arguments.grace_seconds)


def _serve(host: FunctionsHost, port: int, grace_seconds: int) -> None:
    config = uvicorn.Config(
        host.http,
        host="127.0.0.1",
        port=port,
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=grace_seconds,
    )
    try:
        _Server(config, host, grace_seconds + CLOSE_SECONDS).run()
    finally:
        if host.invoker.busy_threads:
            # Python waits for threads at exit, and nothing can end a sync function that does not return.
            _exit_now(f"{host.invoker.busy_threads} sync invocations")


def _exit_now(left: str) -> None:
    logging.getLogger("functions_host").warning("leaving %s", left)
    logging.shutdown()
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.functions_host", description=__doc__)
    parser.add_argument("--app", required=True, metavar="DIR", help="folder with function_app.py and host.json")
    parser.add_argument("--port", type=int, default=7071, help="port on 127.0.0.1 (default 7071)")
    parser.add_argument(
        "--grace-seconds",
        type=int,
        default=GRACE_SECONDS,
        help=f"how long running invocations may go on after SIGTERM (default {GRACE_SECONDS})",
    )
    parser.add_argument(
        "--list", action="store_true", help="print the indexed functions as JSON and end; needs no setting"
    )
    return parser


def _leave(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
    sys.exit(0)


if __name__ == "__main__":
    main()
