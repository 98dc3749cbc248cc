"""Counts requests in windows of the simulated clock, e.g. a tenant's per minute.

Off unless its switch says a number.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from local.partner_center.errors import ThrottledError

if TYPE_CHECKING:
    from datetime import datetime

    from local.simulation.switches import Switches

MINUTE = 60.0


class Throttle:
    """A fixed window per counted key, which begins with the first request; `switch` names the limit."""

    def __init__(self, switches: Switches, switch: str, seconds: float = MINUTE) -> None:
        self._switches = switches
        self._switch = switch
        self._seconds = seconds
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, key: str, now: datetime) -> None:
        """Count one request.

        Raises:
            ThrottledError: the window's share is used up; refused requests do not count.
        """
        limit = self._switches[self._switch]
        if not limit:
            return
        moment = now.timestamp()
        begun, count = self._windows.get(key, (moment, 0))
        if not begun <= moment < begun + self._seconds:
            begun, count = moment, 0
        if count >= limit:
            raise ThrottledError(max(1, ceil(begun + self._seconds - moment)))
        self._windows[key] = (begun, count + 1)
