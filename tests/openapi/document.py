"""The OpenAPI document, made from the routes of the app and what they declare of themselves.

`python -m tests.documents` writes it to functions/http_actions/openapi.json, which the app serves.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, create_model
from pydantic.alias_generators import to_pascal

from function_app import app
from functions.http_actions import codes
from functions.http_actions.answers.problem import Problem
from functions.http_actions.bulk_items import BODIES, Head
from functions.http_actions.declared import Declared, declared_by
from functions.http_actions.endpoint import Paged
from functions.http_actions.problems import MEDIA_TYPE
from functions.http_actions.representations import action_name
from tests.openapi.schemas import schemas_of
from tests.security.inventory import ROUTES, Route

ROOT = Path(__file__).parents[2]
_GUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "customer": ("Id of the customer at Microsoft", {"type": "string", "pattern": _GUID}),
    "subscription": ("Id of the subscription at Microsoft", {"type": "string", "pattern": _GUID}),
    "operation": (
        "Id of an operation: customer, subscription and sequence number",
        {"type": "string", "pattern": f"{_GUID[:-1]}_{_GUID[1:-1]}_[1-9][0-9]{{0,8}}$"},
    ),
    "caller": ("Object id in Entra ID", {"type": "string", "pattern": _GUID}),
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The same caller, route, key and body are one operation for 30 days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
_WORDS = {
    200: "Done, or what was asked for",
    202: "Begun; it goes on by itself",
    204: "Removed",
    400: "The request cannot be read",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    409: "Refused, or it changed at the same moment",
    413: "Too large",
    422: "Fields are wrong",
    428: "To be confirmed",
    429: "Too many requests",
    500: "Our error",
    502: "A vendor's answer cannot be read",
    503: "Not available at the moment",
}
_HEADERS = {
    "OperationLocation": ("The path of the operation or bulk that goes on", {"type": "string"}),
    "Location": ("The path of what was begun", {"type": "string"}),
    "RetryAfter": ("Seconds to wait before the next look", {"type": "integer", "minimum": 1}),
    "WWWAuthenticate": ("Bearer", {"type": "string"}),
}


@cache
def document() -> dict[str, Any]:
    """The whole document. Raises LookupError for a route that declares nothing."""
    declarations = {route: declaration_of(route) for route in ROUTES}
    answered = {kind for declared in declarations.values() for kind in declared.by_status.values() if kind is not None}
    taken = {declared.body for declared in declarations.values() if isinstance(declared.body, type)}
    schemas, components = schemas_of([*sorted(taken, key=repr), *_bulk_items()], [Problem, *sorted(answered, key=repr)])
    components["BulkBody"]["properties"]["items"]["items"] = {"oneOf": [schemas[kind] for kind in _bulk_items()]}
    paths: dict[str, dict[str, Any]] = {}
    problems = _Problems(schemas[Problem])
    for route, declared in declarations.items():
        described = _Operation(route, declared, schemas, problems).described()
        paths.setdefault("/" + route.template, {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "csp-functions",
            "version": _version(),
            "summary": "Actions on CSP subscriptions, with Autotask billing that follows them exactly.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api"}],
        "security": [{"entra": []}],
        "tags": [{"name": name} for name in sorted({_tag(route) for route in ROUTES})],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "responses": dict(sorted(problems.shared.items())),
            "headers": {
                name: {"description": text, "schema": schema} for name, (text, schema) in sorted(_HEADERS.items())
            },
            "securitySchemes": {"entra": _entra()},
        },
    }


@cache
def _bulk_items() -> list[type[BaseModel]]:
    """An item of a bulk for each action: the body of its single action, and what every item has."""
    head: dict[str, Any] = {
        name: (field.annotation, field) for name, field in Head.model_fields.items() if name != "action"
    }
    return [
        create_model(
            f"Bulk{to_pascal(action.value)}",
            __base__=body,
            __doc__=f"An item of a bulk that asks for {action_name(action)}.",
            **{**head, "action": (Literal[action_name(action)], ...)},
        )
        for action, body in BODIES.items()
    ]


def as_text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


_HANDLERS: dict[str, Any] = {}


def function_of(route: Route) -> Any:
    """The function behind a route."""
    if not _HANDLERS:
        functions = app.get_functions()
        app.functions_bindings = {}  # see tests.security.inventory
        _HANDLERS.update({str(each.get_function_name()): each.get_user_function() for each in functions})
    return _HANDLERS[route.name]


def declaration_of(route: Route) -> Declared:
    """What a route declares. Raises LookupError where it declares nothing."""
    declared = declared_by(function_of(route))
    if declared is None or not declared.by_status:
        raise LookupError(f"{route} does not declare its answers; see functions/http_actions/declared.py")
    return declared


def codes_of(route: Route, declared: Declared) -> set[str]:
    """The codes of all problems that a route may answer with."""
    named = [code for name in _names(route) for code in codes.NAMED.get(name, (f"{name}_not_found",))]
    found = {*codes.ALWAYS, *declared.refuses, *(code for code in named if code in codes.STATUSES)}
    found |= set(codes.GUARDED if declared.role is not None else ())
    if isinstance(declared.body, str):
        found |= set(codes.WITH_TEXT)
    elif declared.body is not None:
        found |= set(codes.WITH_BODY if declared.role is not None else ("body_too_large",))
    if route.method != "GET" and declared.role is not None:
        found |= set(codes.WRITING)
    if declared.query is not None:
        found |= set(codes.WITH_QUERY)
        found |= set(codes.PAGED if issubclass(declared.query, Paged) else ())
    return found | set(codes.KEYED if declared.keyed else ())


def _names(route: Route) -> list[str]:
    return re.findall(r"{(\w+)}", route.template)


def _tag(route: Route) -> str:
    parts = [part for part in route.template.split("/") if not part.startswith("{")]
    return parts[1] if parts[0] == "customers" and len(parts) > 1 else parts[0]


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def _entra() -> dict[str, Any]:
    """Version 2 tokens of the partner's tenant; the roles are app roles, which are no scopes."""
    where = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0"
    scopes = {"api://csp-functions/.default": "The app roles that the caller was assigned"}
    return {
        "type": "oauth2",
        "description": "An access token of Entra ID for the audience API_AUDIENCE, with the app role of the route "
        "(`x-required-role`). `{tenant}` is the partner's tenant.",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": f"{where}/authorize",
                "tokenUrl": f"{where}/token",
                "scopes": scopes,
            },
            "clientCredentials": {"tokenUrl": f"{where}/token", "scopes": scopes},
        },
    }


