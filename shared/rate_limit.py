"""How often one caller may ask: a token bucket per caller and instance (docs/adr/0022).

burst at once ──▶ tokens run out ──▶ refused and told when ──▶ one more token every 60 / per_minute seconds
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from shared.domain.errors import CspError

_MOST_CALLERS = 10_000


class TooManyRequests(CspError):
    """A caller asks more often than he may; `after` is when the next request will be taken."""

    def __init__(self, after: timedelta) -> None:
        super().__init__("Too many requests.")
        self.after = after


class RateLimit:
    """`per_minute` requests go on for ever, `burst` at once. `monotonic` is in seconds."""

    def __init__(self, *, per_minute: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._burst = max(burst, 1.0)
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # the longest silent caller first

    def take(self, caller: str) -> None:
        """Count one request. Raises TooManyRequests."""
        now = self._monotonic()
        tokens, since = self._buckets.get(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        granted = tokens >= 1
        self._buckets[caller] = (tokens - 1 if granted else tokens, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        if not granted:
            raise TooManyRequests(timedelta(seconds=(1 - tokens) / self._per_second))
