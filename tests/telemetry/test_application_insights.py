"""What Application Insights is sent: requests, dependencies, metrics and traces, by the names that alerts ask for."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shared import telemetry
from shared.metrics import DEAD_LETTERS, REFUSED
from shared.recording import Recording, application_insights
from tests.spine.world import eventually

KEY = "00000000-0000-4000-8000-00000000a1b2"
OPERATION = f"00-{'c' * 32}-{'d' * 16}-01"

Envelope = dict[str, Any]


class Ingestion:
    """An ingestion endpoint that takes everything."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        ingestion = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                items = [json.loads(line) for line in body.splitlines() if line.strip()]
                ingestion.got += [one for item in items for one in (item if isinstance(item, list) else [item])]
                answer = json.dumps({"itemsReceived": 1, "itemsAccepted": 1, "errors": []}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The base data of all envelopes of a type, with the envelope's tags and time."""
        found = [one for one in self.got if one["data"]["baseType"] == kind]
        return [one["data"]["baseData"] | {"tags": one["tags"]} for one in found]


@pytest.fixture
def ingestion(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ingestion]:
    # What the exporter tells of itself, to Microsoft and at the end of the process, belongs into no test
    for name in ("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "APPLICATIONINSIGHTS_SDKSTATS_DISABLED"):
        monkeypatch.setenv(name, "true")
    ingestion = Ingestion()
    thread = threading.Thread(target=ingestion.server.serve_forever)
    thread.start()
    yield ingestion
    ingestion.server.shutdown()
    thread.join()
    ingestion.server.server_close()


@pytest.fixture
def sent(ingestion: Ingestion) -> Ingestion:
    """One request with an adjustment, a gauge, a counter and a log line, sent to the end."""
    recording = Recording([application_insights(f"InstrumentationKey={KEY};IngestionEndpoint={ingestion.url}/")])
    telemetry.use(recording)
    try:
        route = {"http.request.method": "POST", "http.route": "/api/cancel"}
        with telemetry.entry("POST /api/cancel", telemetry.Kind.SERVER, route, within=OPERATION) as request:
            address = {
                "http.request.method": "POST",
                "server.address": "autotask.example",
                "url.full": "https://autotask.example/Contracts/1/ServiceAdjustments",
            }
            with telemetry.span("POST autotask", address, kind=telemetry.Kind.CLIENT) as adjustment:
                adjustment.note({"http.response.status_code": 200})
            telemetry.tell(logging.getLogger("shared.test"), "operation_synced", operation="o1", customer="c1")
            request.note({"http.response.status_code": 503})
            request.fail("503")
        telemetry.measure(DEAD_LETTERS, 3)
        telemetry.measure(REFUSED, 1, {"reason": "forbidden"})
        telemetry.measure(REFUSED, 1, {"reason": "forbidden"})
    finally:
        telemetry.use(telemetry.Carrier())
        recording.close()
    return ingestion


def test_a_request_and_its_adjustment_are_one_operation(sent: Ingestion) -> None:
    (request,) = sent.of_type("RequestData")
    (dependency,) = sent.of_type("RemoteDependencyData")

    assert request["tags"]["ai.operation.id"] == dependency["tags"]["ai.operation.id"] == "c" * 32
    assert request["tags"]["ai.operation.parentId"] == "d" * 16
    assert dependency["tags"]["ai.operation.parentId"] == request["id"]
    assert (str(request["responseCode"]), request["success"]) == ("503", False)
    assert (str(dependency["resultCode"]), dependency["success"]) == ("200", True)
    assert dependency["data"] == "https://autotask.example/Contracts/1/ServiceAdjustments"
    assert request["tags"]["ai.cloud.role"] == "csp-functions"


def test_metrics_have_the_names_and_the_values_that_the_alerts_ask_for(sent: Ingestion) -> None:
    points = {
        point["name"]: (point, data["properties"]) for data in sent.of_type("MetricData") for point in data["metrics"]
    }

    assert points["csp.dead_letters"][0]["value"] == 3
    refused, properties = points["csp.requests.refused"]
    assert refused["value"] == 2
    assert properties["reason"] == "forbidden"


def test_a_log_line_is_found_by_its_event_its_operation_and_its_trace(sent: Ingestion) -> None:
    (line,) = sent.of_type("MessageData")

    assert line["message"] == "operation_synced"
    assert (line["properties"]["operation"], line["properties"]["customer"]) == ("o1", "c1")
    assert line["tags"]["ai.operation.id"] == "c" * 32


def test_counters_tell_what_was_added_since_the_last_time_and_not_the_sum_of_ever(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    recording = Recording([application_insights(f"InstrumentationKey={KEY};IngestionEndpoint={ingestion.url}/")])

    def told() -> list[float]:
        points = [point for data in ingestion.of_type("MetricData") for point in data["metrics"]]
        return [point["value"] for point in points if point["name"] == "csp.requests.refused" and point["value"]]

    recording.measure(REFUSED, 2, {"reason": "forbidden"})
    eventually(told, lambda seen: seen == [2], 5)
    recording.measure(REFUSED, 3, {"reason": "forbidden"})
    eventually(told, lambda seen: seen == [2, 3], 5)
    recording.close()
