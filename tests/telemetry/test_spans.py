"""Which trace a span belongs to, with and without a recorder that sends; and what a log line may say."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from shared import telemetry
from shared.domain.errors import Refused

CALLER = f"00-{'a' * 32}-{'b' * 16}-00"
OPERATION = f"00-{'c' * 32}-{'d' * 16}-01"


def test_a_span_is_in_the_trace_of_the_one_around() -> None:
    with telemetry.span("outer") as outer, telemetry.span("inner") as inner:
        assert telemetry.trace_of(inner.traceparent) == telemetry.trace_of(outer.traceparent) != ""
        assert telemetry.traceparent() == inner.traceparent
    assert telemetry.traceparent() == ""


def test_what_is_done_for_an_operation_is_in_its_trace_whoever_does_it() -> None:
    with telemetry.span("timer"):
        with telemetry.span("wake", within=OPERATION) as span:
            assert telemetry.trace_of(span.traceparent) == "c" * 32
        assert telemetry.trace_of(telemetry.traceparent()) != "c" * 32


def test_a_trace_of_its_own_is_neither_the_one_around_nor_another_one() -> None:
    with telemetry.span("sync") as around, telemetry.span("detect", apart=True) as one:
        assert telemetry.trace_of(one.traceparent) not in {"", telemetry.trace_of(around.traceparent)}


def test_a_request_goes_on_with_its_callers_trace() -> None:
    with telemetry.entry("GET /", telemetry.Kind.SERVER, within=CALLER) as span:
        assert telemetry.trace_of(span.traceparent) == "a" * 32


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "no",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        CALLER.upper(),
        CALLER + "\n",
        "01" + CALLER,
    ],
)
def test_a_traceparent_that_is_none_begins_a_trace(wrong: str) -> None:
    with telemetry.entry("GET /", telemetry.Kind.SERVER, within=wrong) as span:
        assert telemetry.trace_of(span.traceparent) not in {"", "a" * 32}


def test_what_runs_side_by_side_does_not_mix_its_traces() -> None:
    async def one(trace: str) -> str:
        with telemetry.span("work", within=f"00-{trace}-{'b' * 16}-01"):
            await asyncio.sleep(0)
            return telemetry.trace_of(telemetry.traceparent())

    async def both() -> tuple[str, str]:
        return await asyncio.gather(one("1" * 32), one("2" * 32))

    assert list(asyncio.run(both())) == ["1" * 32, "2" * 32]


def test_a_quiet_run_makes_spans_only_of_what_belongs_to_an_operation() -> None:
    with telemetry.span("timer") as timer, telemetry.quietly():
        with telemetry.span("GET") as read:
            assert read.traceparent == timer.traceparent
        with telemetry.span("wake", within=OPERATION), telemetry.span("PATCH") as write:
            assert telemetry.trace_of(write.traceparent) == "c" * 32
        with telemetry.span("GET") as after:
            assert after.traceparent == timer.traceparent


def test_an_error_goes_on_through_a_span() -> None:
    with pytest.raises(Refused, match="no"), telemetry.span("act"):
        raise Refused("not_allowed", "no")
    assert telemetry.traceparent() == ""


def test_a_log_line_is_json_with_its_fields_and_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("shared.test")

    with caplog.at_level(logging.INFO), telemetry.span("work", within=OPERATION):
        telemetry.tell(log, "found", customer="c1\n{", count=2)

    assert json.loads(caplog.messages[0]) == {"event": "found", "customer": "c1\n{", "count": 2, "traceId": "c" * 32}
    assert "\n" not in caplog.messages[0]


def test_of_an_error_a_log_line_says_the_class_and_the_place_and_not_the_text(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("shared.test")

    with caplog.at_level(logging.INFO):
        try:
            int("maria@example.com")
        except ValueError as error:
            telemetry.tell(log, "failed", error=error)

    line = json.loads(caplog.messages[0])
    assert line["error"] == "ValueError"
    assert "test_spans.py" in line["stack"][-1]
    assert "maria" not in caplog.text
