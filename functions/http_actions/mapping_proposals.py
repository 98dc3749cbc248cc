"""Proposals for what is not mapped, as JSON with their reasons or as a sheet that an import takes."""

from __future__ import annotations

import base64
from typing import Any, Literal
from urllib.parse import quote

import azure.functions as func

from functions.http_actions.answers import choices as answers
from functions.http_actions.answers.common import Page
from functions.http_actions.autotask import obstacles
from functions.http_actions.endpoint import Answer, Call, Paged, endpoint
from functions.http_actions.problems import BadRequest, plain
from shared.domain.mapping_sheet import COLUMNS, ORDER
from shared.domain.segment import segment_of
from shared.domain.sheet import written
from shared.identity import Role
from shared.usecases.mapping_proposals import (
    Candidate,
    CustomerProposal,
    ProductProposal,
    SubscriptionProposal,
    propose_customers,
    propose_products,
    propose_subscriptions,
)

blueprint = func.Blueprint()


class ProposalQuery(Paged):
    """Of what kind, and in which form."""

    kind: Literal["customer", "product", "subscription"]
    format: Literal["json", "csv"] = "json"


Proposal = CustomerProposal | ProductProposal | SubscriptionProposal


@blueprint.function_name("list_mapping_proposals")
@blueprint.route(route="mappings/proposals", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.MAPPINGS, Page[answers.Proposal], query=ProposalQuery, texts=("text/csv",), headers=("Link",))
async def list_mapping_proposals(call: Call) -> Answer:
    """What is not mapped of a `kind`, by pages, with what in Autotask fits; `format=csv` gives what is certain."""
    call.caller.reach.require_all()
    kind = call.choice("kind", list(ORDER))
    if kind is None:
        raise BadRequest("parameter_invalid", f"kind is one of {', '.join(ORDER)}.", name="kind", status=422)
    size, mark = call.page()
    found: list[Proposal]
    following: str | None
    if kind == "customer":
        customers, following = await propose_customers(call.app, size, mark)
        found = [*customers]
    elif kind == "product":
        products, following = await propose_products(call.app, size, mark)
        found = [*products]
    else:
        subscriptions, following = await propose_subscriptions(call.app, size, mark)
        found = [*subscriptions]
    if call.choice("format", ["json", "csv"]) == "csv":
        return _sheet(call, kind, found, following)
    return call.listing([_shown(one) for one in found], following)


def _sheet(call: Call, kind: str, found: list[Proposal], following: str | None) -> Answer:
    headers = {"Content-Disposition": f'attachment; filename="{kind}-proposals.csv"'}
    if following:
        mark = quote(base64.urlsafe_b64encode(following.encode()).decode(), safe="=")
        size = call.page()[0]
        headers["Link"] = f'<{call.path}?kind={kind}&format=csv&pageSize={size}&continuation={mark}>; rel="next"'
    rows = [_cells(one) for one in found if one.chosen is not None]
    return Answer(written(COLUMNS, rows), headers=headers, media="text/csv")


def _shown(one: Proposal) -> dict[str, Any]:
    request = _request(one)
    candidates = {"candidates": [_candidate(item) for item in one.candidates], "request": request}
    match one:
        case CustomerProposal():
            view = one.view
            return {"customerId": view.customer, "customerName": view.name, "domain": view.domain, **candidates}
        case ProductProposal():
            offer = {"product": one.offer.product, "termDuration": one.offer.term, "billingCycle": one.offer.billing}
            segment = segment_of(one.offer_name).value
            return {**offer, "offerName": one.offer_name, "segment": segment, **candidates}
        case SubscriptionProposal():
            found = one.subscription
            return {
                "customerId": found.customer_id,
                "subscriptionId": found.id,
                "offerName": found.offer_name,
                "quantity": found.quantity,
                "missing": plain(list(one.missing)),
                **candidates,
            }


def _candidate(item: Candidate) -> dict[str, Any]:
    shown = obstacles(item.obstacles)
    return {
        "id": item.id,
        "name": item.name,
        "because": plain(list(item.reasons)),
        "qualifies": shown["qualifies"],
        "reasons": shown["reasons"],
    }


def _request(one: Proposal) -> dict[str, Any] | None:
    """The request that accepts a proposal; None where nothing or more than one thing fits."""
    chosen = one.chosen
    if chosen is None:
        return None
    match one:
        case CustomerProposal():
            path, body = f"/api/mappings/customers/{one.view.customer}", {"companyId": chosen.id}
        case ProductProposal():
            path = "/api/mappings/products"
            offer = {"product": one.offer.product, "termDuration": one.offer.term, "billingCycle": one.offer.billing}
            return {"method": "PUT", "path": path, "body": {**offer, "serviceId": chosen.id}}
        case SubscriptionProposal():
            found = one.subscription
            path = f"/api/customers/{found.customer_id}/subscriptions/{found.id}/mapping"
            body = {"contractId": chosen.id, **_line(one)}
    return {"method": "PUT", "path": path, "body": body}


def _line(one: SubscriptionProposal) -> dict[str, int]:
    if one.line is not None:
        return {"contractServiceId": one.line}
    return {"serviceId": one.service} if one.service is not None else {}


def _cells(one: Proposal) -> dict[str, str]:
    """A proposal as a row that an import takes."""
    request = _request(one)
    body = {name: str(value) for name, value in request["body"].items()} if request else {}
    chosen = one.chosen.name if one.chosen else ""
    match one:
        case CustomerProposal():
            return {"kind": "customer", "customerId": one.view.customer, "companyName": chosen, **body}
        case ProductProposal():
            return {"kind": "product", "serviceName": chosen, **body}
        case SubscriptionProposal():
            found = one.subscription
            return {
                "kind": "subscription",
                "customerId": found.customer_id,
                "subscriptionId": found.id,
                **body,
            }
