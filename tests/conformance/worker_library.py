"""Indexes an app with Microsoft's worker library and invokes functions through it: `python -m ... APP_DIR <
invocations`.

Runs as a process of its own for each app, because the library and the app keep module globals. Reads a JSON list of
`Invocation`s from stdin and writes to stdout `{"functions": [...], "results": [...]}`: the
functions in the words of `local.functions_host.bindings.describe`, and each invocation's status with its HTTP answer
or its error.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tests.conformance.worker_messages import Message, Messages, ParameterBinding, TypedData

Kind = Literal["http", "timer", "queue"]


@dataclass(frozen=True)
class Invocation:
    """One call of one function; `payload` is an HTTP request's fields, or the text of a message, or unused.

    `trace_parent` is the host's own span of the invocation.
    """

    function: str
    kind: Kind
    payload: Any = None
    trace_parent: str = ""


class Worker:
    """The library with one app loaded."""

    def __init__(self, app_dir: Path) -> None:
        self._app_dir = app_dir
        self._library = importlib.import_module("azure_functions_runtime")
        self._triggers: dict[str, dict[str, Any]] = {}
        self._ids: dict[str, str] = {}

    async def index(self) -> list[dict[str, Any]]:
        """Load and index the app as the worker does at start; raises `RuntimeError` with the library's error."""
        sys.path.insert(0, str(self._app_dir))
        self._library.start_threadpool_executor()
        request = Message(capabilities={}, function_app_directory=str(self._app_dir))
        started = await self._library.worker_init_request(_request(worker_init_request=request))
        if started.result.status != Messages.StatusResult.Success:
            raise RuntimeError(started.result.exception.message)
        indexed = await self._library.functions_metadata_request(_request())
        for function in indexed.function_metadata_results or []:
            bindings = [json.loads(binding) for binding in function.raw_bindings]
            self._ids[function.name] = function.function_id
            self._triggers[function.name] = next(one for one in bindings if one["type"].endswith("Trigger"))
        return [_described(name, trigger) for name, trigger in self._triggers.items()]

    async def invoke(self, invocation: Invocation) -> dict[str, Any]:
        """Invoke one function and tell how it ended."""
        data, metadata = _input(invocation)
        request = Message(
            invocation_id=str(uuid.uuid4()),
            function_id=self._ids[invocation.function],
            trigger_metadata=metadata,
            input_data=[ParameterBinding(name=self._triggers[invocation.function]["name"], data=data)],
            trace_context=Message(trace_parent=invocation.trace_parent, trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0),
        )
        answer = await self._library.invocation_request(_request(invocation_request=request))
        if answer.result.status != Messages.StatusResult.Success:
            return {"status": "failure", "error": answer.result.exception.message}
        result: dict[str, Any] = {"status": "success"}
        if answer.return_value is not None and answer.return_value.http is not None:
            http = answer.return_value.http
            result |= {"code": int(http.status_code), "body": http.body.bytes.decode()}
        return result

    def close(self) -> None:
        """End the library's thread pool."""
        self._library.stop_threadpool_executor()


def _request(**fields: Any) -> Message:
    return Message(name="", request=Message(**fields), properties={"protos": Messages(), "host": "127.0.0.1"})


def _input(invocation: Invocation) -> tuple[TypedData, dict[str, TypedData]]:
    if invocation.kind == "http":
        return _http_input(invocation.payload), {}
    if invocation.kind == "timer":
        now = datetime.now(UTC).isoformat()
        status = {"Last": now, "Next": now, "LastUpdated": now}
        return TypedData(json=json.dumps({"IsPastDue": False, "ScheduleStatus": status, "Schedule": {}})), {}
    metadata = {
        "MessageId": TypedData(string="conformance"),
        "DeliveryCount": TypedData(json="1"),
        "SequenceNumber": TypedData(json="1"),
        "EnqueuedTimeUtc": TypedData(string=datetime.now(UTC).isoformat()),
        "ApplicationProperties": TypedData(json="{}"),
        "UserProperties": TypedData(json="{}"),
    }
    return TypedData(string=invocation.payload), metadata


def _http_input(payload: dict[str, Any]) -> TypedData:
    body = str(payload.get("body", "")).encode()
    return TypedData(
        http=Message(
            method=payload["method"],
            url=f"http://localhost{payload['path']}",
            headers=payload.get("headers", {}),
            params=payload.get("parameters", {}),
            query=payload.get("query", {}),
            body=TypedData(bytes=body) if body else TypedData(),
        )
    )


def _described(name: str, trigger: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"type": trigger["type"]}
    if trigger["type"] == "httpTrigger":
        kept["route"] = trigger.get("route") or name
        kept["methods"] = [method.upper() for method in trigger.get("methods", [])]
        kept["authLevel"] = trigger["authLevel"]
    elif trigger["type"] == "timerTrigger":
        kept |= {"schedule": trigger["schedule"], "runOnStartup": bool(trigger.get("runOnStartup"))}
    else:
        kept |= {"queueName": trigger["queueName"], "connection": trigger["connection"]}
    return {"name": name, "trigger": kept}


async def _main(app_dir: Path, invocations: list[Invocation]) -> dict[str, Any]:
    worker = Worker(app_dir)
    try:
        functions = await worker.index()
        return {"functions": functions, "results": [await worker.invoke(one) for one in invocations]}
    finally:
        worker.close()


if __name__ == "__main__":
    wanted = [Invocation(**one) for one in json.load(sys.stdin)]
    sys.stdout.write(json.dumps(asyncio.run(_main(Path(sys.argv[1]).resolve(), wanted))) + "\n")
