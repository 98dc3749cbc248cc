"""Hand edits that shall stay: what somebody added to a line in Autotask, kept on top of what we desire; pure.

A difference is a timeline of its own: units and rates to be added on each day, negative ones too.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from shared.domain.rates import Rate, same
from shared.domain.timeline import Step, Timeline, dates_of

NO_EDITS = Timeline()


def difference(actual: Timeline, verified: Timeline, *, owned: Timeline, until: date) -> Timeline:
    """What was added by hand on each day up to `until` (the contract's end), whose last value holds on.

    Rates count where they are ours (`owned` has them); one that is not known was not changed as far as one can tell.
    """

    def rate(kind: Rate, day: date) -> Decimal | None:
        found, known = actual.rate_at(kind, day), verified.rate_at(kind, day)
        if found is None or known is None or owned.rate_at(kind, day) is None or same(found, known):
            return None
        return found - known

    def of(day: date) -> Step:
        return Step(day, actual.at(day) - verified.at(day), rate(Rate.PRICE, day), rate(Rate.COST, day))

    return Timeline(tuple(of(day) for day in dates_of(actual, verified, owned) if day <= until))


def added(one: Timeline, other: Timeline) -> Timeline:
    """Two differences as one."""

    def of(day: date) -> Step:
        price, cost = (_more(one.rate_at(kind, day), other.rate_at(kind, day)) for kind in Rate)
        return Step(day, one.at(day) + other.at(day), price, cost)

    return Timeline(tuple(of(day) for day in dates_of(one, other)))


def with_edits(desired: Timeline, edits: Timeline) -> Timeline:
    """What is desired with the edits on top.

    Zero stays zero: a cancelled line ends at 0 units and what is free stays free, whatever was edited by hand. Nothing
    becomes negative by an edit, and a rate that is not ours needs none.
    """

    def of(day: date) -> Step:
        mine, theirs = desired.on(day), edits.on(day)
        units = max(0, mine.units + theirs.units) if mine.units else 0
        return Step(day, units, _edited(mine.price, theirs.price), _edited(mine.cost, theirs.cost), free=mine.free)

    return Timeline(tuple(of(day) for day in dates_of(desired, edits))) if edits.steps else desired


def _edited(mine: Decimal | None, theirs: Decimal | None) -> Decimal | None:
    if not mine or not theirs:
        return mine
    return max(Decimal(0), mine + theirs) if mine > 0 else mine + theirs


def _more(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return right if left is None else left if right is None else left + right
