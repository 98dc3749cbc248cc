"""Whatever a vendor answers, the adapters give a value of the domain or raise an error of ours, and nothing else.

Each example is a real HTTP answer of a server in the test's own event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.autotask.client import Autotask
from shared.domain.errors import CspError
from shared.domain.migration import MigrationRequest, ScheduleRequest
from shared.domain.planning import Adjustment
from shared.domain.upgrade import TransitionRequest, UpgradeOption
from shared.partner_center.client import PartnerCenter
from shared.partner_center.listings import Listings
from shared.partner_center.migrations import Migrations
from shared.partner_center.session import Session
from shared.partner_center.transitions import Transitions
from shared.partner_center.wire import parse_subscription
from shared.transport import Retries, Transport
from tests.adapters.autotask_script import ZONE, zone
from tests.adapters.conftest import NOW, Answer, Received, Server
from tests.adapters.partner_center_script import Tokens
from tests.adapters.test_partner_center_migrations import COMPLETED
from tests.adapters.test_partner_center_transitions import ELIGIBILITY, TAKEN
from tests.adapters.test_partner_center_wire import NCE
from tests.fuzz.strange import bodies, encoded, examples

LATER = NOW + timedelta(seconds=20)
CHANGE = {"id": "s", "quantity": 3, "attributes": {"etag": "e"}}
LINK = {"uri": "/customers?size=500&seekOperation=Next", "headers": [{"key": "MS-ContinuationToken", "value": "t"}]}
UNITS = {
    "id": 1,
    "contractServiceID": 8001,
    "startDate": "2026-08-01T00:00:00Z",
    "endDate": "2026-08-31T00:00:00.000Z",
    "units": 11,
    "price": 12.5,
    "cost": 10.0,
    "approveAndPostDate": None,
}
CONTRACT = {
    "id": 29747643,
    "companyID": 29683616,
    "contractName": "CSP",
    "contractType": 7,
    "startDate": "2026-01-01T00:00:00Z",
    "endDate": "2030-12-31T00:00:00Z",
    "status": 1,
    "contractPeriodType": "m",
}
LINE = {"id": 8001, "contractID": 29747643, "serviceID": 677, "unitPrice": 12.5, "unitCost": 10.0}
FAULT = {"code": 800002, "description": "no", "errorName": "x", "data": ["a"], "source": "s"}
AUDIT = {
    "id": "a",
    "customerId": "c",
    "operationDate": "2026-05-06T12:00:00Z",
    "operationStatus": "succeeded",
    "operationType": "update_subscription",
    "resourceNewValue": '{"Id": "s"}',
    "customizedData": [{"key": "SubscriptionId", "value": "s"}],
}


@dataclass
class Vendors:
    """Both vendors' adapters over one server that answers what it is told."""

    server: Server
    runner: asyncio.Runner
    session: Session
    center: PartnerCenter
    listings: Listings
    transitions: Transitions
    migrations: Migrations
    autotask: Autotask
    answer: Answer = field(default_factory=Answer)

    def reply(self, request: Received) -> Answer:
        """The zone where it is asked for, the answer of the example otherwise."""
        return zone(self.server) if request.path == ZONE else self.answer


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    with asyncio.Runner() as runner:
        built, listening, transport = runner.run(opened(runner))
        yield built
        runner.run(closed(listening, transport))


async def opened(runner: asyncio.Runner) -> tuple[Vendors, asyncio.Server, Transport]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    transport = Transport(server.url, now=lambda: NOW)
    tokens = Tokens()
    session = Session(transport, tokens, now=lambda: NOW, timeout=2, retries=Retries())
    autotask = Autotask(
        transport, user="u", secret="s", integration_code="c", now=lambda: NOW, timeout=2, retries=Retries()
    )
    built = Vendors(
        server,
        runner,
        session,
        PartnerCenter(transport, tokens, now=lambda: NOW, timeout=2, retries=Retries()),
        Listings(session),
        Transitions(session),
        Migrations(session),
        autotask,
    )
    server.reply = built.reply
    return built, listening, transport


async def closed(listening: asyncio.Server, transport: Transport) -> None:
    await transport.aclose()
    listening.close()


async def _customers(center: PartnerCenter) -> object:
    return [page async for page in center.customers()]


async def _subscriptions(listings: Listings) -> object:
    return [_parsed(raw) for raw in (await listings.subscriptions("c")).items()]


async def _subscription(center: PartnerCenter) -> object:
    return _parsed((await center.subscription("c", "s")).raw)


def _parsed(raw: dict[str, Any]) -> object:
    return parse_subscription("c", raw)


