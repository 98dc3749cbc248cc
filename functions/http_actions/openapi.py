"""The OpenAPI document of this API, as it was made from these doors and committed next to them (ADR 0046)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import azure.functions as func

from functions.http_actions.endpoint import Answer, Call, endpoint
from shared.identity import Role

blueprint = func.Blueprint()

_FILE = Path(__file__).with_name("openapi.json")


@blueprint.function_name("openapi")
@blueprint.route(route="openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, dict[str, Any])
async def openapi(call: Call) -> Answer:  # noqa: ARG001 - the wrapper's name
    """This document, OpenAPI 3.1."""
    return Answer(_document())


@cache
def _document() -> Any:
    return json.loads(_FILE.read_text(encoding="utf-8"))
