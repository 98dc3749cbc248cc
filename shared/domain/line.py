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
from decimal import Decimal
from enum import StrEnum

from shared.domain.edits import NO_EDITS, added, difference, with_edits
from shared.domain.planning import Adjustment, DriftPolicy, apply
from shared.domain.rates import Rate, Reach, same
from shared.domain.reading import Fit, Named, Reading
from shared.domain.timeline import Timeline, Window, dates_of, first_difference

_SUSPECTS_KEPT = 8  # more attempts of unknown outcome than this on one line are a case for a person
_VAIN_KEPT = 16  # longer rounds than this end by the number of plans in a push
_NAMED_KEPT = 16  # rates named longer ago than that show on whole periods by now


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
    """One line of the ledger. Sequence numbers are those of the subscription's operations.

    `verified` holds for each day what was last read, and for a rate that no reading shows what was last sent.
    `drift` and `prorate` are the mapping's policies, kept here so that a push need not read the mapping.
    """

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
    drift: DriftPolicy = DriftPolicy.REVIEW
    prorate: bool = True
    edits: Timeline = NO_EDITS  # what people added in Autotask and shall stay on top of `desired`
    named: tuple[Named, ...] = ()  # the rates of our last adjustments, to tell what a part of a period is billed at
    base: Timeline | None = None  # `desired` as it was last adopted from Autotask; later operations lie on top of it
    adopted: int = 0  # operations up to this sequence number are part of `base`
    reach: Reach = Reach.NEXT  # how far a named rate reaches here, as the last reading that could tell showed
    vain: tuple[
        str, ...
    ] = ()  # `_marks` of rates that Autotask took since the line was last as wanted, and did not show
    accepted: str = ""  # the difference that a person has accepted, as `reconciliation.accepted_mark` spells it
    schema: int = 1

    @property
    def wanted(self) -> Timeline:
        """What the line shall bill: what is desired, with the hand edits that are respected."""
        return with_edits(self.desired, self.edits)

    @property
    def attempts(self) -> tuple[Named, ...]:
        """Every rate that we named lately, whether the adjustment took effect or not."""
        open_ones = (*self.suspects, *([self.intent.adjustment] if self.intent else ()))
        return (*self.named, *(named_by(adjustment) for adjustment in open_ones))

    @property
    def events(self) -> frozenset[date]:
        """The dates on which adjustments of ours named rates."""
        return frozenset(item.on for item in self.named)

    def resting_on(self, desired: Timeline) -> Line:
        """The line with a desired timeline that was adopted from Autotask, which nothing before it can change."""
        return replace(self, desired=desired, base=desired, adopted=self.folded)

    def with_named(self, adjustment: Adjustment) -> Line:
        """The line that remembers the rates of an adjustment which Autotask took."""
        if adjustment.price is None and adjustment.cost is None:
            return self
        return replace(self, named=(*self.named, named_by(adjustment))[-_NAMED_KEPT:])

    def with_vain(self, actual: Timeline, sent: Iterable[Adjustment]) -> Line:
        """The line that remembers rates which were sent at a reading, which Autotask took, and which do not hold."""
        return replace(self, vain=(*self.vain, *_marks(actual, sent))[-_VAIN_KEPT:])

    def is_vain(self, actual: Timeline, adjustments: Iterable[Adjustment]) -> bool:
        """Whether one of them is sent in vain: the same rates at the same reading were taken and did not hold."""
        return bool(self.vain) and not _marks(actual, adjustments).isdisjoint(self.vain)

    def respecting(self, actual: Timeline, *, until: date) -> Line:
        """The line with what a reading shows more or less than was verified kept as a hand edit."""
        found = difference(actual, self.verified, owned=self.desired, until=until)
        return replace(self, edits=added(self.edits, found))


class Verdict(StrEnum):
    """What a reading of the whole timeline says about an intent."""

    DONE = "done"
    NOT_DONE = "not_done"
    TOO_EARLY = "too_early"
    NEVER_VISIBLE = "never_visible"
    OTHER = "other"


class _Effect(StrEnum):
    """What a reading shows of an adjustment."""

    SHOWN = "shown"
    NOT_SHOWN = "not_shown"
    UNSEEABLE = "unseeable"  #: no row tells the rates that it named
    SOMETHING_ELSE = "something_else"


def judge(
    intent: Intent, reading: Reading, *, owned: Timeline, window: Window, now: datetime, settled_from: datetime
) -> Verdict:
    """Judge an intent by the whole timeline; `owned` says on which days a rate is ours.

    Success is believed at once; everything else only after `settled_from` (send-by plus the settling time), because an
    answer that got lost may stand for an effect that is not visible yet. Where no reading can show the effect (a rate
    on days that no row tells), a clear success is believed; after a lost answer it is sent again, which does no harm,
    since a rate is set and not added.
    """
    effect = _effect(intent, reading, owned, window)
    accepted = intent.state is IntentState.ACCEPTED
    if effect is _Effect.SHOWN or (effect is _Effect.UNSEEABLE and accepted):
        return Verdict.DONE
    if now < settled_from:
        return Verdict.TOO_EARLY
    if effect is _Effect.SOMETHING_ELSE:
        return Verdict.OTHER
    return Verdict.NEVER_VISIBLE if accepted else Verdict.NOT_DONE


