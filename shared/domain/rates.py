"""Unit prices and unit costs: decimal amounts per unit and full billing period, and when two of them are the same.

Amounts are never floats. Autotask shows them only extended (units x rate, to the cent), so two rates that differ by no
more than half a cent per unit cannot be told apart and count as the same (ADR 0010).
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final

TOLERANCE: Final = Decimal("0.005")
CENT: Final = Decimal("0.01")
_DIGITS = tuple(Decimal(1).scaleb(-digits) for digits in (2, 3, 4))


class Rate(StrEnum):
    """The two amounts that a unit has."""

    PRICE = "price"  #: what the customer is billed
    COST = "cost"  #: what we pay


class Reach(StrEnum):
    """How far a rate reaches that an adjustment names: documented nowhere, so each line learns it (ADR 0049)."""

    NEXT = "next"  #: until the next date on which an adjustment names one
    ONWARDS = "onwards"  #: over all later days, whatever was named there before

    @property
    def other(self) -> Reach:
        """The other one."""
        return Reach.ONWARDS if self is Reach.NEXT else Reach.NEXT


def same(one: Decimal | None, other: Decimal | None) -> bool:
    """Whether two known rates are the same within the tolerance; an unknown one is the same as nothing."""
    return one is not None and other is not None and abs(one - other) <= TOLERANCE


def unit_rate(amount: Decimal, units: int) -> Decimal:
    """The rate behind an extended amount of a full period: the one with the fewest decimals that comes to it.

    A line at 12.345 for 10 units shows 123.45, for 1 unit 12.35 (or 12.34): what cannot be known is not invented.
    """
    exact = amount / units
    for digits in _DIGITS:
        rate = exact.quantize(digits, ROUND_HALF_UP)
        if abs(rate * units - amount) <= TOLERANCE:
            return rate
    return exact.quantize(_DIGITS[-1], ROUND_HALF_UP)


def cents(amount: Decimal) -> Decimal:
    """An amount to the cent, half up."""
    return amount.quantize(CENT, ROUND_HALF_UP)
