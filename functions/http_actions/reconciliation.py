"""The reconciliation: what is not billed as it should be, who moved it, what it makes a month, and the decisions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Literal

import azure.functions as func
from pydantic import Field

from functions.http_actions import desk as shape
from functions.http_actions import long_work
from functions.http_actions import representations as show
from functions.http_actions.answers import desk as answers
from functions.http_actions.answers.operations import Decided
from functions.http_actions.endpoint import Answer, Body, Call, NothingBody, Paged, endpoint
from functions.http_actions.problems import BadRequest, plain, retry_after
from functions.http_actions.reach import all_within_reach, within_reach
from shared.domain.operation import Operation
from shared.domain.reconciliation import Finding, Mover, Reconciliation
from shared.domain.sheet import written
from shared.identity import Role
from shared.usecases import findings, reconciling
from shared.usecases.app import App
from shared.usecases.ticketing import about_finding

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS
_LINE = "customers/{customer}/reconciliation/{line}"
_CSV_LINES = 20_000
_LOOK_AGAIN = timedelta(seconds=10)
_COLUMNS = (
    "customerId", "subscriptionId", "contractId", "contractName", "contractServiceId", "movers", "on", "verified",
    "actual", "desired", "microsoftUnits", "actualPrice", "desiredPrice", "monthly", "once", "foundAt", "sentence",
)  # fmt: skip


class DecisionBody(Body):
    """Which reading was looked at, and why it is decided so."""

    reading: Annotated[str, Field(min_length=16, max_length=16)]
    reason: Annotated[str, Field(max_length=1000)] = ""


class CorrectBody(DecisionBody):
    """What the bill shall follow: what our operations want, or Microsoft's seats."""

    to: Literal["desired", "microsoft"] = "desired"


class FindingsQuery(Paged):
    """Which findings to list."""

    mover: Mover | None = None
    customer: str | None = None
    format: Literal["json", "csv"] = "json"


_REFUSES = (
    "stale_page",
    "operation_in_progress",
    "settling",
    "line_not_in_ledger",
    "contract_not_found",
    "unreadable",
)


@blueprint.function_name("list_findings")
@blueprint.route(route="reconciliation", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.Findings, query=FindingsQuery, refuses=("too_many_lines",), texts=("text/csv",))
async def list_findings(call: Call) -> Answer:
    """What the last reconciliation found and nobody has decided about yet, with the run and its totals."""
    mover = call.choice("mover", [mover.value for mover in Mover])
    only = str(call.request.params.get("customer", "")).lower() or None
    if only:
        call.caller.reach.require(only)

    async def read(customer: str | None, size: int, mark: str | None) -> tuple[list[Finding], str | None]:
        found: list[Finding] = []
        while True:
            items, mark = await call.app.desk.findings(only or customer, size - len(found), mark)
            found += [item for item in items if mover is None or Mover(mover) in item.movers]
            if mark is None or len(found) == size:
                return found, mark

    if call.choice("format", ["json", "csv"]) == "csv":
        rows = [finding(item) for item in await all_within_reach(call, read, most=_CSV_LINES)]
        cells = [{**row, "movers": " ".join(row["movers"])} for row in rows]
        headers = {"Content-Disposition": 'attachment; filename="reconciliation.csv"'}
        return Answer(written(_COLUMNS, cells), headers=headers, media="text/csv")
    items, following = await (read(only, *call.page()) if only else within_reach(call, read))
    answer = call.listing([finding(item) for item in items], following)
    if call.caller.reach.unlimited:  # its totals are of every customer
        newest = await reconciling.newest_run(call.app)
        answer.body["run"] = run(newest) if newest else None
    return answer


@blueprint.function_name("start_reconciliation")
@blueprint.route(route="reconciliation", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, {202: answers.Run}, body=NothingBody, headers=("Operation-Location", "Retry-After"))
async def start_reconciliation(call: Call) -> Answer:
    """Start a run over all mapped lines; one that is under way is given instead."""
    call.caller.reach.require_all()
    call.body(NothingBody)
    started = await reconciling.start(call.app, call.caller.id)
    where = {"Operation-Location": f"/api/reconciliation/runs/{started.id}", **retry_after(_LOOK_AGAIN)}
    return Answer(run(started), 202, where)


@blueprint.function_name("get_reconciliation_run")
@blueprint.route(route="reconciliation/runs/{reconciliation}", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.Run, headers=("Retry-After",))
async def get_reconciliation_run(call: Call) -> Answer:
    """How far a run has come, and its totals."""
    call.caller.reach.require_all()
    found = await long_work.find(
        call, "reconciliation", lambda identity: call.app.desk.job_of(Reconciliation, identity)
    )
    return Answer(run(found.value), headers=long_work.look_again(found.value, _LOOK_AGAIN))


