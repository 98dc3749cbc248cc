"""When two rates are the same, and which rate an extended amount stands for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.rates import TOLERANCE, cents, same, unit_rate

PRICES = st.decimals(Decimal("-50"), Decimal("500"), places=4)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("12.50", "12.5", True),
        ("12.50", "12.505", True),
        ("12.50", "12.5051", False),
        ("0", "0.00", True),
        ("0", "-0.005", True),
        ("0", None, False),
        (None, None, False),
    ],
)
def test_rates_within_half_a_cent_are_the_same(one: str | None, other: str | None, equal: bool) -> None:  # noqa: FBT001 - a row
    left, right = (None if amount is None else Decimal(amount) for amount in (one, other))
    assert same(left, right) is equal
    assert same(right, left) is equal


@pytest.mark.parametrize(
    ("amount", "units", "rate"),
    [
        ("254.10", 11, "23.10"),
        ("37.00", 3, "12.333"),
        ("123.45", 10, "12.345"),
        ("12.35", 1, "12.35"),
        ("0.00", 7, "0.00"),
        ("-25.00", 10, "-2.50"),
        ("174.94", 13, "13.457"),
    ],
)
def test_the_rate_has_the_fewest_decimals_that_come_to_the_amount(amount: str, units: int, rate: str) -> None:
    assert str(unit_rate(Decimal(amount), units)) == rate


@given(PRICES, st.integers(1, 5000))
def test_a_rate_that_was_extended_and_read_back_is_the_same(price: Decimal, units: int) -> None:
    found = unit_rate(cents(price * units), units)
    assert same(found, price)
    assert cents(found * units) == cents(price * units) or abs(found * units - price * units) <= TOLERANCE * units


@given(st.decimals(Decimal(0), Decimal(500), places=2), st.integers(1, 5000))
def test_a_rate_of_whole_cents_is_read_back_exactly(price: Decimal, units: int) -> None:
    assert unit_rate(cents(price * units), units) == price
