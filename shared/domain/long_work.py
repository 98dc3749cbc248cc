"""Long work: asked for in one request and worked off by the wake timer, stint by stint, whoever dies meanwhile.

Pure. Bulks, imports of mappings and jobs of the desk are long work; `shared.usecases.long_work` claims and finishes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Protocol, Self, TypeVar

from shared.domain.operation import CRASH_LIMIT

GIVE_UP = timedelta(hours=24)  # a change that somebody asked for yesterday may not be what he wants today
MOST_TRIES = 12  # of an item that is in the way of something that passes: about two hours with the default waits
CRASH_LOOP = ("crash_loop", f"It was begun {CRASH_LIMIT} times and never ended; the log has the cause.")
_ALONE = 2  # times begun without an end: the first may be anybody's crash, or a deployment


class WorkKind(StrEnum):
    """The kinds of long work; the value is the partition of their alarms."""

    BULK = "bulk"
    IMPORT = "import"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class WorkAddress:
    """Names one piece of long work."""

    kind: WorkKind
    identity: str

    def __str__(self) -> str:
        return self.identity


@dataclass(frozen=True, slots=True)
class Pause:
    """A vendor is away or does not let us in: all of it waits."""

    until: datetime
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LongWork:
    """What all kinds have: who asked when, when it is looked at again, and whether it is over.

    `begun` counts the stints that were begun and not ended in order, `pauses` the pauses in a row that a vendor has
    made us take.
    """

    kind: ClassVar[WorkKind]

    id: str
    requested_at: datetime
    requested_by: str
    alarm_due: datetime
    begun: int = 0
    finished_at: datetime | None = None
    paused_until: datetime | None = None
    paused_because: str = ""
    pauses: int = 0

    @property
    def address(self) -> WorkAddress:
        """What its alarms name."""
        return WorkAddress(self.kind, self.id)

    def hopeless(self, now: datetime) -> bool:
        """Whether what is left of it is given up."""
        return now > self.requested_at + GIVE_UP

    def paused(self, pause: Pause) -> Self:
        """It waits for a vendor."""
        return replace(self, paused_until=pause.until, paused_because=pause.because, pauses=self.pauses + 1)

    def resumed(self) -> Self:
        """No vendor is in its way any more."""
        return replace(self, paused_until=None, paused_because="", pauses=0)

    def over(self, now: datetime) -> Self:
        """Nothing is left of it."""
        return replace(self.resumed(), finished_at=now, begun=0)


class Begun(Protocol):
    """Something whose attempts are counted before the work."""

    @property
    def begun(self) -> int:
        """How often it was begun and not ended in order."""


B = TypeVar("B", bound=Begun)


def together(items: list[B]) -> list[B]:
    """Which of some items are worked on at once: one that may have killed its worker goes alone.

    So the others come to their end, and only what kills whoever works on it reaches the limit.
    """
    suspects = [item for item in items if item.begun >= _ALONE]
    return suspects[:1] or items
