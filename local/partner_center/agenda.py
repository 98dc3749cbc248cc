"""What is still to happen: effects with the simulated moment at which they are due, in that order.

The account runs it before every answer, so that nothing needs a thread or a loop over subscriptions.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

Effect = Callable[[datetime], None]


@dataclass(order=True)
class _Entry:
    due: datetime
    number: int
    effect: Effect = field(compare=False)


class Agenda:
    """Effects by their due moment; those of one moment run in the order in which they were added."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._numbers = itertools.count(1)

    def add(self, due: datetime, effect: Effect) -> None:
        """Let `effect` run at `due`; it is called with that moment."""
        heapq.heappush(self._entries, _Entry(due, next(self._numbers), effect))

    def run(self, now: datetime) -> None:
        """Run what is due by now, including what these effects add themselves."""
        while self._entries and self._entries[0].due <= now:
            entry = heapq.heappop(self._entries)
            entry.effect(entry.due)
