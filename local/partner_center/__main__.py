"""Command line of the Partner Center simulator.

Puts seed, account, API and control together and serves them on loopback. python -m local.partner_center --port P
--entra https://localhost:E --ca-file DIR/ca.pem [--seed-customers N --subscriptions-per-customer M]
[--certificate-port C]; DIR receives webhook-roots.pem
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from local.partner_center.access import Access
from local.partner_center.account import Account
from local.partner_center.action_control import ActionControl
from local.partner_center.api import PartnerCenterApi
from local.partner_center.control import StateControl
from local.partner_center.customers import Customers
from local.partner_center.errors import gateway_fault_body
from local.partner_center.migration_endpoints import MigrationEndpoints
from local.partner_center.migration_schedules import MigrationSchedules
from local.partner_center.migrations import Migrations
from local.partner_center.seed import CUSTOMERS, seeded_subscriptions
from local.partner_center.supporting import SupportingEndpoints
from local.partner_center.switches import SWITCHES
from local.partner_center.transition_endpoints import TransitionEndpoints
from local.partner_center.transitions import Transitions
from local.partner_center.webhooks import Webhooks
from local.simulation.app import simulator_app
from local.simulation.clock import SimulatedClock
from local.simulation.faults import Faults
from local.simulation.requests_log import RequestsLog
from local.simulation.serve import serve
from local.simulation.switches import Switches

if TYPE_CHECKING:
    from starlette.applications import Starlette


def partner_center_app(
    entra_url: str, ca_file: Path, *, seed_customers: int, per_customer: int, certificate_port: int
) -> Starlette:
    """The application with its seed; tokens are checked with the keys of the Entra directory at `entra_url`."""
    clock = SimulatedClock()
    switches = Switches(SWITCHES)
    account = Account(
        Customers(CUSTOMERS, seed_customers),
        seeded_subscriptions(clock.now()),
        per_generated_customer=per_customer,
        now=clock.now,
        switches=switches,
    )
    transitions, migrations = Transitions(account), Migrations(account)
    schedules = MigrationSchedules(account, migrations)
    webhooks = Webhooks(account, ca_file.parent, certificate_port=certificate_port)
    further = (
        webhooks.endpoints()
        | SupportingEndpoints(account).endpoints()
        | TransitionEndpoints(account, transitions).endpoints()
        | MigrationEndpoints(account, migrations, schedules).endpoints()
    )
    api = PartnerCenterApi(account, Access(entra_url, ca_file), switches, further)
    actions = ActionControl(account, transitions, migrations, schedules)
    control = StateControl(account, api, actions)
    return simulator_app(
        routes=api.routes(),
        clock=clock,
        faults=Faults(),
        log=RequestsLog(),
        switches=switches,
        state=control.state,
        state_routes=[*control.routes(), *actions.routes(), *webhooks.routes()],
        fault_body=gateway_fault_body,
    )


def main() -> None:
    """Read the arguments and serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m local.partner_center", description="Partner Center simulator")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    parser.add_argument("--entra", required=True, help="base URL of the Entra simulator")
    parser.add_argument("--ca-file", type=Path, required=True, help="CA file that the Entra simulator wrote")
    parser.add_argument("--seed-customers", type=int, default=0, help="generated customers besides the fixed ones")
    parser.add_argument("--subscriptions-per-customer", type=int, default=1, help="of each generated customer")
    parser.add_argument("--certificate-port", type=int, default=0, help="of the webhooks' certificates; 0: a free one")
    arguments = parser.parse_args()
    app = partner_center_app(
        arguments.entra,
        arguments.ca_file,
        seed_customers=arguments.seed_customers,
        per_customer=arguments.subscriptions_per_customer,
        certificate_port=arguments.certificate_port,
    )
    serve(app, name="partner-center", port=arguments.port)


if __name__ == "__main__":
    main()
