"""Moments of a subscription that somebody, or a sync, has to look at; pure.

`deadlines` are for people: a window closes, a renewal is undecided, a suspended term ends, legacy is left. `next_due`
is for the sync: the next moment at which Microsoft changes something by itself, so that the customer is read again
then and not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.domain.subscription import Family, State, Subscription

# A renewal begins with the day after the end and may take a day (reference 8.6): read soon after it, and again
_AFTER_TERM_END = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=26), timedelta(hours=50))
_AFTER_WINDOW = timedelta(minutes=5)
_EXPIRED_FOR, _DISABLED_FOR = timedelta(days=30), timedelta(days=120)  # counted from the term's end (reference 6.4)
_NEVER = datetime(9000, 1, 1, tzinfo=UTC)  # Microsoft writes 9999-12-10 for what does not end (reference 4.7)
_MONTH = "P1M"


class Kind(StrEnum):
    """What a deadline is about."""

    CANCEL_WINDOW = "cancel_window"  #: until then the whole subscription can be cancelled
    SEAT_WINDOW = "seat_window"  #: until then some seats can be given back
    RENEWAL = "renewal"  #: renews as it is unless somebody decides otherwise
    ENDING = "ending"  #: ends with its term, since auto-renew is off
    SUSPENDED_END = "suspended_end"  #: suspended; at the end of the term it is gone
    LEGACY = "legacy"  #: a legacy licence that is still there


@dataclass(frozen=True, slots=True)
class Deadline:
    """One moment; a `routine` one comes every month and is told only to those who ask for it."""

    kind: Kind
    at: datetime
    routine: bool = False


def deadlines(subscription: Subscription) -> tuple[Deadline, ...]:
    """All deadlines of a subscription, past ones too, by moment."""
    found = {deadline for deadline in _deadlines(subscription) if deadline.at < _NEVER}
    return tuple(sorted(found, key=lambda deadline: (deadline.at, deadline.kind)))


def _deadlines(subscription: Subscription) -> Iterator[Deadline]:
    end = subscription.commitment_end
    active = subscription.state is State.ACTIVE
    if not active and subscription.state is not State.SUSPENDED:
        return
    if subscription.family is Family.LEGACY_LICENSE:
        yield Deadline(Kind.LEGACY, end or _NEVER - timedelta(days=1))
        return
    if subscription.family not in {Family.NCE_LICENSE, Family.SOFTWARE}:
        return
    monthly = subscription.term_duration == _MONTH and subscription.auto_renew
    if not subscription.is_trial:
        yield from _windows(subscription, routine=monthly)
    if end is None:
        return
    if not active:
        yield Deadline(Kind.SUSPENDED_END, end)
    elif not subscription.auto_renew:
        yield Deadline(Kind.ENDING, end)
    elif not subscription.has_schedule and not subscription.is_trial:
        yield Deadline(Kind.RENEWAL, end, routine=monthly)


def _windows(subscription: Subscription, *, routine: bool) -> Iterator[Deadline]:
    closes, end = subscription.cancel_until, subscription.commitment_end
    if closes is not None and (end is None or closes < end):  # one that lasts as long as the term does not close
        yield Deadline(Kind.CANCEL_WINDOW, closes, routine=routine)
    for batch in subscription.refundable or ():
        if batch.until != closes:
            yield Deadline(Kind.SEAT_WINDOW, batch.until, routine=routine)


def next_due(subscriptions: Iterable[Subscription], now: datetime) -> datetime | None:
    """The next moment after `now` (Microsoft's clock) at which one of the subscriptions changes by itself."""
    moments = (moment for subscription in subscriptions for moment in _moments(subscription))
    return min((moment for moment in moments if now < moment < _NEVER), default=None)


def _moments(subscription: Subscription) -> Iterator[datetime]:
    end = subscription.commitment_end
    if subscription.state in {State.ACTIVE, State.SUSPENDED, State.PENDING}:
        if subscription.cancel_until is not None and subscription.cancel_until < _NEVER:
            yield subscription.cancel_until + _AFTER_WINDOW
        for batch in subscription.refundable or ():
            yield batch.until + _AFTER_WINDOW
        if end is not None and end < _NEVER:
            yield from (end + wait for wait in _AFTER_TERM_END)
    elif subscription.state is State.EXPIRED and end is not None and end < _NEVER:
        yield end + _EXPIRED_FOR + _AFTER_TERM_END[0]
    elif subscription.state in {State.DISABLED, State.DISABLED_AFTER_SUSPENSION} and end is not None and end < _NEVER:
        yield end + _DISABLED_FOR + _AFTER_TERM_END[0]
