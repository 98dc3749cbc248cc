"""Mappings: customer to company, product to service, subscription to contract and line."""

from __future__ import annotations

from typing import Annotated, Literal

import azure.functions as func
from pydantic import Field

from functions.http_actions import codes
from functions.http_actions import representations as show
from functions.http_actions.answers import mappings as answers
from functions.http_actions.answers.common import Page
from functions.http_actions.endpoint import WHOLE, Answer, Body, Call, Paged, endpoint
from functions.http_actions.prices import PricingBody
from functions.http_actions.problems import BadRequest
from functions.http_actions.reach import within_reach
from shared.domain.billing import Policy
from shared.domain.operation import Operation
from shared.identity import Role
from shared.storage.mappings import CustomerMapping, SubscriptionMapping
from shared.storage.rows import parse
from shared.usecases import mapping as mapping_use_cases
from shared.usecases.mapping_choice import MappingRequest

blueprint = func.Blueprint()

SUBSCRIPTION = "customers/{customer}/subscriptions/{subscription}/mapping"
_ANONYMOUS = func.AuthLevel.ANONYMOUS

Id = Annotated[int, Field(gt=0, lt=2**53), WHOLE]


class CustomerBody(Body):
    """The Autotask company that a customer is."""

    company_id: Id


class ProductBody(Body):
    """The Autotask service that an offer is billed as; `product` is "product:sku" or a legacy offer id."""

    product: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,119}$")]
    term_duration: Annotated[str, Field(pattern=r"^(P[0-9]{1,3}[DMY])?$")] = ""
    billing_cycle: Annotated[str, Field(pattern=r"^[A-Za-z_]{0,40}$")] = ""
    service_id: Id
    any_period: bool = False


Start = Literal["business_date", "next_period"]
Decrease = Literal["business_date", "next_period", "term_end"]


class PolicyBody(Body):
    """How the subscription is billed; a rule that is left out has its default."""

    suspend: Literal["units_zero", "price_zero", "none"] = "units_zero"
    suspend_from: Start = "business_date"
    increase_from: Start = "business_date"
    decrease_in_window_from: Decrease = "business_date"
    decrease_outside_from: Decrease = "next_period"
    price_from: Start = "next_period"
    cost_from: Start = "next_period"
    prorate: bool = True
    drift: Literal["review", "respect", "overwrite"] = "review"


class MappingBody(Body):
    """What a mapping may say beside its contract; without a line the service's free line is taken, or one is made.

    `company_id` is what an unmapped customer must be; `map_product` maps the offer to the service along with it.
    """

    contract_service_id: Id | None = None
    service_id: Id | None = None
    units: Literal["adopt", "push"] | None = None
    policy: PolicyBody | None = None
    pricing: PricingBody | None = None
    company_id: Id | None = None
    map_product: bool = False
    any_period: bool = False

    def request(self, call: Call, contract: int) -> MappingRequest:
        """The value of the use case. Raises Forbidden where it concerns every customer and the caller reaches some."""
        if self.map_product:
            call.caller.reach.require_all()
        return MappingRequest(
            customer=call.guid("customer"),
            subscription=call.guid("subscription"),
            caller=call.caller.id,
            contract=contract,
            line=self.contract_service_id,
            service=self.service_id,
            units=self.units,
            policy=_policy(self.policy),
            pricing=self.pricing.pricing() if self.pricing else None,
            company=self.company_id,
            map_product=self.map_product,
            any_period=self.any_period,
        )


class SubscriptionBody(MappingBody):
    """A mapping with its contract."""

    contract_id: Id


@blueprint.function_name("list_customer_mappings")
@blueprint.route(route="mappings/customers", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, Page[answers.CustomerMapping], query=Paged)
async def list_customer_mappings(call: Call) -> Answer:
    """The mappings of the customers that the caller may see."""

    async def read(customer: str | None, size: int, mark: str | None) -> tuple[list[CustomerMapping], str | None]:
        if customer is None:
            return await call.app.mappings.customers(size, mark)
        mapping = await call.app.mappings.customer(customer)
        return [mapping] if mapping else [], None

    items, following = await within_reach(call, read)
    return call.listing([show.customer_mapping(item) for item in items], following)


