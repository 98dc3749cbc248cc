"""Quotes from the price list: which row, which promotion, which rule, and how it is rounded."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.billing import Policy, StartFrom, opening_target, rate_target
from shared.domain.calendar import BillingCalendar, PeriodType
from shared.domain.pricing import (
    Digits,
    Margin,
    Offer,
    PriceRow,
    PriceRule,
    PriceSource,
    Pricing,
    Promotion,
    Quote,
    Schedule,
    Unpriced,
    fixed,
    quote,
    schedule,
)
from shared.domain.timeline import RateStep, Target

OFFER = Offer("CFQ7TTC0LDPB:0001", "P1Y", "monthly")
CUSTOMER = "c0000000-0000-4000-8000-000000000001"
TODAY = date(2026, 8, 10)
CALENDAR = BillingCalendar(date(2026, 1, 1), PeriodType.MONTHLY)


def amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def row(
    cost: str | None = "10",
    list_price: str | None = "12.50",
    start: date = date(2026, 1, 1),
    end: date | None = None,
    promotions: tuple[Promotion, ...] = (),
) -> PriceRow:
    return PriceRow(OFFER, start, end, amount(cost), amount(list_price), promotions)


def rule(kind: Margin, value: str, *, digits: Digits = 2, **scope: str) -> PriceRule:
    return PriceRule(kind, Decimal(value), digits=digits, **scope)


def price(rows: list[PriceRow], rules: list[PriceRule], day: date = TODAY) -> str:
    found = quote(OFFER, CUSTOMER, day, rows, rules)
    return str(found.price) if isinstance(found, Quote) else found.code


@pytest.mark.parametrize(
    ("made_by", "expected"),
    [
        (rule(Margin.MARKUP, "25"), "12.50"),
        (rule(Margin.MARKUP, "33.333", digits=4), "13.3333"),
        (rule(Margin.MARKUP, "-10"), "9.00"),
        (rule(Margin.MARGIN, "20"), "12.50"),
        (rule(Margin.MARGIN, "30"), "14.29"),
        (rule(Margin.MARGIN, "30", digits=4), "14.2857"),
        (rule(Margin.DISCOUNT, "0"), "12.50"),
        (rule(Margin.DISCOUNT, "7"), "11.63"),  # 11.625 goes up
        (rule(Margin.FIXED, "9.999"), "10.00"),
        (rule(Margin.FIXED, "0"), "0.00"),
    ],
)
def test_a_rule_makes_the_price_and_rounds_half_up(made_by: PriceRule, expected: str) -> None:
    assert price([row()], [made_by]) == expected


def test_a_margin_leaves_its_share_of_the_price_and_is_less_than_all_of_it() -> None:
    found = quote(OFFER, CUSTOMER, TODAY, [row()], [rule(Margin.MARGIN, "20")])
    assert isinstance(found, Quote)
    assert found.cost is not None
    assert (found.price - found.cost) / found.price == Decimal("0.2")
    with pytest.raises(ValueError, match="less than 100"):
        rule(Margin.MARGIN, "100")


ALL = rule(Margin.FIXED, "1")
BILLING = rule(Margin.FIXED, "2", billing="monthly")
TERM = rule(Margin.FIXED, "3", term="P1Y")
PRODUCT = rule(Margin.FIXED, "4", product="cfq7ttc0ldpb:0001")
PRODUCT_AND_TERM = rule(Margin.FIXED, "5", product="CFQ7TTC0LDPB:0001", term="P1Y")
FOR_CUSTOMER = rule(Margin.FIXED, "6", customer=CUSTOMER)
FOR_CUSTOMER_AND_PRODUCT = rule(Margin.FIXED, "7", customer=CUSTOMER, product="CFQ7TTC0LDPB:0001")
ASCENDING = [ALL, BILLING, TERM, PRODUCT, PRODUCT_AND_TERM, FOR_CUSTOMER, FOR_CUSTOMER_AND_PRODUCT]


@given(st.permutations(range(len(ASCENDING))), st.integers(1, len(ASCENDING)))
def test_the_most_specific_rule_wins_whatever_their_order(order: list[int], count: int) -> None:
    chosen = order[:count]
    assert price([row()], [ASCENDING[index] for index in chosen]) == f"{max(chosen) + 1}.00"


def test_a_rule_for_somebody_or_something_else_does_not_count() -> None:
    others = [
        rule(Margin.FIXED, "9", customer="c0000000-0000-4000-8000-000000000002"),
        rule(Margin.FIXED, "9", product="CFQ7TTC0LCHC:0002"),
        rule(Margin.FIXED, "9", term="P1M"),
        rule(Margin.FIXED, "9", billing="annual"),
    ]
    assert price([row()], others) == "no_price_rule"
    assert price([row()], [*others, ALL]) == "1.00"


def test_the_row_that_is_valid_counts_and_of_two_the_later_one() -> None:
    rows = [
        row(list_price="10", end=date(2026, 7, 31)),
        row(list_price="11", start=date(2026, 8, 1)),
        row(list_price="12", start=date(2026, 8, 5)),
        row(list_price="13", start=date(2026, 9, 1)),
    ]
    listed = [rule(Margin.DISCOUNT, "0")]
    assert [price(rows, listed, day) for day in (date(2026, 7, 31), date(2026, 8, 1), TODAY, date(2026, 9, 1))] == [
        "10.00",
        "11.00",
        "12.00",
        "13.00",
    ]


@pytest.mark.parametrize(
    ("rows", "rules", "code"),
    [
        ([], [ALL], "not_in_price_list"),
        ([row(end=date(2026, 8, 9))], [ALL], "not_in_price_list"),
        ([row()], [], "no_price_rule"),
        ([row(cost=None)], [rule(Margin.MARKUP, "10")], "price_incomplete"),
        ([row(list_price=None)], [rule(Margin.DISCOUNT, "10")], "price_incomplete"),
    ],
)
def test_without_a_row_a_rule_or_an_amount_there_is_no_price(
    rows: list[PriceRow], rules: list[PriceRule], code: str
) -> None:
    found = quote(OFFER, CUSTOMER, TODAY, rows, rules)
    assert isinstance(found, Unpriced)
    assert found.code == code
    assert schedule(OFFER, CUSTOMER, TODAY, rows, rules) == found


def test_letter_case_does_not_tell_offers_apart() -> None:
    found = quote(Offer("cfq7ttc0ldpb:0001", "p1y", "MONTHLY"), CUSTOMER, TODAY, [row()], [ALL])
    assert isinstance(found, Quote)


@pytest.mark.parametrize(
    ("promotion", "expected"),
    [
        (Promotion("15 off", TODAY, TODAY, percent_off=Decimal(15)), ("10.63", "8.5000")),
        (Promotion("own cost", TODAY, TODAY, cost=Decimal(7)), ("8.75", "7.0000")),
        (Promotion("both", TODAY, TODAY, percent_off=Decimal(50), cost=Decimal(7)), ("8.75", "7.0000")),
    ],
)
def test_a_promotion_lowers_the_cost_and_with_it_the_price(promotion: Promotion, expected: tuple[str, str]) -> None:
    found = quote(OFFER, CUSTOMER, TODAY, [row(promotions=(promotion,))], [rule(Margin.MARKUP, "25")])
    assert isinstance(found, Quote)
    assert (str(found.price), str(found.cost), found.promotion) == (*expected, promotion.name)
    before = quote(OFFER, CUSTOMER, TODAY - timedelta(days=1), [row(promotions=(promotion,))], [ALL])
    assert isinstance(before, Quote)
    assert before.promotion == ""


def steps(*found: tuple[date, str]) -> tuple[RateStep, ...]:
    return tuple(RateStep(day, Decimal(text)) for day, text in found)


def test_the_schedule_has_every_later_date_on_which_the_list_changes_something() -> None:
    promotion = Promotion("autumn", date(2026, 9, 1), date(2026, 12, 15), percent_off=Decimal(10))
    rows = [row("10", promotions=(promotion,), end=date(2027, 1, 31)), row("11", start=date(2027, 2, 1))]
    found = schedule(OFFER, CUSTOMER, TODAY, rows, [rule(Margin.MARKUP, "20")])
    assert found == Schedule(
        price=steps(
            (TODAY, "12.00"), (date(2026, 9, 1), "10.80"), (date(2026, 12, 16), "12.00"), (date(2027, 2, 1), "13.20")
        ),
        cost=steps(
            (TODAY, "10.0000"),
            (date(2026, 9, 1), "9.0000"),
            (date(2026, 12, 16), "10.0000"),
            (date(2027, 2, 1), "11.0000"),
        ),
    )


def test_where_the_list_ends_the_last_price_goes_on() -> None:
    found = schedule(OFFER, CUSTOMER, TODAY, [row(end=date(2026, 9, 30))], [ALL])
    assert found == Schedule(steps((TODAY, "1.00")), steps((TODAY, "10.0000")))


def test_a_promotion_ends_with_the_period_by_default_and_on_its_day_where_the_policy_says_so() -> None:
    wanted = Schedule(steps((TODAY, "12"), (date(2026, 12, 16), "13")), ())
    by_period = rate_target(wanted, TODAY, CALENDAR, Policy(), posted_through=None)
    assert by_period.price == steps((date(2026, 9, 1), "12"), (date(2027, 1, 1), "13"))
    by_day = rate_target(wanted, TODAY, CALENDAR, Policy(price_from=StartFrom.BUSINESS_DATE), posted_through=None)
    assert by_day.price == wanted.price


def test_units_that_begin_to_be_billed_have_their_price_from_the_same_day() -> None:
    wanted = Schedule(steps((TODAY, "12"), (date(2026, 12, 16), "13")), steps((TODAY, "10")))
    assert opening_target(5, TODAY, wanted, CALENDAR, Policy()) == Target(
        5, TODAY, TODAY, steps((TODAY, "12"), (date(2027, 1, 1), "13")), steps((TODAY, "10"))
    )


def test_a_fixed_price_is_ours_where_it_is_given() -> None:
    only_price = Pricing(PriceSource.FIXED, price=Decimal(12))
    assert fixed(only_price, TODAY) == Schedule(steps((TODAY, "12")), (RateStep(TODAY, None),))
    assert opening_target(5, TODAY, fixed(only_price, TODAY), CALENDAR, Policy()).cost == ()
    assert (only_price.has_price, Pricing().has_price, Pricing(PriceSource.PRICE_LIST).has_price) == (True, False, True)
