"""Timelines for the tests of the pure rules: days of one month by number, and what hypothesis draws from."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from shared.domain.timeline import Step, Timeline, Window

EPOCH = date(2026, 8, 1)


def day(number: int) -> date:
    """Day `number` of August 2026; 0 and less lie before it, 32 and more after."""
    return EPOCH + timedelta(days=number - 1)


def line(*steps: tuple[int, int]) -> Timeline:
    """A timeline from (day number, units)."""
    return Timeline.of(*((day(number), units) for number, units in steps))


def money(text: str | None) -> Decimal | None:
    """An amount, written as text."""
    return None if text is None else Decimal(text)


def priced(*steps: tuple[int, int, str | None] | tuple[int, int, str | None, str | None]) -> Timeline:
    """A timeline from (day number, units, price) or (day number, units, price, cost)."""
    return Timeline(
        tuple(Step(day(step[0]), step[1], money(step[2]), money(step[3] if len(step) > 3 else None)) for step in steps)
    )


def window(first: int = 1, last: int = 31) -> Window:
    """The contract's dates as day numbers."""
    return Window(day(first), day(last))


def days_between(start: date, end: date) -> list[date]:
    """Every day from `start` to `end`, both included."""
    return [start + timedelta(days=offset) for offset in range((end - start).days + 1)]


def naive(units: dict[date, int]) -> Timeline:
    """The timeline with these units on consecutive days, the last for ever."""
    return Timeline(tuple(Step(moment, value) for moment, value in units.items()))


def timelines(first: int, last: int, *, most: int = 6, steps: int = 6) -> st.SearchStrategy[Timeline]:
    """Any timeline that changes between two day numbers."""
    drawn = st.dictionaries(st.integers(first, last), st.integers(0, most), max_size=steps)
    return drawn.map(lambda found: line(*found.items()))


def priced_timelines(
    first: int, last: int, *, most: int = 3, steps: int = 4, prices: tuple[str | None, ...] = (None, "12", "13")
) -> st.SearchStrategy[Timeline]:
    """Any timeline with units, prices and costs that changes between two day numbers."""
    amount = st.sampled_from([money(price) for price in prices])
    value = st.tuples(st.integers(0, most), amount, amount)
    drawn = st.dictionaries(st.integers(first, last), value, max_size=steps)
    return drawn.map(lambda found: Timeline(tuple(Step(day(number), *step) for number, step in found.items())))
