"""Answers that the document does not foresee are found, and those that it foresees are not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.openapi.conforming import NotAsDocumented, require

MOMENT = "2026-05-06T12:00:00+00:00"
CUSTOMER: dict[str, Any] = {"id": "c", "name": "n", "domain": "d", "syncedAt": MOMENT}
PROBLEM: dict[str, Any] = {
    "type": "urn:csp-functions:problem:forbidden",
    "title": "Forbidden",
    "status": 403,
    "code": "forbidden",
    "detail": "This needs the role Subscriptions.Read.",
    "instance": "/api/customers",
    "traceId": "",
}


def answer(status: int, body: Any, media: str = "application/json", path: str = "/api/customers") -> httpx.Response:
    request = httpx.Request("GET", f"http://localhost{path}")
    return httpx.Response(status, json=body, headers={"Content-Type": media}, request=request)


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {"value": [CUSTOMER], "nextLink": "/api/customers?continuation=x"}),
        answer(200, {"value": [{**CUSTOMER, "syncedAt": None}]}),
        answer(403, PROBLEM, "application/problem+json"),
        answer(404, {"not": "ours"}, path="/api/elsewhere"),
        answer(200, {"not": "ours"}, path="/_control/faults"),
    ],
    ids=str,
)
def test_what_is_documented_passes(response: httpx.Response) -> None:
    require(response)


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {"value": [{**CUSTOMER, "secret": 1}]}),
        answer(200, {"value": [{**CUSTOMER, "syncedAt": "yesterday"}]}),
        answer(200, {"value": [{"id": "c"}]}),
        answer(200, {}),
        answer(201, {"value": []}),
        answer(200, {"value": []}, "text/html"),
        answer(403, {**PROBLEM, "code": "another_code"}, "application/problem+json"),
        answer(403, {**PROBLEM, "status": 404}, "application/problem+json"),
        answer(403, PROBLEM),
    ],
    ids=str,
)
def test_what_is_not_documented_fails_whoever_asked(response: httpx.Response) -> None:
    with pytest.raises(NotAsDocumented):
        require(response)