class _Operation:
    """One method of one path."""

    def __init__(self, route: Route, declared: Declared, schemas: dict[Any, Any], problems: _Problems) -> None:
        self._problems = problems
        self._route = route
        self._declared = declared
        self._schemas = schemas

    def described(self) -> dict[str, Any]:
        declared = self._declared
        summary, _, more = (function_of(self._route).__doc__ or "").strip().partition("\n")
        found: dict[str, Any] = {
            "operationId": self._route.name,
            "tags": [_tag(self._route)],
            "summary": summary,
            **({"description": " ".join(more.split())} if more.strip() else {}),
            **({"x-required-role": declared.role.value} if declared.role else {"security": []}),
            "parameters": [*self._path_parameters(), *self._query_parameters(), *([_KEY] if declared.keyed else [])],
        }
        if declared.body is not None:
            found["requestBody"] = self._body(declared.body)
        return {**found, "responses": self._responses()}

    def _body(self, body: type[BaseModel] | str) -> dict[str, Any]:
        """The body; a JSON one that is left out is `{}`."""
        if isinstance(body, str):
            return {"required": True, "content": {body: {"schema": {"type": "string"}}}}
        needed = any(member.is_required() for member in body.model_fields.values())
        return {"required": needed, "content": {"application/json": {"schema": self._schemas[body]}}}

    def _path_parameters(self) -> Iterable[dict[str, Any]]:
        for name in _names(self._route):
            text, schema = _PARAMETERS.get(name, (f"Id of the {name}", {"type": "string", "minLength": 1}))
            yield {"name": name, "in": "path", "required": True, "description": text, "schema": schema}

    def _query_parameters(self) -> Iterable[dict[str, Any]]:
        if self._declared.query is None:
            return
        found, named = schemas_of([self._declared.query], [])
        schema = found[self._declared.query]
        schema = named.get(schema.get("$ref", "").rpartition("/")[2], schema)
        for name, member in schema["properties"].items():
            shape = _without_null(member)
            yield {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", []),
                "schema": shape,
            }

    def _answers(self) -> dict[str, Any]:
        found = {}
        for status, kind in sorted(self._declared.by_status.items()):
            content = {} if kind is None else {"application/json": {"schema": self._schemas[kind]}}
            if status == 200:
                content |= {media: {"schema": {"type": "string"}} for media in self._declared.texts}
            headers = self._headers(status)
            found[str(status)] = {
                "description": _WORDS[status],
                **({"headers": headers} if headers else {}),
                **({"content": content} if content else {}),
            }
        return found

    def _headers(self, status: int) -> dict[str, Any]:
        wanted = list(self._declared.headers)
        if self._declared.keyed:
            wanted += ["Operation-Location"] if status == 200 else ["Operation-Location", "Retry-After"]
        return {name: _header(name) for name in wanted}

    def _responses(self) -> dict[str, Any]:
        """Answers and problems by status; a status may have both."""
        found = self._answers()
        by_status: dict[int, set[str]] = {}
        for code in codes_of(self._route, self._declared):
            for status in codes.STATUSES[code]:
                by_status.setdefault(status, set()).add(code)
        for status, named in sorted(by_status.items()):
            if str(status) in found:
                found[str(status)]["content"] |= self._problems.response(status, named)["content"]
            else:
                found[str(status)] = self._problems.reference(status, named, self._route.name)
        return dict(sorted(found.items()))


class _Problems:
    """Problem answers, each written once in the document."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self._problem = problem
        self._names: dict[tuple[int, frozenset[str]], str] = {}
        self.shared: dict[str, Any] = {}

    def reference(self, status: int, named: set[str], route: str) -> dict[str, Any]:
        """A reference to the answer with these codes, which is called after the first route that has it."""
        key = status, frozenset(named)
        if key not in self._names:
            self._names[key] = f"{status}-{route}"
            self.shared[self._names[key]] = self.response(status, named)
        return {"$ref": f"#/components/responses/{self._names[key]}"}

    def response(self, status: int, named: set[str]) -> dict[str, Any]:
        """The answer with these codes."""
        code = {"properties": {"code": {"enum": sorted(named)}, "status": {"const": status}}}
        header = {429: "Retry-After", 503: "Retry-After"}.get(status)
        if "unauthenticated" in named:
            header = "WWW-Authenticate"
        return {
            "description": _WORDS[status],
            **({"headers": {header: _header(header)}} if header else {}),
            "content": {MEDIA_TYPE: {"schema": {"allOf": [self._problem, code]}}},
        }


def _header(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/headers/{name.replace('-', '')}"}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is left out rather than null."""
    if "anyOf" not in schema:
        return schema
    kinds = [each for each in schema["anyOf"] if each != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return {**rest, **kinds[0]} if len(kinds) == 1 else {**rest, "anyOf": kinds}
