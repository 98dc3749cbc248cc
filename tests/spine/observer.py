"""What an engineer on call sees: the telemetry of a stack, as its receiver shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.stack import Stack
from tests.conftest import plain_client
from tests.spine.world import eventually

METRICS_FUNCTION = "timer_metrics"

Span = dict[str, Any]
Point = dict[str, Any]


@dataclass(frozen=True)
class Trace:
    """The spans of one trace, the earliest first."""

    spans: list[Span]
    by_id: dict[str, Span] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_id.update({span["spanId"]: span for span in self.spans})

    @property
    def names(self) -> list[str]:
        return [span["name"] for span in self.spans]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span["name"] == name]

    def above(self, span: Span) -> list[str]:
        """The names of the spans that a span is inside of, the outermost first."""
        found: list[str] = []
        while span["parentSpanId"] in self.by_id:
            span = self.by_id[span["parentSpanId"]]
            found.insert(0, span["name"])
        return found

    def adjustments(self) -> list[Span]:
        """The requests that change a line in Autotask."""
        return [span for span in self.spans if span["attributes"].get("url.full", "").endswith("/ServiceAdjustments")]


class Observer:
    """Reads the receiver of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._ready = stack.ready
        self._client = plain_client(self._ready["telemetry"])

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _get(self, path: str, key: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.get(f"/_control/{path}", params=query).raise_for_status().json()[key]
        return found

    def trace(self, trace: str, complete: Callable[[Trace], Any]) -> Trace:
        """A trace once it has what is looked for."""
        return eventually(lambda: Trace(self._get(f"traces/{trace}", "spans")), lambda seen: bool(complete(seen)))

    def spans(self, **query: str) -> list[Span]:
        return self._get("traces", "spans", **query)

    def records(self, **query: str) -> list[dict[str, Any]]:
        return self._get("logs", "records", **query)

    def points(self, name: str = "") -> list[Point]:
        return self._get("metrics", "points", **({"name": name} if name else {}))

    def value(self, name: str, **attributes: str) -> float:
        """The sum of a metric's last values over all instances, 0 where there are none."""
        found = [point for point in self.points(name) if attributes.items() <= point["attributes"].items()]
        return sum(number(point) for point in found)

    def measured(self) -> dict[str, list[Point]]:
        """Run the timer of the gauges and give all points that were sent after it, by metric."""
        runs = len(self.records(event="measured"))
        self._client.post(f"{self._ready['host']}/admin/functions/{METRICS_FUNCTION}", json={}).raise_for_status()
        told = eventually(lambda: self.records(event="measured"), lambda seen: len(seen) > runs)[-1]["at"]

        def newer() -> list[Point]:
            return [point for point in self.points() if point["at"] > told]

        eventually(newer, lambda seen: any(point["name"] == "csp.ready" for point in seen))
        found: dict[str, list[Point]] = {}
        for point in newer():
            found.setdefault(point["name"], []).append(point)
        return found


def number(point: Point) -> float:
    """The value of a point, or how many values a histogram's point has."""
    return float(point["value"] if "value" in point else point["count"])
