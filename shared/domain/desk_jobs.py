"""Long work that a person at the desk asks for: it is stored, worked off in stints, and survives whoever works on it.

Pure. What each kind of job does is in a use case of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from shared.domain.long_work import LongWork, WorkKind
from shared.domain.operation import CRASH_LIMIT
from shared.domain.planning import DriftPolicy

MOST_PROBLEMS = 50  # that a job names one by one; the others are counted


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be done: about what, a code and a sentence."""

    about: str
    code: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(LongWork):
    """What all of them have. Everything up to `cursor` is done."""

    kind: ClassVar[WorkKind] = WorkKind.JOB

    request_hash: str = ""
    cursor: str = ""
    problems: tuple[Failure, ...] = ()

    def hopeless(self, now: datetime) -> bool:  # noqa: ARG002 - a job may take days
        """Whether it was begun too often without an end."""
        return self.begun >= CRASH_LIMIT


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters are meant: of a reason, of some customers (None: all), that died in a span of time.

    `since` is included, `until` is not.
    """

    code: str | None = None
    customers: frozenset[str] | None = None
    since: datetime | None = None
    until: datetime | None = None

    def covers(self, customer: str, code: str, died_at: datetime) -> bool:
        """Whether a dead letter is meant."""
        return (
            (self.code is None or code == self.code)
            and (self.customers is None or customer in self.customers)
            and (self.since is None or died_at >= self.since)
            and (self.until is None or died_at < self.until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resubmission(Job):
    """Dead letters that shall be sent again, with one decision about all their hand edits."""

    wanted: DeadLetterFilter
    policy: DriftPolicy | None = None
    reason: str = ""
    resubmitted: int = 0
    skipped: int = 0  # they were not dead any more
    failed: int = 0

    def with_problem(self, problem: Failure) -> Resubmission:
        """One more that could not be sent again."""
        return replace(self, failed=self.failed + 1, problems=(*self.problems, problem)[:MOST_PROBLEMS])
