"""The control framework of the simulators, seen from outside: a process, HTTP, and a client that gets hurt."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx
import pytest

from local.simulation.clock import SimulatedClock
from local.simulation.errors import ControlError
from local.simulation.faults import Faults
from local.simulation.requests_log import RequestsLog
from tests.local_world.simulator_process import Simulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTER = "tests.local_world.counting_simulator"
IMPATIENT = httpx.Timeout(0.4)


@pytest.fixture(scope="module")
def counter_process() -> Iterator[Simulator]:
    with running(COUNTER) as simulator:
        yield simulator


@pytest.fixture
def counter(counter_process: Simulator) -> Simulator:
    counter_process.reset()
    return counter_process


def count_of(counter: Simulator) -> int:
    return int(counter.get("state")["count"])


def test_the_clock_runs_on_from_where_it_was_set() -> None:
    real = [datetime(2026, 5, 1, tzinfo=UTC)]
    clock = SimulatedClock(lambda: real[0])
    clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    real[0] += timedelta(seconds=5)
    assert clock.now() == datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert clock.advance(55) == datetime(2027, 1, 1, 0, 1, tzinfo=UTC)


def test_the_log_forgets_the_oldest_and_keeps_counting() -> None:
    log = RequestsLog(capacity=2)
    for path in ("/a", "/b", "/c"):
        log.record(datetime(2026, 5, 1, tzinfo=UTC), "GET", path, "", [], b"")
    assert [(entry.number, entry.path) for entry in log.find()] == [(2, "/b"), (3, "/c")]


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "earthquake"},
        {"fault": "200"},
        {"fault": "timeout", "path": "("},
        {"fault": "timeout", "when": "during"},
        {"fault": "timeout", "times": -1},
        {"fault": "timeout", "colour": "red"},
        {},
    ],
)
def test_a_fault_that_cannot_be_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ControlError):
        Faults().add(rule)


def test_a_fault_skips_then_strikes_as_often_as_asked() -> None:
    faults = Faults()
    faults.add({"fault": "500", "method": "post", "path": "^/Count", "skip": 1, "times": 2})
    struck = [faults.match("POST", "/count/1") is not None for _ in range(4)]
    assert struck == [False, True, True, False]
    assert faults.match("GET", "/count/1") is None


def test_answers_carry_the_simulated_date(counter: Simulator) -> None:
    before = parsedate_to_datetime(counter.http.get("/count").headers["date"])
    counter.post("clock", {"advanceSeconds": 86_400})
    answer = counter.http.get("/count")
    assert timedelta(days=1) <= parsedate_to_datetime(answer.headers["date"]) - before < timedelta(days=1, seconds=10)
    assert len(answer.headers.get_list("date")) == 1
    assert counter.post("clock", {"set": "2030-02-03T04:05:06+00:00"})["now"].startswith("2030-02-03T04:05:06")


@pytest.mark.parametrize("body", ["[]", "nonsense", '{"set": "2030-01-01T00:00:00"}', '{"advanceSeconds": "1"}', "{}"])
def test_a_wrong_control_request_is_told_so(counter: Simulator, body: str) -> None:
    answer = counter.http.post("/_control/clock", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
def test_a_reset_cuts_the_connection_before_or_after_the_effect(counter: Simulator, when: str, effects: int) -> None:
    counter.post("faults", {"fault": "reset", "path": "count", "when": when})
    before = count_of(counter)
    with (
        httpx.Client(base_url=counter.url) as client,
        pytest.raises(httpx.ReadError),
    ):
        client.post("/count", json={})
    assert count_of(counter) == before + effects
    assert counter.http.post("/count").status_code == 200


@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
def test_a_timeout_never_answers_and_never_takes_effect_later(counter: Simulator, when: str, effects: int) -> None:
    counter.post("faults", {"fault": "timeout", "when": when})
    before = count_of(counter)
    with httpx.Client(base_url=counter.url, timeout=IMPATIENT) as client, pytest.raises(httpx.ReadTimeout):
        client.post("/count", json={})
    time.sleep(0.1)
    assert count_of(counter) == before + effects
    logged = counter.get("requests", path="count")["requests"]
    assert [(entry["status"], entry["fault"]) for entry in logged] == [(None, "timeout")]


@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
def test_a_status_replaces_the_answer(counter: Simulator, when: str, effects: int) -> None:
    counter.post("faults", {"fault": "429", "when": when, "retryAfterSeconds": 7, "body": {"errors": ["slow down"]}})
    before = count_of(counter)
    answer = counter.http.post("/count", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json() == {"errors": ["slow down"]}
    assert count_of(counter) == before + effects


def test_a_status_without_a_body_looks_like_a_gateway(counter: Simulator) -> None:
    counter.post("faults", {"fault": "503"})
    answer = counter.http.get("/count")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")


def test_a_malformed_answer_says_200_and_is_not_json(counter: Simulator) -> None:
    counter.post("faults", {"fault": "malformed", "when": "after"})
    answer = counter.http.post("/count", json={})
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|Invalid"):
        answer.json()


def test_slow_waits_and_then_answers_normally(counter: Simulator) -> None:
    counter.post("faults", {"fault": "slow", "delaySeconds": 0.3})
    started = time.monotonic()
    assert counter.http.post("/count", json={}).status_code == 200
    assert time.monotonic() - started >= 0.3


def test_faults_never_hit_control_paths(counter: Simulator) -> None:
    added = counter.post("faults", [{"fault": "500", "times": 0}, {"fault": "502"}])
    assert counter.get("health") == {"status": "ok"}
    assert counter.http.delete(f"/_control/faults/{added[0]['id']}").status_code == 204
    assert counter.http.delete(f"/_control/faults/{added[0]['id']}").status_code == 400
    assert counter.http.get("/count").status_code == 502
    assert [fault["fired"] for fault in counter.get("faults")["faults"]] == [1]


def test_the_log_shows_requests_without_their_secrets(counter: Simulator) -> None:
    counter.http.post("/count?page=2", json={"seats": 3}, headers={"Authorization": "Bearer x", "Secret": "y"})
    counter.http.get("/count")
    found = counter.get("requests", method="post", path="^/COUNT$")
    assert found["count"] == 1
    entry = found["requests"][0]
    assert (entry["query"], entry["body"], entry["status"]) == ("page=2", {"seats": 3}, 200)
    assert entry["headers"]["authorization"] == entry["headers"]["secret"] == "(redacted)"


def test_switches_are_listed_and_take_allowed_values_only(counter: Simulator) -> None:
    counter.post("switches", {"mood": "wild", "n": 2.5})
    assert {one["name"]: one["value"] for one in counter.get("switches")["switches"]} == {"mood": "wild", "n": 2.5}
    for wrong in ({"mood": "sad"}, {"n": -1}, {"n": True}, {"size": 1}):
        assert counter.http.post("/_control/switches", json=wrong).status_code == 400


def test_sigterm_ends_it_at_once_although_a_request_hangs() -> None:
    with running(COUNTER) as simulator:
        simulator.post("faults", {"fault": "timeout"})

        def hang() -> None:
            with pytest.raises(httpx.TransportError):
                httpx.get(simulator.url + "/count", timeout=5)

        hanging = threading.Thread(target=hang)
        hanging.start()
        while not simulator.get("requests")["count"]:
            time.sleep(0.02)
        started = time.monotonic()
        assert simulator.end() == 0
        assert time.monotonic() - started < 2
        hanging.join()
