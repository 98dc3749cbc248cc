"""Operations with their events: of one subscription, or one by its id."""

from __future__ import annotations

import azure.functions as func

from functions.http_actions import representations as show
from functions.http_actions.answers import operations as answers
from functions.http_actions.answers.common import Page
from functions.http_actions.endpoint import Answer, Call, Paged, endpoint
from functions.http_actions.problems import BadRequest
from shared.domain.operation import Address
from shared.identity import Role
from shared.usecases.dead_letters import find
from shared.usecases.snapshots import confirm_known

blueprint = func.Blueprint()


@blueprint.function_name("list_operations")
@blueprint.route(
    route="customers/{customer}/subscriptions/{subscription}/operations",
    methods=["GET"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
@endpoint(Role.READ, Page[answers.Operation], query=Paged)
async def list_operations(call: Call) -> Answer:
    """A subscription's operations in the order in which they were accepted, by pages."""
    customer, subscription = call.guid("customer"), call.guid("subscription")
    size, mark = call.page(int)
    after = max(int(mark), 0) if mark else 0
    found = await call.app.ledger.operations(customer, subscription, after=after, limit=size + 1)
    if not found:
        await confirm_known(call.app, customer, subscription)
    shown = [show.operation(stored.value) for stored in found[:size]]
    return call.listing(shown, str(found[size - 1].value.address.sequence) if len(found) > size else None)


@blueprint.function_name("get_operation")
@blueprint.route(route="operations/{operation}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, answers.OperationWithEvents)
async def get_operation(call: Call) -> Answer:
    """One operation with its history."""
    address = address_of(call)
    stored = await find(call.app, address)
    return Answer(show.operation(stored.value, await call.app.ledger.events(address)))


def address_of(call: Call) -> Address:
    """The operation that a route names. Raises BadRequest with status 404 where it cannot be one."""
    text = call.text("operation")
    try:
        return Address.parse(text)
    except ValueError:
        raise BadRequest("operation_not_found", f"There is no operation {text[:120]}.", status=404) from None
