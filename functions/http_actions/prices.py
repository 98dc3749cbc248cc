"""Prices: the price list, the margin rules, a mapped subscription's price, and a changed list put into force."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import azure.functions as func
from pydantic import BeforeValidator, Field, model_validator

from functions.http_actions import codes
from functions.http_actions import representations as show
from functions.http_actions.answers import mappings as answers
from functions.http_actions.answers.common import Page
from functions.http_actions.endpoint import Answer, Body, Call, Paged, endpoint
from functions.http_actions.problems import plain
from shared.domain.operation import Operation
from shared.domain.pricing import Margin, Offer, PriceRow, PriceRule, PriceSource, Pricing, Promotion
from shared.identity import Role
from shared.storage.prices import StoredPrice, StoredRule
from shared.usecases.price_list import DatedChange, LineChange, Scope, apply_price_list
from shared.usecases.pricing import PriceRequest, change_price

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS
_CHANGE = "customers/{customer}/subscriptions/{subscription}/mapping/change-price"
_MOST = Decimal(1_000_000)

_AMOUNT = re.compile(r"-?[0-9]{1,7}(\.[0-9]{1,4})?")


def _amount(value: Any) -> Any:
    """A text is digits with at most four after the point; `Decimal` would take 1e3, 1_000 and spaces too."""
    if isinstance(value, str):
        if not _AMOUNT.fullmatch(value):
            raise ValueError("is a decimal such as 12.50, with at most four digits after the point")
        return Decimal(value)
    return Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value


_TEXT = BeforeValidator(_amount)
Price = Annotated[Decimal, Field(ge=-_MOST, le=_MOST, decimal_places=4), _TEXT]
Cost = Annotated[Decimal, Field(ge=0, le=_MOST, decimal_places=4), _TEXT]
Word = Annotated[str, Field(min_length=1, max_length=200)]


class PricingBody(Body):
    """What a subscription's units are billed at and cost; with `fixed`, an amount that is left out is not ours."""

    source: Literal["none", "fixed", "price_list"]
    unit_price: Price | None = None
    unit_cost: Cost | None = None

    @model_validator(mode="after")
    def _amounts_fit(self) -> Self:
        given = self.unit_price is not None or self.unit_cost is not None
        if given != (self.source == "fixed"):
            raise ValueError("unitPrice or unitCost is given with the source fixed, and only with it")
        return self

    def pricing(self) -> Pricing:
        """The value of the domain."""
        return Pricing(PriceSource(self.source), self.unit_price, self.unit_cost)


class PromotionBody(Body):
    """A promotion, both days included: amounts of its own, or a percentage off the row's."""

    name: Word
    starts_on: date
    ends_on: date
    percent_off: Annotated[Decimal, Field(gt=0, le=100, decimal_places=4), _TEXT] | None = None
    unit_cost: Cost | None = None
    list_price: Price | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.ends_on < self.starts_on:
            raise ValueError("endsOn lies before startsOn")
        if self.percent_off is None and self.unit_cost is None and self.list_price is None:
            raise ValueError("percentOff, unitCost or listPrice is needed")
        return self


