"""No secret and no personal data is left in logs, telemetry, problems, ledger rows and messages.

The same search runs once more at the end of the worker's session, over everything that its tests did.
"""

from __future__ import annotations

import json

import pytest

from tests.spine.broker import Broker
from tests.spine.leaks import evidence, leaks, left_behind, personal, secrets
from tests.spine.test_dead_letters import dead_message, refused_by_autotask
from tests.spine.world import World, fault


def test_nothing_is_left_behind_by_good_and_bad_days(world: World, broker: Broker) -> None:
    cancelled, dead, waiting = world.inside_window(), world.outside_window(), world.outside_window()
    world.wait_for_rest(world.done(cancelled, "cancel"))
    dead_message(broker, refused_by_autotask(world, dead, dead.quantity + 1))
    fault(
        world.autotask, {"path": ".*", "fault": "malformed", "times": 3}, {"path": ".*", "fault": "reset", "times": 2}
    )
    fault(world.partner_center, {"path": "subscriptions", "fault": "malformed"})
    world.act(waiting, "change-quantity", quantity=waiting.quantity + 1)
    world.act(waiting, "cancel")
    world.anonymous.get("/customers", headers={"Authorization": "Bearer " + world.stack.ready["tokens"]["reader"][:-3]})
    world.clients["reader"].get("/health/ready")
    world.calm()

    found = evidence(world)

    assert left_behind(world) == []
    assert len(world.problems) >= 2
    assert cancelled.subscription in found["spans"]
    assert cancelled.subscription in found["log records"]
    assert cancelled.subscription in found["log of host"]
    assert cancelled.subscription in found["table ledger"]
    assert dead.subscription in found["dead-letter queue"]


def test_a_message_holds_its_operation_and_its_trace_and_nothing_else(world: World, broker: Broker) -> None:
    subject = world.outside_window()
    operation = refused_by_autotask(world, subject, subject.quantity + 2)

    message = dead_message(broker, operation)

    event = json.loads(message.body)
    assert event["data"] == {"operation": operation}
    assert event["traceparent"].split("-")[1] == world.operation(operation)["traceId"]
    assert event.keys() == {
        *("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data", "traceparent")
    }


@pytest.mark.parametrize("place", ["log of host", "table ledger", "queue", "spans", "log records", "problems"])
def test_the_search_finds_each_secret_wherever_it_is(world: World, place: str) -> None:
    ready = world.stack.ready
    known = secrets(ready) | personal(ready)
    assert len(known) >= 15

    for what, value in known.items():
        assert f"{place}: {what}" in list(leaks({place: f"something {value}, something else"}, known))
    token = ready["tokens"]["operator"]
    assert f"{place}: a token" in list(leaks({place: f"Bearer {token}"}, {}))
    assert f"{place}: maria@example.com" in list(leaks({place: "sent by maria@example.com."}, {}))


def test_every_line_of_the_log_of_a_host_is_json(world: World) -> None:
    world.wait_for_rest(world.done(world.inside_window(), "cancel"))

    parsed = [json.loads(line) for line in evidence(world)["log of host"].splitlines()]
    ours = [line for line in parsed if "event" in line]
    assert {"time", "level", "logger"} <= parsed[0].keys()
    assert {"operation", "customer", "traceId"} <= next(
        line.keys() for line in ours if line["event"] == "operation_accepted"
    )