Ask = Callable[[Vendors], Awaitable[object]]
REQUEST = MigrationRequest("s", term="P1Y", billing="monthly")
OPTION = UpgradeOption("o", "n", eligible=True, reasons=(), quantity=3, raw={"id": "o"})
WRITE: dict[str, Any] = {"request_id": "r", "deadline": LATER}
ASKED: dict[str, tuple[Ask, object]] = {
    "customers": (lambda v: _customers(v.center), {"items": [{"id": "c"}], "links": {"next": LINK}}),
    "customers of a sync": (lambda v: v.listings.customers(None), {"items": [{"id": "c"}], "links": {"next": LINK}}),
    "subscriptions": (lambda v: _subscriptions(v.listings), {"totalCount": 1, "items": [NCE]}),
    "subscription": (lambda v: _subscription(v.center), NCE),
    "change": (lambda v: v.center.change("c", "s", CHANGE, **WRITE), FAULT),
    "audit": (lambda v: v.listings.audit(date(2026, 5, 5), date(2026, 5, 6), None), {"items": [AUDIT]}),
    "transition options": (
        lambda v: v.transitions.transition_options("c", "s", scheduled=False),
        {"items": [ELIGIBILITY]},
    ),
    "transition": (lambda v: v.transitions.transition("c", "s", TransitionRequest("t", 3, "x"), **WRITE), TAKEN),
    "transitions": (lambda v: v.transitions.transitions("c", "s"), {"items": [TAKEN]}),
    "upgrade options": (
        lambda v: v.transitions.upgrade_options("c", "s"),
        {"items": [{"targetOffer": {"id": "o", "name": "n"}, "isEligible": True, "quantity": 3}]},
    ),
    "upgrade": (lambda v: v.transitions.upgrade("c", "s", OPTION, **WRITE), {"sourceSubscriptionId": "s"}),
    "validate": (lambda v: v.migrations.validate_migration("c", REQUEST), {"isEligible": True, "errors": []}),
    "migrate": (lambda v: v.migrations.migrate("c", REQUEST, **WRITE), COMPLETED),
    "migration": (lambda v: v.migrations.migration("c", "m"), COMPLETED),
    "migrations": (lambda v: v.migrations.migrations("c"), [COMPLETED]),
    "schedule": (lambda v: v.migrations.schedule_migration("c", ScheduleRequest(REQUEST), **WRITE), COMPLETED),
    "schedules": (lambda v: v.migrations.migration_schedules("c"), [COMPLETED]),
    "cancel a schedule": (lambda v: v.migrations.cancel_migration_schedule("c", "m", **WRITE), FAULT),
    "add-ons": (lambda v: v.migrations.add_ons("c", "s"), {"items": [NCE]}),
    "units": (lambda v: v.autotask.units([8001]), {"items": [UNITS]}),
    "contracts": (lambda v: v.autotask.contracts([29747643]), {"items": [CONTRACT]}),
    "services": (lambda v: v.autotask.services([677]), {"items": [{"id": 677, "name": "n"}]}),
    "companies": (lambda v: v.autotask.companies([1]), {"items": [{"id": 1, "companyName": "n"}]}),
    "companies by name": (lambda v: v.autotask.companies_by_name("n"), {"items": [{"id": 1, "companyName": "n"}]}),
    "lines": (lambda v: v.autotask.contract_lines(29747643), {"items": [LINE]}),
    "line": (lambda v: v.autotask.line(8001), {"item": LINE}),
    "threshold": (
        lambda v: v.autotask.threshold(),
        {"externalRequestThreshold": 10_000, "requestThresholdTimeframe": 60, "currentTimeframeRequestCount": 3},
    ),
    "create a line": (lambda v: v.autotask.create_line(29747643, 677, "d"), {"itemId": 5}),
    "adjust": (
        lambda v: v.autotask.adjust(
            contract=29747643, line=8001, adjustment=Adjustment(date(2026, 9, 1), -3), deadline=LATER
        ),
        {"itemId": 5, "errors": ["no"]},
    ),
}
STATUSES = st.sampled_from([200, 200, 200, 200, 201, 202, 204, 301, 400, 401, 403, 404, 409, 412, 429, 500, 503])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Date": st.sampled_from(["Wed, 06 May 2026 12:00:00 GMT", "yesterday", "Mon, 01 Jan 0001 00:00:00 GMT", "-1"]),
        "Retry-After": st.sampled_from(["0", "-5", "9" * 40, "soon", "Wed, 06 May 9999 12:00:00 GMT"]),
        "Location": st.sampled_from(["https://elsewhere.example/steal", "//x", "http://[", ""]),
        "MS-ContinuationToken": st.sampled_from(["t", "", "x" * 5000]),
        "Content-Type": st.sampled_from(["application/json", "text/html", "application/json; charset=utf-16"]),
    },
)


@pytest.mark.parametrize("asked", ASKED)
def test_only_errors_of_ours_come_out_of_an_adapter(vendors: Vendors, asked: str) -> None:
    ask, true = ASKED[asked]

    @examples(40)
    @given(
        body=bodies(true, ("items", "item", "id", "links", "next", "errors", "code")), status=STATUSES, headers=HEADERS
    )
    def example(body: bytes, status: int, headers: dict[str, str]) -> None:
        vendors.answer = Answer(status, body, headers)
        with contextlib.suppress(CspError):
            vendors.runner.run(_bounded(ask(vendors)))

    example()


def _next(uri: str, mark: str = "t") -> dict[str, Any]:
    link = {"uri": uri, "headers": [{"key": "MS-ContinuationToken", "value": mark}]}
    return {"items": [{"id": "c"}], "links": {"next": link}}


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("customers", _next("http://[")),
        ("customers of a sync", _next("http://[")),
        ("customers", _next("/customers?size=5", "\u00e9")),
        ("customers", _next("/customers?size=5", "\ud800")),
        ("customers", _next("/customers?size=" + "9" * 70_000)),
        ("customers", {"items": [], "continuationToken": "\u00e9"}),
        ("units", {"items": [{**UNITS, "contractServiceID": [8001]}]}),
        ("units", {"items": [{**UNITS, "contractServiceID": {}}]}),
        ("units", {"items": [{**UNITS, "price": float("nan")}]}),
        ("units", {"items": [{**UNITS, "cost": float("inf")}]}),
        ("line", {"item": {**LINE, "unitPrice": float("nan")}}),
        ("subscription", {**NCE, "quantity": float("inf")}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_answer_that_nobody_can_work_with_is_an_error_of_ours(vendors: Vendors, asked: str, answer: object) -> None:
    vendors.answer = Answer(200, encoded(answer))

    with pytest.raises(CspError):
        vendors.runner.run(_bounded(ASKED[asked][0](vendors)))


async def _bounded(asked: Awaitable[object]) -> None:
    async with asyncio.timeout(10):
        await asked
