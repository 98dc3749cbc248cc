"""Links that a vendor's answer contains lead us nowhere else: credentials go to the vendor or to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shared.autotask.client import Autotask
from shared.domain.errors import Misconfigured, NotFound, VendorError
from shared.domain.outcomes import Working
from shared.partner_center.client import PartnerCenter
from shared.partner_center.migrations import Migrations
from shared.partner_center.session import Session
from shared.transport import NotSent, Request, Transport
from tests.adapters.conftest import Answer, Received, Server
from tests.adapters.conftest import server as server  # noqa: PLC0414 - a fixture of the adapters' tests

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def trap(anyio_backend: str) -> AsyncIterator[Server]:
    """Another server, which must never hear from us."""
    listening = Server()
    started = await asyncio.start_server(listening.serve, "127.0.0.1", 0)
    listening.url = f"http://127.0.0.1:{started.sockets[0].getsockname()[1]}"
    yield listening
    started.close()
    assert listening.received == []


@pytest.fixture
async def vendor(server: Server) -> AsyncIterator[Transport]:
    transport = Transport(server.url, now=now)
    yield transport
    await transport.aclose()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(
    server: Server, vendor: Transport, trap: Server, status: int
) -> None:
    server.script = [Answer(status, headers={"Location": f"{trap.url}/steal"})]

    reply = await vendor.send(Request("GET", "/x", write=False, within=5, timeout=5))

    assert reply.status == status


class Token:
    """A source of one token."""

    async def token(self, *, rejected: str = "") -> str:
        return "another-token" if rejected else "secret-token"

    async def refused(self, token: str, reason: str, *, lasting: bool) -> None:
        raise Misconfigured(reason)


@pytest.mark.parametrize(
    "link",
    [
        "{trap}/v1/customers?size=1",
        "//{host}/v1/customers",
        "/v1/invoices",
        "customers/../x",
        "http://[",
        "/v1/customers?size=1\r\nHost: {host}",
        "/v1/customers?size=\u0661",
        "/v1/customers?size=" + "1" * 70_000,
    ],
)
async def test_a_next_link_that_leads_elsewhere_ends_the_list(
    server: Server, vendor: Transport, trap: Server, link: str
) -> None:
    uri = link.format(trap=trap.url, host=trap.url.removeprefix("http://"))
    items = {"items": [], "links": {"next": {"uri": uri, "headers": []}}}
    server.script = [Answer(body=items)]
    center = PartnerCenter(vendor, Token(), now=now)

    with pytest.raises(VendorError):
        _ = [page async for page in center.customers()]
    assert len(server.received) == 1


@pytest.mark.parametrize("token", ["x\r\nHost: elsewhere", "\u00e9", "\ud800", "x" * 70_000])
async def test_a_continuation_that_no_header_can_carry_ends_the_list(
    server: Server, vendor: Transport, token: str
) -> None:
    link = {"uri": "/v1/customers?size=1", "headers": [{"key": "MS-ContinuationToken", "value": token}]}
    server.script = [Answer(body={"items": [], "links": {"next": link}})]
    center = PartnerCenter(vendor, Token(), now=now)

    with pytest.raises(VendorError):
        _ = [page async for page in center.customers()]
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "identity", ["..", ".", "../../customers", "m?x=y", "m#x", "//elsewhere", "https://elsewhere", "\ud800"]
)
async def test_an_id_that_a_vendor_gave_stays_in_its_place_in_the_path(
    server: Server, vendor: Transport, identity: str
) -> None:
    server.script = [Answer(404)]
    migrations = Migrations(Session(vendor, Token(), now=now))

    with pytest.raises(NotFound):
        await migrations.migration("c", identity)

    (asked,) = server.received
    place, _, name = asked.path.rpartition("/")
    assert (place, asked.query) == ("/v1/customers/c/migrations/newcommerce", {})
    assert name not in {"", ".", ".."}


async def test_what_no_request_can_carry_was_not_sent(server: Server, vendor: Transport) -> None:
    with pytest.raises(NotSent):
        await vendor.send(
            Request("PATCH", "/x", write=True, within=5, timeout=5, headers={"If-Match": '"\u00e9"'}, body={"a": 1})
        )
    assert server.received == []


@pytest.mark.parametrize("location", ["{trap}/steal", "//elsewhere", "http://[", "/v1/../../x"])
async def test_a_location_is_kept_and_never_asked(
    server: Server, vendor: Transport, trap: Server, location: str
) -> None:
    where = location.format(trap=trap.url)
    server.script = [Answer(202, headers={"Location": where})]
    center = PartnerCenter(vendor, Token(), now=now)

    outcome = await center.change("c", "s", {"id": "s"}, request_id="r", deadline=now() + timedelta(seconds=5))

    assert outcome == Working(where)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("discovery", "zone"),
    [
        ("https://webservices.autotask.net", "https://["),
        ("https://webservices.autotask.net", "https://autotask.net.example.com/atservicesrest/"),
        ("https://webservices.autotask.net", "https://evilautotask.net/atservicesrest/"),
        ("https://webservices.autotask.net", "https://169.254.169.254/metadata/"),
        ("https://webservices.autotask.net", "https://webservices14.autotask.net@example.com/"),
        ("https://webservices.autotask.net", "http://webservices14.autotask.net/atservicesrest/"),
        ("http://127.0.0.1:1", "http://127.0.0.2/atservicesrest/"),
    ],
)
async def test_a_zone_outside_the_vendors_domain_gets_no_credentials(server: Server, discovery: str, zone: str) -> None:
    def reply(request: Received) -> Answer:
        assert "secret" not in str(request.headers)
        return Answer(body={"url": zone})

    server.reply = reply
    transport = rerouted(discovery, server.url)
    autotask = Autotask(transport, user="u", secret="s3cret", integration_code="c", now=now)

    with pytest.raises(Misconfigured):
        await autotask.threshold()
    await transport.aclose()
    assert len(server.received) == 1


async def test_a_zone_of_the_vendor_is_taken(server: Server) -> None:
    usage = {"externalRequestThreshold": 10_000, "requestThresholdTimeframe": 60, "currentTimeframeRequestCount": 3}
    server.script = [Answer(body={"url": "https://webservices14.autotask.net/atservicesrest/"}), Answer(body=usage)]
    transport = rerouted("https://webservices.autotask.net", server.url)
    autotask = Autotask(transport, user="u", secret="s", integration_code="c", now=now)

    threshold = await autotask.threshold()
    await transport.aclose()

    assert threshold.used == 3


class Rerouted(httpx.AsyncHTTPTransport):
    """Takes every request to one server on this machine, whatever its name on the internet."""

    def __init__(self, server: str) -> None:
        super().__init__()
        self._server = httpx.URL(server)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = self._server.copy_with(raw_path=request.url.raw_path)
        return await super().handle_async_request(request)


def rerouted(name: str, server: str) -> Transport:
    return Transport(name, now=now, wire=Rerouted(server))
