"""Puts a simulator together: its own routes, the control paths, and the gate around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware

from local.simulation.control import control_routes
from local.simulation.gate import Gate, gateway_page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.routing import BaseRoute, Route

    from local.simulation.clock import SimulatedClock
    from local.simulation.faults import Faults
    from local.simulation.requests_log import RequestsLog
    from local.simulation.switches import Switches


def simulator_app(
    *,
    routes: Sequence[BaseRoute],
    clock: SimulatedClock,
    faults: Faults,
    log: RequestsLog,
    switches: Switches,
    state: Callable[[], Any],
    state_routes: Sequence[Route] = (),
    fault_body: Callable[[int], Any] = gateway_page,
) -> Starlette:
    """Return the ASGI application of a simulator.

    Args:
        routes: the vendor's API.
        clock: the simulated clock; answers carry its time as `Date`.
        faults: the fault rules, asked once per request that is not a control request.
        log: receives each such request.
        switches: the named behaviours.
        state: gives the whole simulated state as JSON-able data, for `GET /_control/state`.
        state_routes: further control paths of this simulator, made with `control.control_route`.
        fault_body: the vendor's body for a status that a fault names without a body (str: HTML, else JSON).
    """
    control = control_routes(clock=clock, faults=faults, log=log, switches=switches, state=state)
    gate = Middleware(Gate, clock=clock, faults=faults, log=log, fault_body=fault_body)
    return Starlette(routes=[*state_routes, *control, *routes], middleware=[gate])
