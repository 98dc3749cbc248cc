"""Customers and subscriptions as a portal lists them, each with the actions it allows and why not."""

from __future__ import annotations

import asyncio

import azure.functions as func

from functions.http_actions import representations as show
from functions.http_actions.answers.common import Badge, Page
from functions.http_actions.answers.subscriptions import Customer, Subscription, SubscriptionNow
from functions.http_actions.endpoint import Answer, Call, Paged, endpoint
from functions.http_actions.reach import within_reach
from shared.domain.subscription import Family, State, refined
from shared.identity import Role
from shared.partner_center.wire import parse_subscription
from shared.storage.read_models import CustomerView, SubscriptionView
from shared.storage.store import Scalar
from shared.usecases.badges import BADGES, compute_badge
from shared.usecases.sync import sync_customer

blueprint = func.Blueprint()


class Filters(Paged):
    """Which subscriptions to list."""

    state: State | None = None
    badge: Badge | None = None
    family: Family | None = None


@blueprint.function_name("list_customers")
@blueprint.route(route="customers", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, Page[Customer], query=Paged)
async def list_customers(call: Call) -> Answer:
    """The customers that the caller may see, by pages."""

    async def read(customer: str | None, size: int, mark: str | None) -> tuple[list[CustomerView], str | None]:
        if customer is None:
            rows, following = await call.app.views.customers(size, mark)
            return [row.value for row in rows], following
        row = await call.app.views.customer(customer)
        return [row.value] if row else [], None

    (views, following), state = await asyncio.gather(within_reach(call, read), call.app.sync.runs.state())
    return call.listing([show.customer(view, state.value.complete_since) for view in views], following)


@blueprint.function_name("list_subscriptions_of_customer")
@blueprint.route(route="customers/{customer}/subscriptions", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, Page[Subscription], query=Filters)
async def list_subscriptions_of_customer(call: Call) -> Answer:
    """A customer's subscriptions; a customer that no sync has met yet is read from Partner Center first."""
    customer = call.guid("customer")
    if await call.app.views.customer(customer) is None:
        await sync_customer(call.app, customer)
    return await _list(call, customer)


@blueprint.function_name("list_subscriptions")
@blueprint.route(route="subscriptions", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, Page[Subscription], query=Filters)
async def list_subscriptions(call: Call) -> Answer:
    """Subscriptions across all customers that the caller may see."""
    return await _list(call, None)


@blueprint.function_name("get_subscription")
@blueprint.route(
    route="customers/{customer}/subscriptions/{subscription}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS
)
@endpoint(Role.READ, SubscriptionNow)
async def get_subscription(call: Call) -> Answer:
    """One subscription as Partner Center shows it at this moment."""
    customer, subscription = call.guid("customer"), call.guid("subscription")
    reading = await call.app.partner_center.subscription(customer, subscription)
    badge = await compute_badge(call.app, customer, subscription)
    head = await call.app.ledger.head(customer, subscription)
    row = await call.app.views.subscription(customer, subscription)
    snapshot = refined(row.value.snapshot.state if row else None, parse_subscription(customer, reading.raw))
    shown = show.subscription(snapshot, badge, reading.observed_at)
    return Answer(shown | {"migratedTo": head.value.successor})


async def _list(call: Call, customer: str | None) -> Answer:
    filters = {
        "state": call.choice("state", [state.value for state in State]),
        "badge": call.choice("badge", list(BADGES)),
        "family": call.choice("family", [family.value for family in Family]),
    }
    equals: dict[str, Scalar] = {name: value for name, value in filters.items() if value is not None}

    async def read(one: str | None, size: int, mark: str | None) -> tuple[list[SubscriptionView], str | None]:
        return await call.app.views.subscriptions(customer=one, equals=equals, size=size, continuation=mark)

    views, following = await (read(customer, *call.page()) if customer else within_reach(call, read))
    now = call.app.partner_center.microsoft_now()
    shown = [show.subscription(view.snapshot, view.badge, now, view.missing_since) for view in views]
    return call.listing(shown, following)
