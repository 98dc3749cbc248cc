"""The local Functions host, seen from outside: HTTP, timers, queue messages, settings, start and end."""

from __future__ import annotations

import json
import signal
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.servicebus import ServiceBusMessage

from tests.local_world.host_process import (
    LOCK_SECONDS,
    SAMPLE_APP,
    Broker,
    Host,
    run_host,
    running_host,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = {"TICK_SCHEDULE": "* * * * * *", "WORK_QUEUE": "work", "LOCAL_FUNCTION_KEY": "sesame"}
NEVER = "0 0 0 1 1 *"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = Broker(tmp_path_factory.mktemp("broker"))
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[Host]:
    with running_host(tmp_path_factory.mktemp("host"), {**SETTINGS, "SampleBus": broker.connection}) as running:
        broker.send(message("longer-than-its-lock", sleep=LOCK_SECONDS + 1))
        yield running


def message(message_id: str, **body: object) -> ServiceBusMessage:
    return ServiceBusMessage(
        json.dumps(body), message_id=message_id, correlation_id="c-1", application_properties={"origin": "test"}
    )


@pytest.mark.parametrize(
    ("path", "function", "parameters"),
    [
        ("items/special", "item_special", {}),
        ("items/17", "item_by_number", {"number": "17"}),
        ("items/seventeen", "item_by_name", {"name": "seventeen"}),
        ("ITEMS/Seventeen/", "item_by_name", {"name": "Seventeen"}),
        ("items/a%2Fb%20c", "item_by_name", {"name": "a/b c"}),
        ("shelves/top/boxes/3", "boxes", {"shelf": "top", "box": "3"}),
        ("shelves/top/boxes", "boxes", {"shelf": "top"}),
        ("files/a/b/c.txt", "files", {"rest": "a/b/c.txt"}),
        ("files", "files", {}),
    ],
)
def test_most_specific_route_answers(host: Host, path: str, function: str, parameters: dict[str, str]) -> None:
    assert host.http.get(f"/v1/{path}").json() == {"function": function, "parameters": parameters}


def test_unknown_path_is_404_and_known_path_with_other_method_is_405(host: Host) -> None:
    assert host.http.get("/v1/nothing").status_code == 404
    assert host.http.get("/api/text").status_code == 404
    refused = host.http.post("/v1/items/17")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "DELETE, GET"


def test_less_specific_route_answers_when_only_it_has_the_method(host: Host) -> None:
    assert host.http.delete("/v1/items/17").json()["function"] == "item_by_number"


def test_sync_function_receives_request_and_context_and_may_set_headers(host: Host) -> None:
    answer = host.http.put("/v1/echo?a=1&a=2&empty=", content=b"body", headers={"X-Sample": "yes"})
    assert answer.status_code == 201
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; HttpOnly"]
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told.pop("url").endswith("/v1/echo?a=1&a=2&empty=")
    assert told == {
        "method": "PUT",
        "query": {"a": "1,2"},
        "header": "yes",
        "body": "body",
        "function": "echo",
        "hasInvocation": True,
    }


def test_returned_string_is_a_text_answer(host: Host) -> None:
    answer = host.http.get("/v1/text")
    assert (answer.status_code, answer.text) == (200, "just text")


def test_unhandled_exception_is_an_empty_500_and_is_logged(host: Host) -> None:
    answer = host.http.get("/v1/boom")
    assert (answer.status_code, answer.content) == (500, b"")
    assert "WorkRefusedError: a secret detail" in host.log.read_text()


def test_function_level_needs_the_key(host: Host) -> None:
    assert host.http.get("/v1/locked").status_code == 401
    assert host.http.get("/v1/locked", headers={"x-functions-key": "wrong"}).status_code == 401
    assert host.http.get("/v1/locked", headers={"x-functions-key": "sesame"}).status_code == 200
    assert host.http.get("/v1/locked", params={"code": "sesame"}).status_code == 200


def test_timer_runs_on_demand(host: Host) -> None:
    assert host.http.post("/admin/functions/yearly", json={}).status_code == 202
    wait_until(lambda: bool(host.journal("yearly")), "the run on demand")
    assert host.journal("yearly")[0]["pastDue"] is False


def test_queue_function_runs_on_demand_with_the_given_input(host: Host) -> None:
    answer = host.http.post("/admin/functions/work", json={"input": json.dumps({"byHand": True})})
    assert answer.status_code == 202
    wait_until(lambda: any(entry["body"] == {"byHand": True} for entry in host.work("")), "the run on demand")


@pytest.mark.parametrize(("name", "body", "status"), [("nobody", "{}", 404), ("echo", "{}", 404), ("tick", "no", 400)])
def test_run_on_demand_refuses_what_it_cannot_run(host: Host, name: str, body: str, status: int) -> None:
    assert host.http.post(f"/admin/functions/{name}", content=body).status_code == status


def test_handled_message_is_completed_and_carries_its_metadata(host: Host, broker: Broker) -> None:
    broker.send(message("m-1", value=1))
    wait_until(lambda: bool(host.work("m-1")), "the delivery")
    (delivery,) = host.work("m-1")
    assert delivery["body"] == {"value": 1}
    assert delivery["deliveryCount"] == 1
    assert delivery["correlationId"] == "c-1"
    assert delivery["properties"] == {"origin": "test"}
    assert delivery["sequenceNumber"] >= 1
    assert delivery["enqueued"].endswith("+00:00")


def test_refused_message_is_delivered_again_until_it_is_a_dead_letter(host: Host, broker: Broker) -> None:
    broker.send(message("m-2", refuse=True))
    dead = broker.take_dead_letter()
    assert (dead.message_id, dead.dead_letter_reason) == ("m-2", "MaxDeliveryCountExceeded")
    assert [delivery["deliveryCount"] for delivery in host.work("m-2")] == [1, 2, 3]


def test_free_slot_takes_the_next_message_while_another_is_busy(host: Host, broker: Broker) -> None:
    quick = [message(f"quick-{number}") for number in range(3)]
    broker.send(message("slow", sleep=1), *quick)
    wait_until(lambda: bool(host.work("slow")), "the slow delivery")
    (slow,) = host.work("slow")
    assert all(host.work(f"quick-{number}")[0]["ended"] < slow["ended"] - 0.5 for number in range(3))


def test_timer_runs_on_its_schedule_and_never_overlaps_itself(host: Host) -> None:
    wait_until(lambda: len(host.journal("tick")) >= 2, "the second run of a timer")
    first, second, *_ = host.journal("tick")
    assert first["ended"] - first["started"] > 1
    assert second["started"] >= first["ended"]


def test_lock_is_renewed_while_the_function_runs(host: Host) -> None:
    wait_until(lambda: bool(host.work("longer-than-its-lock")), "the delivery that outlives its lock")
    (delivery,) = host.work("longer-than-its-lock")
    assert delivery["deliveryCount"] == 1
    assert f"message {delivery['sequenceNumber']} of work could not be completed" not in host.log.read_text()


def test_broker_that_restarts_and_forgets_is_read_again(host: Host, broker: Broker) -> None:
    broker.send(message("lost", sleep=2))
    broker.kill()
    wait_until(lambda: "queue work cannot be read" in host.log.read_text(), "noticing that the broker is away")
    broker.start()
    broker.send(message("after-restart"))
    wait_until(lambda: bool(host.work("after-restart")), "the delivery after the restart")
    broker.send(message("still-reading"))
    wait_until(lambda: bool(host.work("still-reading")), "a further delivery")
    assert host.process.poll() is None


def test_sigterm_lets_invocations_end_leaves_those_that_never_do_and_exits_0(tmp_path: Path, broker: Broker) -> None:
    settings = {**SETTINGS, "TICK_SCHEDULE": NEVER, "SampleBus": broker.connection}
    answers: list[Any] = []
    with running_host(tmp_path, settings, "--grace-seconds", "1") as host:
        url = str(host.http.base_url.join("/v1/slow?seconds=0.8"))
        request = threading.Thread(target=lambda: answers.append(httpx.get(url).json()))
        request.start()
        with pytest.raises(httpx.ReadTimeout):
            host.http.get("/v1/stuck?seconds=60", timeout=0.3)
        host.process.send_signal(signal.SIGTERM)
        request.join(10)
        assert host.process.wait(5) == 0
    assert answers == [{"slept": True}]


def test_idle_host_ends_promptly_with_0(tmp_path: Path, broker: Broker) -> None:
    with running_host(tmp_path, {**SETTINGS, "TICK_SCHEDULE": NEVER, "SampleBus": broker.connection}) as host:
        host.process.send_signal(signal.SIGTERM)
        assert host.process.wait(4) == 0


def test_missing_settings_are_all_named_and_end_the_start_with_1() -> None:
    ended = run_host(SAMPLE_APP, settings={"WORK_QUEUE": "work"})
    assert ended.returncode == 1
    assert "function tick: setting TICK_SCHEDULE is missing" in ended.stderr
    assert "function work: setting SampleBus (a connection string) or SampleBus__fully" in ended.stderr


def test_import_error_of_the_app_ends_the_start_with_1_and_shows_where(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("import no_such_module\n")
    ended = run_host(tmp_path, settings={})
    assert ended.returncode == 1
    assert "No module named 'no_such_module'" in ended.stderr
    assert 'function_app.py", line 1' in json.loads(ended.stderr)["traceback"]
