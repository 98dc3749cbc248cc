"""What Autotask has for a mapping to name: companies, contracts and services, with why one does not qualify."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import azure.functions as func
from pydantic import Field

from functions.http_actions import representations as show
from functions.http_actions.answers import choices as answers
from functions.http_actions.answers.common import Page
from functions.http_actions.endpoint import Answer, Call, Paged, endpoint
from functions.http_actions.problems import BadRequest, plain
from shared.domain.contract import Company, Contract, Service
from shared.domain.qualifying import Obstacle, company_obstacles, contract_obstacles, service_obstacles
from shared.identity import Role

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS
_LONGEST_PREFIX = 100  # of a name in Autotask
_LONGEST_WORD = 40
Prefix = Annotated[str, Field(pattern=r"^.*[^ ].*$", max_length=_LONGEST_PREFIX, description="The beginning of a name")]
Billing = Annotated[str, Field(max_length=_LONGEST_WORD, description="Microsoft's billing frequency, such as monthly")]


class CompanyQuery(Paged):
    """Which companies."""

    prefix: Prefix


class ContractQuery(Paged):
    """For what billing frequency."""

    billing_cycle: Billing = ""


class ServiceQuery(Paged):
    """Which services, and for what billing frequency."""

    prefix: Prefix
    billing_cycle: Billing = ""


_PERIODS = {2: "monthly", 3: "quarterly", 4: "semi_annual", 5: "yearly"}


@blueprint.function_name("search_companies")
@blueprint.route(route="autotask/companies", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, Page[answers.Company], query=CompanyQuery)
async def search_companies(call: Call) -> Answer:
    """The companies whose name begins with `prefix`, by pages."""
    call.caller.reach.require_all()
    size, after = _place(call)
    found = await call.app.autotask.companies_by_name(_prefix(call), size, after)
    return call.listing([_company(item) for item in found], _following(found, size))


@blueprint.function_name("list_company_contracts")
@blueprint.route(route="autotask/companies/{company}/contracts", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, Page[answers.Contract], query=ContractQuery)
async def list_company_contracts(call: Call) -> Answer:
    """A company's contracts by pages; `billingCycle` is Microsoft's billing frequency that they shall fit."""
    call.caller.reach.require_all()
    size, after = _place(call)
    company = _number(call, "company")
    contracts = await call.app.autotask.contracts_of([company])
    if not contracts and company not in await call.app.autotask.companies([company]):
        raise BadRequest("company_not_found", f"Autotask does not show company {company}.", status=404)
    found = [item for item in sorted(contracts, key=lambda item: item.id) if item.id > after][:size]
    today, billing = call.app.business_date(call.app.now()), _billing(call)
    shown = [{**contract(item), **obstacles(contract_obstacles(item, today, billing))} for item in found]
    return call.listing(shown, _following(found, size))


@blueprint.function_name("search_services")
@blueprint.route(route="autotask/services", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, Page[answers.Service], query=ServiceQuery)
async def search_services(call: Call) -> Answer:
    """The services whose name begins with `prefix`, by pages; `billingCycle` as for contracts."""
    size, after = _place(call)
    billing = _billing(call)
    found = await call.app.autotask.services_by_name(_prefix(call), size, after)
    return call.listing([_service(item, billing) for item in found], _following(found, size))


def contract(item: Contract) -> dict[str, Any]:
    """A contract as a dialog offers it."""
    return {
        "id": item.id,
        "name": item.name,
        "companyId": item.company_id,
        "startDate": show.moment(item.start),
        "endDate": show.moment(item.end),
        "periodType": _PERIODS.get(item.period_type or 0),
    }


def obstacles(found: Sequence[Obstacle]) -> dict[str, Any]:
    """Whether something qualifies, and why not."""
    return {"qualifies": not found, "reasons": plain(list(found))}


def _company(item: Company) -> dict[str, Any]:
    return {"id": item.id, "name": item.name, "webAddress": item.web or None, **obstacles(company_obstacles(item))}


def _service(item: Service, billing: str) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.name,
        "sku": item.sku or None,
        "periodType": _PERIODS.get(item.period_type or 0),
        "unitPrice": plain(item.unit_price),
        "unitCost": plain(item.unit_cost),
        **obstacles(service_obstacles(item, billing)),
    }


def _prefix(call: Call) -> str:
    prefix = str(call.request.params.get("prefix", "")).strip()
    if not 1 <= len(prefix) <= _LONGEST_PREFIX:
        sentence = f"prefix is the beginning of a name, with 1 to {_LONGEST_PREFIX} characters."
        raise BadRequest("parameter_invalid", sentence, name="prefix", status=422)
    return prefix


def _billing(call: Call) -> str:
    word = str(call.request.params.get("billingCycle", ""))
    if len(word) > _LONGEST_WORD:
        sentence = "billingCycle is a billing frequency such as monthly."
        raise BadRequest("parameter_invalid", sentence, name="billingCycle", status=422)
    return word


def _number(call: Call, name: str) -> int:
    text = call.text(name)
    if not (text.isascii() and text.isdecimal() and len(text) < 17):
        raise BadRequest(f"{name}_not_found", f"There is no {name} {text[:40]}.", status=404)
    return int(text)


def _place(call: Call) -> tuple[int, int]:
    size, mark = call.page(int)
    after = int(json.loads(mark)) if mark else 0
    return size, min(max(after, 0), 2**53)


def _following(found: Sequence[Company | Contract | Service], size: int) -> str | None:
    return str(found[-1].id) if len(found) == size else None
