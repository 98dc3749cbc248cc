"""The listings of a sync against a scripted server: pages from a mark, bytes before items, audit records."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.errors import Denied, Misconfigured, NotFound, RetryLater, VendorError
from shared.domain.listings import Mark
from shared.partner_center.listings import Listings
from shared.partner_center.session import Session
from shared.transport import Retries, Transport
from tests.adapters.conftest import NOW, Answer, Server
from tests.adapters.partner_center_script import Tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
TOKEN = "a,/b==,c"
FIRST, LAST = date(2026, 5, 5), date(2026, 5, 6)


@pytest.fixture
async def listings(server: Server) -> AsyncIterator[Listings]:
    transport = Transport(server.url, now=lambda: NOW)
    yield Listings(Session(transport, Tokens(), now=lambda: NOW, timeout=0.5, retries=Retries()))
    await transport.aclose()


def page(items: list[Any], uri: str = "", token: str = TOKEN) -> Answer:
    link = {"uri": uri, "method": "GET", "headers": [{"key": "MS-ContinuationToken", "value": token}]}
    return Answer(
        200, {"totalCount": len(items), "items": items, "links": {"self": {}} | ({"next": link} if uri else {})}
    )


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_a_page_is_asked_for_from_its_mark(server: Server, listings: Listings, prefix: str) -> None:
    server.script = [page([{"id": "A"}], f"{prefix}/customers?size=500&seekOperation=Next"), page([{"id": "B"}])]
    first = await listings.customers(None)
    assert first.following == Mark({"size": "500", "seekOperation": "Next"}, TOKEN)
    second = await listings.customers(first.following)
    assert [item.id for item in (*first.customers, *second.customers)] == ["a", "b"]
    assert second.following is None
    asked = server.received[1]
    assert (asked.query, asked.headers["ms-continuationtoken"]) == ({"size": "500", "seekOperation": "Next"}, TOKEN)


async def test_past_the_end_is_an_empty_page(server: Server, listings: Listings) -> None:
    server.script = [Answer(400, {"code": "2000"})]
    found = await listings.customers(Mark({"seekOperation": "Next"}, TOKEN))
    assert (found.customers, found.following) == ((), None)


async def test_items_that_cannot_be_read_are_kept_raw(server: Server, listings: Listings) -> None:
    server.script = [page([{"companyProfile": {"companyName": "x" * 9000}}, {"id": "no good/id"}, {"id": "B"}])]
    found = await listings.customers(None)
    assert [item.id for item in found.customers] == ["b"]
    assert [len(raw) <= 4096 for raw in found.unreadable] == [True, True]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(503), RetryLater),
        (Answer(429, {}, {"Retry-After": "7"}), RetryLater),
        (Answer(200, b"<html>"), RetryLater),
        (Answer(404, {}), VendorError),
        (Answer(403, {"code": 1}), Misconfigured),
        (Answer(401, {"code": 900421}), Misconfigured),
    ],
)
async def test_a_page_that_fails_is_asked_for_once_and_is_no_end(
    server: Server, listings: Listings, answer: Answer, error: type[Exception]
) -> None:
    server.script = [answer]
    with pytest.raises(error):
        await listings.customers(Mark({"seekOperation": "Next"}, TOKEN))
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(403, {"code": 20002}), NotFound),
        (Answer(404, {"code": 60003}), NotFound),
        (Answer(403, {"code": 900416}), Denied),
        (Answer(429, {}, {"Retry-After": "7"}), RetryLater),
        (Answer(400, {"code": 3000}), VendorError),
    ],
)
async def test_what_a_customer_answers_with_is_told_apart(
    server: Server, listings: Listings, answer: Answer, error: type[Exception]
) -> None:
    server.script = [answer]
    with pytest.raises(error) as raised:
        await listings.subscriptions("c")
    assert type(raised.value) is error
    assert len(server.received) == 1


async def test_the_same_bytes_have_the_same_fingerprint(server: Server, listings: Listings) -> None:
    one, other = page([{"id": "s", "quantity": 1}]), page([{"id": "s", "quantity": 2}])
    server.script = [one, one, other]
    prints = [(await listings.subscriptions("c")).fingerprint for _ in range(3)]
    assert prints[0] == prints[1] != prints[2]


async def test_a_customers_answer_is_parsed_when_the_items_are_asked_for(server: Server, listings: Listings) -> None:
    server.script = [Answer(200, b'{"items": [broken'), page([{"id": "s"}])]
    broken = await listings.subscriptions("c")
    assert broken.fingerprint
    with pytest.raises(RetryLater):
        broken.items()
    assert (await listings.subscriptions("c")).items() == ({"id": "s"},)


async def test_a_next_link_of_subscriptions_is_followed(server: Server, listings: Listings) -> None:
    server.script = [page([{"id": "a"}], "/v1/customers/c/subscriptions?seekOperation=Next"), page([{"id": "b"}])]
    found = await listings.subscriptions("c")
    assert [item["id"] for item in found.items()] == ["a", "b"]
    assert server.received[1].headers["ms-continuationtoken"] == TOKEN


RECORD = {
    "id": "p_c_updatesubscription_639",
    "customerId": "0B7F5B9D-3C61-4F0E-8F9A-51C2A7D4E101",
    "customerName": "Northwind",
    "userPrincipalName": "agent@partnersim.example",
    "resourceType": "Subscription",
    "operationType": "update_subscription",
    "operationDate": "2026-05-06T08:56:05.0589308Z",
    "operationStatus": "succeeded",
    "resourceNewValue": json.dumps({"Id": "7C1E2A34-90AB-4CDE-8F01-23456789AB01", "Quantity": 20}),
}


async def test_audit_records_are_read_without_the_account(server: Server, listings: Listings) -> None:
    pair = {"customizedData": [{"key": "SubscriptionId", "value": "7C1E2A34-90AB-4CDE-8F01-23456789AB02"}]}
    server.script = [page([RECORD, RECORD | pair | {"resourceNewValue": None}, {"customerId": "x"}])]
    found = await listings.audit(FIRST, LAST, None)
    assert server.received[0].query == {"startDate": "2026-05-05", "endDate": "2026-05-06", "size": "500"}
    assert found.unreadable == 1
    one, other = found.records
    assert (one.customer, one.resource, one.status) == (
        "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101",
        "subscription",
        "succeeded",
    )
    assert one.subscription == "7c1e2a34-90ab-4cde-8f01-23456789ab01"
    assert other.subscription == "7c1e2a34-90ab-4cde-8f01-23456789ab02"
    assert one.at == datetime(2026, 5, 6, 8, 56, 5, 58930, tzinfo=UTC)
    assert "agent" not in repr(found)


async def test_audit_pages_follow_the_link_without_a_seek(server: Server, listings: Listings) -> None:
    uri = "/auditrecords?startDate=2026-05-05&endDate=2026-05-06&size=500"
    server.script = [page([RECORD], uri), page([RECORD])]
    first = await listings.audit(FIRST, LAST, None)
    assert first.following is not None
    await listings.audit(FIRST, LAST, first.following)
    assert server.received[1].query == {"startDate": "2026-05-05", "endDate": "2026-05-06", "size": "500"}
    assert server.received[1].headers["ms-continuationtoken"] == TOKEN


@pytest.mark.parametrize("value", ["not json", "[1]", '"text"', "{}", None])
async def test_an_audit_record_whose_values_cannot_be_read_names_no_subscription(
    server: Server, listings: Listings, value: str | None
) -> None:
    server.script = [page([RECORD | {"resourceNewValue": value}])]
    (found,) = (await listings.audit(FIRST, LAST, None)).records
    assert found.subscription == ""
