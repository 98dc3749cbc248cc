"""What a plan leaves wrong: the days on which the bill is not as wanted, and their money; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from shared.domain.rates import Rate, same
from shared.domain.stretches import Stretch, Wish
from shared.domain.timeline import Step, Timeline

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A stretch of days (`end` inclusive, None = to the contract's end) that will be billed otherwise than wanted.

    Rates are those of a unit, None where they are not known. `money` is what will be billed less what was wanted: of
    the whole stretch, or of one period (`per_period`) where it has no end; None where a price is not known.
    """

    start: date
    end: date | None
    desired: int
    billed: int
    desired_price: Decimal | None = None
    billed_price: Decimal | None = None
    desired_cost: Decimal | None = None
    billed_cost: Decimal | None = None
    money: Decimal | None = None
    per_period: bool = False


def shortfalls_of(wish: Wish, stretches: Sequence[Stretch], result: Timeline) -> tuple[Shortfall, ...]:
    """The days of the stretches that miss the aim, ascending; the last one has no end where it lasts to theirs."""
    found: list[Shortfall] = []
    for stretch in stretches:
        missed = _missed(wish, stretch, result.on(stretch.start))
        if missed is None:
            continue
        before = found[-1] if found else None
        if (
            before is not None
            and before.end is not None
            and replace(missed, start=before.start) == replace(before, end=missed.end)
            and before.end + _DAY == missed.start
        ):
            found[-1] = replace(before, end=missed.end)
        else:
            found.append(missed)
    if found and found[-1].end == date.fromordinal(stretches[-1].last):
        found[-1] = replace(found[-1], end=None)
    return tuple(found)


def _missed(wish: Wish, stretch: Stretch, billed: Step) -> Shortfall | None:
    aims = {kind: wish.rate(kind, stretch.start) for kind in Rate}
    rates_met = all(aim is None or same(aim, billed.rate(kind)) for kind, aim in aims.items())
    if billed.units == stretch.aim and (rates_met or not billed.units):
        return None
    price, cost = (billed.rate(kind) if billed.units else None for kind in Rate)
    return Shortfall(
        stretch.start,
        date.fromordinal(stretch.last),
        stretch.aim,
        billed.units,
        desired_price=_wanted(aims[Rate.PRICE], billed.price, stretch),
        billed_price=price,
        desired_cost=_wanted(aims[Rate.COST], billed.cost, stretch),
        billed_cost=cost,
    )


def _wanted(aim: Decimal | None, present: Decimal | None, stretch: Stretch) -> Decimal | None:
    """The rate that was wanted; one that is not ours is wanted as it is."""
    if not stretch.aim:
        return None
    return present if aim is None else aim
