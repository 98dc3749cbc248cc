"""The apps that the conformance test indexes, and what it invokes in each: one function of every trigger kind.

Invocations run without any setting: name functions that answer so, or the error that a function gives then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.worker_library import Invocation, Kind

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Expectation:
    """One row of the table: what is invoked, and the parts of its result that must be there."""

    function: str
    kind: Kind
    payload: Any
    result: dict[str, Any]

    def invocation(self) -> Invocation:
        """What the worker library is asked to do."""
        return Invocation(self.function, self.kind, self.payload)


@dataclass(frozen=True)
class App:
    """An app's folder and its table."""

    folder: Path
    expectations: tuple[Expectation, ...]


SAMPLE = App(
    ROOT / "tests" / "local_world" / "sample_app",
    (
        Expectation(
            "item_by_number",
            "http",
            {"method": "GET", "path": "/v1/items/17", "parameters": {"number": "17"}},
            {
                "status": "success",
                "code": 200,
                "body": '{"function": "item_by_number", "parameters": {"number": "17"}}',
            },
        ),
        Expectation(
            "boom", "http", {"method": "GET", "path": "/v1/boom"}, {"error": "WorkRefusedError: a secret detail"}
        ),
        Expectation("yearly", "timer", None, {"status": "success"}),
        Expectation("work", "queue", '{"value": 1}', {"status": "success"}),
        Expectation("work", "queue", '{"refuse": true}', {"status": "failure", "error": "WorkRefusedError"}),
    ),
)

PRODUCT = App(
    ROOT,
    (
        Expectation("live", "http", {"method": "GET", "path": "/api/health/live"}, {"status": "success", "code": 200}),
        Expectation("timer_wake", "timer", None, {"status": "failure", "error": "Misconfigured"}),
        Expectation("push_operation", "queue", "{}", {"status": "failure", "error": "Misconfigured"}),
    ),
)

APPS = {"sample": SAMPLE, "product": PRODUCT}
"""Every app under test."""
