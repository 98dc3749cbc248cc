"""Command line of the Autotask simulator: `python -m local.autotask --port P`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from local.autotask.api import Api, Credentials
from local.autotask.control import StateControl
from local.autotask.seed import seeded_tenant
from local.autotask.switches import autotask_switches
from local.simulation.app import simulator_app
from local.simulation.clock import SimulatedClock
from local.simulation.faults import Faults
from local.simulation.gate import gateway_page
from local.simulation.requests_log import RequestsLog
from local.simulation.serve import serve

if TYPE_CHECKING:
    from starlette.applications import Starlette

VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def fault_body(status: int) -> Any:
    """Return the body of an injected status: Autotask's own for a 429, nothing for a 401, else a gateway's page."""
    if status == 429:
        return {"errors": ["Itgenatr005: The thread threshold of 3 threads has been exceeded."]}
    return "" if status == 401 else gateway_page(status)


def autotask_app(credentials: Credentials, *, customers: int = 0, subscriptions_per_customer: int = 0) -> Starlette:
    """Return the simulator as an ASGI application with fresh data."""
    clock, switches = SimulatedClock(), autotask_switches()
    tenant = seeded_tenant(
        clock=clock, switches=switches, customers=customers, subscriptions_per_customer=subscriptions_per_customer
    )
    api = Api(tenant, credentials)
    control = StateControl(tenant, api.limits)
    return simulator_app(
        routes=[Route("/{path:path}", api.endpoint, methods=VERBS)],
        clock=clock,
        faults=Faults(),
        log=RequestsLog(),
        switches=switches,
        state=control.state,
        state_routes=control.routes(),
        fault_body=fault_body,
    )


def main() -> None:
    """Run the simulator until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m local.autotask", description="Simulates the Autotask REST API.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed-customers", type=int, default=0)
    parser.add_argument("--subscriptions-per-customer", type=int, default=1)
    parser.add_argument("--user", default="api@partnersim.example")
    parser.add_argument("--secret", default="local-autotask-secret")
    parser.add_argument("--integration-code", default="LOCALINTEGRATIONCODE0000001")
    arguments = parser.parse_args()
    app = autotask_app(
        Credentials(arguments.user, arguments.secret, arguments.integration_code),
        customers=arguments.seed_customers,
        subscriptions_per_customer=arguments.subscriptions_per_customer,
    )
    serve(app, name="autotask", port=arguments.port)


if __name__ == "__main__":
    main()
