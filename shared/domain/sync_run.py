"""A full sync as data: its phases, its counts, and how far it has come; pure.

listing ──▶ reading ──▶ marking ──▶ ended: complete
              │  ▲                  ended: incomplete (customers stayed unread: nothing is marked missing)
              └──┘ further rounds over what could not be read
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from shared.domain.listings import Mark

ROUNDS = 3  # further attempts at customers that could not be read, each after a pause


class Phase(StrEnum):
    """What a run is doing."""

    LISTING = "listing"  #: the pages of customers are listed into rows
    READING = "reading"  #: one call per customer
    MARKING = "marking"  #: what was not seen is marked missing
    ENDED = "ended"


class Ending(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"  #: every customer was read, or is closed to us and says so
    INCOMPLETE = "incomplete"  #: some customers could not be read; nothing was marked missing
    FAILED = "failed"  #: the list of customers could not be read to its end


class Listed(NamedTuple):
    """A customer of a run, with the prints that it left in the run before; empty prints fit nothing."""

    id: str
    name: str
    domain: str
    raw: str = ""
    canonical: str = ""


PENDING, DONE, CLOSED, UNREAD = ".", "d", "c", "u"  # states of a customer in a page


@dataclass(frozen=True, slots=True)
class PageList:
    """The customers of one page as they were listed."""

    customers: tuple[Listed, ...]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PageDone:
    """How far a page is: one state and one pair of prints per customer, and subscriptions that were not listed.

    `clean`: nobody was at it when this was stored, so that no row is newer than the prints know.
    """

    states: str
    prints: tuple[tuple[str, str], ...]
    gone: dict[str, tuple[str, ...]]
    looked_at: dict[str, datetime]
    clean: bool = False

    @classmethod
    def begun(cls, size: int) -> PageDone:
        """A page on which nothing is done yet."""
        return cls(PENDING * size, (("", ""),) * size, {}, {})


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run has seen and done so far."""

    customers: int = 0
    unchanged: int = 0
    subscriptions: int = 0
    written: int = 0
    detected: int = 0
    closed: int = 0  # customers that answered 403 or 404
    unread: int = 0  # customers that gave no answer, after all rounds
    unreadable: int = 0  # items that could not be understood
    missing_customers: int = 0
    missing_subscriptions: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Run:
    """One full sync. Pages count from 1; `page` is the one that is being read. Times are our own clock."""

    id: str
    trigger: str
    requested_by: str
    started_at: datetime
    phase: Phase = Phase.LISTING
    ending: Ending | None = None
    mark: Mark | None = None
    pages: int = 0
    total: int = 0
    page: int = 1
    round: int = 0
    queue: tuple[int, ...] = ()  # the pages of a further round that are left
    again: tuple[int, ...] = ()  # pages with customers for the next round
    counts: Counts = Counts()
    before: str = ""  # the run whose prints are compared
    before_pages: int = 0
    worked_seconds: float = 0.0
    failures: int = 0  # in a row
    not_before: datetime | None = None
    problem: str = ""
    stopped: bool = False  # our credentials are not accepted: a person is needed
    ended_at: datetime | None = None

    @property
    def done(self) -> int:
        """Customers that need nothing more."""
        return self.counts.customers

    @property
    def next_page(self) -> int:
        """The page to read now."""
        return self.queue[0] if self.round else self.page

    def after_page(self, *, left: bool) -> Run:
        """The run when a page is through; `left`: customers of it could not be read."""
        again = (*self.again, self.next_page) if left else self.again
        if self.round:
            return replace(self, queue=self.queue[1:], again=again)
        return replace(self, page=self.page + 1, again=again)

    @property
    def round_is_over(self) -> bool:
        """Whether every page of this round is through."""
        return not self.queue if self.round else self.page > self.pages

    def after_round(self, wait_until: datetime) -> Run:
        """The run when a round is over: a further one over what is left, or the end of reading."""
        if self.again and self.round < ROUNDS:
            return replace(self, round=self.round + 1, queue=self.again, again=(), not_before=wait_until)
        return replace(self, phase=Phase.MARKING)

    def ended(self, ending: Ending, now: datetime) -> Run:
        """The run at its end."""
        return replace(self, phase=Phase.ENDED, ending=ending, ended_at=now, not_before=None, stopped=False, mark=None)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: customers per minute of work, and when it will probably end."""

    done: int
    total: int
    per_minute: float | None
    ends_at: datetime | None


def progress(run: Run, now: datetime, *, at_most_per_minute: float) -> Progress:
    """The progress of a run; until it has a rate of its own the limit of requests stands in for it."""
    per_minute = run.done * 60 / run.worked_seconds if run.worked_seconds > 0 and run.done else None
    if run.phase is Phase.ENDED:
        return Progress(run.done, run.total, per_minute, run.ended_at)
    if run.phase is Phase.LISTING:
        return Progress(run.done, run.total, per_minute, None)
    left = max(run.total - run.done, 0)
    wait = max((run.not_before - now).total_seconds(), 0) if run.not_before else 0
    ends_at = now + timedelta(seconds=wait + left * 60 / (per_minute or at_most_per_minute))
    return Progress(run.done, run.total, per_minute, ends_at)
