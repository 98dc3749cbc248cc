"""The host's HTTP side as an ASGI application: the app's HTTP triggers and the host's own `/admin` paths.

`host` owns it and starts and stops the listeners through the lifespan events. The function runs to its end even if
the caller has gone, as in the real host.
"""

from __future__ import annotations

import hmac
import json
import logging
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from local.functions_host.bindings import HttpTrigger
from local.functions_host.conversion import http_request, http_response
from local.functions_host.invocation import InvocationFailed
from local.functions_host.routes import Refusal

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from local.functions_host.bindings import IndexedFunction
    from local.functions_host.invocation import Invoker
    from local.functions_host.routes import RouteTable

log = logging.getLogger("functions_host.http")

MAX_BODY_BYTES = 100 * 1024 * 1024
"""The real host's limit of a request's body; anything smaller is the app's business."""
_ADMIN_FUNCTIONS = "/admin/functions/"


class BodyTooLargeError(Exception):
    """The request's body exceeds `MAX_BODY_BYTES`."""


class Lifecycle(Protocol):
    """What the HTTP side needs of the host."""

    async def start(self) -> None:
        """Start every listener."""

    async def stop(self) -> None:
        """Stop every listener and wait until it has."""

    def run_on_demand(self, name: str, text: str) -> bool:
        """Start a timer or queue function in the background; False if there is none of that name."""


class HttpServer:
    """The ASGI application."""

    def __init__(self, routes: RouteTable, invoker: Invoker, lifecycle: Lifecycle, function_key: str | None) -> None:
        self._routes = routes
        self._invoker = invoker
        self._lifecycle = lifecycle
        self._function_key = function_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._lifecycle.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._lifecycle.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1")
        try:
            if path.startswith("/admin/"):
                return await self._admin(request, path)
            return await self._function(request, path)
        except BodyTooLargeError:
            return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)

    async def _admin(self, request: Request, path: str) -> Response:
        if path == "/admin/host/status" and request.method == "GET":
            return JSONResponse({"state": "Running"})
        if path.startswith(_ADMIN_FUNCTIONS) and request.method == "POST":
            try:
                text = _input_text(await _body(request))
            except ValueError as error:
                return JSONResponse({"error": f"the body must be a JSON object like {{'input': ''}}: {error}"}, 400)
            known = self._lifecycle.run_on_demand(path.removeprefix(_ADMIN_FUNCTIONS), text)
            return Response(status_code=202 if known else 404)
        return Response(status_code=404)

    async def _function(self, request: Request, path: str) -> Response:
        found = self._routes.find(request.method, path)
        if isinstance(found, Refusal):
            return _refused(found)
        if not self._authorized(found.function, request):
            return Response(status_code=401)
        body = await _body(request)
        try:
            returned = await self._invoker.run(
                found.function,
                lambda: http_request(request, found.parameters, body),
                trace_parent=request.headers.get("traceparent", ""),
            )
        except InvocationFailed:
            return Response(status_code=500)
        return _response(found.function, returned)

    def _authorized(self, function: IndexedFunction, request: Request) -> bool:
        if isinstance(function.trigger, HttpTrigger) and function.trigger.auth_level == "ANONYMOUS":
            return True
        given = request.headers.get("x-functions-key") or request.query_params.get("code") or ""
        return bool(self._function_key) and hmac.compare_digest(given.encode(), str(self._function_key).encode())


def _response(function: IndexedFunction, returned: Any) -> Response:
    try:
        return http_response(returned)
    except NotImplementedError:
        log.error("function %s returned a %s, not an HttpResponse or a string", function.name, type(returned).__name__)  # noqa: TRY400 - the traceback would only show this host
        return Response(status_code=500)


def _refused(refusal: Refusal) -> Response:
    if refusal.allowed:
        return Response(status_code=405, headers={"allow": ", ".join(refusal.allowed)})
    return Response(status_code=404)


async def _body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLargeError
        chunks.append(chunk)
    return b"".join(chunks)


def _input_text(body: bytes) -> str:
    """Return `input` of an on-demand run's body; anything but a string is passed on as JSON."""
    document = json.loads(body) if body else {}
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - it is the caller's value that is wrong
    value = document.get("input", "")
    return value if isinstance(value, str) else json.dumps(value)
