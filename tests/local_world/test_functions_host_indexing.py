"""What the local Functions host refuses to run, instead of running it differently from the real host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import azure.functions as func
import pytest

from local.functions_host.bindings import IndexingError, QueueTrigger, index_function
from local.functions_host.routes import RouteTable

if TYPE_CHECKING:
    from collections.abc import Callable


def on_event(event: Any) -> None:
    """Stand for any function with one parameter."""


def with_output(event: Any, out: Any) -> None:
    """Stand for a function that also wants an output binding."""


def two_parameters(event: Any, other: Any) -> None:
    """Stand for a function whose second parameter nothing is bound to."""


def only(app: func.FunctionApp) -> Any:
    """Return the app's only function as the host reads it."""
    (function,) = app.get_functions()
    return function


def queue_trigger(app: func.FunctionApp, **options: Any) -> Callable[..., Any]:
    decorator: Callable[..., Any] = app.service_bus_queue_trigger("event", "Bus", "q", **options)
    return decorator


def test_queue_trigger_is_indexed() -> None:
    app = func.FunctionApp()
    queue_trigger(app)(on_event)
    indexed = index_function(only(app))
    assert indexed.trigger == QueueTrigger("q", "Bus")
    assert (indexed.name, indexed.parameter, indexed.is_async) == ("on_event", "event", False)


@pytest.mark.parametrize(
    ("decorate", "sentence"),
    [
        (lambda app: app.queue_trigger("event", "q", "Storage")(on_event), "binding type queueTrigger"),
        (lambda app: app.service_bus_topic_trigger("event", "Bus", "t", "s")(on_event), "topics"),
        (lambda app: queue_trigger(app, is_sessions_enabled=True)(on_event), "sessions"),
        (lambda app: queue_trigger(app, cardinality="many")(on_event), "batches"),
        (
            lambda app: app.service_bus_queue_output("out", "Bus", "q")(queue_trigger(app)(with_output)),
            "binding type serviceBus",
        ),
        (lambda app: app.retry("fixed_delay", "3", delay_interval="00:00:01")(queue_trigger(app)(on_event)), "retry"),
        (lambda app: queue_trigger(app)(two_parameters), "its parameters are"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_function_named(decorate: Any, sentence: str) -> None:
    app = func.FunctionApp()
    decorate(app)
    with pytest.raises(IndexingError, match=f"function .*{sentence}"):
        index_function(only(app))


@pytest.mark.parametrize("route", ["items/{id:regex(x)}", "items/{id", "items/{}"])
def test_route_that_cannot_be_read_is_refused(route: str) -> None:
    app = func.FunctionApp()
    app.route(route=route, trigger_arg_name="event")(on_event)
    with pytest.raises(IndexingError, match="function on_event: route"):
        RouteTable("api", [index_function(only(app))])
