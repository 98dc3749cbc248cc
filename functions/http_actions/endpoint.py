"""The one wrapper of every HTTP function: who calls, what is asked, what is answered, and errors as problems.

A handler takes a `Call` and gives an `Answer`; everything that is the same for all routes is here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode

import azure.functions as func
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from functions.http_actions.declared import Declared, declares
from functions.http_actions.measured import request_span
from functions.http_actions.problems import MEDIA_TYPE, BadRequest, Problem, problem_of
from shared import telemetry
from shared.access import Access
from shared.domain.errors import NotFound
from shared.gate import Caller
from shared.identity import Forbidden, Role
from shared.usecases.app import App
from shared.wiring import Services, services

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
MAX_PAGE = 200
_JSON = "application/json"
DEFAULT_PAGE = 50
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
GUID_IN_ANY_CASE = GUID.pattern.replace("a-f", "a-fA-F")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_CONTINUATION = ("PartitionKey", "RowKey")


class Body(BaseModel):
    """Base of request bodies: strict types, camelCase names, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel, defer_build=True)


class NoChoices(Body):
    """Nothing: there is nothing to choose."""


class NothingBody(Body):
    """The body of a request that says nothing beyond its route."""


class Query(BaseModel):
    """Base of the query parameters of a route that has many: camelCase names, and an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, defer_build=True)


class Paged(Query):
    """The query parameters of a list; `continuation` is that of a `nextLink`."""

    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE, description="Items of a page")] = DEFAULT_PAGE
    continuation: Annotated[str, Field(description="Where to go on, as the `nextLink` of a page says")] | None = None


B = TypeVar("B", bound=Body)
Q = TypeVar("Q", bound=Query)


def _whole(value: Any) -> Any:
    """A whole number is one however its sender writes it: to JSON 12 and 12.0 are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
Guid = Annotated[str, Field(pattern=f"^{GUID_IN_ANY_CASE}$"), AfterValidator(str.lower)]
Moment = AwareDatetime  # with its zone: a moment without one would be a day early or late somewhere


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler answers with."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media: str = _JSON  # of another media type the body is text


@dataclass(frozen=True, slots=True)
class Call:
    """One request by a verified caller."""

    request: func.HttpRequest
    services: Services
    caller: Caller
    door: str

    @property
    def app(self) -> App:
        """What the use cases work with."""
        return self.services.app

    @property
    def access(self) -> Access:
        """Which customers callers reach."""
        return self.services.gate.access

    @property
    def path(self) -> str:
        """The path of the request."""
        return path_of(self.request)

    @property
    def target(self) -> str:
        """What the request is about: the function and its route parameters, however the URL is spelled."""
        named = sorted(self.request.route_params.items())
        return "\n".join((self.door, *(f"{name}={value}".lower() for name, value in named)))

    def query(self, kind: type[Q]) -> Q:
        """The query parameters. Raises ValidationError."""
        return kind.model_validate(dict(self.request.params))

    def guid(self, name: str) -> str:
        """A route parameter that is a GUID, in lower case; what is none cannot be known to anybody."""
        value = self.text(name)
        if not GUID.fullmatch(value.lower()):
            raise NotFound(name, value[:64])
        return value.lower()

    def text(self, name: str) -> str:
        """A route parameter."""
        return str(self.request.route_params.get(name, ""))

    def body(self, kind: type[B]) -> tuple[B, str]:
        """The body and a hash of what it says. Raises BadRequest, ValidationError."""
        raw = self.request.get_body() or b"{}"
        if len(raw) > MAX_BODY_BYTES:
            raise BadRequest("body_too_large", f"The body is larger than {MAX_BODY_BYTES} bytes.", status=413)
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            raise BadRequest("not_json", "The body is not JSON.", name="body") from None
        if not isinstance(document, dict):
            raise BadRequest("not_an_object", "The body is not a JSON object.", name="body")
        parsed = kind.model_validate_json(raw)
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        return parsed, hashlib.sha256(canonical).hexdigest()

    def idempotency_key(self) -> str:
        """The Idempotency-Key header. Raises BadRequest."""
        key = str(self.request.headers.get("Idempotency-Key", "")).strip()
        if not key:
            raise BadRequest(
                "idempotency_key_missing",
                "An Idempotency-Key header is needed, so that a repeated request is carried out once.",
                name="Idempotency-Key",
            )
        if not _KEY.fullmatch(key):
            raise BadRequest(
                "idempotency_key_invalid", "An Idempotency-Key has 1 to 255 visible characters.", name="Idempotency-Key"
            )
        return key

    def page(
        self, kind: type[dict[str, str] | int] = dict, names: tuple[str, ...] = _CONTINUATION
    ) -> tuple[int, str | None]:
        """The asked page size and where to go on from: a number, or an object with these texts (a mark of storage).

        Raises BadRequest.
        """
        size = self.request.params.get("pageSize", str(DEFAULT_PAGE))
        if not (size.isascii() and size.isdecimal() and len(size) < 4 and 1 <= int(size) <= MAX_PAGE):
            raise BadRequest("page_size_invalid", f"pageSize is a number from 1 to {MAX_PAGE}.", name="pageSize")
        mark = self.request.params.get("continuation")
        if not mark:
            return int(size), None
        try:
            decoded = base64.urlsafe_b64decode(mark.encode()).decode()
            document = json.loads(decoded)
        except (binascii.Error, ValueError, RecursionError):
            document = decoded = None
        if decoded is None or type(document) is not kind:
            raise BadRequest("continuation_invalid", "The continuation is not ours.", name="continuation")
        if isinstance(document, dict) and not all(isinstance(document.get(name), str) for name in names):
            raise BadRequest("continuation_invalid", "The continuation is not ours.", name="continuation")
        return int(size), decoded

    def choice(self, name: str, allowed: list[str]) -> str | None:
        """A query parameter out of a set. Raises BadRequest."""
        value: str | None = self.request.params.get(name)
        if value is not None and value not in allowed:
            raise BadRequest("parameter_invalid", f"{name} is one of {', '.join(allowed)}.", name=name, status=422)
        return value

    def number(self, name: str) -> int | None:
        """A query parameter that is a whole number, where it is given. Raises BadRequest."""
        text = self.request.params.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 19):
            raise BadRequest("parameter_invalid", f"{name} is a whole number.", name=name, status=422)
        return int(text)

    def listing(
        self, items: list[Any], continuation: str | None = None, *, where: Mapping[str, str] = MappingProxyType({})
    ) -> Answer:
        """A page of items and the link to the next one, which goes on from the continuation or `where` it is."""
        document: dict[str, Any] = {"value": items}
        following = dict(where)
        if continuation:
            following["continuation"] = base64.urlsafe_b64encode(continuation.encode()).decode()
        if following:
            kept = {name: value for name, value in self.request.params.items() if name != "continuation"}
            query = urlencode({**kept, **following}, safe="=", quote_via=quote)
            document["nextLink"] = f"{self.path}?{query}"
        return Answer(document)


