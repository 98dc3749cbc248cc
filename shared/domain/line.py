"""A line: one mapped Autotask contract service, with what it shall be, what it was last verified to be, and its intent.

The pusher (`shared.usecases.converge`) reads and writes it under its etag; everything here is pure.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from shared.domain.planning import Adjustment, apply
from shared.domain.timeline import Timeline

_SUSPECTS_KEPT = 8  # more attempts of unknown outcome than this on one line are a case for a person


class IntentState(StrEnum):
    """What is known about the POST that an intent announces."""

    SENDING = "sending"  #: may have been sent; nobody decides before `send_by` and the settling time are over
    ACCEPTED = "accepted"  #: answered with success; never sent again, only verified


@dataclass(frozen=True, slots=True)
class Intent:
    """Stored before the POST: the adjustment, the whole timeline before and after it, and the last moment to send."""

    adjustment: Adjustment
    before: Timeline
    after: Timeline
    send_by: datetime
    state: IntentState
    operations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ledger. Sequence numbers are those of the subscription's operations."""

    customer: str
    subscription: str
    line: int
    contract: int
    verified: Timeline
    desired: Timeline
    folded: int  # operations up to this sequence number are part of `desired`
    unsettled: tuple[int, ...] = ()  # folded operations whose leg on this line is not at rest, or dead
    reviews: tuple[int, ...] = ()  # passed over by `folded`: they wait for a person's release
    intent: Intent | None = None
    suspects: tuple[Adjustment, ...] = ()
    refused_dates: tuple[date, ...] = ()
    last_effect: datetime | None = None  # the last moment at which a request of ours may have taken effect
    schema: int = 1


class Verdict(StrEnum):
    """What a reading of the whole timeline says about an intent."""

    DONE = "done"
    NOT_DONE = "not_done"
    TOO_EARLY = "too_early"
    NEVER_VISIBLE = "never_visible"
    OTHER = "other"


def judge(intent: Intent, actual: Timeline, *, now: datetime, settled_from: datetime) -> Verdict:
    """Judge an intent by the whole timeline (design 2, "Intent before POST").

    Success is believed at once; everything else only after `settled_from` (send-by plus the settling time), because an
    answer that got lost may stand for an effect that is not visible yet.
    """
    if actual == intent.after:
        return Verdict.DONE
    if now < settled_from:
        return Verdict.TOO_EARLY
    if actual == intent.before:
        return Verdict.NEVER_VISIBLE if intent.state is IntentState.ACCEPTED else Verdict.NOT_DONE
    return Verdict.OTHER


def forget(line: Line) -> Line:
    """Give an intent up for lost; it is remembered as a suspect so that a late echo is recognised as ours."""
    if line.intent is None:
        return line
    return replace(line, intent=None, suspects=(*line.suspects, line.intent.adjustment)[-_SUSPECTS_KEPT:])


def echo_of(line: Line, actual: Timeline) -> tuple[Adjustment, ...] | None:
    """The suspects that explain why the actual timeline differs from the verified one; None if none do."""
    for size in range(1, len(line.suspects) + 1):
        for chosen in itertools.combinations(line.suspects, size):
            if apply(line.verified, chosen) == actual:
                return chosen
    return None


def without(suspects: Iterable[Adjustment], gone: Iterable[Adjustment]) -> tuple[Adjustment, ...]:
    """The suspects less those that were found to be real."""
    left = list(suspects)
    for adjustment in gone:
        left.remove(adjustment)
    return tuple(left)


def fingerprint(timeline: Timeline) -> str:
    """Sixteen hex digits that name a reading, so that a permission can name the reading it was given for."""
    return hashlib.sha256(json.dumps(timeline.to_json()).encode()).hexdigest()[:16]
