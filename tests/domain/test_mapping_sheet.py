"""The rows of a sheet of mappings: what they mean, and what is wrong with them by row and column."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.billing import DecreaseFrom, Policy, StartFrom, SuspendBilling
from shared.domain.mapping_sheet import (
    COLUMNS,
    CustomerRow,
    ProductRow,
    SubscriptionRow,
    policy_cells,
    pricing_cells,
    rows_of,
    wrong_columns,
)
from shared.domain.planning import DriftPolicy
from shared.domain.pricing import PriceSource, Pricing
from shared.domain.sheet import Record, records, written

ONE, TWO = (f"c0000000-0000-4000-8000-00000000000{number}" for number in (1, 2))
SUBSCRIPTION = {"kind": "subscription", "customerId": ONE, "subscriptionId": TWO, "contractId": "5"}


def read(*cells: dict[str, str]) -> list[tuple[int, str]]:
    """What is wrong: rows and columns."""
    found = [Record(number, row) for number, row in enumerate(cells, start=2)]
    return [(one.row, one.column) for one in rows_of(found)[1]]


def test_the_rows_come_in_the_order_in_which_they_need_each_other() -> None:
    cells = [
        SUBSCRIPTION,
        {"kind": "product", "product": "CFQ7TTC0LDPB:0001", "serviceId": "677"},
        {"kind": "customer", "customerId": ONE.upper(), "companyId": "9"},
    ]
    rows, wrong = rows_of([Record(number, row) for number, row in enumerate(cells, start=2)])
    assert wrong == []
    assert [(one.number, one.row) for one in rows] == [
        (4, CustomerRow(ONE, 9)),
        (3, ProductRow("CFQ7TTC0LDPB:0001", "", "", 677)),
        (2, SubscriptionRow(ONE, TWO, 5)),
    ]


STARTS = st.sampled_from(StartFrom)
POLICIES = st.builds(
    Policy,
    st.sampled_from(SuspendBilling),
    STARTS,
    STARTS,
    st.sampled_from(DecreaseFrom),
    st.sampled_from(DecreaseFrom),
    STARTS,
    STARTS,
    st.booleans(),
    st.sampled_from(DriftPolicy),
)
AMOUNTS = st.decimals(-1_000_000, 1_000_000, places=4)
PRICINGS = st.one_of(
    st.sampled_from([Pricing(), Pricing(PriceSource.PRICE_LIST)]),
    st.builds(Pricing, st.just(PriceSource.FIXED), AMOUNTS, st.none() | AMOUNTS.map(abs)),
)


@given(POLICIES, PRICINGS)
def test_policy_and_pricing_survive_the_way_through_a_sheet(policy: Policy, pricing: Pricing) -> None:
    text = written(COLUMNS, [{**SUBSCRIPTION, **policy_cells(policy), **pricing_cells(pricing)}])
    rows, wrong = rows_of(records(text, most=5)[1])
    assert wrong == []
    assert rows[0].row == SubscriptionRow(ONE, TWO, 5, policy=policy, pricing=pricing)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"kind": "contract"}, "kind"),
        ({"customerId": "nobody"}, "customerId"),
        ({"subscriptionId": ""}, "subscriptionId"),
        ({"contractId": "-5"}, "contractId"),
        ({"contractId": "5.0"}, "contractId"),
        ({"contractServiceId": "=1"}, "contractServiceId"),
        ({"units": "guess"}, "units"),
        ({"priceSource": "fixed"}, "unitPrice"),
        ({"unitPrice": "1"}, "priceSource"),
        ({"priceSource": "fixed", "unitPrice": "1,50"}, "unitPrice"),
        ({"priceSource": "fixed", "unitPrice": "1.00001"}, "unitPrice"),
        ({"priceSource": "fixed", "unitCost": "-1"}, "unitCost"),
        ({"suspend": "sometimes"}, "suspend"),
        ({"prorate": "perhaps"}, "prorate"),
        ({"companyId": "5"}, "companyId"),
        ({"anyPeriod": "yes"}, "anyPeriod"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(changes: dict[str, str], column: str) -> None:
    assert read(SUBSCRIPTION | changes) == [(2, column)]


def test_two_rows_about_the_same_and_a_line_named_twice_are_wrong() -> None:
    other = SUBSCRIPTION | {"subscriptionId": ONE, "contractServiceId": "8"}
    assert read(SUBSCRIPTION, SUBSCRIPTION) == [(3, "kind")]
    assert read(SUBSCRIPTION | {"contractServiceId": "8"}, other) == [(3, "contractServiceId")]


def test_a_column_that_nobody_knows_and_a_missing_kind_are_wrong() -> None:
    assert [(one.row, one.column) for one in wrong_columns(["customer", "companyId"])] == [(1, "customer"), (1, "kind")]
    assert wrong_columns(COLUMNS) == []


def test_a_cell_of_several_errors_names_each() -> None:
    assert read({"kind": "product", "product": "a b", "termDuration": "year", "billingCycle": "!"}) == [
        (2, "product"),
        (2, "termDuration"),
        (2, "billingCycle"),
        (2, "serviceId"),
    ]


def test_amounts_are_exact() -> None:
    rows, _ = rows_of([Record(2, SUBSCRIPTION | {"priceSource": "fixed", "unitPrice": "-0.1"})])
    row = rows[0].row
    assert isinstance(row, SubscriptionRow)
    assert row.pricing == Pricing(PriceSource.FIXED, Decimal("-0.1"))