Handler = Callable[[Call], Coroutine[Any, Any, "Answer | Problem"]]
Function = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def endpoint(
    role: Role,
    answers: Any = None,
    *,
    body: type[Body] | str | None = None,
    query: type[Query] | None = None,
    keyed: bool = False,
    refuses: tuple[str, ...] = (),
    texts: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
) -> Callable[[Handler], Function]:
    """Make a handler an HTTP function that verifies its caller first and answers every error as a problem.

    What it takes, answers and refuses is declared for the API's document; see `Declared`.
    """
    declaration = Declared(answers, body, query, keyed, refuses, texts, headers, role)

    def wrap(handler: Handler) -> Function:
        @declares(declaration)
        async def function(req: func.HttpRequest) -> func.HttpResponse:
            with request_span(req, handler.__name__) as span:
                response = await _respond(handler, role, req)
                span.answered(response.status_code)
                return response

        function.__name__ = handler.__name__
        function.__doc__ = handler.__doc__
        function.__module__ = handler.__module__
        setattr(function, HANDLER, handler)
        setattr(function, ROLE, role)
        return function

    return wrap


async def _respond(handler: Handler, role: Role, req: func.HttpRequest) -> func.HttpResponse:
    door = handler.__name__
    try:
        built = await services()
        header = req.headers.get("Authorization")
        caller = await built.gate.admit(header, role, door=door, customer=_customer_of(req))
        answer = await _handled(handler, Call(req, built, caller, door))
        if req.method != "GET":  # who changed what; an operation's own history is in the ledger
            telemetry.tell(log, "called", function=door, caller=caller.id, status=answer.status)
        return respond(answer) if isinstance(answer, Answer) else respond_problem(answer, req)
    except Exception as error:  # noqa: BLE001 - every error is answered as a problem
        problem = problem_of(error)
        if problem.status >= 500:
            level = logging.ERROR if problem.status == 500 else logging.WARNING
            telemetry.tell(log, "problem", level=level, error=error, code=problem.code, function=door)
        return respond_problem(problem, req)


ROLE = "required_role"
HANDLER = "handler"


def _customer_of(req: func.HttpRequest) -> str | None:
    """The customer that a route names, itself or by an operation's address."""
    named = req.route_params.get("customer") or req.route_params.get("operation", "").partition("_")[0]
    return str(named).lower() or None


async def _handled(handler: Handler, call: Call) -> Answer | Problem:
    try:
        return await handler(call)
    except Forbidden as refusal:
        call.services.gate.note(refusal, door=handler.__name__, caller=call.caller.id)
        raise


def respond(answer: Answer) -> func.HttpResponse:
    """An answer on the wire."""
    text = json.dumps(answer.body) if answer.media == _JSON and answer.body is not None else answer.body or ""
    headers = {"Cache-Control": "no-store", **answer.headers}
    return func.HttpResponse(text.encode(), status_code=answer.status, headers=headers, mimetype=answer.media)


def respond_problem(problem: Problem, req: func.HttpRequest) -> func.HttpResponse:
    """A problem on the wire, with the id of the trace that it happened in."""
    trace = telemetry.trace_of(telemetry.traceparent())
    document = json.dumps(problem.document(path_of(req), trace)).encode()
    headers = {"Cache-Control": "no-store", **problem.headers}
    return func.HttpResponse(document, status_code=problem.status, headers=headers, mimetype=MEDIA_TYPE)


def path_of(req: func.HttpRequest) -> str:
    """The path of a request without its host and query."""
    url = str(req.url)
    rest = url.partition("://")[2] or url
    return "/" + rest.partition("/")[2].partition("?")[0]
