"""The Partner Center client against a scripted server: paging, headers, tokens, outcomes of a change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.errors import Misconfigured, NotFound, RetryLater, VendorError
from shared.domain.outcomes import Applied, Busy, ChangeRefused, Unknown, Unreached, Working
from shared.partner_center.client import PartnerCenter
from shared.transport import Transport
from tests.adapters.conftest import HANG, NOW, RESET, Answer, Server
from tests.adapters.partner_center_script import LATER, Tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.ports import PartnerCenterPort

pytestmark = pytest.mark.anyio
RAW: dict[str, Any] = {"id": "s", "status": "active", "quantity": 5, "unknownField": {"kept": [1]}}
DATE = {"Date": "Wed, 06 May 2026 07:11:02 GMT"}
MICROSOFTS_CLOCK = datetime(2026, 5, 6, 7, 11, 2, tzinfo=UTC)


@pytest.fixture
async def partner_center(server: Server) -> AsyncIterator[PartnerCenter]:
    transport = Transport(server.url, now=lambda: NOW)
    yield PartnerCenter(transport, Tokens(), now=lambda: NOW, timeout=0.5)
    await transport.aclose()


def page(ids: list[str], uri: str | None = None, token: str = "", **more: object) -> Answer:
    link = {"uri": uri, "method": "GET", "headers": [{"key": "MS-ContinuationToken", "value": token}]}
    links = {"self": {}, **({"next": link} if uri else {})}
    return Answer(200, {"totalCount": len(ids), "items": [{"id": each} for each in ids], "links": links, **more})


async def ids_of(partner_center: PartnerCenterPort) -> list[list[str]]:
    return [[customer.id for customer in customers] async for customers in partner_center.customers()]


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_customers_come_in_pages_of_500_following_the_next_link(
    server: Server, partner_center: PartnerCenter, prefix: str
) -> None:
    server.script = [page(["A", "B"], f"{prefix}/customers?size=500&seekOperation=Next", "a,/b=="), page(["C"])]
    assert await ids_of(partner_center) == [["a", "b"], ["c"]]
    first, second = server.received
    assert (first.path, first.query) == ("/v1/customers", {"size": "500"})
    assert "ms-continuationtoken" not in first.headers
    assert (second.path, second.query) == ("/v1/customers", {"size": "500", "seekOperation": "Next"})
    assert second.headers["ms-continuationtoken"] == "a,/b=="


async def test_a_continuation_token_without_a_link_is_followed(server: Server, partner_center: PartnerCenter) -> None:
    server.script = [page(["a"], continuationToken="t"), page(["b"])]
    assert await ids_of(partner_center) == [["a"], ["b"]]
    assert server.received[1].query == {"size": "500", "seekOperation": "Next"}


async def test_400_2000_ends_the_list_only_after_a_token_was_sent(
    server: Server, partner_center: PartnerCenter
) -> None:
    past_the_end = Answer(400, {"code": 2000, "description": "past the end"})
    server.script = [page(["a"], "/customers?seekOperation=Next", "t"), past_the_end]
    assert await ids_of(partner_center) == [["a"]]
    server.script = [past_the_end]
    with pytest.raises(VendorError):
        await ids_of(partner_center)


@pytest.mark.parametrize("failed", [Answer(404), Answer(400, {"code": 3000}), Answer(403, {"code": 900150})])
async def test_a_failed_page_is_never_the_end(server: Server, partner_center: PartnerCenter, failed: Answer) -> None:
    server.script = [page(["a"], "/customers?seekOperation=Next", "t"), failed]
    with pytest.raises(Misconfigured):
        await ids_of(partner_center)


@pytest.mark.parametrize("answer", [Answer(200, b"oops"), Answer(200, []), Answer(200, {"items": [1]})])
async def test_an_unreadable_page_is_never_the_end(
    server: Server, partner_center: PartnerCenter, answer: Answer
) -> None:
    server.script = [page(["a"], "/customers?seekOperation=Next", "t"), answer]
    with pytest.raises(RetryLater):
        await ids_of(partner_center)


async def test_paging_in_a_circle_ends(server: Server, partner_center: PartnerCenter) -> None:
    server.reply = lambda _request: page(["a"], "/customers?size=500&seekOperation=Next", "same")
    with pytest.raises(VendorError):
        await ids_of(partner_center)
    assert len(server.received) == 2


@pytest.mark.parametrize("uri", ["https://elsewhere.example/customers?x=1", "//elsewhere.example/customers", "/orders"])
async def test_a_next_link_to_another_resource_is_not_followed(
    server: Server, partner_center: PartnerCenter, uri: str
) -> None:
    server.script = [page(["a"], uri, "t")]
    with pytest.raises(VendorError):
        await ids_of(partner_center)
    assert len(server.received) == 1


async def test_subscriptions_are_raw_with_microsofts_clock(server: Server, partner_center: PartnerCenter) -> None:
    link = {"next": {"uri": "/customers/c/subscriptions?page=2", "headers": []}}
    server.script = [Answer(200, {"items": [RAW], "links": link}, DATE), Answer(200, {"items": [{"id": "t"}]})]
    listing = await partner_center.subscriptions("c")
    assert (listing.items, listing.observed_at) == ((RAW, {"id": "t"}), MICROSOFTS_CLOCK)
    assert [request.query for request in server.received] == [{}, {"page": "2"}]


async def test_an_unknown_customer_is_not_found(server: Server, partner_center: PartnerCenter) -> None:
    server.script = [Answer(403, {"code": "20002"}), Answer(404, {"code": 60003})]
    with pytest.raises(NotFound, match="customer c not found"):
        await partner_center.subscriptions("c")
    with pytest.raises(NotFound, match="customer c not found"):
        await partner_center.subscription("c", "s")


async def test_a_subscription_with_the_servers_clock_or_ours(server: Server, partner_center: PartnerCenter) -> None:
    server.script = [Answer(200, RAW, DATE), Answer(200, RAW)]
    assert (await partner_center.subscription("c", "s")).observed_at == MICROSOFTS_CLOCK
    assert (await partner_center.subscription("c", "s")).observed_at == NOW


async def test_ids_cannot_leave_their_place_in_the_path(server: Server, partner_center: PartnerCenter) -> None:
    server.script = [Answer(200, RAW)]
    await partner_center.subscription("c/../d", "s?x=1")
    assert server.received[0].path == "/v1/customers/c%2F..%2Fd/subscriptions/s%3Fx%3D1"


async def test_a_read_survives_two_outages(server: Server, partner_center: PartnerCenter) -> None:
    server.script = [Answer(503), RESET, Answer(200, RAW)]
    assert (await partner_center.subscription("c", "s")).raw == RAW


async def test_a_read_gives_up_after_three_outages(server: Server, partner_center: PartnerCenter) -> None:
    server.script = [Answer(500), Answer(502), Answer(503, b"<html>")]
    with pytest.raises(RetryLater):
        await partner_center.subscription("c", "s")


async def test_a_throttled_read_waits_shortly_or_not_at_all(server: Server, partner_center: PartnerCenter) -> None:
    server.script = [Answer(429, headers={"Retry-After": "0"}), Answer(200, RAW)]
    assert (await partner_center.subscription("c", "s")).raw == RAW
    server.script = [Answer(429, {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 57 seconds."})]
    with pytest.raises(RetryLater) as caught:
        await partner_center.subscription("c", "s")
    assert caught.value.after == timedelta(seconds=57)


async def change(
    partner_center: PartnerCenter, body: dict[str, Any] | None = None, deadline: datetime = LATER
) -> object:
    return await partner_center.change("c", "s", body or RAW, request_id="the-request", deadline=deadline)


async def test_a_change_sends_the_whole_resource_with_its_request_id(
    server: Server, partner_center: PartnerCenter
) -> None:
    server.script = [Answer(200, RAW, DATE)] * 2
    assert await change(partner_center) == Applied(RAW, MICROSOFTS_CLOCK)
    await change(partner_center)
    first, second = server.received
    assert (first.method, first.path, first.body) == ("PATCH", "/v1/customers/c/subscriptions/s", RAW)
    sent = {"ms-requestid": "the-request", "x-locale": "en-US", "ms-partnercenter-application": "csp-functions"}
    assert sent.items() <= first.headers.items()
    assert first.headers["authorization"] == "Bearer token-1"
    assert "if-match" not in first.headers
    assert first.headers["ms-correlationid"] != second.headers["ms-correlationid"]


@pytest.mark.parametrize(
    ("attributes", "header"),
    [
        ({"etag": "abc"}, '"abc"'),
        ({"etag": '"abc"'}, '"abc"'),
        ({"etag": ""}, None),
        ({"etag": None}, None),
        ({"objectType": "Subscription"}, None),
        (None, None),
    ],
)
async def test_if_match_goes_only_with_an_etag(
    server: Server, partner_center: PartnerCenter, attributes: object, header: str | None
) -> None:
    server.script = [Answer(200, RAW)]
    await change(partner_center, {**RAW, "attributes": attributes})
    assert server.received[0].headers.get("if-match") == header


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(202, b"", {"Location": "/customers/c/subscriptions/s"}), Working("/customers/c/subscriptions/s")),
        (Answer(400, {"code": 2055, "description": "Etag"}), ChangeRefused(400, "2055", "Etag")),
        (Answer(409, {"code": 900278, "description": "wait"}), Busy("900278", "wait", timedelta(hours=24))),
        (Answer(429, b"", {"Retry-After": "7"}), Busy("429", "", timedelta(seconds=7))),
        (Answer(503), Unknown("Partner Center answered with status 503")),
        (Answer(200, b"garbage"), Unknown("success, but without a readable subscription")),
    ],
)
async def test_a_change_is_answered_and_never_repeated(
    server: Server, partner_center: PartnerCenter, answer: Answer, expected: object
) -> None:
    server.script = [answer]
    assert await change(partner_center) == expected
    assert len(server.received) == 1


@pytest.mark.parametrize("fault", [HANG, RESET], ids=["timeout", "reset"])
async def test_a_change_without_an_answer_is_unknown_and_never_repeated(
    server: Server, partner_center: PartnerCenter, fault: Answer
) -> None:
    server.script = [fault]
    assert isinstance(await change(partner_center), Unknown)
    assert len(server.received) == 1


async def test_a_401_is_repeated_once_with_a_new_token(server: Server, partner_center: PartnerCenter) -> None:
    server.script = [Answer(401, b""), Answer(200, RAW)]
    assert isinstance(await change(partner_center), Applied)
    assert [request.headers["authorization"] for request in server.received] == ["Bearer token-1", "Bearer token-2"]
    assert {request.headers["ms-requestid"] for request in server.received} == {"the-request"}


async def test_a_second_401_is_for_a_person(server: Server, partner_center: PartnerCenter) -> None:
    server.script = [Answer(401, b"")] * 4
    with pytest.raises(Misconfigured):
        await change(partner_center)
    with pytest.raises(Misconfigured):
        await partner_center.subscription("c", "s")
    assert len(server.received) == 4


@pytest.mark.parametrize("code", [900420, "900421"])
async def test_a_401_that_never_heals_is_not_repeated(
    server: Server, partner_center: PartnerCenter, code: object
) -> None:
    server.script = [Answer(401, {"code": code})]
    with pytest.raises(Misconfigured, match=str(code)):
        await change(partner_center)
    assert len(server.received) == 1


async def test_nothing_is_sent_after_the_deadline(server: Server, partner_center: PartnerCenter) -> None:
    assert isinstance(await change(partner_center, deadline=NOW), Unreached)
    assert server.received == []


async def test_without_a_connection_a_change_is_unreached(unused_url: str) -> None:
    transport = Transport(unused_url, now=lambda: NOW)
    assert isinstance(await change(PartnerCenter(transport, Tokens(), now=lambda: NOW)), Unreached)
    await transport.aclose()


async def test_without_a_token_a_change_is_unreached(server: Server) -> None:
    class Slow(Tokens):
        async def token(self, *, rejected: str = "") -> str:
            await asyncio.sleep(60)
            return await super().token(rejected=rejected)

    transport = Transport(server.url, now=lambda: NOW)
    down = PartnerCenter(transport, Tokens(RetryLater("authority is down")), now=lambda: NOW)
    assert await change(down) == Unreached("authority is down")
    slow = PartnerCenter(transport, Slow(), now=lambda: NOW)
    assert isinstance(await change(slow, deadline=NOW + timedelta(seconds=0.05)), Unreached)
    assert server.received == []
    await transport.aclose()
