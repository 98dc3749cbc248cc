"""Tickets in Autotask on the real stack: one for a dead letter, closed when it is healed, and one on request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.spine.test_dead_letters import decide
from tests.spine.test_desk import dead
from tests.spine.test_reconciliation import found
from tests.spine.world import World, eventually


@pytest.fixture(scope="module")
def host(running_world: World) -> Iterator[str]:
    """A host whose dead letters get tickets."""
    settings = {"DEAD_LETTER_TICKETS": "on", "TICKET_PRIORITY": "1", "WAKE_SCHEDULE": "0 0 0 1 1 *"}
    name = running_world.stack.start_extra_host(settings)
    yield running_world.stack.ready["hosts"][name]
    running_world.stack.stop(name)


def tickets(world: World, about: str) -> list[dict[str, Any]]:
    stored = world.autotask.get("/_control/state").raise_for_status().json()["tickets"]
    return [ticket for ticket in stored if about in str(ticket["description"])]


def test_a_dead_letter_gets_one_ticket_and_it_is_closed_when_it_is_healed(world: World, host: str) -> None:
    subject, operation = dead(world, "The contract is locked by the month-end.")

    world.run_timer("timer_tickets", host)
    world.run_timer("timer_tickets", host)

    (ticket,) = eventually(lambda: tickets(world, operation), bool)
    assert (ticket["status"], ticket["priority"]) == (1, 1)
    assert "The contract is locked by the month-end." in ticket["description"]
    assert len(ticket["externalID"]) == 40
    shown = world.clients["deadletters"].get(f"/dead-letters/{operation}").raise_for_status().json()["ticket"]
    assert (shown["id"], shown["state"], shown["problem"]) == (ticket["id"], "open", None)
    decide(world, operation, "resubmit")
    world.wait_for_rest(operation)
    world.run_timer("timer_tickets", host)
    eventually(lambda: [one["status"] for one in tickets(world, operation)], lambda seen: seen == [5])
    assert world.adjustments(subject) == [(world.today(), 2)]


def test_a_finding_gets_a_ticket_on_request(world: World) -> None:
    subject = world.outside_window()
    world.edit_by_hand(subject, 3)
    item = found(world, subject)
    path = f"/customers/{subject.customer}/reconciliation/{subject.line}/ticket"

    first = world.clients["deadletters"].post(path).raise_for_status().json()["ticket"]
    again = world.clients["deadletters"].post(path).raise_for_status().json()["ticket"]

    assert first["state"] == "open"
    assert again["id"] == first["id"]
    (ticket,) = [one for one in tickets(world, item["reading"]) if str(subject.line) in one["description"]]
    assert ticket["id"] == first["id"]
    assert item["sentence"] in ticket["description"]
    nothing = world.clients["deadletters"].post(path.replace(str(subject.line), "1"))
    assert (nothing.status_code, nothing.json()["code"]) == (404, "finding_not_found")
