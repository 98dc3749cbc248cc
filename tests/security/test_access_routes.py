"""Giving and taking away access, and what is remembered of it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.security.inventory import NOBODY
from tests.spine.world import World

CUSTOMER = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"


@pytest.fixture
def caller() -> str:
    return str(uuid.uuid4())


def test_access_is_given_changed_shown_and_taken_away_with_its_history(world: World, caller: str) -> None:
    access = world.clients["access"]

    given = access.put(f"/access/{caller.upper()}", json={"customers": [CUSTOMER.upper(), CUSTOMER], "note": "desk"})
    changed = access.put(f"/access/{caller}", json={"customers": "all"})
    shown = access.get(f"/access/{caller}")
    listed = access.get("/access").json()
    taken = access.delete(f"/access/{caller}")
    gone = access.get(f"/access/{caller}")

    assert (given.status_code, given.json()["customers"], given.json()["note"]) == (200, [CUSTOMER], "desk")
    assert changed.json()["customers"] == "all"
    assert [change["customers"] for change in shown.json()["history"]] == [[CUSTOMER], "all"]
    assert {change["by"] for change in shown.json()["history"]} == {given.json()["changedBy"]}
    assert listed["default"] == "all"
    assert caller in {item["callerId"] for item in listed["value"]}
    assert (taken.status_code, gone.status_code, gone.json()["code"]) == (204, 404, "access_not_found")


def test_the_history_outlives_the_grant(world: World, caller: str) -> None:
    access = world.clients["access"]
    access.put(f"/access/{caller}", json={"customers": [CUSTOMER]}).raise_for_status()
    access.delete(f"/access/{caller}").raise_for_status()
    access.put(f"/access/{caller}", json={"customers": []}).raise_for_status()

    history = access.get(f"/access/{caller}").json()["history"]

    assert [change["customers"] for change in history] == [[CUSTOMER], None, []]
    access.delete(f"/access/{caller}").raise_for_status()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "customers"),
        ({"customers": "some"}, "customers"),
        ({"customers": None}, "customers"),
        ({"customers": ["not-a-guid"]}, "customers"),
        ({"customers": [CUSTOMER] * 501}, "customers"),
        ({"customers": [CUSTOMER, 7]}, "customers"),
        ({"customers": "all", "note": "n" * 201}, "note"),
        ({"customers": "all", "roles": []}, "roles"),
    ],
)
def test_a_grant_that_is_wrong_is_refused_and_the_field_named(
    world: World, caller: str, body: dict[str, Any], field: str
) -> None:
    answer = world.clients["access"].put(f"/access/{caller}", json=body)

    assert answer.status_code == 422
    assert all(error["field"].startswith(field) for error in answer.json()["errors"]), answer.text


@pytest.mark.parametrize(("method", "code"), [("GET", 404), ("PUT", 404), ("DELETE", 404)])
def test_a_caller_is_named_by_an_object_id(world: World, method: str, code: int) -> None:
    answer = world.clients["access"].request(method, "/access/somebody@example.com", json={"customers": "all"})

    assert (answer.status_code, answer.json()["code"]) == (code, "access_not_found")


def test_what_was_never_given_cannot_be_taken_away(world: World) -> None:
    answer = world.clients["access"].delete(f"/access/{NOBODY}")

    assert (answer.status_code, answer.json()["code"]) == (404, "access_not_found")
