"""The control paths that every vendor simulator has, all under `/_control` and without a token.

- `GET health` -> `{"status": "ok"}`
- `GET clock` -> `{"now"}`; `POST clock` `{"advanceSeconds": n}` or `{"set": iso}` -> `{"now"}`
- `GET faults`; `POST faults` (one rule or a list) -> 201; `DELETE faults`, `DELETE faults/{id}` (see `faults`)
- `GET requests?method=&path=&limit=` -> `{"total", "count", "requests"}`; `DELETE requests` (see `requests_log`)
- `GET switches`; `POST switches` `{"name": value}` -> the list (see `switches`)
- `POST calm` -> no faults, real time, every switch at its default
- `GET state` and whatever a simulator adds below `state/`

A wrong control request is answered 400 with `{"error": sentence}`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulation.clock import real_time
from local.simulation.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from local.simulation.clock import SimulatedClock
    from local.simulation.faults import Faults
    from local.simulation.requests_log import RequestsLog
    from local.simulation.switches import Switches

PREFIX = "/_control"


def control_route(path: str, method: str, handler: Callable[[Request], Awaitable[Any]], status: int = 200) -> Route:
    """Make a control route: the handler returns JSON-able data (None: 204) or raises ControlError (400)."""

    async def endpoint(request: Request) -> Response:
        try:
            answer = await handler(request)
        except ControlError as error:
            return JSONResponse({"error": str(error)}, 400)
        return Response(status_code=204) if answer is None else JSONResponse(answer, status)

    return Route(PREFIX + path, endpoint, methods=[method])


async def json_body(request: Request) -> Any:
    """Return the parsed body.

    Raises:
        ControlError: the body is not JSON.
    """
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise ControlError(f"the body is not JSON: {error}") from error


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body as an object.

    Raises:
        ControlError: the body is not a JSON object.
    """
    body = await json_body(request)
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    return body


class _Controls:
    """The handlers of the control paths over the parts of one simulator."""

    def __init__(self, clock: SimulatedClock, faults: Faults, log: RequestsLog, switches: Switches) -> None:
        self._clock = clock
        self._faults = faults
        self._log = log
        self._switches = switches

    async def health(self, _: Request) -> Any:
        return {"status": "ok"}

    async def read_clock(self, _: Request) -> Any:
        return {"now": self._clock.now().isoformat()}

    async def move_clock(self, request: Request) -> Any:
        return {"now": _move(self._clock, await json_object(request)).isoformat()}

    async def list_faults(self, _: Request) -> Any:
        return {"faults": [fault.as_json() for fault in self._faults.all()]}

    async def add_faults(self, request: Request) -> Any:
        wanted = await json_body(request)
        rules = wanted if isinstance(wanted, list) else [wanted]
        if not all(isinstance(rule, dict) for rule in rules):
            raise ControlError("a fault must be a JSON object")
        added = [self._faults.add(rule).as_json() for rule in rules]
        return added if isinstance(wanted, list) else added[0]

    async def clear_faults(self, _: Request) -> None:
        self._faults.clear()

    async def remove_fault(self, request: Request) -> None:
        self._faults.remove(request.path_params["fault_id"])

    async def list_requests(self, request: Request) -> Any:
        found = self._log.find(request.query_params.get("method"), request.query_params.get("path"))
        limit = request.query_params.get("limit", str(len(found)))
        if not limit.isdecimal():
            raise ControlError("limit must be a number")
        shown = found[len(found) - min(int(limit), len(found)) :]
        return {"total": self._log.total, "count": len(found), "requests": [entry.as_json() for entry in shown]}

    async def clear_requests(self, _: Request) -> None:
        self._log.clear()

    async def list_switches(self, _: Request) -> Any:
        return {"switches": self._switches.as_json()}

    async def set_switches(self, request: Request) -> Any:
        self._switches.update(await json_object(request))
        return {"switches": self._switches.as_json()}

    async def calm(self, _: Request) -> None:
        self._faults.clear()
        self._clock.set(real_time())
        self._switches.reset()


def control_routes(
    *, clock: SimulatedClock, faults: Faults, log: RequestsLog, switches: Switches, state: Callable[[], Any]
) -> list[Route]:
    """Return the control routes over these parts; `state` gives the whole simulated state as JSON-able data."""
    controls = _Controls(clock, faults, log, switches)

    async def read_state(_: Request) -> Any:
        return state()

    return [
        control_route("/health", "GET", controls.health),
        control_route("/clock", "GET", controls.read_clock),
        control_route("/clock", "POST", controls.move_clock),
        control_route("/faults", "GET", controls.list_faults),
        control_route("/faults", "POST", controls.add_faults, 201),
        control_route("/faults", "DELETE", controls.clear_faults),
        control_route("/faults/{fault_id}", "DELETE", controls.remove_fault),
        control_route("/requests", "GET", controls.list_requests),
        control_route("/requests", "DELETE", controls.clear_requests),
        control_route("/switches", "GET", controls.list_switches),
        control_route("/switches", "POST", controls.set_switches),
        control_route("/calm", "POST", controls.calm),
        control_route("/state", "GET", read_state),
    ]


def _move(clock: SimulatedClock, wanted: dict[str, Any]) -> datetime:
    if set(wanted) == {"advanceSeconds"}:
        seconds = wanted["advanceSeconds"]
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ControlError("advanceSeconds must be a number")
        return clock.advance(seconds)
    if set(wanted) == {"set"}:
        try:
            return clock.set(datetime.fromisoformat(str(wanted["set"])))
        except ValueError as error:
            raise ControlError(f"set must be a moment with a time zone in ISO 8601: {error}") from error
    raise ControlError("send either advanceSeconds or set")
