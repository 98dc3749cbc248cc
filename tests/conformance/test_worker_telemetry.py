"""In Microsoft's worker, whose host opens a span for each invocation, our spans are inside of that one.

So the host's span alone is the request or the consumer, and a failed request is counted once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from tests.conformance.apps import ROOT
from tests.conformance.worker_library import Invocation
from tests.local_world.simulator_process import Simulator, running

HOST = f"00-{'1' * 32}-{'2' * 16}-01"
CALLER = f"00-{'3' * 32}-{'4' * 16}-01"
INVOCATIONS = [
    Invocation(
        "list_customers", "http", {"method": "GET", "path": "/api/customers", "headers": {"traceparent": CALLER}}, HOST
    ),
    Invocation("timer_wake", "timer", None, HOST),
]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Simulator]:
    with running("local.telemetry") as receiver:
        yield receiver


@pytest.fixture(scope="module")
def results(receiver: Simulator) -> Any:
    """How the invocations ended in a worker that is set up as in the cloud, but for the app's own settings."""
    settings = {"PYTHON_ENABLE_OPENTELEMETRY": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    ended = subprocess.run(  # noqa: S603 - this repository's own module
        [sys.executable, "-m", "tests.conformance.worker_library", str(ROOT)],
        cwd=ROOT,
        env=settings,
        input=json.dumps([asdict(one) for one in INVOCATIONS]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)["results"]


def test_a_problem_names_the_trace_of_the_hosts_span(results: Any) -> None:
    problem = json.loads(results[0]["body"])

    assert problem["code"] == "misconfigured"
    assert problem["traceId"] == "1" * 32


def test_our_spans_are_inside_the_hosts_and_are_no_requests_of_their_own(results: Any, receiver: Simulator) -> None:
    assert len(results) == len(INVOCATIONS)

    spans = receiver.get(f"traces/{'1' * 32}")["spans"]

    assert {span["name"]: span["kind"] for span in spans} == {
        "GET /api/customers": "internal",
        "timer_wake": "internal",
    }
    assert {span["parentSpanId"] for span in spans} == {"2" * 16}


def test_wrong_settings_do_not_keep_the_app_from_telling_of_it(results: Any, receiver: Simulator) -> None:
    assert results[1]["status"] == "failure"

    (problem,) = receiver.get("logs", event="problem")["records"]
    assert (problem["traceId"], problem["attributes"]["code"]) == ("1" * 32, "misconfigured")
    (refused,) = [span for span in receiver.get("traces")["spans"] if span["name"] == "timer_wake"]
    assert (refused["status"], refused["attributes"]["error.type"]) == ("error", "Misconfigured")
