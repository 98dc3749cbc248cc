"""What of Autotask can carry a subscription, and why not: companies, contracts, services; pure (ADR 0038).

The same rules mark what a search or a preview lists, and refuse what a mapping names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from shared.domain.calendar import PeriodType
from shared.domain.contract import Company, Contract, Service

RECURRING_SERVICE = 7  # the contract type that carries contract services (autotask reference 8.2)
CUSTOMER = 1  # the company type of customers (autotask reference 8.1)
_ACTIVE = 1

# Microsoft's billing frequencies with a period of Autotask's; for the three years of "triennial" there is none
_PERIODS = {"monthly": PeriodType.MONTHLY, "annual": PeriodType.YEARLY, "triennial": None}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why something does not qualify: a stable code and a sentence."""

    code: str
    sentence: str


def company_obstacles(company: Company) -> tuple[Obstacle, ...]:
    """Why a customer cannot be mapped to a company; a type that the API user may not read is taken as right."""
    found = []
    if not company.active:
        found.append(Obstacle("company_inactive", f"Company {company.id} is inactive."))
    if company.type not in (None, CUSTOMER):
        sentence = f"Company {company.id} is not of the type Customer, so that nothing is billed to it."
        found.append(Obstacle("company_not_customer", sentence))
    return tuple(found)


def service_obstacles(service: Service, billing: str) -> tuple[Obstacle, ...]:
    """Why an offer that Microsoft bills at a frequency cannot be billed as a service; "" for any frequency."""
    found = []
    if not service.active:
        found.append(Obstacle("service_inactive", f"Service {service.id} is inactive."))
    if service.period_type is not None and _differs(service.period_type, billing):
        sentence = (
            f"Service {service.id} is priced {_named(service.period_type)}, "
            f"while Microsoft bills the offer {billing.lower()}."
        )
        found.append(Obstacle("service_period_differs", sentence))
    return tuple(found)


def contract_obstacles(contract: Contract, today: date, billing: str) -> tuple[Obstacle, ...]:
    """Why a subscription that Microsoft bills at a frequency cannot be billed on a contract from `today` on."""
    number = contract.id
    if contract.type != RECURRING_SERVICE:
        sentence = f"Contract {number} is not a recurring service contract, so it cannot carry a subscription."
        return (Obstacle("contract_not_recurring", sentence),)
    found = []
    if contract.end < today:
        found.append(Obstacle("contract_ended", f"Contract {number} ended on {contract.end}."))
    if contract.start > today:
        sentence = f"Contract {number} starts on {contract.start}, after the first day that is to be billed."
        found.append(Obstacle("contract_starts_later", sentence))
    if contract.status not in (None, _ACTIVE):
        found.append(Obstacle("contract_inactive", f"Contract {number} is not active."))
    if contract.calendar is None:
        sentence = f"Contract {number} has the billing period {contract.period_type}, which is not known here."
        found.append(Obstacle("contract_period_unknown", sentence))
    elif _differs(contract.calendar.period, billing):
        sentence = (
            f"Contract {number} bills {_named(contract.calendar.period)}, "
            f"while Microsoft bills the subscription {billing.lower()}."
        )
        found.append(Obstacle("contract_period_differs", sentence))
    return tuple(found)


def _differs(period: int, billing: str) -> bool:
    """Whether a period is another than a billing frequency; a frequency that is not known says nothing."""
    word = billing.lower()
    return word in _PERIODS and _PERIODS[word] != period


def _named(period: int) -> str:
    names = {2: "monthly", 3: "quarterly", 4: "semi-annually", 5: "yearly"}
    return names.get(period, f"by the period {period}")
