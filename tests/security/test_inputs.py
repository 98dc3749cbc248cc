"""Bodies and queries that are too large, too deep or strange: a problem each, never a 500."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.security.conftest import Entra
from tests.security.inventory import GUARDED, Route
from tests.spine.world import World

STRANGE: dict[str, str | bytes] = {
    "deep": '{"quantity": ' + "[" * 250 + "]" * 250 + "}",
    "very deep": '{"quantity": ' + "[" * 2_000 + "]" * 2_000 + "}",
    "deeper than the stack": '{"quantity": ' + '{"a":' * 10_000 + "1" + "}" * 10_000 + "}",
    "open": "[" * 60_000,
    "a long number": '{"quantity": ' + "9" * 5_000 + "}",
    "a large exponent": '{"quantity": 1e999999}',
    "not a number": '{"quantity": NaN}',
    "infinite": '{"quantity": Infinity}',
    "half a surrogate": '{"quantity": 1, "expect": {"status": "\\ud800"}}',
    "a null character": '{"quantity": 1, "expect": {"status": "\\u0000"}}',
    "many fields": "{" + ",".join(f'"f{number}": 1' for number in range(4_000)) + "}",
    "prototype": '{"__proto__": {"quantity": 1}, "quantity": 0}',
    "utf-16": '{"quantity": 0}'.encode("utf-16"),
    "with a mark": b'\xef\xbb\xbf{"quantity": 0}',
    "a form": "quantity=1",
    "too large": '{"quantity": 0, "padding": "' + "x" * 66_000 + '"}',
}


@pytest.fixture(scope="module")
def every(entra: Entra) -> dict[str, str]:
    """The headers of somebody with every role."""
    return {**entra.bearer(), "Idempotency-Key": "strange"}


def require_problem(answer: Any) -> dict[str, Any]:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem: dict[str, Any] = answer.json()
    return problem


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("route", [route for route in GUARDED if route.method in {"POST", "PUT"}], ids=str)
def test_no_route_with_a_body_breaks_on_a_strange_one(
    world: World, every: dict[str, str], route: Route, name: str
) -> None:
    answer = world.anonymous.request(route.method, route.path(), content=STRANGE[name], headers=every)

    require_problem(answer)


@pytest.mark.parametrize("levels", [1, 100, 190, 250, 900, 2_000, 10_000])
@pytest.mark.parametrize("member", ["customerId", "action", "expect", "strange"])
def test_an_item_of_a_bulk_may_be_as_deep_as_it_likes(
    world: World, every: dict[str, str], member: str, levels: int
) -> None:
    body = f'{{"items": [{{"{member}": ' + "[" * levels + "]" * levels + "}]}"

    require_problem(world.anonymous.post("/bulk", content=body, headers=every))


@pytest.mark.parametrize("name", STRANGE)
def test_a_webhook_with_a_strange_body_and_no_signature_is_refused(world: World, name: str) -> None:
    answer = world.anonymous.post("/partner-center/webhook", content=STRANGE[name])

    assert require_problem(answer)["code"] in {"not_signed", "body_too_large"}


@pytest.mark.parametrize(
    "query",
    [
        "continuation=" + "A" * 8_000,
        "continuation=" + quote("eyJQYXJ0aXRpb25LZXkiOiAieCJ9"),
        "continuation=%00",
        "pageSize=%F0%9F%98%80",
        "pageSize=٣",
        "pageSize=1e1",
        "pageSize=-1",
        "state=" + "x" * 4_000,
        "badge=%27%20or%20true",
    ],
)
def test_a_strange_query_is_a_problem(world: World, query: str) -> None:
    require_problem(world.clients["reader"].get(f"/subscriptions?{query}"))


@pytest.mark.parametrize("text", ["a&pageSize=200", "x y", "50%25", "ü", "a#b", "<script>"])
def test_a_next_link_asks_for_what_was_asked_for_and_nothing_else(world: World, text: str) -> None:
    answer = world.clients["reader"].get("/customers", params={"pageSize": "1", "hint": text}).raise_for_status()

    link = answer.json()["nextLink"]
    query = parse_qs(urlsplit(link).query, strict_parsing=True)
    assert (query["hint"], query["pageSize"]) == ([text], ["1"])
    assert re.fullmatch(r"[!-~]+", link)
    assert world.clients["reader"].get(link.removeprefix("/api")).status_code == 200
