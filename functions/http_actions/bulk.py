"""Many actions in one request: taken in at once, worked off in the background, each outcome to be asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import azure.functions as func
from pydantic.alias_generators import to_camel

from functions.http_actions import long_work
from functions.http_actions import representations as show
from functions.http_actions.answers import operations as answers
from functions.http_actions.answers.common import Page
from functions.http_actions.bulk_items import BulkBody, wishes_of
from functions.http_actions.endpoint import Answer, Call, Paged, endpoint
from functions.http_actions.problems import retry_after
from shared.domain.bulk import Item, counts
from shared.domain.operation import Operation
from shared.identity import Role
from shared.usecases.bulk import BulkRequest, Progress, operations_of, progress, take_in

blueprint = func.Blueprint()

_LOOK_AGAIN = timedelta(seconds=5)


@blueprint.function_name("bulk")
@blueprint.route(route="bulk", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, {202: answers.Bulk}, body=BulkBody, keyed=True)
async def bulk(call: Call) -> Answer:
    """Take in up to a hundred actions; nothing is asked of Partner Center before the answer."""
    body, request_hash = call.body(BulkBody)
    wishes = wishes_of(body)
    for wish in wishes:
        call.caller.reach.require(wish.customer)
    request = BulkRequest(
        caller=call.caller.id,
        idempotency_key=call.idempotency_key(),
        target=call.target,
        request_hash=request_hash,
        wishes=wishes,
    )
    taken = await take_in(call.app, request)
    where = {"Operation-Location": f"/api/bulk/{taken.bulk.id}", **retry_after(_LOOK_AGAIN)}
    return Answer(_shown(taken), 202, where)


@blueprint.function_name("get_bulk")
@blueprint.route(route="bulk/{bulk}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, answers.Bulk, headers=("Retry-After",))
async def get_bulk(call: Call) -> Answer:
    """How far a bulk has come: counts, and the outcome of each item."""
    found = await _find(call)
    return Answer(_shown(found), headers=long_work.look_again(found.bulk, _LOOK_AGAIN))


@blueprint.function_name("list_bulk_items")
@blueprint.route(route="bulk/{bulk}/items", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, Page[answers.BulkItem], query=Paged)
async def list_bulk_items(call: Call) -> Answer:
    """The items by pages, each with its operation as it is at this moment."""
    found = await _find(call)
    size, mark = call.page(int)
    first = max(int(mark), 0) if mark else 0
    items = found.items[first : first + size]
    operations = await operations_of(call.app, items)
    following = str(first + size) if first + size < len(found.items) else None
    return call.listing([_item(item, operations.get(item.operation)) for item in items], following)


async def _find(call: Call) -> Progress:
    """The bulk that a route names. Raises BadRequest with status 404 where there is none, Forbidden where one of its
    customers is beyond the caller's reach.
    """
    found = await long_work.find(call, "bulk", lambda identity: progress(call.app, identity))
    for item in found.items:
        call.caller.reach.require(item.wish.customer)
    return found


def _shown(found: Progress) -> dict[str, Any]:
    return {
        **long_work.progress(found.bulk),
        **long_work.pause(found.bulk),
        "counts": {to_camel(status.value): number for status, number in counts(found.items).items()},
        "items": [_item(item) for item in found.items],
        "links": {"self": f"/api/bulk/{found.bulk.id}", "items": f"/api/bulk/{found.bulk.id}/items"},
    }


def _item(item: Item, operation: Operation | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "position": item.position,
        "customerId": item.wish.customer,
        "subscriptionId": item.wish.subscription,
        "action": show.action_name(item.wish.action),
        "status": item.status.value,
        "operation": item.operation or None,
    }
    if item.code:
        shown |= {"code": item.code, "detail": item.sentence}
    if item.status_code is not None:
        shown["problemStatus"] = item.status_code
    if item.not_before is not None:
        shown["retryAt"] = show.moment(item.not_before)
    if operation is not None:
        shown |= {"operationStatus": operation.status, "atRest": operation.at_rest}
    return shown
