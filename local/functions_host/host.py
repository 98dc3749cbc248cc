"""The host itself: resolves an indexed app against its settings, then starts and stops its listeners together.

`__main__` builds one `FunctionsHost` and serves its `http` with uvicorn; the HTTP server calls back here through the
lifespan. Stopping takes no further work at once, gives running invocations a grace of seconds, and closes the SDK's
clients.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from local.functions_host.bindings import HttpTrigger, IndexedFunction, QueueTrigger, TimerTrigger
from local.functions_host.http_server import HttpServer
from local.functions_host.invocation import Invoker
from local.functions_host.queues import QueueListener
from local.functions_host.routes import RouteTable
from local.functions_host.settings import Settings, SettingsError
from local.functions_host.timers import Schedule, ScheduleError, TimerListener

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from local.functions_host.host_json import HostOptions

log = logging.getLogger("functions_host")

GRACE_SECONDS = 5
"""How long a running invocation may go on after the host was told to end."""


class FunctionsHost:
    """One app with all its listeners, resolved and ready to start."""

    def __init__(
        self,
        functions: Sequence[IndexedFunction],
        options: HostOptions,
        settings: Settings,
        *,
        function_key: str | None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._grace_seconds = grace_seconds
        self.invoker = Invoker()
        self.http = HttpServer(RouteTable(options.route_prefix, functions), self.invoker, self, function_key)
        self._functions = functions
        self._timers: dict[str, TimerListener] = {}
        self._queues: dict[str, QueueListener] = {}
        self._on_demand: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Task[None] | None = None
        self._resolve(options, settings)

    async def start(self) -> None:
        """Start every listener; needs a running event loop."""
        for listener in self._listeners():
            listener.start()
        log.info("running %s", ", ".join(function.name for function in self._functions))

    def begin_stop(self) -> None:
        """Take no further work from now on; `stop` waits for the rest. May be called more than once."""
        if self._stopping is None:
            log.info("stopping")
            self._stopping = asyncio.create_task(self._stop())

    async def stop(self) -> None:
        """Stop every listener and return once each has."""
        self.begin_stop()
        if self._stopping is not None:
            await self._stopping

    def run_on_demand(self, name: str, text: str) -> bool:
        """Run a timer or queue function once in the background; False if there is none of that name."""
        run: Coroutine[None, None, None]
        if name in self._timers:
            run = self._timers[name].run_on_demand()
        elif name in self._queues:
            run = self._queues[name].run_on_demand(text)
        else:
            return False
        task = asyncio.create_task(run)
        self._on_demand.add(task)
        task.add_done_callback(self._on_demand.discard)
        return True

    def _listeners(self) -> list[TimerListener | QueueListener]:
        return [*self._timers.values(), *self._queues.values()]

    async def _stop(self) -> None:
        await asyncio.gather(
            *(listener.stop(self._grace_seconds) for listener in self._listeners()), self._stop_on_demand()
        )
        self.invoker.close()

    async def _stop_on_demand(self) -> None:
        if not self._on_demand:
            return
        _, late = await asyncio.wait(self._on_demand, timeout=self._grace_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _resolve(self, options: HostOptions, settings: Settings) -> None:
        problems = []
        for function in self._functions:
            try:
                self._add_listener(function, options, settings)
            except (SettingsError, ScheduleError) as error:
                problems.append(f"function {function.name}: {error}")
        if problems:
            raise SettingsError("\n".join(problems))

    def _add_listener(self, function: IndexedFunction, options: HostOptions, settings: Settings) -> None:
        match function.trigger:
            case TimerTrigger(schedule, run_on_startup):
                self._timers[function.name] = TimerListener(
                    function, Schedule(settings.expand(schedule)), self.invoker, run_on_startup=run_on_startup
                )
            case QueueTrigger(queue, connection):
                self._queues[function.name] = QueueListener(
                    function,
                    settings.expand(queue),
                    settings.service_bus(connection),
                    options.service_bus,
                    self.invoker,
                )
            case HttpTrigger():
                pass
