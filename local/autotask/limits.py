"""The limits of the API: three requests at once per entity, and requests in any 60 minutes of the whole database."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local.autotask.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.simulation.clock import SimulatedClock
    from local.simulation.switches import Switches

THREADS = 3
TIMEFRAME_MINUTES = 60


class Limits:
    """Counts requests; refused ones do not count."""

    def __init__(self, clock: SimulatedClock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._in_flight: Counter[str] = Counter()
        self._seconds: deque[list[int]] = deque()
        self._count = 0
        self.most_in_flight: Counter[str] = Counter()

    def used(self) -> int:
        """Return the requests of the last 60 minutes of simulated time."""
        oldest = int(self._clock.now().timestamp()) - TIMEFRAME_MINUTES * 60
        while self._seconds and self._seconds[0][0] <= oldest:
            self._count -= self._seconds.popleft()[1]
        return self._count

    @contextmanager
    def request(self, entity: str) -> Iterator[None]:
        """Hold a place for one request.

        Raises:
            ApiError: 429, one of the limits is reached.
        """
        if self.used() >= self._switches["hourlyRequests"]:
            raise self._throttled("The number of external requests has exceeded the threshold for the last 60 minutes.")
        if self._in_flight[entity] >= THREADS and self._switches["threadLimit"] == "on":
            raise self._throttled(f"Itgenatr005: The thread threshold of {THREADS} threads has been exceeded.")
        self._add()
        self._in_flight[entity] += 1
        self.most_in_flight[entity] = max(self.most_in_flight[entity], self._in_flight[entity])
        try:
            yield
        finally:
            self._in_flight[entity] -= 1

    def _add(self) -> None:
        second = int(self._clock.now().timestamp())
        if self._seconds and self._seconds[-1][0] >= second:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([second, 1])
        self._count += 1

    def _throttled(self, message: str) -> ApiError:
        seconds = self._switches["throttleRetryAfterSeconds"]
        return ApiError(429, {"errors": [message]}, {"Retry-After": f"{seconds:g}"} if seconds else {})
