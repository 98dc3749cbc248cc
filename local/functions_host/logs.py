"""The host's log: one JSON object a line, with the function and the invocation that wrote it.

A line that the app wrote with `fields` keeps them; any other has a `message`, and a `traceback` where it has one.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from local.functions_host.invocation import current_invocation


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        running = current_invocation()
        if running is not None:
            line |= {"function": running.function.name, "invocation": running.id}
        fields = getattr(record, "fields", None)
        line |= fields if isinstance(fields, dict) else {"message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure() -> None:
    """Log to stderr from INFO on; the noisy libraries from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # The SDK logs every frame and retry; uvicorn repeats what the host says itself.
    for name in ("azure", "uvicorn", "httpx", "msal"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("azure.servicebus").setLevel(logging.ERROR)
