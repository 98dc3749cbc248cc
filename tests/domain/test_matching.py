"""When something at Partner Center and something in Autotask are taken for the same."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.domain.contract import Company, Service
from shared.domain.matching import own_domain, same_company, same_sku
from shared.domain.segment import Segment, segment_of


@pytest.mark.parametrize(
    ("name", "domain", "company", "reasons"),
    [
        ("Northwind", "", Company(1, "NORTHWIND ", active=True), ["same_name"]),
        ("Northwind Ltd", "", Company(1, "Northwind", active=True), []),
        ("", "", Company(1, "", active=True), []),
        (
            "A",
            "northwind.example",
            Company(1, "B", active=True, web="https://www.northwind.example/de"),
            ["same_domain"],
        ),
        ("A", "northwind.example", Company(1, "B", active=True, web="shop.northwind.example"), ["same_domain"]),
        ("A", "northwind.example", Company(1, "B", active=True, web="notnorthwind.example"), []),
        ("A", "northwind.onmicrosoft.com", Company(1, "B", active=True, web="northwind.onmicrosoft.com"), []),
        ("A", "wind.example", Company(1, "A", active=True, web="HTTP://WIND.example"), ["same_name", "same_domain"]),
        ("A", "wind.example", Company(1, "B", active=True, web="http://[broken"), []),
    ],
)
def test_a_company_is_a_customer_by_its_whole_name_or_a_domain_of_his_own(
    name: str, domain: str, company: Company, reasons: list[str]
) -> None:
    assert [reason.code for reason in same_company(name, domain, company)] == reasons


@pytest.mark.parametrize("domain", ["", "localhost", "x.onmicrosoft.com", "a.b"])
def test_a_domain_that_tells_nothing_is_none(domain: str) -> None:
    assert own_domain(domain) == ""


@pytest.mark.parametrize(
    ("sku", "same"),
    [
        ("CFQ7TTC0LDPB:0001", True),
        ("cfq7ttc0ldpb:0001", True),
        ("ANN-MO:CFQ7TTC0LDPB:0001", True),
        ("CFQ7TTC0LDPB:00011", False),
        ("XCFQ7TTC0LDPB:0001", False),
        ("", False),
    ],
)
def test_a_sku_is_the_same_as_a_whole_or_at_the_end_of_a_longer_one(sku: str, same: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    service = Service(1, "x", 2, active=True, unit_price=Decimal(1), unit_cost=None, sku=sku)
    assert same_sku("CFQ7TTC0LDPB:0001", service) is same


@pytest.mark.parametrize(
    ("title", "segment"),
    [
        ("Microsoft 365 Business Premium", Segment.COMMERCIAL),
        ("Microsoft 365 Business Basic (Nonprofit Staff Pricing)", Segment.CHARITY),
        ("Microsoft 365 A3 for faculty", Segment.EDUCATION),
        ("Office 365 A1 for students (Education)", Segment.EDUCATION),
        ("Microsoft 365 G3 GCC", Segment.GOVERNMENT),
        ("Visio Plan 2 for Governors", Segment.COMMERCIAL),
    ],
)
def test_the_segment_is_what_the_title_of_the_offer_says(title: str, segment: Segment) -> None:
    assert segment_of(title) is segment
