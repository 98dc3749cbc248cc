"""The data every run starts with; its ids are agreed with the Partner Center simulator.

Contracts run from two years before the first of the current month to five years after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.autotask.generated import Customers
from local.autotask.periods import ONE_DAY, add_months
from local.autotask.rows import TIME_AND_MATERIALS, company_row, contract_row, line_row, service_row
from local.autotask.tenant import Tenant

if TYPE_CHECKING:
    from local.simulation.clock import SimulatedClock
    from local.simulation.switches import Switches

NORTHWIND = 29683616
FABRIKAM = 29683617
TENANT_UDF = "Microsoft Tenant ID"

SERVICES = {
    677: ("Microsoft 365 Business Standard", 12.50, 10.00, "CFQ7TTC0LDPB:0001"),
    678: ("Microsoft 365 Business Premium", 22.00, 17.60, "CFQ7TTC0LCHC:0002"),
    679: ("Exchange Online (Plan 1)", 4.00, 3.20, "CFQ7TTC0LH16:0001"),
    680: ("RDS CALs", 6.00, 4.50, "DG7GMGF0DVT9:000B"),
}

# line: contract, service, units since the contract's first day
LINES = {
    8001: (29747643, 677, 25),
    8002: (29747643, 678, 10),
    8003: (29747643, 677, 0),
    8101: (29747644, 679, 12),
    8102: (29747644, 680, 10),
    8103: (29747644, 677, 0),
    8201: (29747650, 679, 10),
}


def seeded_tenant(
    *, clock: SimulatedClock, switches: Switches, customers: int = 0, subscriptions_per_customer: int = 0
) -> Tenant:
    """Return a tenant with Northwind, Fabrikam, the catalog and the generated customers."""
    month = clock.now().date().replace(day=1)
    start, end = add_months(month, -24), add_months(month, 60) - ONE_DAY
    _, price, cost, _ = SERVICES[677]
    tenant = Tenant(
        clock=clock,
        switches=switches,
        customers=Customers(customers, subscriptions_per_customer, start, end, price, cost),
    )
    for company_id, name, microsoft, web in (
        (NORTHWIND, "Northwind", "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101", "https://www.northwind.example/"),
        (FABRIKAM, "Fabrikam", "2e4d8c11-7a90-4c1c-a1b5-0f6e3b2d7a02", None),
    ):
        tenant.companies.put(company_row(company_id, name, {TENANT_UDF: microsoft}, web))
    for contract in (
        contract_row(29747643, NORTHWIND, "CSP Northwind", start, end),
        contract_row(29747644, FABRIKAM, "CSP Fabrikam", start, end),
        contract_row(29747650, NORTHWIND, "CSP Northwind, ended", start, month - ONE_DAY),
        contract_row(29747651, NORTHWIND, "Northwind support", start, end, TIME_AND_MATERIALS),
    ):
        tenant.contracts.put(contract)
    for service_id, (name, unit_price, unit_cost, sku) in SERVICES.items():
        tenant.services.put(service_row(service_id, name, unit_price, unit_cost, sku))
    tenant.billing_codes.put(
        {
            "id": 29683278,
            "name": "CSP subscriptions",
            "description": None,
            "useType": 4,
            "isActive": True,
            "unitPrice": None,
            "unitCost": None,
        }
    )
    for line_id, (contract_id, service_id, units) in LINES.items():
        _, unit_price, unit_cost, _ = SERVICES[service_id]
        tenant.lines.put(line_row(line_id, contract_id, service_id, unit_price, unit_cost))
        if units:
            tenant.add_adjustment(line_id, start, units, None, None, "seed")
    return tenant