def _effect(intent: Intent, reading: Reading, owned: Timeline, window: Window) -> _Effect:
    if not intent.adjustment.change:
        return _rates_effect(intent, reading, window)
    for expected, effect in ((intent.after, _Effect.SHOWN), (intent.before, _Effect.NOT_SHOWN)):
        if _same_units(reading.shown, expected, window):
            sources = (intent.after, intent.before)
            explained = _explained(reading.shown, sources, [intent.adjustment], owned=owned, window=window)
            return effect if explained else _Effect.SOMETHING_ELSE
    return _Effect.SOMETHING_ELSE


def _rates_effect(intent: Intent, reading: Reading, window: Window) -> _Effect:
    """What is shown of an adjustment that names rates alone."""
    if not _same_units(reading.shown, intent.after, window):
        return _Effect.SOMETHING_ELSE
    seen = _seen_of_rates(reading, intent.before, intent.after, window)
    order = (_Effect.SHOWN, _Effect.SOMETHING_ELSE, _Effect.NOT_SHOWN)
    return next((effect for effect in order if effect in seen), _Effect.UNSEEABLE)


def _seen_of_rates(reading: Reading, before: Timeline, after: Timeline, window: Window) -> set[_Effect]:
    """What the days on which two timelines differ in a rate show of the second."""
    return {
        _seen_of_rate(reading, kind, day, before.rate_at(kind, day), after.rate_at(kind, day))
        for day in _days(window, reading.shown, before, after)
        for kind in Rate
    }


def _seen_of_rate(reading: Reading, kind: Rate, day: date, before: Decimal | None, after: Decimal | None) -> _Effect:
    fit = None if after is None or same(before, after) else reading.fit(kind, day, after)
    if fit is None:
        return _Effect.UNSEEABLE
    if before is None:  # what it was before is not known, so that a rough fit says nothing
        return {Fit.EXACT: _Effect.SHOWN, Fit.ROUGH: _Effect.UNSEEABLE, Fit.NO: _Effect.NOT_SHOWN}[fit]
    other = reading.fit(kind, day, before) or Fit.NO
    if fit is other:
        is_whole = reading.shown.rate_at(kind, day) is not None
        return _Effect.SOMETHING_ELSE if is_whole else _Effect.UNSEEABLE
    return _Effect.SHOWN if fit > other else _Effect.NOT_SHOWN


def _same_units(one: Timeline, other: Timeline, window: Window) -> bool:
    return first_difference(one, other, owned=_NO_RATES, window=window) is None


def _explained(
    shown: Timeline,
    sources: Iterable[Timeline],
    adjustments: Iterable[Adjustment],
    *,
    owned: Timeline,
    window: Window,
) -> bool:
    """Whether every rate of ours that is shown is that of one of the timelines, or was named by an adjustment.

    How far a named rate reaches is Autotask's affair: on any day from its date on it may be ours.
    """
    timelines, named = tuple(sources), tuple(adjustments)

    def explained(kind: Rate, day: date) -> bool:
        rate = shown.rate_at(kind, day)
        if rate is None or owned.rate_at(kind, day) is None:
            return True
        known = [timeline.rate_at(kind, day) for timeline in timelines]
        ours = [adjustment.rate(kind) for adjustment in named if adjustment.date <= day]
        unheard_of = all(found is None for found in known)
        return unheard_of or any(same(rate, found) for found in (*known, *ours))

    days = _days(window, shown, owned, *timelines)
    return all(explained(kind, day) for day in days for kind in Rate)


def _days(window: Window, *timelines: Timeline) -> list[date]:
    return [window.start, *(day for day in dates_of(*timelines) if window.start < day <= window.end)]


_NO_RATES = Timeline()


def named_by(adjustment: Adjustment) -> Named:
    """The rates that an adjustment names."""
    return Named(adjustment.date, adjustment.price, adjustment.cost)


def forget(line: Line) -> Line:
    """Give an intent up for lost; it is remembered as a suspect so that a late echo is recognised as ours."""
    if line.intent is None:
        return line
    return replace(line, intent=None, suspects=(*line.suspects, line.intent.adjustment)[-_SUSPECTS_KEPT:])


def echo_of(line: Line, reading: Reading, window: Window) -> tuple[Adjustment, ...] | None:
    """The suspects that a reading shows to have taken effect after all; None if it shows none."""
    for size in range(1, len(line.suspects) + 1):
        for chosen in itertools.combinations(line.suspects, size):
            after = apply(line.verified, chosen, line.events, line.reach)
            sources = (line.verified, after)
            if (
                _same_units(reading.shown, after, window)
                and _explained(reading.shown, sources, chosen, owned=line.desired, window=window)
                and (
                    not _same_units(line.verified, after, window)
                    or _Effect.SHOWN in _seen_of_rates(reading, line.verified, after, window)
                )
            ):
                return chosen
    return None


def without(suspects: Iterable[Adjustment], gone: Iterable[Adjustment]) -> tuple[Adjustment, ...]:
    """The suspects less those that were found to be real."""
    left = list(suspects)
    for adjustment in gone:
        left.remove(adjustment)
    return tuple(left)


def _marks(actual: Timeline, adjustments: Iterable[Adjustment]) -> set[str]:
    """What names each adjustment of rates alone together with the reading that it was planned from."""
    reading = fingerprint(actual)
    return {f"{reading} {item.date} {item.price} {item.cost}" for item in adjustments if not item.change}


def fingerprint(timeline: Timeline) -> str:
    """Sixteen hex digits that name a reading, so that a permission can name the reading it was given for."""
    return hashlib.sha256(json.dumps(timeline.to_json()).encode()).hexdigest()[:16]
