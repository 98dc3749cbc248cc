"""Webhooks from Partner Center: verified by their signature, answered at once, followed up by the sync's tick."""

from __future__ import annotations

import logging

import azure.functions as func
from pydantic import BaseModel, ConfigDict

from functions.http_actions.answers.service import Hint
from functions.http_actions.declared import Declared, declares
from functions.http_actions.endpoint import Answer, respond, respond_problem
from functions.http_actions.measured import request_span
from functions.http_actions.problems import BadRequest, problem_of
from shared import telemetry
from shared.usecases import webhook
from shared.wiring import services

blueprint = func.Blueprint()
log = logging.getLogger(__name__)


class PartnerCenterEvent(BaseModel):
    """An event as Microsoft sends it; names in any letter case, and whatever else it holds is ignored."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    EventName: str
    ResourceUri: str
    ResourceName: str | None = None
    AuditUri: str | None = None
    ResourceChangeUtcDate: str | None = None


_MOST_BYTES = 16 * 1024


@blueprint.function_name("partner_center_webhook")
@blueprint.route(route="partner-center/webhook", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@declares(
    Declared(Hint, body=PartnerCenterEvent, refuses=("not_signed", "not_an_event", "unavailable", "misconfigured"))
)
async def partner_center_webhook(req: func.HttpRequest) -> func.HttpResponse:
    """Take an event in: no bearer token, Microsoft's signature instead. It only hints that something is to be read."""
    with request_span(req, "partner_center_webhook") as span:
        response = await _received(req)
        span.answered(response.status_code)
        return response


async def _received(req: func.HttpRequest) -> func.HttpResponse:
    try:
        body = _body(req)
        built = await services()
        await built.webhooks.verify(req.headers, body)
        return respond(Answer({"status": await webhook.receive(built.app, body)}))
    except Exception as error:  # noqa: BLE001 - every error is answered as a problem
        problem = problem_of(error)
        telemetry.tell(log, "webhook_refused", level=logging.WARNING, error=error, code=problem.code)
        return respond_problem(problem, req)


def _body(req: func.HttpRequest) -> bytes:
    body: bytes = req.get_body()
    if len(body) > _MOST_BYTES:
        raise BadRequest("body_too_large", f"The body is larger than {_MOST_BYTES} bytes.", status=413)
    return body
