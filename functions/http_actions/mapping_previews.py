"""What a mapping in one call would do, for the dialog at a purchase or afterwards."""

from __future__ import annotations

from typing import Any

import azure.functions as func

from functions.http_actions import representations as show
from functions.http_actions.answers import choices as answers
from functions.http_actions.autotask import contract, obstacles
from functions.http_actions.endpoint import Answer, Call, endpoint
from functions.http_actions.mappings import SUBSCRIPTION, Id, MappingBody
from functions.http_actions.problems import plain, problem_of
from shared.domain.errors import Refused
from shared.domain.segment import segment_of
from shared.domain.timeline import Step
from shared.identity import Role
from shared.usecases.mapping_preview import (
    NO_CONTRACT,
    FirstBill,
    MappingPreview,
    OfferedContract,
    OfferedLine,
    preview_mapping,
)

blueprint = func.Blueprint()


class PreviewBody(MappingBody):
    """A mapping that may leave everything open; `include_disqualified` lists the contracts that do not qualify too."""

    contract_id: Id | None = None
    include_disqualified: bool = False


@blueprint.function_name("preview_mapping")
@blueprint.route(route=f"{SUBSCRIPTION}/preview", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.MAPPINGS, answers.MappingPreview, body=PreviewBody)
async def preview_a_mapping(call: Call) -> Answer:
    """What the mapping would do: customer, product, contract, line, units, price and first bill. Changes nothing."""
    body, _ = call.body(PreviewBody)
    request = body.request(call, body.contract_id or NO_CONTRACT)
    everyone = call.caller.reach.customers is None
    shown = await preview_mapping(call.app, request, any_company=everyone)
    return Answer(_preview(shown, disqualified=body.include_disqualified))


def _preview(seen: MappingPreview, *, disqualified: bool) -> dict[str, Any]:
    found, choice = seen.subscription, seen.choice
    document: dict[str, Any] = {
        "subscription": {
            "id": found.id,
            "offerName": found.offer_name,
            "segment": segment_of(found.offer_name).value,
            "status": found.status_raw,
            "quantity": found.quantity,
            "product": found.product_key,
            "termDuration": found.term_duration,
            "billingCycle": found.billing_cycle,
        },
        "allowed": seen.problem is None,
        "problem": _problem(seen.problem),
        "mapping": show.subscription_mapping(seen.present) if seen.present else None,
        "company": None,
        "product": None,
        "contracts": [_offered(one) for one in seen.contracts if not one.obstacles],
        "contract": None,
        "lines": [_line(one) for one in seen.lines],
        "units": None,
        "bill": None,
        "firstBill": _first_bill(seen.first_bill) if seen.first_bill else None,
        "request": None,
    }
    if disqualified:
        document["disqualified"] = [_offered(one) for one in seen.contracts if one.obstacles]
    if seen.company is not None:
        mapped = seen.customer is not None
        document["company"] = {"id": seen.company.id, "name": seen.company.name, "mapped": mapped}
    if seen.contract is not None:
        document["contract"] = {"id": seen.contract, "from": seen.contract_from}
    if seen.product is not None:
        product = seen.product
        document["product"] = {"serviceId": product.service, "serviceName": product.service_name, "mapped": True}
    if choice is None:
        return document
    if choice.product is not None:
        product = choice.product
        document["product"] = {"serviceId": product.service, "serviceName": product.service_name, "mapped": False}
    document["units"] = None if seen.adopt is None else "adopt" if seen.adopt else "push"
    document["bill"] = {
        "contractId": choice.contract.id,
        "contractServiceId": choice.line,
        "creates": choice.line is None,
        "serviceId": choice.service,
        "serviceName": seen.service.name if seen.service else None,
        "pricing": show.pricing(choice.pricing),
        "before": [_step(step) for step in seen.before],
        "after": [_step(step) for step in seen.after],
    }
    document["request"] = {
        "contractId": choice.contract.id,
        **({"contractServiceId": choice.line} if choice.line is not None else {"serviceId": choice.service}),
        **({"units": document["units"]} if document["units"] else {}),
    }
    return document


def _problem(error: Refused | None) -> dict[str, Any] | None:
    if error is None:
        return None
    problem = problem_of(error)
    return {
        "code": problem.code,
        "detail": problem.detail,
        **{name: plain(item) for name, item in problem.more.items()},
    }


def _offered(one: OfferedContract) -> dict[str, Any]:
    return {**contract(one.contract), "lastUsed": one.last_used, **obstacles(one.obstacles)}


def _line(one: OfferedLine) -> dict[str, Any]:
    line = one.line
    return {
        "contractServiceId": line.id,
        "serviceId": line.service_id,
        "unitPrice": plain(line.unit_price),
        **obstacles((one.obstacle,) if one.obstacle else ()),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "from": show.moment(step.date),
        "units": step.units,
        "unitPrice": plain(step.price),
        "unitCost": plain(step.cost),
    }


def _first_bill(bill: FirstBill) -> dict[str, Any]:
    return {
        "from": show.moment(bill.first),
        "through": show.moment(bill.last),
        "units": bill.units,
        "prorated": bill.prorated,
        "unitPrice": plain(bill.price),
        "unitCost": plain(bill.cost),
        "priceFrom": "pricing" if bill.price_is_ours else "autotask",
        "amount": plain(bill.amount),
    }
