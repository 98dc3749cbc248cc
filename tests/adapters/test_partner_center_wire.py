"""Raw subscription resources as Partner Center sends them, tidy and untidy, read into domain values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.errors import Malformed
from shared.domain.subscription import Family, SeatBatch, State, Subscription
from shared.partner_center.wire import classify, moment, parse_customer, parse_subscription, product_key

NCE: dict[str, Any] = {
    "id": "7C1E2A34-90AB-4cde-8f01-23456789ab01",
    "offerId": "CFQ7TTC0LDPB:0001:CFQ7TTC0SIM1",
    "offerName": "Microsoft 365 Business Standard",
    "friendlyName": "Office",
    "productType": {"id": "OnlineServicesNCE", "displayName": "OnlineServicesNCE"},
    "quantity": 25,
    "unitType": "Licenses",
    "creationDate": "2026-05-02T09:14:33.1834421Z",
    "effectiveStartDate": "2026-05-02T09:14:31.902118Z",
    "commitmentEndDate": "2027-05-01T00:00:00Z",
    "commitmentEndDateTime": "2027-05-01T23:59:59Z",
    "cancellationAllowedUntilDate": "2026-05-09T09:14:31.902118Z",
    "status": "active",
    "autoRenewEnabled": True,
    "isTrial": False,
    "billingType": "license",
    "billingCycle": "monthly",
    "termDuration": "P1Y",
    "isMicrosoftProduct": True,
    "refundableQuantity": {
        "totalQuantity": 25,
        "details": [
            {"quantity": 5, "allowedUntilDateTime": "2026-05-12T16:40:02.551209Z"},
            {"quantity": 20, "allowedUntilDateTime": "2026-05-09T09:14:31.902118Z"},
        ],
    },
    "orderId": "34b37d7340cc",
    "promotionId": "39NFJQT1PJQB:0001:39NFJQT1Q5KN",
    "attributes": {"objectType": "Subscription"},
}
LEGACY_OFFER = "195416C1-3447-423A-B37B-EE59A99A19C4"


def parse(**changes: Any) -> Subscription:
    return parse_subscription("0B7F5B9D-3c61-4f0e-8f9a-51c2a7d4e101", {**NCE, **changes})


def test_a_tidy_new_commerce_subscription() -> None:
    first, second = datetime(2026, 5, 9, 9, 14, 31, 902118, UTC), datetime(2026, 5, 12, 16, 40, 2, 551209, UTC)
    assert parse() == Subscription(
        customer_id="0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101",
        id="7c1e2a34-90ab-4cde-8f01-23456789ab01",
        offer_id="CFQ7TTC0LDPB:0001:CFQ7TTC0SIM1",
        offer_name="Microsoft 365 Business Standard",
        friendly_name="Office",
        family=Family.NCE_LICENSE,
        is_trial=False,
        status_raw="active",
        state=State.ACTIVE,
        quantity=25,
        unit_type="Licenses",
        auto_renew=True,
        term_duration="P1Y",
        billing_cycle="monthly",
        creation_date=datetime(2026, 5, 2, 9, 14, 33, 183442, UTC),
        effective_start=datetime(2026, 5, 2, 9, 14, 31, 902118, UTC),
        commitment_end=datetime(2027, 5, 1, 23, 59, 59, tzinfo=UTC),
        cancel_until=first,
        refundable=(SeatBatch(20, first), SeatBatch(5, second)),
        parent_id=None,
        promotion_id="39NFJQT1PJQB:0001:39NFJQT1Q5KN",
        order_id="34b37d7340cc",
        product_key="CFQ7TTC0LDPB:0001",
    )


def test_seats_keep_their_own_windows() -> None:
    subscription = parse()
    first, second = (batch.until for batch in subscription.refundable or ())
    instant = timedelta(microseconds=1)
    moments = (first - instant, first, second - instant, second)
    assert [subscription.refundable_at(now) for now in moments] == [25, 5, 5, 0]
    assert [subscription.cancellable_at(now) for now in moments] == [True, False, False, False]


def test_no_more_seats_are_refundable_than_there_are() -> None:
    assert parse(quantity=3).refundable_at(datetime(2026, 5, 3, tzinfo=UTC)) == 3


@pytest.mark.parametrize(
    ("changes", "family"),
    [
        ({"offerId": LEGACY_OFFER, "productType": None}, Family.LEGACY_LICENSE),
        ({"offerId": "MS-AZR-0145P", "productType": None}, Family.LEGACY_AZURE),
        ({"productType": {"displayName": "onlineservicesnce"}}, Family.NCE_LICENSE),
        ({"productType": {"id": "Azure"}}, Family.AZURE_PLAN),
        ({"offerId": "DZH318Z0BPS6:0001:DZH318Z0BML7", "productType": None}, Family.AZURE_PLAN),
        ({"productType": {"id": "Software"}}, Family.SOFTWARE),
        ({"productType": {"id": "AzureReservations"}}, Family.RESERVATION),
        ({"productType": {"id": "SavingsPlan"}}, Family.RESERVATION),
        ({"productType": None, "billingType": "benefit"}, Family.RESERVATION),
        ({"productType": {"id": "Whatever"}, "isMicrosoftProduct": False}, Family.SAAS),
        ({"productType": {"id": "Whatever"}}, Family.UNKNOWN),
        ({"productType": "OnlineServicesNCE"}, Family.NCE_LICENSE),
        ({"productType": None}, Family.UNKNOWN),
        ({"productType": {"id": "OnlineServicesNCE"}, "offerId": "odd"}, Family.UNKNOWN),
        ({"isTrial": True}, Family.TRIAL),
    ],
)
def test_families(changes: dict[str, Any], family: Family) -> None:
    assert classify({**NCE, **changes}) is family


def test_a_trial_of_a_licence_is_a_family_of_its_own() -> None:
    assert (parse(isTrial=True).is_trial, parse(isTrial=True).family) == (True, Family.TRIAL)
    assert parse(isTrial=True, offerId=LEGACY_OFFER, productType=None).family is Family.TRIAL
    assert parse(isTrial=True, productType={"id": "Software"}).family is Family.SOFTWARE


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("active", State.ACTIVE),
        ("Suspended ", State.SUSPENDED),
        ("expired", State.EXPIRED),
        ("disabled", State.DISABLED),
        ("DELETED", State.DELETED),
        ("pending", State.PENDING),
        ("none", State.UNKNOWN),
        ("brandNew", State.UNKNOWN),
        (None, State.UNKNOWN),
    ],
)
def test_states_are_open(status: str | None, state: State) -> None:
    subscription = parse(status=status)
    assert subscription.state is state
    assert subscription.status_raw == (status or "").strip()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-14T16:57:15.0966728Z", datetime(2026, 1, 14, 16, 57, 15, 96672, UTC)),
        ("2026-01-14T16:57:15+00:00", datetime(2026, 1, 14, 16, 57, 15, tzinfo=UTC)),
        ("2026-01-14T18:57:15+02:00", datetime(2026, 1, 14, 16, 57, 15, tzinfo=UTC)),
        ("2023-07-31T00:00:00", datetime(2023, 7, 31, tzinfo=UTC)),
        ("9999-12-10T00:00:00Z", datetime(9999, 12, 10, tzinfo=UTC)),
        ("9999-12-31T23:59:59-05:00", None),
        ("0001-01-01T00:00:00", None),
        ("soon", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_every_date_form_is_a_utc_moment(value: object, expected: datetime | None) -> None:
    assert moment(value) == expected


def test_a_bare_end_date_is_inclusive_except_for_legacy_offers() -> None:
    bare = {"commitmentEndDateTime": None}
    assert parse(**bare).commitment_end == datetime(2027, 5, 1, 23, 59, 59, tzinfo=UTC)
    assert parse(**bare, offerId=LEGACY_OFFER).commitment_end == datetime(2027, 5, 1, tzinfo=UTC)
    assert parse(commitmentEndDateTime=None, commitmentEndDate="9999-12-10T00:00:00Z").commitment_end == datetime(
        9999, 12, 10, 23, 59, 59, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({}, ()),
        ({"totalQuantity": 0, "details": []}, ()),
        ({"totalQuantity": 5, "details": None}, ()),
        ({"details": [{"quantity": 5}, {"quantity": 0, "allowedUntilDateTime": "2026-05-09T00:00:00Z"}, "x"]}, ()),
    ],
)
def test_untidy_refundable_quantities_promise_nothing(value: object, expected: object) -> None:
    subscription = parse(refundableQuantity=value)
    assert subscription.refundable == expected
    assert subscription.refundable_at(datetime(2026, 5, 3, tzinfo=UTC)) == 0


@pytest.mark.parametrize(("value", "expected"), [(7, 7), (0, 0), (7.0, 7), (" 7 ", 7)])
def test_readable_quantities(value: object, expected: int) -> None:
    assert parse(quantity=value).quantity == expected


@pytest.mark.parametrize(
    "changes", [{"quantity": None}, {"quantity": 1.5}, {"quantity": True}, {"quantity": -1}, {"id": None}, {"id": " "}]
)
def test_a_subscription_without_id_or_quantity_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse(**changes)


def test_the_least_that_can_be_read() -> None:
    subscription = parse_subscription("c", {"id": "S", "quantity": 1})
    assert (subscription.id, subscription.family, subscription.state) == ("s", Family.UNKNOWN, State.UNKNOWN)
    assert (subscription.auto_renew, subscription.cancel_until, subscription.refundable) == (False, None, None)


@pytest.mark.parametrize(("value", "expected"), [({"action": "x"}, True), (None, False), ({}, False)])
def test_a_schedule_is_noticed(value: object, expected: bool) -> None:  # noqa: FBT001 - a table of expectations
    assert parse(scheduledNextTermInstructions=value).has_schedule is expected


def test_add_ons_know_their_base() -> None:
    assert parse(parentSubscriptionId="ABC").parent_id == "abc"


@pytest.mark.parametrize(
    ("offer", "key"),
    [("A:0001:B", "A:0001"), (LEGACY_OFFER, LEGACY_OFFER.lower()), ("MS-AZR-0145P", "MS-AZR-0145P"), ("", "")],
)
def test_product_keys(offer: str, key: str) -> None:
    assert product_key(offer) == key


def test_customers() -> None:
    profile = {"tenantId": "T", "domain": "n.example", "companyName": " Northwind "}
    customer = parse_customer({"id": "AB-C", "companyProfile": profile, "relationshipToPartner": "reseller"})
    assert (customer.id, customer.name, customer.domain, customer.relationship) == (
        "ab-c", "Northwind", "n.example", "reseller",
    )  # fmt: skip
    assert parse_customer({"companyProfile": profile}).id == "t"
    with pytest.raises(Malformed):
        parse_customer({"companyProfile": None})
