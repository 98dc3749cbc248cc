"""What the receiver has got: the newest of each sort, in memory."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

MOST_SPANS = 100_000
MOST_RECORDS = 50_000


class Kept:
    """The newest spans and log records, and of every metric the last point of each instance and attributes."""

    def __init__(self) -> None:
        self._spans: deque[dict[str, Any]] = deque(maxlen=MOST_SPANS)
        self._records: deque[dict[str, Any]] = deque(maxlen=MOST_RECORDS)
        self._points: dict[str, dict[str, Any]] = {}

    def add_spans(self, items: list[dict[str, Any]]) -> None:
        """Keep spans."""
        self._spans.extend(items)

    def add_records(self, items: list[dict[str, Any]]) -> None:
        """Keep log records."""
        self._records.extend(items)

    def add_points(self, items: list[dict[str, Any]]) -> None:
        """Keep points; a later one takes the place of an earlier one of the same metric, attributes and instance."""
        for item in items:
            instance = item["resource"].get("service.instance.id", "")
            self._points[json.dumps([item["name"], instance, sorted(item["attributes"].items())])] = item

    def trace(self, trace: str) -> list[dict[str, Any]]:
        """The spans of a trace, the earliest first."""
        return sorted((span for span in self._spans if span["traceId"] == trace), key=_start)

    def spans(self, name: str | None, attribute: str | None) -> list[dict[str, Any]]:
        """All spans, or those with a name, or with a value among their attributes."""
        return [
            span
            for span in self._spans
            if (name is None or span["name"] == name)
            and (attribute is None or attribute in span["attributes"].values())
        ]

    def records(self, event: str | None, trace: str | None) -> list[dict[str, Any]]:
        """All log records, or those of an event, or of a trace."""
        return [
            record
            for record in self._records
            if (event is None or record["body"] == event) and (trace is None or record["traceId"] == trace)
        ]

    def points(self, name: str | None) -> list[dict[str, Any]]:
        """The last points of all metrics, or of one."""
        return [point for point in self._points.values() if name is None or point["name"] == name]

    def clear(self) -> None:
        """Forget everything."""
        self._spans.clear()
        self._records.clear()
        self._points.clear()


def _start(span: dict[str, Any]) -> str:
    return str(span["start"])
