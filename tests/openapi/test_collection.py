"""Every request of the `.http` files is answered as its file says, and every route has one."""

from __future__ import annotations

import time

import httpx
import pytest

from local.stack import Stack
from tests.openapi.collection import FILES, Client
from tests.openapi.conforming import operation_of, require
from tests.security.inventory import ROUTES

SECONDS = 30
EXAMPLE = {"api": "http://localhost/api", "autotask": "http://localhost:1"}


@pytest.mark.slow
def test_the_requests_are_answered_as_the_files_say(seeded: Stack) -> None:
    client = Client({**seeded.ready["tokens"], "api": seeded.ready["api"], "autotask": seeded.ready["autotask"]})
    wrong = []
    with httpx.Client(timeout=30, trust_env=False, event_hooks={"response": [require]}) as http:
        for file in FILES:
            for asked in client.take(file):
                request = client.request(asked)
                answer = http.send(request)
                deadline = time.monotonic() + SECONDS
                while asked.later and answer.status_code != asked.status and time.monotonic() < deadline:
                    time.sleep(0.2)
                    answer = http.send(client.request(asked))
                client.keep(asked, answer)
                if answer.status_code != asked.status:
                    wrong.append(f"{asked.file}, {asked.title}: {answer.status_code} {answer.text[:300]}")

    assert wrong == []


def test_every_route_has_a_request() -> None:
    named = set()
    for file in FILES:
        client = Client(dict.fromkeys(("reader", "operator", "mapper", "deadletters", "access"), "t") | EXAMPLE)
        named |= {asked.name for asked in client.take(file)}

    assert {route.name for route in ROUTES} - named == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_request_is_for_the_route_that_it_is_called_after(file: object) -> None:
    client = Client(dict.fromkeys(("reader", "operator", "mapper", "deadletters", "access"), "t") | EXAMPLE)
    anything = _Anything()
    for each in FILES:
        for asked in client.take(each):
            client.answers[asked.name] = anything
            if each is file and asked.name in {route.name for route in ROUTES}:
                request = client.request(asked)
                found = operation_of(request.method, request.url.path)
                assert found is not None
                assert found.name == asked.name


class _Anything(dict[str, object]):
    """An answer that has every member."""

    def __missing__(self, name: str) -> object:
        return self

    def __str__(self) -> str:
        return "something"
