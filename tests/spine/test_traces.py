"""From the trace id of an answer an engineer sees each hop of its operation, whatever happened in between."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.data.tables import TableServiceClient

from shared.usecases.lease import PUSHER
from tests.spine.broker import Broker
from tests.spine.observer import Observer, Span, Trace
from tests.spine.test_dead_letters import dead_message, refused_by_autotask
from tests.spine.world import Subject, World, eventually, fault, requests

HOPS_OF_A_CANCEL = [
    "POST /api/customers/{customer}/subscriptions/{subscription}/cancel",
    "act",
    "ledger accepted",
    "PATCH partner_center",
    "ledger microsoft_applied",
    "send autotask-operations",
    "process autotask-operations",
    "push",
    "converge line",
    "verify line",
    "ledger synced",
]
WAY_TO_AUTOTASK = [
    "POST /api/customers/{customer}/subscriptions/{subscription}/cancel",
    "act",
    "hand over",
    "send autotask-operations",
    "process autotask-operations",
    "deliver",
    "push",
    "converge line",
]


@pytest.fixture
def observer(world: World) -> Iterator[Observer]:
    with Observer(world.stack) as observer:
        yield observer


def verified(trace: Trace) -> list[Span]:
    return trace.named("ledger synced")


def delivered(trace: Trace) -> list[Span]:
    """Verified, and the delivery that did it is over: a span is told of when it ends, and this one ends last."""
    return trace.named("process autotask-operations") if verified(trace) else []


def nobody_pushes(world: World) -> bool:
    with TableServiceClient.from_connection_string(world.stack.ready["tables"]) as tables:
        leases = list(tables.get_table_client("coordination").query_entities(f"RowKey eq '{PUSHER}'"))
    return all(datetime.fromisoformat(lease["expires"]) <= datetime.now(UTC) for lease in leases)


def trace_id(world: World, operation: str) -> str:
    return str(world.operation(operation)["traceId"])


def test_a_cancel_is_one_trace_from_the_request_to_the_verified_adjustment(world: World, observer: Observer) -> None:
    subject = world.inside_window()
    eventually(lambda: nobody_pushes(world), bool)  # else another operation's delivery may carry this one too
    mine = uuid.uuid4().hex
    headers = {"Idempotency-Key": str(uuid.uuid4()), "traceparent": f"00-{mine}-{mine[:16]}-00"}

    answer = world.clients["operator"].post(f"{subject.path}/cancel", json={}, headers=headers)

    operation = answer.json()["operation"]
    assert operation["traceId"] == mine
    trace = observer.trace(mine, delivered)
    assert [name for name in dict.fromkeys(trace.names) if name in HOPS_OF_A_CANCEL] == HOPS_OF_A_CANCEL
    (adjustment,) = trace.adjustments()
    assert trace.above(adjustment) == WAY_TO_AUTOTASK
    assert trace.spans[0]["parentSpanId"] == mine[:16]
    assert (trace.spans[0]["kind"], trace.spans[0]["attributes"]["http.response.status_code"]) == ("server", 200)
    assert all(span["status"] != "error" for span in trace.spans)


def test_a_hop_says_what_it_was_about_and_never_what_was_in_it(world: World, observer: Observer) -> None:
    subject = world.inside_window()
    operation = world.done(subject, "cancel")

    trace = observer.trace(trace_id(world, operation), delivered)

    (act,) = trace.named("act")
    about = {
        "csp.operation.id": operation,
        "csp.operation.kind": "cancel",
        "csp.customer.id": subject.customer,
        "csp.subscription.id": subject.subscription,
    }
    assert about.items() <= act["attributes"].items()
    (adjustment,) = trace.adjustments()
    assert adjustment["attributes"]["http.response.status_code"] == 200
    assert adjustment["attributes"]["peer.service"] == "autotask"
    (sent,) = trace.named("send autotask-operations")
    assert (sent["kind"], sent["attributes"]["messaging.system"]) == ("producer", "servicebus")
    assert trace.named("process autotask-operations")[0]["kind"] == "consumer"
    addresses = [span["attributes"]["url.full"] for span in trace.spans if "url.full" in span["attributes"]]
    assert addresses
    assert not any("?" in address for address in addresses)


def test_a_problem_names_the_trace_that_shows_what_happened(world: World, observer: Observer) -> None:
    subject = world.outside_window()

    problem = world.act(subject, "cancel").json()

    trace = observer.trace(problem["traceId"], lambda seen: any(span["kind"] == "server" for span in seen.spans))
    (act,) = trace.named("act")
    assert act["attributes"]["csp.outcome"] == problem["code"]
    (request,) = [span for span in trace.spans if span["kind"] == "server"]
    assert request["attributes"]["http.response.status_code"] == problem["status"]
    assert request["status"] == "unset", "a refusal is the caller's affair, not a failure of ours"
    assert trace.adjustments() == []


def test_an_operation_that_waited_for_autotask_goes_on_in_its_trace(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    fault(world.autotask, {"path": ".*", "fault": "503", "times": 0})
    operation = world.done(subject, "change-quantity", quantity=subject.quantity + 1)
    eventually(lambda: world.operation(operation)["status"], lambda status: status == "waiting")
    world.calm()
    world.wait_for_rest(operation)

    trace = observer.trace(trace_id(world, operation), verified)

    assert trace.named("ledger waiting")
    wakes = trace.named("wake")
    assert wakes
    assert all(len(wake["links"]) == 1 for wake in wakes), "each is linked to the run of the timer that woke it"
    assert len(trace.adjustments()) == 1


def test_a_dead_letter_resubmitted_through_the_api_stays_in_its_trace(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    operation = refused_by_autotask(world, subject, subject.quantity + 2)
    mine = uuid.uuid4().hex
    headers = {"traceparent": f"00-{mine}-{mine[:16]}-01"}
    path = f"/dead-letters/{operation}/resubmit"
    world.clients["deadletters"].post(path, json={"reason": "corrected"}, headers=headers).raise_for_status()
    world.wait_for_rest(operation)

    trace = observer.trace(trace_id(world, operation), verified)

    assert [span["attributes"]["http.response.status_code"] for span in trace.adjustments()] == [500, 200]
    assert trace.named("ledger dead")
    (resubmitted,) = trace.named("ledger resubmitted")
    assert [link["traceId"] for link in resubmitted["links"]] == [mine], "the person's request is one click away"


def test_a_dead_letter_sent_again_with_a_standard_tool_stays_in_its_trace(
    world: World, observer: Observer, broker: Broker
) -> None:
    subject = world.outside_window()
    operation = refused_by_autotask(world, subject, subject.quantity + 2)
    dead = dead_message(broker, operation)
    time.sleep(1)  # taken in after the death, by the broker's clock of whole seconds

    broker.send(dead.body)  # the body alone, as a tool sends it that knows nothing of properties

    eventually(lambda: world.operation(operation)["status"], lambda status: status == "synced")
    trace = observer.trace(trace_id(world, operation), verified)
    assert [span["attributes"]["http.response.status_code"] for span in trace.adjustments()] == [500, 200]


def test_what_one_adjustment_did_for_two_operations_is_linked_from_both(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    fault(world.autotask, {"path": ".*", "fault": "503", "times": 0})
    older = world.done(subject, "change-quantity", quantity=subject.quantity + 1)
    newer = world.done(subject, "change-quantity", quantity=subject.quantity + 2)
    world.calm()
    for operation in (older, newer):
        world.wait_for_rest(operation)
    assert len(world.adjustments(subject)) == 1, "or this test shows nothing"

    shows = observer.trace(trace_id(world, newer), verified)
    linked = observer.trace(trace_id(world, older), verified)

    assert len(shows.adjustments()) == 1
    (synced,) = verified(linked)
    assert {link["traceId"] for link in synced["links"]} == {trace_id(world, newer)}


def test_a_change_that_sync_detects_has_a_trace_of_its_own(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    changed = {"quantity": subject.quantity + 3}
    world.partner_center.patch(f"/_control/state/subscriptions/{subject.subscription}", json=changed)
    mine = uuid.uuid4().hex
    headers = {"traceparent": f"00-{mine}-{mine[:16]}-01", "Idempotency-Key": mine}
    world.clients["operator"].post(f"{subject.path}/sync", json={}, headers=headers).raise_for_status()
    detected = eventually(lambda: world.operations(subject), bool)[0]

    trace = observer.trace(detected["traceId"], verified)

    assert detected["traceId"] != mine
    (first,) = trace.named("detect")
    assert [link["traceId"] for link in first["links"]] == [mine]
    assert len(trace.adjustments()) == 1


def test_after_kill_9_in_the_middle_of_a_push_the_trace_goes_on_on_another_instance(
    world: World, observer: Observer
) -> None:
    subject = world.inside_window()
    fault(world.autotask, {"method": "POST", "path": subject.adjustments_path, "fault": "timeout", "when": "before"})
    operation = world.done(subject, "cancel")
    eventually(lambda: requests(world.autotask, "POST", subject.adjustments_path), bool)
    trace = observer.trace(trace_id(world, operation), lambda seen: seen.named("send autotask-operations"))

    world.stack.kill("host")
    world.stack.start("host")

    with World(world.stack, keep_alive=False) as after:
        after.wait_for_rest(operation)
    whole = observer.trace(trace_id(world, operation), verified)
    assert set(trace.by_id) <= set(whole.by_id)
    done = [span for span in whole.adjustments() if span["attributes"].get("http.response.status_code") == 200]
    assert len(done) == 1
    assert instance(whole.named("act")[0]) != instance(done[0])
    assert world.adjustments(subject) == [(world.today(), -subject.quantity)]


def instance(span: dict[str, Any]) -> str:
    return str(span["resource"]["service.instance.id"])


def test_the_log_lines_of_an_operation_are_found_by_its_trace(world: World, observer: Observer) -> None:
    subject: Subject = world.inside_window()
    operation = world.done(subject, "cancel")
    trace = trace_id(world, operation)

    records = eventually(
        lambda: observer.records(trace=trace), lambda seen: "operation_synced" in [line["body"] for line in seen]
    )

    told = [line["body"] for line in records if line["attributes"].get("operation") == operation]
    assert told == ["operation_accepted", "operation_microsoft_applied", "operation_synced"]
    assert {line["attributes"]["customer"] for line in records if "customer" in line["attributes"]} == {
        subject.customer
    }