@blueprint.function_name("put_customer_mapping")
@blueprint.route(route="mappings/customers/{customer}", methods=["PUT"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, answers.CustomerMapping, body=CustomerBody, refuses=codes.QUALIFYING_COMPANY)
async def put_customer_mapping(call: Call) -> Answer:
    """Map a customer to a company, or change it."""
    body, _ = call.body(CustomerBody)
    customer = call.guid("customer")
    await call.app.partner_center.subscriptions(customer)
    mapping = await mapping_use_cases.map_customer(call.app, customer, body.company_id, call.caller.id)
    return Answer(show.customer_mapping(mapping))


@blueprint.function_name("get_customer_mapping")
@blueprint.route(route="mappings/customers/{customer}", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, answers.CustomerMapping, refuses=("mapping_not_found",))
async def get_customer_mapping(call: Call) -> Answer:
    """One customer's mapping."""
    mapping = await call.app.mappings.customer(call.guid("customer"))
    if mapping is None:
        raise BadRequest("mapping_not_found", "The customer is not mapped.", status=404)
    return Answer(show.customer_mapping(mapping))


@blueprint.function_name("delete_customer_mapping")
@blueprint.route(route="mappings/customers/{customer}", methods=["DELETE"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, {204: None})
async def delete_customer_mapping(call: Call) -> Answer:
    """Remove a customer's mapping; its subscriptions keep theirs."""
    await call.app.mappings.remove("customers", call.guid("customer"))
    return Answer(None, 204)


@blueprint.function_name("list_product_mappings")
@blueprint.route(route="mappings/products", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, Page[answers.ProductMapping], query=Paged)
async def list_product_mappings(call: Call) -> Answer:
    """All products' mappings."""
    items, following = await call.app.mappings.products(*call.page())
    return call.listing([show.product_mapping(item) for item in items], following)


@blueprint.function_name("put_product_mapping")
@blueprint.route(route="mappings/products", methods=["PUT"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, answers.ProductMapping, body=ProductBody, refuses=codes.QUALIFYING_SERVICE)
async def put_product_mapping(call: Call) -> Answer:
    """Map an offer (product, term, billing frequency) to a service, or change it."""
    call.caller.reach.require_all()
    body, _ = call.body(ProductBody)
    offer = (body.product, body.term_duration, body.billing_cycle)
    mapping = await mapping_use_cases.map_product(
        call.app, offer, body.service_id, call.caller.id, any_period=body.any_period
    )
    return Answer(show.product_mapping(mapping))


@blueprint.function_name("delete_product_mapping")
@blueprint.route(route="mappings/products/{product}", methods=["DELETE"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, {204: None})
async def delete_product_mapping(call: Call) -> Answer:
    """Remove a product's mapping; mapped subscriptions keep their lines."""
    call.caller.reach.require_all()
    await call.app.mappings.remove("products", call.text("product"))
    return Answer(None, 204)


@blueprint.function_name("list_subscription_mappings")
@blueprint.route(route="mappings/subscriptions", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, Page[answers.SubscriptionMapping], query=Paged)
async def list_subscription_mappings(call: Call) -> Answer:
    """The mappings of all subscriptions of the customers that the caller may see."""

    async def read(customer: str | None, size: int, mark: str | None) -> tuple[list[SubscriptionMapping], str | None]:
        if customer is None:
            return await call.app.mappings.subscriptions(size, mark)
        return await call.app.mappings.subscriptions_of(customer, size, mark)

    items, following = await within_reach(call, read)
    return call.listing([show.subscription_mapping(item) for item in items], following)


@blueprint.function_name("get_subscription_mapping")
@blueprint.route(route=SUBSCRIPTION, methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, answers.SubscriptionMapping, refuses=("mapping_not_found",))
async def get_subscription_mapping(call: Call) -> Answer:
    """One subscription's mapping."""
    stored = await call.app.mappings.subscription(call.guid("customer"), call.guid("subscription"))
    if stored is None:
        raise BadRequest("mapping_not_found", "The subscription is not mapped.", status=404)
    return Answer(show.subscription_mapping(stored.value))


@blueprint.function_name("put_subscription_mapping")
@blueprint.route(route=SUBSCRIPTION, methods=["PUT"], auth_level=_ANONYMOUS)
@endpoint(
    Role.MAPPINGS,
    {200: answers.Mapped, 202: answers.Mapped},
    body=SubscriptionBody,
    refuses=(*codes.PLACING, *codes.PRICING),
)
async def put_subscription_mapping(call: Call) -> Answer:
    """Map a subscription to a contract line, or move it to another one."""
    body, _ = call.body(SubscriptionBody)
    request = body.request(call, body.contract_id)
    return await _mapped(call, await mapping_use_cases.map_subscription(call.app, request))


@blueprint.function_name("delete_subscription_mapping")
@blueprint.route(route=SUBSCRIPTION, methods=["DELETE"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, {204: None}, refuses=("operation_in_progress", "line_busy"))
async def delete_subscription_mapping(call: Call) -> Answer:
    """Give a subscription's mapping up; the line keeps its units."""
    customer, subscription = call.guid("customer"), call.guid("subscription")
    await mapping_use_cases.unmap_subscription(call.app, customer, subscription, call.caller.id)
    return Answer(None, 204)


async def _mapped(call: Call, result: Operation | object) -> Answer:
    stored = await call.app.mappings.subscription(call.guid("customer"), call.guid("subscription"))
    operation = show.operation(result) if isinstance(result, Operation) else None
    shown = show.subscription_mapping(stored.value) if stored else None
    settled = not isinstance(result, Operation) or result.settled_at_microsoft
    return Answer({"mapping": shown, "operation": operation}, 200 if settled else 202)


def _policy(body: PolicyBody | None) -> Policy | None:
    return None if body is None else parse(Policy, body.model_dump_json())