class PriceBody(Body):
    """A row of the price list: per unit and billing period, valid from a day, to another (included) or for ever."""

    product: Word
    term_duration: str = ""
    billing_cycle: str = ""
    valid_from: date
    valid_to: date | None = None
    unit_cost: Cost | None = None
    list_price: Price | None = None
    promotions: Annotated[list[PromotionBody], Field(max_length=20)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError("validTo lies before validFrom")
        if self.unit_cost is None and self.list_price is None:
            raise ValueError("unitCost or listPrice is needed")
        return self

    def row(self) -> PriceRow:
        """The value of the domain."""
        promotions = tuple(
            Promotion(item.name, item.starts_on, item.ends_on, item.percent_off, item.unit_cost, item.list_price)
            for item in self.promotions
        )
        offer = Offer(self.product, self.term_duration, self.billing_cycle)
        return PriceRow(offer, self.valid_from, self.valid_to, self.unit_cost, self.list_price, promotions)


class RuleBody(Body):
    """A margin rule; a scope that is left out matches all. `value` is a percentage, or the amount of `fixed`."""

    kind: Literal["markup", "margin", "discount", "fixed"]
    value: Price
    customer_id: UUID | None = None
    product: Word | None = None
    term_duration: Word | None = None
    billing_cycle: Word | None = None
    digits: Literal[2, 4] = 2

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.kind != "fixed" and not -1000 <= self.value <= 1000:
            raise ValueError("value is a percentage from -1000 to 1000")
        if self.kind == "margin" and self.value >= 100:
            raise ValueError("a margin is less than 100 percent of the price")
        return self

    def rule(self) -> PriceRule:
        """The value of the domain."""
        return PriceRule(
            Margin(self.kind),
            self.value,
            customer=str(self.customer_id) if self.customer_id else None,
            product=self.product,
            term=self.term_duration,
            billing=self.billing_cycle,
            digits=self.digits,
        )


class ApplyBody(Body):
    """Whether to say only what would change, and for whom."""

    dry_run: bool
    customer_id: UUID | None = None
    product: Word | None = None


@blueprint.function_name("change_price")
@blueprint.route(route=_CHANGE, methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(
    Role.MAPPINGS,
    {200: answers.PriceChanged, 202: answers.PriceChanged},
    body=PricingBody,
    keyed=True,
    refuses=("not_mapped", "operation_in_progress", *codes.PRICING),
)
async def change_a_price(call: Call) -> Answer:
    """Change what a mapped subscription is billed at and costs, from the date of its policy."""
    body, request_hash = call.body(PricingBody)
    request = PriceRequest(
        customer=call.guid("customer"),
        subscription=call.guid("subscription"),
        caller=call.caller.id,
        idempotency_key=call.idempotency_key(),
        target=call.target,
        request_hash=request_hash,
        pricing=body.pricing(),
    )
    result = await change_price(call.app, request)
    if not isinstance(result, Operation):
        return Answer({"operation": None, "alreadyDone": True, "mapping": show.subscription_mapping(result)})
    where = {"Operation-Location": f"/api/operations/{result.address}"}
    return Answer(
        {"operation": show.operation(result), "alreadyDone": False}, 200 if result.settled_at_microsoft else 202, where
    )


@blueprint.function_name("list_prices")
@blueprint.route(route="mappings/prices", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, Page[answers.Price], query=Paged)
async def list_prices(call: Call) -> Answer:
    """The price list."""
    items, following = await call.app.mappings.prices.rows(*call.page())
    return call.listing([_price(item) for item in items], following)


@blueprint.function_name("put_price")
@blueprint.route(route="mappings/prices", methods=["PUT"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, answers.Price, body=PriceBody)
async def put_price(call: Call) -> Answer:
    """Create a row of the price list, or change the one of the same offer and first day."""
    call.caller.reach.require_all()
    body, _ = call.body(PriceBody)
    price = StoredPrice(body.row(), call.app.now(), call.caller.id)
    await call.app.mappings.prices.put_row(price)
    return Answer(_price(price))


@blueprint.function_name("delete_price")
@blueprint.route(route="mappings/prices/{price}", methods=["DELETE"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, {204: None})
async def delete_price(call: Call) -> Answer:
    """Remove a row of the price list; what is billed stays until the list is applied."""
    call.caller.reach.require_all()
    await call.app.mappings.prices.remove_row(call.text("price"))
    return Answer(None, 204)


@blueprint.function_name("list_price_rules")
@blueprint.route(route="mappings/price-rules", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, Page[answers.PriceRule], query=Paged)
async def list_price_rules(call: Call) -> Answer:
    """The margin rules, without those for customers that the caller may not see."""
    items, following = await call.app.mappings.prices.rules(*call.page())
    reach = call.caller.reach
    shown = [item for item in items if item.rule.customer is None or reach.covers(item.rule.customer)]
    return call.listing([_rule(item) for item in shown], following)


@blueprint.function_name("put_price_rule")
@blueprint.route(route="mappings/price-rules", methods=["PUT"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, answers.PriceRule, body=RuleBody)
async def put_price_rule(call: Call) -> Answer:
    """Create the margin rule of a scope, or change it."""
    call.caller.reach.require_all()
    body, _ = call.body(RuleBody)
    rule = StoredRule(body.rule(), call.app.now(), call.caller.id)
    await call.app.mappings.prices.put_rule(rule)
    return Answer(_rule(rule))


@blueprint.function_name("delete_price_rule")
@blueprint.route(route="mappings/price-rules/{rule}", methods=["DELETE"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, {204: None})
async def delete_price_rule(call: Call) -> Answer:
    """Remove a margin rule; what is billed stays until the list is applied."""
    call.caller.reach.require_all()
    await call.app.mappings.prices.remove_rule(call.text("rule"))
    return Answer(None, 204)


@blueprint.function_name("apply_prices")
@blueprint.route(route="mappings/prices/apply", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, Page[answers.LineChange], body=ApplyBody, query=Paged)
async def apply_prices(call: Call) -> Answer:
    """Put the price list into force on a page of the mappings that follow it, or say what that would change."""
    body, _ = call.body(ApplyBody)
    scope = Scope(str(body.customer_id) if body.customer_id else None, body.product)
    if scope.customer is None:
        call.caller.reach.require_all()
    else:
        call.caller.reach.require(scope.customer)
    size, mark = call.page()
    changes, following = await apply_price_list(
        call.app, call.caller.id, scope, dry_run=body.dry_run, size=size, continuation=mark
    )
    return call.listing([_change(change) for change in changes], following)


def _price(item: StoredPrice) -> dict[str, Any]:
    row = item.row
    return {
        "id": item.key,
        "product": row.offer.product,
        "termDuration": row.offer.term,
        "billingCycle": row.offer.billing,
        "validFrom": show.moment(row.valid_from),
        "validTo": show.moment(row.valid_to),
        "unitCost": plain(row.cost),
        "listPrice": plain(row.list_price),
        "promotions": [
            {
                "name": promotion.name,
                "startsOn": show.moment(promotion.start),
                "endsOn": show.moment(promotion.end),
                "percentOff": plain(promotion.percent_off),
                "unitCost": plain(promotion.cost),
                "listPrice": plain(promotion.list_price),
            }
            for promotion in row.promotions
        ],
        "changedAt": show.moment(item.changed_at),
        "changedBy": item.changed_by,
    }


def _rule(item: StoredRule) -> dict[str, Any]:
    rule = item.rule
    return {
        "id": item.key,
        "kind": rule.kind.value,
        "value": plain(rule.value),
        "customerId": rule.customer,
        "product": rule.product,
        "termDuration": rule.term,
        "billingCycle": rule.billing,
        "digits": rule.digits,
        "changedAt": show.moment(item.changed_at),
        "changedBy": item.changed_by,
    }


def _change(item: LineChange) -> dict[str, Any]:
    return {
        "customerId": item.customer,
        "subscriptionId": item.subscription,
        "contractId": item.contract,
        "contractServiceId": item.line,
        "changes": [_dated(change) for change in item.changes],
        "operation": str(item.operation) if item.operation else None,
        "problem": plain(item.problem),
    }


def _dated(change: DatedChange) -> dict[str, Any]:
    return {
        "from": show.moment(change.on),
        "unitPrice": {"before": plain(change.before.price), "after": plain(change.after.price)},
        "unitCost": {"before": plain(change.before.cost), "after": plain(change.after.cost)},
    }
