"""The receiver of the local stack, fed by the recorder that the app uses: what is sent is what is shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from shared import telemetry
from shared.metrics import DEAD_LETTERS, PUSH_DURATION, VENDOR_REQUESTS
from shared.recording import Recording, otlp
from tests.local_world.simulator_process import Simulator, running

OPERATION = f"00-{'c' * 32}-{'d' * 16}-01"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Simulator]:
    with running("local.telemetry") as receiver:
        yield receiver


@pytest.fixture
def recording(receiver: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    receiver.http.delete("/_control/telemetry").raise_for_status()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    recording = Recording([otlp()])
    telemetry.use(recording)
    yield recording
    telemetry.use(telemetry.Carrier())
    recording.close()


def test_spans_are_shown_by_their_trace_with_parents_links_and_outcome(
    receiver: Simulator, recording: Recording
) -> None:
    with (
        telemetry.span("timer") as timer,
        telemetry.span("wake", {"csp.need": "push"}, within=OPERATION) as wake,
        pytest.raises(ValueError, match="secret"),
        telemetry.span("POST", kind=telemetry.Kind.CLIENT),
    ):
        raise ValueError("a secret detail")
    recording.close()

    spans = {span["name"]: span for span in receiver.get(f"traces/{'c' * 32}")["spans"]}
    assert spans.keys() == {"wake", "POST"}
    assert spans["wake"]["parentSpanId"] == "d" * 16
    assert spans["POST"]["parentSpanId"] == wake.traceparent.split("-")[2]
    assert (spans["POST"]["kind"], spans["POST"]["status"]) == ("client", "error")
    assert spans["POST"]["attributes"] == {"error.type": "ValueError"}
    assert spans["wake"]["attributes"] == {"csp.need": "push"}
    assert spans["wake"]["links"] == [
        {"traceId": telemetry.trace_of(timer.traceparent), "spanId": timer.traceparent.split("-")[2]}
    ]
    assert spans["wake"]["resource"]["service.name"] == "csp-functions"
    assert "secret detail" not in json.dumps(receiver.get("traces"))


def test_metrics_are_shown_with_their_last_values(receiver: Simulator, recording: Recording) -> None:
    telemetry.measure(DEAD_LETTERS, 3)
    telemetry.measure(DEAD_LETTERS, 2)
    telemetry.measure(VENDOR_REQUESTS, 1, {"vendor": "autotask", "status": "200"})
    telemetry.measure(VENDOR_REQUESTS, 1, {"vendor": "autotask", "status": "200"})
    with telemetry.timed(PUSH_DURATION):
        pass
    recording.close()

    assert [point["value"] for point in receiver.get("metrics", name="csp.dead_letters")["points"]] == [2]
    (counted,) = receiver.get("metrics", name="csp.vendor.requests")["points"]
    assert (counted["value"], counted["attributes"]) == (2, {"vendor": "autotask", "status": "200"})
    (pushed,) = receiver.get("metrics", name="csp.push.duration")["points"]
    assert pushed["count"] == 1
    assert 0 <= pushed["sum"] < 1


def test_our_log_lines_are_sent_with_their_trace_and_of_libraries_only_warnings(
    receiver: Simulator, recording: Recording
) -> None:
    with telemetry.span("work", within=OPERATION):
        telemetry.tell(logging.getLogger("shared.test"), "found", customer="c1")
    logging.getLogger("somebody").info("an address with a secret")
    logging.getLogger("somebody").warning("away")
    logging.getLogger("azure.core.pipeline").error("what the exporter says of itself")
    recording.close()

    records = receiver.get("logs")["records"]
    assert [record["body"] for record in records] == ["found", "away"]
    assert records[0]["traceId"] == "c" * 32
    assert records[0]["attributes"]["customer"] == "c1"
    assert receiver.get("logs", event="found", trace="c" * 32)["records"] == records[:1]


def test_an_error_is_sent_by_its_class_and_place(receiver: Simulator, recording: Recording) -> None:
    try:
        int("a secret detail")
    except ValueError as error:
        telemetry.tell(logging.getLogger("shared.test"), "failed", level=logging.ERROR, error=error)
        logging.getLogger("somebody").exception("oops")
    recording.close()

    for record in receiver.get("logs")["records"]:
        assert record["attributes"]["exception.type"] == "ValueError"
        assert "test_receiver.py" in record["attributes"]["exception.stacktrace"]
    assert "secret detail" not in json.dumps(receiver.get("logs"))


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"\x0a\x00", "application/x-protobuf", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}', "application/json", 400),
        (b"{}", "application/json", 200),
    ],
)
def test_what_is_not_the_json_encoding_is_refused(receiver: Simulator, content: bytes, kind: str, status: int) -> None:
    answer = receiver.http.post("/v1/traces", content=content, headers={"Content-Type": kind})

    assert answer.status_code == status, answer.text


def test_the_receiver_ends_in_order_when_it_is_asked_to() -> None:
    with running("local.telemetry") as receiver:
        assert receiver.get("health") == {"status": "ok"}
        assert receiver.end() == 0
