"""The simulated clock: real time plus an offset that the control path moves.

Everything in a simulator that has a date asks this clock, so that a test can live through a month in a moment.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def real_time() -> datetime:
    """Return the machine's time in UTC."""
    return datetime.now(UTC)


class SimulatedClock:
    """A clock that runs on from real time plus an offset; the offset may be negative."""

    def __init__(self, real: Callable[[], datetime] = real_time) -> None:
        self._real = real
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the simulated moment, aware, in UTC."""
        return self._real() + self._offset

    def advance(self, seconds: float) -> datetime:
        """Move the clock by seconds (negative: back) and return the new moment."""
        self._offset += timedelta(seconds=seconds)
        return self.now()

    def set(self, moment: datetime) -> datetime:
        """Let the clock show `moment` now and run on from there.

        Raises:
            ValueError: `moment` has no time zone.
        """
        if moment.tzinfo is None:
            raise ValueError("the moment needs a time zone")
        self._offset = moment.astimezone(UTC) - self._real()
        return self.now()
