"""On which dates of a line no adjustment may be made now, whatever was wanted; pure.

Dates are fixed when an operation is accepted and never creep. What a posted period, a taken date or the contract's
window forbids at this moment only limits what the planner may send (`shared.domain.planning`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from shared.domain.timeline import Window

Span = tuple[int, int]  # ordinals of days, both inclusive

_NO_DATES: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class Unusable:
    """No adjustment may lie outside the contract's window, on one of `dates`, or on a day up to `through`."""

    window: Window
    dates: frozenset[date] = _NO_DATES
    through: date | None = None

    def allows(self, day: date) -> bool:
        """Whether an adjustment may lie on a day."""
        inside = self.window.start <= day <= self.window.end
        return inside and day not in self.dates and (self.through is None or day > self.through)

    def cells(self) -> list[Span]:
        """The spans over which the executed change is constant: a run of unusable dates and the usable day before it.

        A run at the window's start has no day before it and is a span of its own.
        """
        first = self.window.start.toordinal()
        return [(max(first, start - 1), end) for start, end in self._runs(first, self.window.end.toordinal())]

    def _runs(self, first: int, last: int) -> list[Span]:
        runs: list[Span] = []
        if self.through is not None and self.through.toordinal() >= first:
            runs.append((first, min(last, self.through.toordinal())))
        for day in sorted(day.toordinal() for day in self.dates if self.window.start <= day <= self.window.end):
            if runs and day <= runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], max(runs[-1][1], day))
            else:
                runs.append((day, day))
        return runs


def posted_through(posted: Iterable[tuple[date, date]], *, prorate: bool) -> date | None:
    """The last day on which nothing can change for what was posted; `posted` are the first and last days of the rows.

    A posted row is never rewritten, so nothing may lie on its first day or before. On its later days Autotask adds a
    prorated row, where the mapping allows that.
    """
    return max((start if prorate else end for start, end in posted), default=None)