@blueprint.function_name("accept_finding")
@blueprint.route(route=f"{_LINE}/accept", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, {200: Decided, 202: Decided}, body=DecisionBody, keyed=True, refuses=_REFUSES)
async def accept_finding(call: Call) -> Answer:
    """Take what Autotask bills for right; later changes go on from there."""
    body, request_hash = call.body(DecisionBody)
    return await _decide(call, body, request_hash, findings.accept)


@blueprint.function_name("correct_finding")
@blueprint.route(route=f"{_LINE}/correct", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(
    Role.DEAD_LETTERS,
    {200: Decided, 202: Decided},
    body=CorrectBody,
    keyed=True,
    refuses=(*_REFUSES, "nothing_to_correct"),
)
async def correct_finding(call: Call) -> Answer:
    """Push what is wanted over what was found."""
    body, request_hash = call.body(CorrectBody)
    return await _decide(call, body, request_hash, findings.correct, microsoft=body.to == "microsoft")


@blueprint.function_name("open_finding_ticket")
@blueprint.route(route=f"{_LINE}/ticket", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(
    Role.DEAD_LETTERS,
    {200: answers.Ticketed, 202: answers.Ticketed},
    body=NothingBody,
    refuses=("finding_not_found", "autotask_refused", "no_company_for_ticket"),
)
async def open_finding_ticket(call: Call) -> Answer:
    """Open a ticket in Autotask about what was found on a line, once; it is closed when the finding is gone."""
    call.body(NothingBody)
    found = await call.app.desk.finding(call.guid("customer"), line_of(call))
    if found is None:
        raise BadRequest("finding_not_found", "Nothing is found about this line, or it was decided.", status=404)
    ticket = await about_finding(call.app, found)
    return Answer({"ticket": shape.ticket(ticket)}, 200 if ticket.id is not None else 202)


async def _decide(
    call: Call,
    body: DecisionBody,
    request_hash: str,
    decide: Callable[[App, findings.Decision], Awaitable[Operation]],
    *,
    microsoft: bool = False,
) -> Answer:
    decision = findings.Decision(
        customer=call.guid("customer"),
        line=line_of(call),
        reading=body.reading,
        caller=call.caller.id,
        idempotency_key=call.idempotency_key(),
        target=call.target,
        request_hash=request_hash,
        reason=body.reason,
        microsoft=microsoft,
    )
    operation = await decide(call.app, decision)
    where = {"Operation-Location": f"/api/operations/{operation.address}"}
    return Answer({"operation": show.operation(operation)}, 200 if operation.at_rest else 202, where)


def line_of(call: Call) -> int:
    """The line that a route names. Raises BadRequest with status 404 where it cannot be one."""
    text = call.text("line")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadRequest("not_mapped", f"There is no line {text[:64]}.", status=404)
    return int(text)


def finding(item: Finding) -> dict[str, Any]:
    """What was found about a line."""
    return {
        "customerId": item.customer,
        "subscriptionId": item.subscription,
        "contractId": item.contract,
        "contractName": item.contract_name,
        "contractServiceId": item.line,
        "movers": [mover.value for mover in item.movers],
        "sentence": item.sentence,
        "on": show.moment(item.on),
        "verified": item.verified,
        "actual": item.actual,
        "desired": item.desired,
        "microsoftUnits": item.seats,
        "actualPrice": plain(item.actual_price),
        "desiredPrice": plain(item.desired_price),
        "monthly": plain(item.monthly),
        "once": plain(item.once),
        "reading": item.reading or None,
        "operations": list(item.operations),
        "foundAt": show.moment(item.found_at),
    }


def run(item: Reconciliation) -> dict[str, Any]:
    """A run with its totals; money is a month's."""
    return {
        **long_work.progress(item),
        "pausedBecause": item.paused_because or None,
        "lines": item.lines,
        "unsettledLines": item.unsettled,
        "findings": item.findings,
        "movers": {mover.value: item.movers.get(mover.value, 0) for mover in Mover},
        "monthlyTooMuch": plain(item.too_much),
        "monthlyTooLittle": plain(item.too_little),
        "onceTooMuch": plain(item.once_too_much),
        "onceTooLittle": plain(item.once_too_little),
        "unpricedFindings": item.unpriced,
        "problems": plain(item.problems),
        "links": {"self": f"/api/reconciliation/runs/{item.id}"},
    }
