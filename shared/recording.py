"""Sends traces, metrics and log lines by OpenTelemetry, to Application Insights or to an OTLP endpoint, or to both.

The only import of OpenTelemetry and of its exporters; `shared.wiring` imports this module where the settings name a
destination. The SDK takes its own settings (OTEL_*) and the exporter its identity
(APPLICATIONINSIGHTS_AUTHENTICATION_STRING) from the environment. Every operation is traced: there is no sampling here
(docs/adr/0032), and nothing is made global, so that no library begins to send by itself (docs/adr/0033).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from shared.log_export import LogExport, attach
from shared.metrics import METRICS, Metric
from shared.telemetry import Attributes, Kind, Span

SCOPE = "csp-functions"
# So long a gauge is told after it was set: once or twice, and never by an instance that has long ceased to set it
FRESH_SECONDS = 90.0

_Points = dict[frozenset[tuple[str, Any]], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Destination:
    """The three exporters of one destination."""

    spans: SpanExporter
    metrics: MetricExporter
    logs: LogRecordExporter


def application_insights(connection_string: str) -> Destination:
    """Application Insights, with the identity that the platform's own setting names."""
    from azure.monitor.opentelemetry.exporter import (
        AzureMonitorLogExporter,
        AzureMonitorMetricExporter,
        AzureMonitorTraceExporter,
    )

    return Destination(
        AzureMonitorTraceExporter(connection_string=connection_string),
        AzureMonitorMetricExporter(connection_string=connection_string),
        AzureMonitorLogExporter(connection_string=connection_string),
    )


def otlp() -> Destination:
    """The endpoint of OTEL_EXPORTER_OTLP_ENDPOINT, over HTTP as JSON."""
    from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter

    return Destination(OTLPSpanExporter(), OTLPMetricExporter(), OTLPLogExporter())


class Recording:
    """Records everything that `shared.telemetry` is told; `close` sends what is left."""

    def __init__(self, destinations: Sequence[Destination]) -> None:
        instance = os.environ.get("WEBSITE_INSTANCE_ID") or f"{socket.gethostname()}-{os.getpid()}"
        resource = Resource.create({"service.name": SCOPE, "service.instance.id": instance}).merge(
            Resource.create()  # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win where they are set
            if os.environ.get("OTEL_SERVICE_NAME") or os.environ.get("OTEL_RESOURCE_ATTRIBUTES")
            else Resource({})
        )
        self._spans = TracerProvider(sampler=ALWAYS_ON, resource=resource)
        self._metrics = MeterProvider([PeriodicExportingMetricReader(to.metrics) for to in destinations], resource)
        self._logs = LoggerProvider(resource)
        for to in destinations:
            self._spans.add_span_processor(BatchSpanProcessor(to.spans))
            self._logs.add_log_record_processor(BatchLogRecordProcessor(to.logs))
        self._tracer = self._spans.get_tracer(SCOPE)
        self._measures = {metric: _instrument(metric, self._metrics.get_meter(SCOPE)) for metric in METRICS}
        self._closed = False
        self._handler = attach(LogExport(self._logs.get_logger(SCOPE)))

    def current(self) -> str:
        """See Recorder."""
        return _text(trace.get_current_span().get_span_context())

    @contextmanager
    def span(
        self, name: str, kind: Kind, *, parent: str, links: Sequence[str], attributes: Attributes
    ) -> Iterator[Span]:
        """See Recorder."""
        around = trace.get_current_span()
        if parent != _text(around.get_span_context()):
            around = NonRecordingSpan(_context(parent))
        opened = self._tracer.start_span(
            name,
            trace.set_span_in_context(around),
            SpanKind[kind.name],
            dict(attributes),
            [Link(_context(link)) for link in links],
        )
        with trace.use_span(opened, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            yield _Recorded(opened)

    def measure(self, metric: Metric, value: float, attributes: Attributes) -> None:
        """See Recorder."""
        self._measures[metric](value, attributes)

    def close(self) -> None:
        """Send what is left and end; may be called again."""
        if self._closed:
            return
        self._closed = True
        self._handler.detach()
        for provider in (self._spans, self._metrics, self._logs):
            provider.shutdown()


class _Recorded:
    def __init__(self, opened: trace.Span) -> None:
        self._span = opened

    @property
    def traceparent(self) -> str:
        return _text(self._span.get_span_context())

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))

    def fail(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason)
        self._span.set_status(Status(StatusCode.ERROR))


def _text(context: SpanContext) -> str:
    if not context.is_valid:
        return ""
    return f"00-{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}-01"


def _context(parent: str) -> SpanContext:
    if not parent:
        return trace.INVALID_SPAN_CONTEXT
    _, trace_id, span_id, _ = parent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _instrument(metric: Metric, meter: Meter) -> Callable[[float, Attributes], None]:
    match metric.kind:
        case "counter":
            return meter.create_counter(metric.name, metric.unit, metric.meaning).add
        case "histogram":
            return meter.create_histogram(metric.name, metric.unit, metric.meaning).record
    points: _Points = {}

    def fresh(_: CallbackOptions) -> Iterable[Observation]:
        oldest = time.monotonic() - FRESH_SECONDS
        return [Observation(value, dict(names)) for names, (value, at) in list(points.items()) if at >= oldest]

    def put(value: float, attributes: Attributes) -> None:
        points[frozenset(attributes.items())] = (value, time.monotonic())

    meter.create_observable_gauge(metric.name, [fresh], metric.unit, metric.meaning)
    return put
