"""Counts a tenant's requests per minute of the simulated clock.

Off unless the switch `requestsPerMinute` says a number.
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
    """A fixed window of a minute per tenant, which begins with the first request."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, tenant: str, now: datetime) -> None:
        """Count one request.

        Raises:
            ThrottledError: the minute's share is used up; refused requests do not count.
        """
        limit = self._switches["requestsPerMinute"]
        if not limit:
            return
        moment = now.timestamp()
        begun, count = self._windows.get(tenant, (moment, 0))
        if not begun <= moment < begun + MINUTE:
            begun, count = moment, 0
        if count >= limit:
            raise ThrottledError(max(1, ceil(begun + MINUTE - moment)))
        self._windows[tenant] = (begun, count + 1)
