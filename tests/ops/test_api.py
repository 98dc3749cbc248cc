"""The command line's view of the API: pages, problems, and requests that lost their answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from ops.api import Api, ApiProblem
from shared.domain.errors import OutcomeUnknown
from shared.transport import Transport

Answering = Callable[[httpx.Request], httpx.Response]


class Wire(httpx.AsyncBaseTransport):
    """Answers from a list, one after the other, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def _no_sleep(_: float) -> None:
    return


async def _token(who: str) -> str:
    return f"token-{who}"


def api(wire: Wire) -> Api:
    return Api(Transport("http://desk/api", now=lambda: datetime.now(UTC), wire=wire), _token, sleep=_no_sleep)


def page(*items: int, following: str = "") -> httpx.Response:
    document: dict[str, Any] = {"value": [{"id": item} for item in items]}
    return httpx.Response(200, json=document | ({"nextLink": following} if following else {}))


def test_a_list_is_read_to_its_last_page() -> None:
    wire = Wire(page(1, 2, following="/api/dead-letters?code=drift&continuation=x"), page(3))

    async def read() -> list[int]:
        return [item["id"] async for item in api(wire).items("dead-letters", code="drift", until="")]

    assert asyncio.run(read()) == [1, 2, 3]
    assert [str(request.url) for request in wire.requests] == [
        "http://desk/api/dead-letters?code=drift",
        "http://desk/api/dead-letters?code=drift&continuation=x",
    ]
    assert {request.headers["authorization"] for request in wire.requests} == {"Bearer token-desk"}


def test_a_request_that_lost_its_answer_is_repeated_with_its_own_key() -> None:
    wire = Wire(httpx.ReadTimeout("lost"), httpx.Response(202, json={"id": 1}))

    assert asyncio.run(api(wire).post("dead-letters/resubmit", {"reason": "x"}, who="operator")) == {"id": 1}

    first, second = wire.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert json.loads(second.content) == {"reason": "x"}
    assert second.headers["authorization"] == "Bearer token-operator"


def test_after_three_lost_answers_nobody_knows() -> None:
    wire = Wire(*(httpx.ReadTimeout("lost") for _ in range(3)))
    with pytest.raises(OutcomeUnknown):
        asyncio.run(api(wire).post("dead-letters/sweep"))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (httpx.Response(409, json={"code": "stale_page", "detail": "Look at the new one."}), "Look at the new one."),
        (httpx.Response(502, text="<html>bad gateway</html>"), "status 502"),
    ],
)
def test_a_problem_is_told_with_its_sentence_and_not_repeated(answer: httpx.Response, sentence: str) -> None:
    wire = Wire(answer)
    with pytest.raises(ApiProblem, match=sentence):
        asyncio.run(api(wire).post("dead-letters/sweep"))
    assert len(wire.requests) == 1
