"""The names of what is measured: the alerts ask for them and the telemetry emits them (docs/observability.md).

A name here is a promise: `infra/modules/alerts.bicep` wakes somebody up by it, and a test compares both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One instrument. `attributes` are what its values are told apart by."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    unit: str
    meaning: str
    attributes: tuple[str, ...] = ()


OPEN_OPERATIONS = Metric("csp.operations.open", "gauge", "1", "operations that are not at rest", ("status",))
OLDEST_OPEN_AGE = Metric("csp.operations.oldest_open.age", "gauge", "s", "age of the oldest operation not at rest")
DEAD_LETTERS = Metric("csp.dead_letters", "gauge", "1", "dead operations in the ledger")
DRIFTED_LINES = Metric("csp.drift.lines", "gauge", "1", "contract lines that the last reconciliation found to differ")
SYNC_AGE = Metric("csp.sync.age", "gauge", "s", "time since the last complete sync of all customers began")
READY = Metric("csp.ready", "gauge", "1", "1 where a dependency answers, 0 where it does not", ("dependency",))
AUTOTASK_BUDGET_USED = Metric(
    "csp.autotask.budget.used", "gauge", "1", "used part of the requests that Autotask allows the tenant in an hour"
)
VENDOR_REQUESTS = Metric("csp.vendor.requests", "counter", "1", "requests to a vendor", ("vendor", "status"))
REFUSED = Metric("csp.requests.refused", "counter", "1", "calls that were not let in", ("reason",))
PUSH_DURATION = Metric("csp.push.duration", "histogram", "s", "how long a push took that found the lease free")
# The name and the attributes are those of OpenTelemetry's semantic conventions for HTTP
HTTP_DURATION = Metric(
    "http.server.request.duration",
    "histogram",
    "s",
    "how long a request to the API took",
    ("http.request.method", "http.route", "http.response.status_code"),
)

METRICS = (
    OPEN_OPERATIONS,
    OLDEST_OPEN_AGE,
    DEAD_LETTERS,
    DRIFTED_LINES,
    SYNC_AGE,
    READY,
    AUTOTASK_BUDGET_USED,
    VENDOR_REQUESTS,
    REFUSED,
    PUSH_DURATION,
    HTTP_DURATION,
)
