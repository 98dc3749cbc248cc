"""The service itself: health, syncs, who sees what, and what could not be understood."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from functions.http_actions.answers.common import Link, Moment
from shared.domain.sync_run import Phase


class Live(TypedDict):
    """The process answers."""

    status: Literal["live"]


class Dependency(TypedDict):
    """Whether a dependency answers, and until when calls to it are stopped."""

    healthy: bool
    reason: NotRequired[str]
    stoppedUntil: NotRequired[Moment]
    stoppedBecause: NotRequired[str]


class Ready(TypedDict):
    """Whether every dependency answers, each by its name."""

    status: Literal["ready", "not_ready"]
    dependencies: dict[str, Dependency]


class Hint(TypedDict):
    """What became of an event."""

    status: Literal["noted", "seen", "ignored"]


class SyncFailures(TypedDict):
    """What a full sync could not read."""

    closedCustomers: int
    unreadCustomers: int
    unreadableItems: int


class SyncMissing(TypedDict):
    """What Partner Center does not list any more."""

    customers: int
    subscriptions: int


class SyncRun(TypedDict):
    """A full sync with its progress."""

    id: str
    status: Literal["running", "stopped", "complete", "incomplete", "failed"]
    phase: Phase
    trigger: str
    requestedBy: str
    startedAt: Moment
    endedAt: Moment | None
    notBefore: Moment | None
    problem: str | None
    customersDone: int
    customersTotal: int | None
    customersPerMinute: float | None
    endsAt: Moment | None
    unchangedCustomers: int
    subscriptionsCompared: int
    rowsWritten: int
    changesDetected: int
    failures: SyncFailures
    missing: SyncMissing
    links: Link


class SyncStarted(TypedDict):
    """The full sync that is open now."""

    run: SyncRun


class IncrementalSync(TypedDict):
    """How the incremental sync went last: audit records until `handledUntil` are done with."""

    handledUntil: Moment
    ranAt: Moment | None
    running: bool
    newRecords: int
    customersRead: int
    changesDetected: int
    unreadCustomers: int
    problem: str | None


class SyncRuns(TypedDict):
    """Full syncs, the newest first, and how the incremental sync went last."""

    value: list[SyncRun]
    incremental: IncrementalSync | None


class UnreadableItem(TypedDict):
    """What Partner Center listed and nobody could understand."""

    customerId: str
    name: str
    reason: str
    seenAt: Moment
    raw: str


class Grant(TypedDict):
    """The customers that a caller sees."""

    callerId: str
    customers: Literal["all"] | list[str]
    note: str
    changedAt: Moment
    changedBy: str


class GrantChange(TypedDict):
    """A change of a grant; `customers` is null where it was taken away."""

    at: Moment
    by: str
    customers: Literal["all"] | list[str] | None


class GrantWithHistory(Grant):
    """A grant and how it came about."""

    history: list[GrantChange]


class Grants(TypedDict):
    """A page of grants; `default` is what all other callers see."""

    value: list[Grant]
    nextLink: NotRequired[str]
    default: str
