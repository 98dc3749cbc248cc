"""The parts of the app's `host.json` that this host obeys: the HTTP route prefix and the Service Bus trigger's
options.

`http_server` and `queues` use them. Defaults are those of the real host and of version 5 of its Service Bus
extension.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?")


class HostJsonError(Exception):
    """`host.json` is missing, not JSON, or asks for something that this host cannot do."""


@dataclass(frozen=True)
class ServiceBusOptions:
    """`extensions.serviceBus`: messages handled at once by one trigger, and seconds for which a lock is kept alive."""

    max_concurrent_calls: int = 16
    lock_renewal_seconds: float = 300.0


@dataclass(frozen=True)
class HostOptions:
    """What the host obeys of `host.json`."""

    route_prefix: str = "api"
    service_bus: ServiceBusOptions = ServiceBusOptions()


def read_host_json(app_dir: Path) -> HostOptions:
    """Read the app's `host.json`; raises `HostJsonError` with a sentence if it is missing or unusable."""
    path = app_dir / "host.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        extensions = document.get("extensions", {})
        prefix = extensions.get("http", {}).get("routePrefix", HostOptions.route_prefix)
        return HostOptions(str(prefix).strip("/"), _service_bus(extensions.get("serviceBus", {})))
    except FileNotFoundError as error:
        raise HostJsonError(f"{path} is missing; is this the folder of a function app?") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise HostJsonError(f"{path}: {error}") from error


def _service_bus(section: dict[str, Any]) -> ServiceBusOptions:
    if section.get("autoCompleteMessages", True) is not True:
        raise HostJsonError(
            "extensions.serviceBus.autoCompleteMessages must stay true: Python functions cannot settle messages"
        )
    if section.get("prefetchCount", 0) != 0:
        raise HostJsonError(
            "extensions.serviceBus.prefetchCount must stay 0: prefetched messages lose their locks unseen"
        )
    calls = int(section.get("maxConcurrentCalls", ServiceBusOptions.max_concurrent_calls))
    if calls < 1:
        raise HostJsonError("extensions.serviceBus.maxConcurrentCalls must be at least 1")
    renewal = section.get("maxAutoLockRenewalDuration")
    seconds = ServiceBusOptions.lock_renewal_seconds if renewal is None else seconds_of_time_span(str(renewal))
    return ServiceBusOptions(calls, seconds)


def seconds_of_time_span(text: str) -> float:
    """Seconds of a .NET TimeSpan such as `00:05:00` or `1.00:00:00`; raises `ValueError` for anything else."""
    match = _TIME_SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time span like 00:05:00")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
