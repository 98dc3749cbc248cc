"""Indexing: loads the app's `function_app.app` and turns the decorators of each function into one typed trigger.

Only what the host can run is accepted (HTTP, timer, Service Bus queue; no other input or output binding): anything
else is an `IndexingError` at start. Nothing here needs a setting; `host` resolves names afterwards. The conformance
test compares `describe` with what Microsoft's worker library reads from the same app.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

CONTEXT_PARAMETER = "context"


class IndexingError(Exception):
    """The app cannot be loaded, or a function asks for something that this host cannot do."""


@dataclass(frozen=True)
class HttpTrigger:
    """Answers HTTP requests. `methods` are upper case, empty means every method; `auth_level` is upper case too."""

    route: str
    methods: tuple[str, ...]
    auth_level: str


@dataclass(frozen=True)
class TimerTrigger:
    """Runs on an NCRONTAB schedule, which may still hold a `%SETTING%`."""

    schedule: str
    run_on_startup: bool


@dataclass(frozen=True)
class QueueTrigger:
    """Runs for each message of a Service Bus queue, whose name may still hold a `%SETTING%`."""

    queue: str
    connection: str


Trigger = HttpTrigger | TimerTrigger | QueueTrigger


@dataclass(frozen=True)
class IndexedFunction:
    """One function of the app: its name, its trigger, and how it is called."""

    name: str
    trigger: Trigger
    parameter: str
    body: Callable[..., Any]
    is_async: bool
    takes_context: bool
    directory: str


class DecoratedFunction(Protocol):
    """The part of `azure.functions.decorators.function_app.Function` that indexing reads."""

    def get_function_name(self) -> str | None:
        """Return the name given by the decorator, or the Python function's."""

    def get_function_json(self) -> str:
        """Return the bindings as `function.json` would hold them."""

    def get_settings_dict(self, setting_name: str) -> dict[str, Any] | None:
        """Return a decorator's settings, such as `retry_policy`."""

    def get_user_function(self) -> Callable[..., Any]:
        """Return the undecorated Python function."""


def index_app(app_dir: Path) -> list[IndexedFunction]:
    """Import `function_app` from the folder (first on `sys.path`) and index its functions, in the app's order.

    Raises `IndexingError` with a sentence; the import's own error is its cause.
    """
    if not (app_dir / "function_app.py").is_file():
        raise IndexingError(f"{app_dir} holds no function_app.py")
    sys.path.insert(0, str(app_dir))
    try:
        decorated = importlib.import_module("function_app").app.get_functions()
    except Exception as error:
        raise IndexingError(f"function_app cannot be loaded: {type(error).__name__}: {error}") from error
    return [index_function(function) for function in decorated]


def index_function(function: DecoratedFunction) -> IndexedFunction:
    """Index one decorated function; raises `IndexingError` naming the function and what cannot be done."""
    name = str(function.get_function_name())
    body = function.get_user_function()
    parameter, trigger = _only_trigger(name, json.loads(function.get_function_json())["bindings"])
    if function.get_settings_dict("retry_policy"):
        raise IndexingError(f"function {name}: a retry policy is not supported")
    parameters = set(inspect.signature(body).parameters)
    if parameter not in parameters or parameters - {parameter, CONTEXT_PARAMETER}:
        raise IndexingError(
            f"function {name}: its parameters are {sorted(parameters)}, but its bindings declare only {parameter!r}"
        )
    return IndexedFunction(
        name=name,
        trigger=trigger,
        parameter=parameter,
        body=body,
        is_async=inspect.iscoroutinefunction(body),
        takes_context=CONTEXT_PARAMETER in parameters,
        directory=str(Path(inspect.getfile(body)).parent),
    )


def describe(function: IndexedFunction) -> dict[str, Any]:
    """Return name and trigger as plain JSON, in the words of `function.json`."""
    match function.trigger:
        case HttpTrigger(route, methods, auth_level):
            binding: dict[str, Any] = {
                "type": "httpTrigger",
                "route": route,
                "methods": list(methods),
                "authLevel": auth_level,
            }
        case TimerTrigger(schedule, run_on_startup):
            binding = {"type": "timerTrigger", "schedule": schedule, "runOnStartup": run_on_startup}
        case QueueTrigger(queue, connection):
            binding = {"type": "serviceBusTrigger", "queueName": queue, "connection": connection}
    return {"name": function.name, "trigger": binding}


def _only_trigger(name: str, bindings: list[dict[str, Any]]) -> tuple[str, Trigger]:
    found: tuple[str, Trigger] | None = None
    for binding in bindings:
        kind = str(binding["type"])
        if kind == "httpTrigger":
            found = binding["name"], _http(name, binding)
        elif kind == "timerTrigger":
            found = binding["name"], TimerTrigger(binding["schedule"], bool(binding.get("runOnStartup")))
        elif kind == "serviceBusTrigger":
            found = binding["name"], _queue(name, binding)
        elif (kind, binding["name"]) != ("http", "$return"):
            raise IndexingError(f"function {name}: binding type {kind} ({binding['name']}) is not supported")
    if found is None:
        raise IndexingError(f"function {name} has no trigger")
    return found


def _http(name: str, binding: dict[str, Any]) -> HttpTrigger:
    methods = tuple(str(method).upper() for method in binding.get("methods") or ())
    return HttpTrigger(binding.get("route") or name, methods, str(binding.get("authLevel", "FUNCTION")).upper())


def _queue(name: str, binding: dict[str, Any]) -> QueueTrigger:
    if "queueName" not in binding:
        raise IndexingError(f"function {name}: Service Bus topics are not supported")
    if binding.get("isSessionsEnabled"):
        raise IndexingError(f"function {name}: Service Bus sessions are not supported")
    if str(binding.get("cardinality", "ONE")).upper() != "ONE":
        raise IndexingError(f"function {name}: batches of Service Bus messages are not supported")
    return QueueTrigger(binding["queueName"], binding.get("connection") or "ServiceBus")
