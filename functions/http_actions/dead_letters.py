"""The dead letters: listed with their reasons and what a re-submission would do, re-submitted and dismissed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import azure.functions as func
from pydantic import Field

from functions.http_actions import desk as shape
from functions.http_actions import representations as show
from functions.http_actions.answers import desk as answers
from functions.http_actions.answers.operations import Decided
from functions.http_actions.endpoint import Answer, Body, Call, Moment, Paged, endpoint
from functions.http_actions.operations import address_of
from functions.http_actions.problems import BadRequest
from functions.http_actions.reach import all_within_reach, within_reach
from shared.domain.desk_jobs import DeadLetterFilter
from shared.domain.errors import RetryLater
from shared.domain.operation import Operation
from shared.domain.planning import DriftPolicy
from shared.domain.sheet import written
from shared.identity import Role
from shared.storage.read_models import DeadLetterView
from shared.usecases import dead_letters as desk
from shared.usecases.outlook import LineOutlook
from shared.usecases.outlook import outlooks as outlooks_of
from shared.usecases.resubmitting import dead_letters, operations_of

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS
_CSV_LINES = 10_000
_EXPANSIONS = frozenset({"events", "plan"})
_COLUMNS = (
    "id", "diedAt", "customerId", "subscriptionId", "kind", "requestedAt", "requestedBy", "contractId",
    "contractServiceId", "units", "effectiveOn", "code", "sentence", "remedy", "autotaskText", "verified", "actual",
    "desired",
)  # fmt: skip

Text = Annotated[str, Field(max_length=1000)]


class ResubmitBody(Body):
    """Why, and what may be done about a hand edit: respect keeps it, overwrite undoes it, review asks again."""

    reason: Text = ""
    drift_policy: Literal["review", "respect", "overwrite"] | None = None


class DismissBody(Body):
    """Why the operation shall not be pushed."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class Age(Body):
    """A span of time, from a moment (included) until another one."""

    since: Annotated[Moment | None, Field(alias="from")] = None
    until: Moment | None = None


class DeadLetterQuery(Paged):
    """Which dead letters to list, and what each brings along; `messagesAfter` is that of a `nextLink`."""

    code: str | None = None
    customer: str | None = None
    since: Annotated[Moment | None, Field(alias="from")] = None
    until: Moment | None = None
    expand: Annotated[str, Field(pattern=r"^((events|plan)(,(events|plan))*)?$")] | None = None
    format: Literal["json", "csv"] = "json"
    messages_after: Annotated[int, Field(ge=0, lt=10**18)] | None = None


