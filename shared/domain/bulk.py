"""A bulk: up to a hundred actions asked for in one request and worked off one by one; pure.

Items of one subscription go one after the other in their order; items of different subscriptions do not wait for each
other. What an item asks for never changes, and each item ends in one of the final statuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from shared.domain.actions import Action
from shared.domain.asks import Ask
from shared.domain.long_work import LongWork, WorkKind, together

MOST_ITEMS = 100  # as many rows as one transaction of table storage takes


class ItemStatus(StrEnum):
    """How far one item has come."""

    PENDING = "pending"  #: its turn has not come
    WAITING = "waiting"  #: to be tried again at `not_before`
    ACCEPTED = "accepted"  #: there is an operation, which goes on by itself
    ALREADY_DONE = "already_done"  #: the subscription was in the wanted state
    REFUSED = "refused"  #: it was not and will not be done; code and sentence say why


@dataclass(frozen=True, slots=True)
class Wish:
    """What one item asks for: the same as the request of the single action."""

    customer: str
    subscription: str
    action: Action
    quantity: int | None = None
    expect_status: str | None = None
    expect_quantity: int | None = None
    ask: Ask | None = None
    confirmed: tuple[str, ...] = ()

    @property
    def target(self) -> tuple[str, str]:
        """The subscription with its customer."""
        return self.customer, self.subscription


@dataclass(frozen=True, slots=True)
class Item:
    """One action of a bulk.

    `tries` counts the times that something was in its way, `begun` those that were begun and not ended in order.
    `status_code` is the HTTP status that the single action would have been answered with.
    """

    position: int
    wish: Wish
    status: ItemStatus = ItemStatus.PENDING
    operation: str = ""
    code: str = ""
    sentence: str = ""
    status_code: int | None = None
    tries: int = 0
    begun: int = 0
    not_before: datetime | None = None
    settled_at: datetime | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen to it here."""
        return self.status not in (ItemStatus.PENDING, ItemStatus.WAITING)

    def accepted(self, operation: str, now: datetime) -> Item:
        """It has become an operation."""
        return replace(self._ended(ItemStatus.ACCEPTED, now), operation=operation)

    def already_done(self, now: datetime) -> Item:
        """There was nothing to do."""
        return self._ended(ItemStatus.ALREADY_DONE, now)

    def refused(self, code: str, sentence: str, status_code: int, now: datetime, *, operation: str = "") -> Item:
        """It will not be done; `operation` is the one that Partner Center refused."""
        ended = self._ended(ItemStatus.REFUSED, now)
        return replace(ended, code=code, sentence=sentence, status_code=status_code, operation=operation)

    def waiting(self, code: str, sentence: str, until: datetime, *, counted: bool) -> Item:
        """To be tried again; `counted` where something of the subscription is in the way, not the whole vendor."""
        return replace(
            self,
            status=ItemStatus.WAITING,
            code=code,
            sentence=sentence,
            not_before=until,
            tries=self.tries + counted,
            begun=0,
        )

    def _ended(self, status: ItemStatus, now: datetime) -> Item:
        return replace(
            self, status=status, code="", sentence="", status_code=None, begun=0, not_before=None, settled_at=now
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk(LongWork):
    """The whole, with the number of its items."""

    kind: ClassVar[WorkKind] = WorkKind.BULK

    size: int


def next_round(items: Iterable[Item], now: datetime, most: int) -> list[Item]:
    """The items whose turn it is: of each subscription the first open one, if it is due; `most` at once."""
    due = [item for item in _firsts(items) if item.not_before is None or item.not_before <= now]
    return together(due)[:most]


def next_moment(items: Iterable[Item], now: datetime) -> datetime | None:
    """When the next item is due; None where all are settled."""
    return min((item.not_before or now for item in _firsts(items)), default=None)


def counts(items: Iterable[Item]) -> dict[ItemStatus, int]:
    """How many items have come how far; every status is there."""
    found = Counter(item.status for item in items)
    return {status: found[status] for status in ItemStatus}


def duplicates(wishes: Sequence[Wish]) -> dict[int, int]:
    """The positions that ask for exactly what an earlier one asks for, with that one."""
    first: dict[Wish, int] = {}
    return {
        position: earlier
        for position, wish in enumerate(wishes)
        if (earlier := first.setdefault(wish, position)) != position
    }


def _firsts(items: Iterable[Item]) -> list[Item]:
    first: dict[tuple[str, str], Item] = {}
    for item in sorted(items, key=lambda item: item.position):
        if not item.settled:
            first.setdefault(item.wish.target, item)
    return list(first.values())
