"""Reads OTLP's JSON encoding (opentelemetry-proto, "OTLP/HTTP JSON") into plain dictionaries.

Attributes become an object, times ISO 8601 in UTC; ids stay the hexadecimal text that they are in this encoding. What
is not in the encoding raises one of `UNREADABLE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

_KINDS = {0: "unspecified", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUSES = {0: "unset", 1: "ok", 2: "error"}


UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)


def spans(document: Any) -> list[dict[str, Any]]:
    """The spans of an ExportTraceServiceRequest."""
    return [_span(item, resource) for item, resource in _each(document, "resourceSpans", "scopeSpans", "spans")]


def logs(document: Any) -> list[dict[str, Any]]:
    """The records of an ExportLogsServiceRequest."""
    found = _each(document, "resourceLogs", "scopeLogs", "logRecords")
    return [
        {
            "at": _moment(item.get("timeUnixNano")),
            "severity": item.get("severityText", ""),
            "body": _value(item.get("body", {})),
            "traceId": item.get("traceId", ""),
            "spanId": item.get("spanId", ""),
            "attributes": _attributes(item),
            "resource": resource,
        }
        for item, resource in found
    ]


def points(document: Any) -> list[dict[str, Any]]:
    """The data points of an ExportMetricsServiceRequest, each with its metric's name."""
    return [
        {
            "name": metric.get("name", ""),
            "unit": metric.get("unit", ""),
            "kind": kind,
            "at": _moment(point.get("timeUnixNano")),
            "attributes": _attributes(point),
            **_numbers(point),
            "resource": resource,
        }
        for metric, resource in _each(document, "resourceMetrics", "scopeMetrics", "metrics")
        for kind in ("gauge", "sum", "histogram")
        for point in metric.get(kind, {}).get("dataPoints", ())
    ]


def _each(document: Any, outer: str, middle: str, inner: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for part in document.get(outer, ()):
        resource = _attributes(part.get("resource", {}))
        for scope in part.get(middle, ()):
            for item in scope.get(inner, ()):
                yield item, resource


def _span(item: dict[str, Any], resource: dict[str, Any]) -> dict[str, Any]:
    start, end = int(item["startTimeUnixNano"]), int(item["endTimeUnixNano"])
    return {
        "traceId": item["traceId"],
        "spanId": item["spanId"],
        "parentSpanId": item.get("parentSpanId", ""),
        "name": item["name"],
        "kind": _KINDS[item.get("kind", 0)],
        "start": _moment(start),
        "milliseconds": round((end - start) / 1e6, 3),
        "status": _STATUSES[item.get("status", {}).get("code", 0)],
        "attributes": _attributes(item),
        "links": [{"traceId": link["traceId"], "spanId": link["spanId"]} for link in item.get("links", ())],
        "resource": resource,
    }


def _numbers(point: dict[str, Any]) -> dict[str, Any]:
    if "count" in point:
        return {"count": int(point["count"]), "sum": float(point.get("sum", 0))}
    return {"value": float(point.get("asDouble", point.get("asInt", 0)))}


def _attributes(item: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: _value(pair.get("value", {})) for pair in item.get("attributes", ())}


def _value(value: dict[str, Any]) -> Any:
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(item) for item in value["arrayValue"].get("values", ())]
    return next(iter(value.values()), None)


def _moment(nanoseconds: Any) -> str | None:
    return datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC).isoformat() if nanoseconds else None
