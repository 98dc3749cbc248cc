"""Detected changes that are held for review: listed, released to the bill, or dismissed."""

from __future__ import annotations

from typing import Annotated

import azure.functions as func
from pydantic import Field

from functions.http_actions import representations as show
from functions.http_actions.answers import operations as answers
from functions.http_actions.answers.common import Page
from functions.http_actions.endpoint import Answer, Body, Call, Paged, endpoint
from functions.http_actions.operations import address_of
from functions.http_actions.reach import within_reach
from shared.domain.operation import Address
from shared.identity import Role
from shared.usecases import review

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS


class ReleaseBody(Body):
    """Why the change is right."""

    reason: Annotated[str, Field(max_length=1000)] = ""


class DismissBody(Body):
    """Why the change shall not be billed."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]


@blueprint.function_name("list_reviews")
@blueprint.route(route="reviews", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, Page[answers.Operation], query=Paged)
async def list_reviews(call: Call) -> Answer:
    """Detected operations that wait for a person, of the customers that the caller may see."""
    entries, following = await within_reach(call, call.app.sync.indexes.reviews)
    shown = []
    for entry in entries:
        address = Address.parse(entry.operation)
        stored = await call.app.ledger.operation(address)
        if stored is None or not stored.value.in_review:
            await call.app.sync.indexes.drop_review(address)  # decided by somebody who died before it was dropped
            continue
        shown.append(show.operation(stored.value))
    return call.listing(shown, following)


@blueprint.function_name("release_operation")
@blueprint.route(route="operations/{operation}/release", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, {202: answers.Decided}, body=ReleaseBody, refuses=("line_changed",))
async def release_operation(call: Call) -> Answer:
    """Let a held change be billed."""
    body, _ = call.body(ReleaseBody)
    operation = await review.release(call.app, address_of(call), call.caller.id, why=body.reason)
    return Answer({"operation": show.operation(operation)}, 202)


@blueprint.function_name("dismiss_operation")
@blueprint.route(route="operations/{operation}/dismiss", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.Decided, body=DismissBody)
async def dismiss_operation(call: Call) -> Answer:
    """Decide that a held change shall not be billed."""
    body, _ = call.body(DismissBody)
    operation = await review.dismiss(call.app, address_of(call), call.caller.id, why=body.reason)
    return Answer({"operation": show.operation(operation)})
