"""A request to the API as a span and as a duration, named by its route and never by what the caller wrote into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

import azure.functions as func

from shared import telemetry
from shared.metrics import HTTP_DURATION
from shared.wiring import observe


@dataclass(frozen=True, slots=True)
class RequestSpan:
    """The span of a request that is being answered."""

    span: telemetry.Span
    attributes: dict[str, telemetry.Attribute]

    def answered(self, status: int) -> None:
        """Note the status of the answer."""
        self.attributes["http.response.status_code"] = status
        self.span.note({"http.response.status_code": status})
        if status >= 500:
            self.span.fail(str(status))


@contextmanager
def request_span(req: func.HttpRequest, door: str) -> Iterator[RequestSpan]:
    """The span of a request to a function, in the trace that its caller names, and the time that it takes."""
    observe()
    attributes: dict[str, telemetry.Attribute] = {"http.request.method": req.method, "http.route": _route(req, door)}
    name = f"{req.method} {attributes['http.route']}"
    within = req.headers.get("traceparent", "")
    with (
        telemetry.timed(HTTP_DURATION, attributes),
        telemetry.entry(name, telemetry.Kind.SERVER, attributes, within=within) as span,
    ):
        yield RequestSpan(span, attributes)


def _route(req: func.HttpRequest, door: str) -> str:
    """The path with the names of its parameters for their values; the function's name where one cannot be found."""
    url = str(req.url)
    path = (url.partition("://")[2] or url).partition("/")[2].partition("?")[0]
    parts = [unquote(part) for part in path.split("/")]
    if not set(req.route_params.values()) <= set(parts):
        return door
    names = {value: f"{{{name}}}" for name, value in req.route_params.items()}
    return "/" + "/".join(names.get(part, part.lower()) for part in parts)
