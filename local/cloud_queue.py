"""The queue as the cloud has it: read from the file that the infrastructure is made from, so that both are the same."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).resolve().parent.parent / "infra" / "servicebus-queue.json"
_DURATION = re.compile(r"PT(?:(\d+)M)?(?:(\d+)S)?")


class UnlikeTheCloudError(ValueError):
    """The file asks for something that the emulator does not do."""


@dataclass(frozen=True)
class CloudQueue:
    """Name of the queue, failed deliveries before a dead letter, and how long a peek-lock holds."""

    name: str
    max_delivery_count: int
    lock_seconds: float

    @property
    def arguments(self) -> tuple[str, ...]:
        """The emulator's command line for this queue."""
        counted = ("--max-delivery-count", str(self.max_delivery_count))
        return ("--queue", self.name, *counted, "--lock-seconds", str(self.lock_seconds))


def read_queue(text: str) -> CloudQueue:
    """The queue of the file's text. Raises UnlikeTheCloudError."""
    settings = json.loads(text)
    for asked in ("requiresSession", "requiresDuplicateDetection"):
        if settings[asked]:
            raise UnlikeTheCloudError(f"the emulator does not do what {asked} asks for")
    duration = _DURATION.fullmatch(settings["lockDuration"])
    seconds = 60 * int(duration[1] or 0) + int(duration[2] or 0) if duration else 0
    if not seconds:
        raise UnlikeTheCloudError(f"a lock of {settings['lockDuration']} cannot be read")
    return CloudQueue(settings["name"], settings["maxDeliveryCount"], seconds)


CLOUD_QUEUE = read_queue(_FILE.read_text(encoding="utf-8"))
