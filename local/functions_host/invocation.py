"""Runs functions: async ones on the event loop, sync ones in a thread pool, each with an id, a log line and an
outcome.

`http_server`, `timers` and `queues` hand over an `IndexedFunction` and a way to build its argument. The current
invocation is a context variable, so that what the app logs meanwhile carries its name and id (`logs`).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import azure.functions as func

from local.functions_host.bindings import CONTEXT_PARAMETER, IndexedFunction

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("functions_host.invocation")
_thread_local = threading.local()


class InvocationFailed(Exception):
    """The function raised; the error was logged and is the cause."""


@dataclass(frozen=True)
class Invocation:
    """One run of one function."""

    function: IndexedFunction
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace_parent: str = ""


_current: contextvars.ContextVar[Invocation | None] = contextvars.ContextVar("invocation", default=None)


def current_invocation() -> Invocation | None:
    """The invocation that this code runs in, None outside of one."""
    return _current.get()


class Invoker:
    """Runs functions and remembers how many sync ones are still in the thread pool, which nobody can cancel."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(thread_name_prefix="function")
        self._lock = threading.Lock()
        self._in_threads = 0

    @property
    def busy_threads(self) -> int:
        """Sync invocations that have not returned."""
        return self._in_threads

    async def run(self, function: IndexedFunction, argument: Callable[[], object], *, trace_parent: str = "") -> Any:
        """Build the argument, call the function and return its value.

        Raises `InvocationFailed` if either raises, `CancelledError` if the host ends the invocation. Both are logged.
        """
        invocation = Invocation(function, trace_parent=trace_parent)
        token = _current.set(invocation)
        started = time.perf_counter()
        try:
            value = await self._call(invocation, argument())
        except asyncio.CancelledError:
            log.warning("cancelled after %.1f ms", _milliseconds_since(started))
            raise
        except Exception as error:
            log.exception("failed after %.1f ms: %s", _milliseconds_since(started), type(error).__name__)
            raise InvocationFailed(function.name) from error
        else:
            log.info("succeeded in %.1f ms", _milliseconds_since(started))
            return value
        finally:
            _current.reset(token)

    def close(self) -> None:
        """Give up the thread pool without waiting for what still runs in it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, invocation: Invocation, argument: object) -> Any:
        function = invocation.function
        arguments = {function.parameter: argument}
        if function.takes_context:
            arguments[CONTEXT_PARAMETER] = Context(invocation)
        if function.is_async:
            return await function.body(**arguments)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, context.run, self._in_thread, invocation, arguments)

    def _in_thread(self, invocation: Invocation, arguments: dict[str, object]) -> Any:
        with self._lock:
            self._in_threads += 1
        _thread_local.invocation_id = invocation.id
        try:
            return invocation.function.body(**arguments)
        finally:
            with self._lock:
                self._in_threads -= 1


class Context(func.Context):
    """What a function receives as `context`."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    @property
    def invocation_id(self) -> str:
        """The id of this run, as in the log."""
        return self._invocation.id

    @property
    def function_name(self) -> str:
        """The name under which the function is indexed."""
        return self._invocation.function.name

    @property
    def function_directory(self) -> str:
        """The folder of the file that holds the function."""
        return self._invocation.function.directory

    @property
    def thread_local_storage(self) -> Any:
        """Storage of the thread that runs a sync function; holds `invocation_id`."""
        return _thread_local

    @property
    def trace_context(self) -> Any:
        """W3C trace context of the caller, or a new one."""
        new = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-00"
        return _TraceContext(self._invocation.trace_parent or new)

    @property
    def retry_context(self) -> Any:
        """Always the first try: retry policies are refused at indexing."""
        return _RetryContext()


@dataclass(frozen=True)
class _TraceContext:
    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _RetryContext:
    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
