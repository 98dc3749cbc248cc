"""Many dead letters at once: what a re-submission would do, the stored job that does it, and the sweep of copies."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal

import azure.functions as func
from pydantic import Field

from functions.http_actions import long_work
from functions.http_actions.answers import desk as answers
from functions.http_actions.dead_letters import Age, policy_of, resubmission_of
from functions.http_actions.endpoint import Answer, Body, Call, Guid, NothingBody, Paged, endpoint
from functions.http_actions.problems import camel, plain, retry_after
from functions.http_actions.reach import within_reach
from shared.domain.desk_jobs import DeadLetterFilter, Resubmission
from shared.domain.operation import Operation
from shared.domain.planning import DriftPolicy
from shared.identity import Role
from shared.storage.read_models import DeadLetterView
from shared.usecases import dead_letters as desk
from shared.usecases.outlook import LineOutlook, outlooks
from shared.usecases.resubmitting import ResubmissionRequest, dead_letters, operations_of, take_in_resubmission

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS
_LOOK_AGAIN = timedelta(seconds=5)


class FilterBody(Age):
    """Which dead letters are meant; what is left out does not limit."""

    code: Annotated[str | None, Field(max_length=100)] = None
    customer_id: Guid | None = None


class ResubmitManyBody(Body):
    """Which, why, and one decision about all their hand edits; a dry run only says what would be done."""

    filter: FilterBody = FilterBody()
    dry_run: bool = False
    drift_policy: Literal["review", "respect", "overwrite"] | None = None
    reason: Annotated[str, Field(max_length=1000)] = ""


@blueprint.function_name("resubmit_dead_letters")
@blueprint.route(route="dead-letters/resubmit", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(
    Role.DEAD_LETTERS, {200: answers.DryRun, 202: answers.Resubmission}, body=ResubmitManyBody, query=Paged, keyed=True
)
async def resubmit_dead_letters(call: Call) -> Answer:
    """Re-submit what a filter means, in the background; or say, page by page, what that would do."""
    body, request_hash = call.body(ResubmitManyBody)
    call.query(Paged)  # a wrong one is an error, also where nothing is listed
    key = call.idempotency_key()
    policy, only = policy_of(body.drift_policy), body.filter.customer_id
    if only is not None:
        call.caller.reach.require(only)
    customers = frozenset({only}) if only else call.caller.reach.customers
    wanted = DeadLetterFilter(body.filter.code, customers, body.filter.since, body.filter.until)
    if body.dry_run:
        return await _dry_run(call, wanted, only, policy)
    job = await take_in_resubmission(
        call.app,
        ResubmissionRequest(
            caller=call.caller.id,
            idempotency_key=key,
            target=call.target,
            request_hash=request_hash,
            wanted=wanted,
            policy=policy,
            reason=body.reason,
        ),
    )
    where = {"Operation-Location": f"/api/dead-letters/resubmissions/{job.id}", **retry_after(_LOOK_AGAIN)}
    return Answer(_job(job), 202, where)


@blueprint.function_name("get_resubmission")
@blueprint.route(route="dead-letters/resubmissions/{resubmission}", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.Resubmission, headers=("Retry-After",))
async def get_resubmission(call: Call) -> Answer:
    """How far a re-submission of many has come."""
    found = await long_work.find(call, "resubmission", lambda identity: call.app.desk.job_of(Resubmission, identity))
    job = found.value
    if job.wanted.customers is None:
        call.caller.reach.require_all()
    for customer in job.wanted.customers or ():
        call.caller.reach.require(customer)
    return Answer(_job(job), headers=long_work.look_again(job, _LOOK_AGAIN))


@blueprint.function_name("sweep_dead_letters")
@blueprint.route(route="dead-letters/sweep", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, answers.Swept, body=NothingBody)
async def sweep_dead_letters(call: Call) -> Answer:
    """Remove copies of operations that are not dead any more from the broker's dead-letter queue."""
    call.caller.reach.require_all()
    call.body(NothingBody)
    return Answer({"removed": await desk.sweep(call.app)})


async def _dry_run(call: Call, wanted: DeadLetterFilter, only: str | None, policy: DriftPolicy | None) -> Answer:
    async def read(customer: str | None, size: int, mark: str | None) -> tuple[list[DeadLetterView], str | None]:
        return await dead_letters(call.app, wanted, only or customer, size, mark)

    views, following = await (read(only, *call.page()) if only else within_reach(call, read))
    operations = await operations_of(call.app, views)
    found = await outlooks(call.app, operations)
    chosen = {line: _under(item, policy) for line, item in found.items()}
    answer = call.listing([_would(operation, chosen) for operation in operations], following)
    answer.body["dryRun"] = True
    return answer


def _under(item: LineOutlook, policy: DriftPolicy | None) -> LineOutlook:
    """The outlook with the chosen decision alone; without a hand edit there is one plan, whatever the decision."""
    if not item.drifted:
        return item
    wanted = policy or DriftPolicy.REVIEW
    return replace(item, options=tuple(option for option in item.options if option.policy is wanted))


def _would(operation: Operation, found: dict[int, LineOutlook]) -> dict[str, Any]:
    return {
        "id": str(operation.address),
        "reasons": [camel(plain(leg.reason)) for leg in operation.legs if leg.reason is not None],
        "resubmission": resubmission_of(operation, found),
    }


def _job(job: Resubmission) -> dict[str, Any]:
    return {
        **long_work.progress(job),
        "pausedBecause": job.paused_because or None,
        "driftPolicy": job.policy.value if job.policy else DriftPolicy.REVIEW.value,
        "reason": job.reason,
        "counts": {"resubmitted": job.resubmitted, "skipped": job.skipped, "failed": job.failed},
        "problems": plain(job.problems),
        "links": {"self": f"/api/dead-letters/resubmissions/{job.id}"},
    }
