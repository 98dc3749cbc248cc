"""The functions of the sample app. What its timer and queue functions saw is told by `GET /v1/journal`."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
JOURNAL: list[dict[str, Any]] = []


class WorkRefusedError(Exception):
    """A message asked to be refused."""


def _answer(document: object, status: int = 200) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(document), status_code=status, mimetype="application/json")


def _named(name: str, req: func.HttpRequest) -> func.HttpResponse:
    return _answer({"function": name, "parameters": dict(req.route_params)})


@app.function_name("journal")
@app.route(route="journal", methods=["GET"])
async def read_journal(req: func.HttpRequest) -> func.HttpResponse:
    return _answer(JOURNAL)


@app.route(route="items/special", methods=["GET"])
async def item_special(req: func.HttpRequest) -> func.HttpResponse:
    return _named("item_special", req)


@app.route(route="items/{name}", methods=["GET"])
async def item_by_name(req: func.HttpRequest) -> func.HttpResponse:
    return _named("item_by_name", req)


@app.route(route="items/{number:int}", methods=["GET", "DELETE"])
async def item_by_number(req: func.HttpRequest) -> func.HttpResponse:
    return _named("item_by_number", req)


@app.route(route="shelves/{shelf}/boxes/{box?}", methods=["GET"])
async def boxes(req: func.HttpRequest) -> func.HttpResponse:
    return _named("boxes", req)


@app.route(route="files/{*rest}", methods=["GET"])
async def files(req: func.HttpRequest) -> func.HttpResponse:
    return _named("files", req)


@app.route(route="echo")
def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """A synchronous function: runs in a thread."""
    document = {
        "method": req.method,
        "url": req.url,
        "query": dict(req.params),
        "header": req.headers.get("X-Sample"),
        "body": req.get_body().decode(),
        "function": context.function_name,
        "hasInvocation": bool(context.invocation_id),
    }
    response = _answer(document, 201)
    response.headers.add("Set-Cookie", "a=1; Path=/")
    response.headers.add("Set-Cookie", "b=2; HttpOnly")
    return response


@app.route(route="text", methods=["GET"])
def text(req: func.HttpRequest) -> str:
    return "just text"


@app.route(route="boom", methods=["GET"])
async def boom(req: func.HttpRequest) -> func.HttpResponse:
    raise WorkRefusedError("a secret detail")


@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.params["seconds"]))
    return _answer({"slept": True})


@app.route(route="stuck", methods=["GET"])
def stuck(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(float(req.params["seconds"]))
    return _answer({"slept": True})


@app.route(route="locked", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def locked(req: func.HttpRequest) -> func.HttpResponse:
    return _answer({"open": True})


@app.timer_trigger(arg_name="timer", schedule="%TICK_SCHEDULE%", run_on_startup=False)
async def tick(timer: func.TimerRequest) -> None:
    started = time.monotonic()
    await asyncio.sleep(1.2)
    JOURNAL.append({"function": "tick", "pastDue": timer.past_due, "started": started, "ended": time.monotonic()})


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
def yearly(timer: func.TimerRequest) -> None:
    JOURNAL.append({"function": "yearly", "pastDue": timer.past_due})


@app.service_bus_queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection="SampleBus")
async def work(message: func.ServiceBusMessage) -> None:
    body = json.loads(message.get_body())
    entry = {
        "function": "work",
        "id": message.message_id,
        "body": body,
        "deliveryCount": message.delivery_count,
        "sequenceNumber": message.sequence_number,
        "correlationId": message.correlation_id,
        "properties": message.application_properties,
        "enqueued": str(message.enqueued_time_utc),
    }
    await asyncio.sleep(body.get("sleep", 0))
    JOURNAL.append({**entry, "ended": time.monotonic()})
    if body.get("refuse"):
        raise WorkRefusedError
