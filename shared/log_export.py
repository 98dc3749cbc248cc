"""Which log lines leave the process, and as what: ours with their fields, a library's warnings, and nothing else.

Imported with `shared.recording` only.
"""

from __future__ import annotations

import logging
import time

from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import get_current

from shared.telemetry import stack

OURS = ("functions", "shared")
# What they say at INFO is each request with its address, each frame, each retry
NOISY = ("aiohttp", "asyncio", "azure", "httpcore", "httpx", "msal", "opentelemetry", "urllib3")
# The exporters' own libraries: to send what they log would never end
_EXPORTERS = ("azure.core", "azure.identity", "azure.monitor", "msal", "opentelemetry", "urllib3")
_SEVERITIES = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


class LogExport(logging.Handler):
    """Hands log records to OpenTelemetry."""

    def __init__(self, logger: Logger) -> None:
        super().__init__(logging.INFO)
        self._logger = logger

    def filter(self, record: logging.LogRecord) -> bool:
        """Ours from INFO on, others from WARNING on, the exporters' own never."""
        if _of(record.name, _EXPORTERS):
            return False
        return record.levelno >= logging.WARNING or _of(record.name, OURS)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line: the event's name as its body and the fields as attributes."""
        fields = dict(getattr(record, "fields", None) or {"event": record.getMessage(), **_raised(record)})
        event = str(fields.pop("event"))
        attributes = {name: _value(value) for name, value in fields.items()}
        if "error" in fields:  # the names by which exceptions are found
            attributes |= {
                "exception.type": _value(fields["error"]),
                "exception.message": event,
                "exception.stacktrace": "\n".join(fields.get("stack", ())),
            }
        self._logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                observed_timestamp=time.time_ns(),
                context=get_current(),
                severity_text=record.levelname,
                severity_number=_SEVERITIES.get(record.levelno, SeverityNumber.INFO),
                body=event,
                attributes={"logger": record.name, **attributes},
            )
        )

    def detach(self) -> None:
        """Take this handler off the root logger again."""
        logging.getLogger().removeHandler(self)


def attach(handler: LogExport) -> LogExport:
    """Let all loggers hand over to `handler`, our own from INFO on, and quieten the noisy libraries."""
    for name in NOISY:
        library = logging.getLogger(name)
        library.setLevel(max(library.level, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    return handler


def _of(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _raised(record: logging.LogRecord) -> dict[str, object]:
    error = record.exc_info[1] if record.exc_info else None
    return {"error": type(error).__name__, "stack": stack(error)} if error else {}


def _value(value: object) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)