@blueprint.function_name("list_dead_letters")
@blueprint.route(route="dead-letters", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(
    Role.DEAD_LETTERS, answers.DeadLetters, query=DeadLetterQuery, refuses=("too_many_lines",), texts=("text/csv",)
)
async def list_dead_letters(call: Call) -> Answer:
    """Dead operations from the ledger, then the messages in the broker's dead-letter queue that nothing explains."""
    wanted, only = filter_of(call), str(call.request.params.get("customer", "")).lower()
    expand = _expansions(call)
    if only:
        call.caller.reach.require(only)

    async def read(customer: str | None, size: int, mark: str | None) -> tuple[list[DeadLetterView], str | None]:
        return await dead_letters(call.app, wanted, only or customer, size, mark)

    if call.choice("format", ["json", "csv"]) == "csv":
        return await _csv(call, await all_within_reach(call, read, most=_CSV_LINES))
    after = call.number("messagesAfter")
    if after is not None:
        return await _messages(call, [], after) if call.caller.reach.unlimited else call.listing([])
    views, following = await (read(only, *call.page()) if only else within_reach(call, read))
    items = await _shown(call, await operations_of(call.app, views), expand)
    filtered = wanted != DeadLetterFilter() or only
    if following is None and not filtered and call.caller.reach.unlimited:  # they belong to no customer
        return await _messages(call, items, 0)
    return call.listing(items, following)


def filter_of(call: Call) -> DeadLetterFilter:
    """The filter of the query's `code`, `from` and `until`. Raises ValidationError."""
    named = {"from": call.request.params.get("from"), "until": call.request.params.get("until")}
    age = Age.model_validate({name: text for name, text in named.items() if text}, strict=False)
    return DeadLetterFilter(code=call.request.params.get("code") or None, since=age.since, until=age.until)


def _expansions(call: Call) -> set[str]:
    asked = {part for part in str(call.request.params.get("expand", "")).split(",") if part}
    if asked - _EXPANSIONS:
        allowed = ", ".join(sorted(_EXPANSIONS))
        raise BadRequest("parameter_invalid", f"expand is one or more of {allowed}.", name="expand", status=422)
    return asked


async def _shown(call: Call, operations: list[Operation], expand: set[str]) -> list[dict[str, Any]]:
    """Dead letters, with their history and what a re-submission would do where that is asked for."""
    found = await outlooks_of(call.app, operations) if "plan" in expand else {}
    items = []
    for operation in operations:
        item = shape.dead_letter(operation)
        if "events" in expand:
            item["operation"] = show.operation(operation, await call.app.ledger.events(operation.address))
        if "plan" in expand:
            item["resubmission"] = resubmission_of(operation, found)
        items.append(item)
    return items


def resubmission_of(operation: Operation, found: dict[int, LineOutlook]) -> list[dict[str, Any]]:
    """What a re-submission of an operation would do on each of its lines."""
    return [shape.outlook(found[leg.line]) for leg in operation.legs if leg.line in found]


async def _messages(call: Call, items: list[dict[str, Any]], after: int) -> Answer:
    """A page that ends with messages which nothing explains, by their sequence numbers."""
    size, _ = call.page()
    try:
        foreign, last = await desk.foreign_messages(call.app, size, after)
    except RetryLater as error:
        answer = call.listing(items)
        answer.body["brokerUnavailable"] = error.reason
        return answer
    shown = [shape.broker_message(message) for message in foreign]
    return call.listing([*items, *shown], where={"messagesAfter": str(last)} if last is not None else {})


async def _csv(call: Call, views: list[DeadLetterView]) -> Answer:
    rows = [row for operation in await operations_of(call.app, views) for row in _lines(operation)]
    headers = {"Content-Disposition": 'attachment; filename="dead-letters.csv"'}
    return Answer(written(_COLUMNS, rows), headers=headers, media="text/csv")


def _lines(operation: Operation) -> list[dict[str, Any]]:
    """A line of the file for each leg that is dead."""
    item = show.operation(operation)
    rows = []
    for leg in item["autotask"]:
        reason, drift = leg.get("reason"), leg.get("drift", {})
        if leg["status"] == "dead" and reason:
            rows.append(
                {
                    **item,
                    "diedAt": show.moment(operation.death.at) if operation.death else None,
                    "contractId": leg["contractId"],
                    "contractServiceId": leg["contractServiceId"],
                    "units": leg["units"],
                    "effectiveOn": leg["increaseOn"],
                    "code": reason["code"],
                    "sentence": reason["sentence"],
                    "remedy": reason["remedy"],
                    "autotaskText": reason["vendorText"],
                    **{name: drift.get(name) for name in ("verified", "actual", "desired")},
                }
            )
    return rows


@blueprint.function_name("get_dead_letter")
@blueprint.route(route="dead-letters/{operation}", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.OneDeadLetter, refuses=("not_dead",))
async def get_dead_letter(call: Call) -> Answer:
    """One dead operation with its history, and what a re-submission would do at this moment."""
    address = address_of(call)
    stored = await desk.find(call.app, address)
    if not stored.value.dead:
        raise BadRequest("not_dead", f"The operation {address} is not dead.", status=404)
    (shown,) = await _shown(call, [stored.value], {"events", "plan"})
    ticket = await call.app.desk.ticket(str(address))
    return Answer(shown | {"ticket": shape.ticket(ticket.value) if ticket else None})


@blueprint.function_name("resubmit_dead_letter")
@blueprint.route(route="dead-letters/{operation}/resubmit", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, {200: Decided, 202: Decided}, body=ResubmitBody)
async def resubmit_dead_letter(call: Call) -> Answer:
    """Open a dead operation again and push it."""
    body, _ = call.body(ResubmitBody)
    policy = policy_of(body.drift_policy)
    operation = await desk.resubmit(call.app, address_of(call), call.caller.id, why=body.reason, policy=policy)
    return Answer({"operation": show.operation(operation)}, 200 if operation.at_rest else 202)


def policy_of(name: str | None) -> DriftPolicy | None:
    """The decision about hand edits; review is none: they ask again."""
    return DriftPolicy(name) if name not in {None, DriftPolicy.REVIEW.value} else None


@blueprint.function_name("dismiss_dead_letter")
@blueprint.route(route="dead-letters/{operation}/dismiss", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, Decided, body=DismissBody, refuses=("settling",))
async def dismiss_dead_letter(call: Call) -> Answer:
    """Decide that a dead operation shall not be pushed; what Autotask has now is adopted."""
    body, _ = call.body(DismissBody)
    operation = await desk.dismiss(call.app, address_of(call), call.caller.id, why=body.reason)
    return Answer({"operation": show.operation(operation)})
