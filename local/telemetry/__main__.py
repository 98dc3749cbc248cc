"""Command line of the telemetry receiver: `python -m local.telemetry --port P`.

- `POST /v1/traces`, `/v1/metrics`, `/v1/logs`: OTLP over HTTP in its JSON encoding; anything else is refused (415, 400)
- `GET /_control/health` -> `{"status": "ok"}`
- `GET /_control/traces/{traceId}` -> `{"spans"}`, the earliest first; `GET /_control/traces?name=&attribute=`
- `GET /_control/metrics?name=` -> `{"points"}`, the last ones; `GET /_control/logs?event=&trace=` -> `{"records"}`
- `DELETE /_control/telemetry` forgets everything
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulation.control import control_route
from local.simulation.serve import serve
from local.telemetry import otlp
from local.telemetry.kept import Kept

Items = list[dict[str, Any]]


def receiver() -> Starlette:
    """The receiver as an ASGI application that has got nothing yet."""
    kept = Kept()

    async def health(_: Request) -> Any:
        return {"status": "ok"}

    async def one_trace(request: Request) -> Any:
        return {"spans": kept.trace(request.path_params["trace"])}

    async def traces(request: Request) -> Any:
        asked = request.query_params
        return {"spans": kept.spans(asked.get("name"), asked.get("attribute"))}

    async def metrics(request: Request) -> Any:
        return {"points": kept.points(request.query_params.get("name"))}

    async def logs(request: Request) -> Any:
        asked = request.query_params
        return {"records": kept.records(asked.get("event"), asked.get("trace"))}

    async def clear(_: Request) -> None:
        kept.clear()

    return Starlette(
        routes=[
            _intake("/v1/traces", otlp.spans, kept.add_spans),
            _intake("/v1/metrics", otlp.points, kept.add_points),
            _intake("/v1/logs", otlp.logs, kept.add_records),
            control_route("/health", "GET", health),
            control_route("/traces", "GET", traces),
            control_route("/traces/{trace}", "GET", one_trace),
            control_route("/metrics", "GET", metrics),
            control_route("/logs", "GET", logs),
            control_route("/telemetry", "DELETE", clear),
        ]
    )


def _intake(path: str, read: Callable[[Any], Items], keep: Callable[[Items], None]) -> Route:
    async def endpoint(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"message": "only the JSON encoding is understood"}, 415)
        body = await request.body()
        try:
            if request.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            keep(read(json.loads(body)))
        except (OSError, *otlp.UNREADABLE) as error:
            return JSONResponse({"message": f"not OTLP in its JSON encoding: {type(error).__name__} {error}"}, 400)
        return JSONResponse({})

    return Route(path, endpoint, methods=["POST"])


def main() -> None:
    """Receive until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m local.telemetry", description="Receives OTLP and shows it.")
    parser.add_argument("--port", type=int, required=True)
    serve(receiver(), name="telemetry", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
