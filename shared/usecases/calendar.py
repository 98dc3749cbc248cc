"""The calendar: what needs a person soon. Quiet unless asked: no monthly roll-overs, nothing that nobody can act on.

The index has each customer at its earliest moment; the rows of those customers say the rest. Who may see some customers
only gets theirs by the same moments, from their own rows: nothing is looked up of any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.deadlines import Deadline, Kind, deadlines
from shared.domain.errors import NotFound
from shared.domain.subscription import Subscription
from shared.storage.indexes import NO_MOMENTS, Index, Moments, Upcoming, upcoming_among
from shared.storage.read_models import SubscriptionView
from shared.storage.rows import Stored
from shared.usecases.app import App

_SLACK = timedelta(hours=2)  # a customer is due a little after the moment that makes it so
_AT_ONCE = 20  # rows of customers that are read together


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the days ahead, the kinds (all where empty), one customer; `routine` shows monthly ones too.

    `among` are the customers that the caller may see, None is all.
    """

    days: int
    kinds: frozenset[Kind] = frozenset()
    customer: str | None = None
    routine: bool = False
    among: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the calendar."""

    at: datetime
    kind: Kind
    customer: str
    customer_name: str
    badge: str
    subscription: Subscription


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines by moment, and the key of the index to go on after; None on the last page."""

    items: tuple[Item, ...]
    following: tuple[str, str] | None = None


async def calendar(app: App, question: Question, size: int, after: tuple[str, str] | None = None) -> Page:
    """A page of the calendar: the lines of the next `size` customers. Raises NotFound for an unknown customer."""
    now = app.partner_center.microsoft_now()
    if question.customer is not None:
        if await app.views.customer(question.customer) is None:
            raise NotFound("customer", question.customer)
        return Page(_sorted(await _of_customer(app, question, question.customer, now, frozenset(Kind))))
    until = now + timedelta(days=question.days)
    indexes = _indexes(question)
    start = next((place for place, index in enumerate(indexes) if after and index == after[0]), 0)
    items: list[Item] = []
    for index in indexes[start:]:
        begin = f"{after[1]}!" if after and index == after[0] else ""
        horizon = None if index == "legacy" else until + _SLACK
        only = frozenset({Kind.LEGACY}) if index == "legacy" else frozenset(Kind) - {Kind.LEGACY}
        entries = await _entries(app, question, index, horizon, size, begin)
        for _, entry in entries:
            items += await _of_customer(app, question, entry.customer, now, only)
        size -= len(entries)
        if size <= 0:
            return Page(_sorted(items), (index, entries[-1][0]) if entries else (index, begin))
    return Page(_sorted(items))


async def _entries(
    app: App, question: Question, index: Index, horizon: datetime | None, size: int, begin: str
) -> list[tuple[str, Upcoming]]:
    if question.among is None:
        return await app.sync.indexes.upcoming(index, horizon, size, begin)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def moments(customer: str) -> Moments:
        async with gate:
            view = await app.views.customer(customer)
        return view.value.moments if view else NO_MOMENTS

    among = sorted(question.among)
    known = dict(zip(among, await asyncio.gather(*(moments(one) for one in among)), strict=True))
    return upcoming_among(index, known, horizon, size, begin)


def _indexes(question: Question) -> list[Index]:
    wanted = question.kinds or frozenset(Kind)
    found: list[Index] = []
    if wanted - {Kind.LEGACY}:
        found.append("due" if question.routine else "calendar")
    if Kind.LEGACY in wanted:
        found.append("legacy")
    return found


async def _of_customer(app: App, question: Question, customer: str, now: datetime, only: frozenset[Kind]) -> list[Item]:
    rows = await app.views.of_customer(customer)
    found = list(_lines(question, rows.values(), now, only))
    if not found:
        return []
    view = await app.views.customer(customer)
    name = view.value.name if view else ""
    return [Item(one.at, one.kind, customer, name, row.value.badge, row.value.snapshot) for one, row in found]


def _lines(
    question: Question, rows: Iterable[Stored[SubscriptionView]], now: datetime, only: frozenset[Kind]
) -> Iterator[tuple[Deadline, Stored[SubscriptionView]]]:
    until = now + timedelta(days=question.days)
    for row in rows:
        if row.value.missing_since is not None:
            continue
        for one in deadlines(row.value.snapshot):
            wanted = one.kind in only and (not question.kinds or one.kind in question.kinds)
            # Legacy has no hurry, and is told until it is gone
            in_time = one.kind is Kind.LEGACY or now < one.at <= until
            if wanted and in_time and (question.routine or not one.routine):
                yield one, row


def _sorted(items: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(sorted(items, key=lambda item: (item.at, item.customer, item.subscription.id, item.kind)))
