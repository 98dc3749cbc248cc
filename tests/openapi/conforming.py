"""Holds answers against the committed document: whoever asks the API in a test has each answer looked at.

`require` is a response hook of httpx clients. An answer of the app that its document does not foresee (a status, a
media type, a member, a code of a problem) fails the test that asked.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs

FILE = Path(__file__).parents[2] / "functions" / "http_actions" / "openapi.json"
BASE = "/api"


class NotAsDocumented(AssertionError):
    """An answer that the document does not foresee."""


@dataclass(frozen=True)
class Documented:
    """One operation of the document."""

    name: str
    method: str
    path: re.Pattern[str]
    responses: dict[str, Any]


def require(response: httpx.Response) -> None:
    """Raise NotAsDocumented where a response is not as the document says; what is not the API's passes."""
    found = operation_of(response.request.method, response.request.url.path)
    if found is None:
        return
    response.read()
    where = f"{found.name} answered {response.status_code}"
    documented = found.responses.get(str(response.status_code))
    if documented is None:
        raise NotAsDocumented(f"{where}, which is not documented: {response.text[:2000]}")
    media = response.headers.get("content-type", "").partition(";")[0]
    content = documented.get("content", {})
    if not response.content and not content:
        return
    if not response.content or media not in content:
        raise NotAsDocumented(f"{where} with {media}, not {sorted(content)}: {response.text[:2000]}")
    if media.endswith("json"):
        wrong = list(_validator(found.name, response.status_code, media).iter_errors(response.json()))
        if wrong:
            sentences = "; ".join(f"{_place(error)}: {error.message[:300]}" for error in wrong[:5])
            raise NotAsDocumented(f"{where}: {sentences}")


def operation_of(method: str, path: str) -> Documented | None:
    """The operation that a request is for; a path with fewer parameters goes first, as in the host."""
    return next((each for each in _operations() if each.method == method and each.path.fullmatch(path)), None)


def _place(error: Any) -> str:
    return ".".join(str(part) for part in error.instance_path) or "the document"


@cache
def _document() -> Any:
    return json.loads(FILE.read_text(encoding="utf-8"))


@cache
def _operations() -> list[Documented]:
    found = []
    for path in sorted(_document()["paths"], key=lambda path: path.count("{")):
        pattern = re.compile(BASE + re.sub(r"{[^}]+}", "[^/]+", path), re.IGNORECASE)
        for method, operation in _document()["paths"][path].items():
            responses = {status: _resolved(response) for status, response in operation["responses"].items()}
            found.append(Documented(operation["operationId"], method.upper(), pattern, responses))
    return found


def _resolved(response: dict[str, Any]) -> Any:
    name = response.get("$ref", "").rpartition("/")[2]
    return _document()["components"]["responses"][name] if name else response


@cache
def _validator(name: str, status: int, media: str) -> Any:
    documented = next(each for each in _operations() if each.name == name)
    schema = documented.responses[str(status)]["content"][media]["schema"]
    components = {"schemas": _document()["components"]["schemas"]}
    return jsonschema_rs.validator_for(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": components, **schema},
        validate_formats=True,
    )
