"""The Autotask client against a scripted server: zone, paging, safety of filters, one adjustment, three slots."""

from __future__ import annotations

import asyncio
import logging
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from shared.autotask.client import Autotask
from shared.domain.contract import Company, Contract, ContractLine, Service, Threshold
from shared.domain.errors import Malformed, Misconfigured, OutcomeUnknown, Refused, RetryLater, VendorError
from shared.domain.outcomes import Accepted, AdjustmentRefused, AdjustUnknown, Unsent
from shared.domain.planning import Adjustment
from shared.domain.reading import UnitsRow
from shared.priority import background
from shared.transport import Transport
from tests.adapters.autotask_script import ZONE, Script, zone
from tests.adapters.conftest import HANG, NOW, RESET, Answer, Received, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.domain.outcomes import AdjustOutcome
    from shared.ports import AutotaskPort

pytestmark = pytest.mark.anyio
V1 = "/ATServicesRest/v1.0"
LATER = NOW + timedelta(seconds=20)
MINUTE = timedelta(seconds=60)


def items(*rows: dict[str, Any]) -> Answer:
    return Answer(200, {"items": list(rows), "pageDetails": {"count": len(rows), "nextPageUrl": None}})


def units(
    number: int, line: int = 8001, start: str = "2026-08-01", end: str = "2026-08-31", **more: Any
) -> dict[str, Any]:
    row = {"contractServiceID": line, "startDate": f"{start}T00:00:00Z", "endDate": f"{end}T00:00:00.000Z", "units": 11}
    return {"id": number, **row, "approveAndPostDate": None, **more}


@pytest.fixture
def script(server: Server) -> Script:
    return Script(server)


def client(transport: Transport) -> Autotask:
    return Autotask(
        transport, user="api@partnersim.example", secret="s3cret", integration_code="CODE", now=lambda: NOW, timeout=0.5
    )


@pytest.fixture
async def autotask(server: Server) -> AsyncIterator[AutotaskPort]:
    transport = Transport(server.url, now=lambda: NOW)
    yield client(transport)
    await transport.aclose()


def calls(server: Server) -> list[Received]:
    return [request for request in server.received if request.path != ZONE]


FEWER = Adjustment(date(2026, 9, 1), -3)


async def adjust(autotask: AutotaskPort, deadline: datetime = LATER, adjustment: Adjustment = FEWER) -> AdjustOutcome:
    return await autotask.adjust(contract=29747643, line=8001, adjustment=adjustment, deadline=deadline)


async def test_the_zone_is_asked_once_without_credentials(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script += [items(), items()]
    await autotask.units([8001])
    await autotask.units([8001])
    discovery, first, second = server.received
    assert (discovery.path, discovery.query) == (ZONE, {"user": "api@partnersim.example"})
    assert not {"secret", "apiintegrationcode", "username"} & set(discovery.headers)
    assert first.path == second.path == f"{V1}/ContractServiceUnits/query"
    credentials = {"username": "api@partnersim.example", "secret": "s3cret", "apiintegrationcode": "CODE"}
    assert credentials.items() <= first.headers.items()


async def test_concurrent_first_calls_ask_for_the_zone_once(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script += [items()] * 3
    await asyncio.gather(*(autotask.units([8001]) for _ in range(3)))
    assert sum(request.path == ZONE for request in server.received) == 1


async def test_a_401_in_a_zone_that_moved_is_repeated_there(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script.zones.append(zone(server, "/elsewhere"))
    script += [Answer(401, b""), items()]
    assert await autotask.units([8001]) == {8001: ()}
    assert [request.path.split("/")[1] for request in calls(server)] == ["ATServicesRest", "elsewhere"]


async def test_a_401_in_the_right_zone_is_for_a_person(server: Server, script: Script, autotask: AutotaskPort) -> None:
    script += [Answer(401, b"")]
    with pytest.raises(Misconfigured):
        await autotask.units([8001])
    assert len(calls(server)) == 1
    assert len(server.received) == 3


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(500, {"errors": ["Zone information could not be determined"]}), Misconfigured),
        (Answer(200, {"url": None}), Misconfigured),
        (Answer(200, {"url": "https://zone.example/atservicesrest/"}), Misconfigured),
        (Answer(200, {"url": "ftp://zone.example/"}), Misconfigured),
        (Answer(200, b"oops"), RetryLater),
        (Answer(503), RetryLater),
    ],
)
async def test_without_a_zone_nothing_is_sent(
    server: Server, script: Script, autotask: AutotaskPort, answer: Answer, error: type[Exception]
) -> None:
    script.zones = [answer]
    with pytest.raises(error):
        await autotask.units([8001])
    assert isinstance(await adjust(autotask), Unsent)
    assert calls(server) == []


async def test_units_of_each_line_in_the_order_of_their_dates(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script += [
        items(
            units(501, start="2026-08-10", end="2026-08-31", units=16, price=262.3, cost=None),
            units(502, end="2026-08-09", approveAndPostDate="2026-07-02T00:00:00Z"),
            units(503, line=8002, units=4.0),
        )
    ]
    assert await autotask.units([8001, 8002, 8003]) == {
        8001: (
            UnitsRow(date(2026, 8, 1), date(2026, 8, 9), 11, posted=True),
            UnitsRow(date(2026, 8, 10), date(2026, 8, 31), 16, posted=False, price=Decimal("262.3")),
        ),
        8002: (UnitsRow(date(2026, 8, 1), date(2026, 8, 31), 4, posted=False),),
        8003: (),
    }
    condition = {"op": "in", "field": "contractServiceID", "value": [8001, 8002, 8003]}
    assert calls(server)[0].body == {"MaxRecords": 500, "filter": [condition]}


async def test_more_rows_than_a_page_are_read_by_keyset(server: Server, script: Script, autotask: AutotaskPort) -> None:
    script += [items(*(units(number) for number in range(1, 501))), items(units(501))]
    assert len((await autotask.units([8001]))[8001]) == 501
    first, second = calls(server)
    assert second.path == first.path
    assert second.body["filter"] == [*first.body["filter"], {"op": "gt", "field": "id", "value": 500}]


async def test_a_full_last_page_costs_one_more_request(server: Server, script: Script, autotask: AutotaskPort) -> None:
    script += [items(*(units(number) for number in range(1, 501))), items()]
    assert len((await autotask.units([8001]))[8001]) == 500


async def test_rows_that_were_not_asked_for_end_the_reading(script: Script, autotask: AutotaskPort) -> None:
    script += [items(units(1), units(2, line=9999))]
    with pytest.raises(VendorError):
        await autotask.units([8001])


async def test_rows_out_of_order_end_the_reading(script: Script, autotask: AutotaskPort) -> None:
    script += [items(units(2), units(1))]
    with pytest.raises(VendorError):
        await autotask.units([8001])


@pytest.mark.parametrize(
    "row", [units(1, units=None), units(1, units=1.5), units(1, start="soon"), units(1, start="2026-09-01")]
)
async def test_an_unreadable_row_is_malformed(script: Script, autotask: AutotaskPort, row: dict[str, Any]) -> None:
    script += [items(row)]
    with pytest.raises(Malformed):
        await autotask.units([8001])


async def test_at_most_100_lines_at_once(server: Server, autotask: AutotaskPort) -> None:
    with pytest.raises(ValueError, match="100"):
        await autotask.units(range(101))
    assert server.received == []


async def test_nothing_asked_nothing_sent(server: Server, autotask: AutotaskPort) -> None:
    assert (await autotask.units([]), await autotask.contracts([])) == ({}, {})
    assert server.received == []


@pytest.mark.parametrize("answer", [Answer(429), Answer(500, {"errors": ["Itgenatr005: thread threshold exceeded"]})])
async def test_a_throttled_read_is_for_later_at_once(
    server: Server, script: Script, autotask: AutotaskPort, answer: Answer
) -> None:
    script += [answer]
    with pytest.raises(RetryLater) as caught:
        await autotask.units([8001])
    assert caught.value.after == MINUTE
    assert len(calls(server)) == 1


async def test_a_read_is_repeated_twice_after_an_outage(server: Server, script: Script, autotask: AutotaskPort) -> None:
    script += [Answer(503, b"<html>"), RESET, items(units(1))]
    assert len((await autotask.units([8001]))[8001]) == 1
    script += [Answer(503)] * 3
    with pytest.raises(RetryLater):
        await autotask.units([8001])
    assert len(calls(server)) == 6


async def test_a_rule_against_a_read_is_not_repeated(server: Server, script: Script, autotask: AutotaskPort) -> None:
    script += [Answer(500, {"errors": ["Unable to find x in the y Entity"]})]
    with pytest.raises(VendorError, match="Unable to find x"):
        await autotask.units([8001])
    assert len(calls(server)) == 1


@pytest.mark.parametrize("answer", [Answer(200, b"oops"), Answer(200, []), Answer(200, {"items": None})])
async def test_an_unreadable_answer_to_a_read_is_for_later(
    script: Script, autotask: AutotaskPort, answer: Answer
) -> None:
    script += [answer]
    with pytest.raises(RetryLater):
        await autotask.units([8001])


async def test_contracts_lines_services_and_companies(server: Server, script: Script, autotask: AutotaskPort) -> None:
    contract = {
        "id": 5,
        "companyID": 7,
        "contractName": " CSP ",
        "contractType": 7,
        "contractPeriodType": 2,
        "status": 1,
    }
    line = {"id": 9, "contractID": 5, "serviceID": 677, "unitPrice": 23.1, "internalDescription": "csp:s"}
    found_line = ContractLine(9, 5, 677, "", "csp:s", Decimal("23.1"))
    script += [
        items({**contract, "startDate": "2025-10-01T00:00:00Z", "endDate": "2026-09-30T00:00:00Z"}),
        items(line),
        Answer(200, {"item": line}),
        Answer(200, {"item": None}),
        Answer(404, b"<html>"),
        items({"id": 677, "name": "Premium", "periodType": 2, "isActive": True, "unitPrice": 23, "unitCost": 18.9}),
        items({"id": 7, "companyName": "Northwind", "isActive": False}),
        items({"id": 7, "companyName": "Northwind"}),
    ]
    period = (date(2025, 10, 1), date(2026, 9, 30))
    assert await autotask.contracts([5, 6]) == {5: Contract(5, 7, "CSP", 7, 2, 1, *period)}
    assert await autotask.contract_lines(5) == [found_line]
    assert [await autotask.line(9) for _ in range(3)] == [found_line, None, None]
    assert await autotask.services([677]) == {677: Service(677, "Premium", 2, True, Decimal(23), Decimal("18.9"))}  # noqa: FBT003 - a row
    assert await autotask.companies([7]) == {7: Company(7, "Northwind", active=False)}
    assert await autotask.companies_by_name("north", limit=5) == [Company(7, "Northwind", active=True)]
    search = {"op": "beginsWith", "field": "companyName", "value": "north"}
    assert calls(server)[-1].body == {"MaxRecords": 5, "filter": [search]}


async def test_a_search_whose_filter_was_dropped_is_noticed(script: Script, autotask: AutotaskPort) -> None:
    script += [items({"id": 7, "companyName": "Fabrikam"})]
    with pytest.raises(VendorError):
        await autotask.companies_by_name("north")


async def test_many_ids_are_asked_for_in_slices(server: Server, script: Script, autotask: AutotaskPort) -> None:
    script += [items(), items(), items()]
    await autotask.services([*range(1, 251), 1, 2])
    assert [len(request.body["filter"][0]["value"]) for request in calls(server)] == [100, 100, 50]


async def test_the_threshold(script: Script, autotask: AutotaskPort) -> None:
    budget = {"externalRequestThreshold": 10000, "requestThresholdTimeframe": 60, "currentTimeframeRequestCount": 124}
    script += [Answer(200, budget)]
    assert await autotask.threshold() == Threshold(limit=10000, minutes=60, used=124)


async def test_an_adjustment_is_a_delta_on_a_date_without_zone(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script += [Answer(200, {"itemId": None})]
    assert await adjust(autotask) == Accepted()
    (sent,) = calls(server)
    assert (sent.method, sent.path) == ("POST", f"{V1}/Contracts/29747643/ServiceAdjustments")
    assert sent.body == {
        "contractID": 29747643,
        "contractServiceID": 8001,
        "unitChange": -3,
        "effectiveDate": "2026-09-01T00:00:00",
    }


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        ({"price": Decimal("12.50")}, {"adjustedUnitPrice": 12.5}),
        (
            {"price": Decimal("12.3456"), "cost": Decimal("9.1")},
            {"adjustedUnitPrice": 12.3456, "adjustedUnitCost": 9.1},
        ),
        ({"price": Decimal(0)}, {"adjustedUnitPrice": 0}),
        ({}, {}),
    ],
)
async def test_an_adjustment_carries_the_rates_that_it_names_and_no_others(
    server: Server, script: Script, autotask: AutotaskPort, named: dict[str, Decimal], sent: dict[str, float]
) -> None:
    script += [Answer(200, {"itemId": None})]
    assert await adjust(autotask, adjustment=Adjustment(date(2026, 9, 1), 0, **named)) == Accepted()
    body = calls(server)[0].body
    assert {field: body[field] for field in body if field.startswith("adjusted")} == sent
    assert body["unitChange"] == 0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(500, {"errors": ["Attempt to insert duplicate data into contract_service_period"]}), AdjustmentRefused),
        (Answer(429), AdjustUnknown),
        (Answer(503), AdjustUnknown),
        (Answer(200, b"oops"), AdjustUnknown),
        (Answer(401, b""), Unsent),
        (HANG, AdjustUnknown),
        (RESET, AdjustUnknown),
    ],
)
async def test_an_adjustment_is_answered_and_never_repeated(
    server: Server, script: Script, autotask: AutotaskPort, answer: Answer, kind: type[object]
) -> None:
    script += [answer]
    assert type(await adjust(autotask)) is kind
    assert len(calls(server)) == 1


async def test_an_adjustment_that_met_the_wrong_zone_goes_once_to_the_right_one(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script.zones.append(zone(server, "/elsewhere"))
    script += [Answer(401, b""), Answer(200, {"itemId": None})]
    assert await adjust(autotask) == Accepted()
    assert len(calls(server)) == 2


async def test_no_adjustment_is_sent_after_its_deadline(server: Server, script: Script, autotask: AutotaskPort) -> None:
    assert isinstance(await adjust(autotask, deadline=NOW), Unsent)
    assert calls(server) == []


async def test_an_adjustment_that_waits_for_its_turn_beyond_its_deadline_is_not_sent(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script += [Answer(200, {"itemId": None}, seconds=0.3)] * 3
    first = [asyncio.create_task(adjust(autotask)) for _ in range(3)]
    await asyncio.sleep(0.1)
    assert isinstance(await adjust(autotask, deadline=NOW + timedelta(seconds=0.05)), Unsent)
    assert await asyncio.gather(*first) == [Accepted()] * 3
    assert len(calls(server)) == 3


async def test_three_requests_at_once_and_no_more(server: Server, script: Script, autotask: AutotaskPort) -> None:
    script += [Answer(200, {"itemId": None}, seconds=0.02)] * 12
    assert await asyncio.gather(*(adjust(autotask) for _ in range(12))) == [Accepted()] * 12
    assert server.most_at_once == 3


async def test_whoever_waits_for_an_answer_goes_before_background_work(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script += [Answer(200, {"itemId": None}, seconds=0.05)] * 8 + [Answer(200, {"item": None})]
    with background():
        work = [asyncio.create_task(adjust(autotask)) for _ in range(8)]
    await asyncio.sleep(0.02)  # three of them are under way, five wait
    assert await autotask.line(7) is None
    await asyncio.gather(*work)
    assert [call.method for call in calls(server)].index("GET") in range(3, 6)


async def test_a_request_that_gives_up_waiting_takes_no_slot_with_it(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script += [Answer(200, {"itemId": None}, seconds=0.1)] * 3 + [Answer(200, {"itemId": None})] * 3
    first = [asyncio.create_task(adjust(autotask)) for _ in range(3)]
    await asyncio.sleep(0.02)
    late = [asyncio.create_task(adjust(autotask, deadline=NOW + timedelta(seconds=0.03))) for _ in range(4)]
    assert all(isinstance(outcome, Unsent) for outcome in await asyncio.gather(*late))
    await asyncio.gather(*first)
    assert await asyncio.gather(*(adjust(autotask) for _ in range(3))) == [Accepted()] * 3
    assert server.most_at_once == 3


async def test_the_budget_is_read_once_and_counts_our_requests_since(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    threshold = {
        "externalRequestThreshold": 10000,
        "requestThresholdTimeframe": 60,
        "currentTimeframeRequestCount": 124,
    }
    script += [Answer(200, threshold), *[Answer(200, {"itemId": None})] * 3]
    assert await autotask.budget() == Threshold(limit=10000, minutes=60, used=124)
    await asyncio.gather(*(adjust(autotask) for _ in range(3)))
    assert await autotask.budget() == Threshold(limit=10000, minutes=60, used=127)
    assert len(calls(server)) == 4


async def test_a_budget_that_cannot_be_read_is_unknown_and_not_asked_for_again_at_once(
    server: Server, script: Script, autotask: AutotaskPort
) -> None:
    script += [Answer(404, b"")]
    assert [await autotask.budget(), await autotask.budget()] == [None, None]
    assert len(calls(server)) == 1


async def test_without_a_connection_an_adjustment_is_unsent(unused_url: str) -> None:
    transport = Transport(unused_url, now=lambda: NOW)
    assert isinstance(await adjust(client(transport)), Unsent)
    await transport.aclose()


async def test_a_new_line(server: Server, script: Script, autotask: AutotaskPort) -> None:
    script += [Answer(200, {"itemId": 8001})]
    assert await autotask.create_line(5, 677, "csp:" + "x" * 200) == 8001
    (sent,) = calls(server)
    assert sent.path == f"{V1}/Contracts/5/Services"
    assert sent.body == {"contractID": 5, "serviceID": 677, "internalDescription": "csp:" + "x" * 96}


async def test_a_further_line_of_a_service(server: Server, script: Script, autotask: AutotaskPort) -> None:
    script += [Answer(200, {"itemId": None}), Answer(500, {"errors": ["not allowed"]}), Answer(503)]
    await autotask.repeat_line(5, 677, date(2026, 8, 1))
    (sent,) = calls(server)
    assert sent.path == f"{V1}/Contracts/5/ServiceAdjustments"
    assert sent.body == {
        "contractID": 5,
        "serviceID": 677,
        "unitChange": 0,
        "effectiveDate": "2026-08-01T00:00:00",
        "allowRepeatService": True,
    }
    for error in (Refused, OutcomeUnknown):
        with pytest.raises(error):
            await autotask.repeat_line(5, 677, date(2026, 8, 1))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(500, {"errors": ["the service is on the contract already"]}), Refused),
        (Answer(401, b""), Misconfigured),
        (Answer(200, {"itemId": None}), OutcomeUnknown),
        (Answer(200, b"oops"), OutcomeUnknown),
        (Answer(429), OutcomeUnknown),
        (Answer(503), OutcomeUnknown),
        (RESET, OutcomeUnknown),
    ],
)
async def test_a_line_that_was_not_created_for_certain(
    server: Server, script: Script, autotask: AutotaskPort, answer: Answer, error: type[Exception]
) -> None:
    script += [answer]
    with pytest.raises(error):
        await autotask.create_line(5, 677, "csp:s")
    assert len(calls(server)) == 1


async def test_credentials_and_user_are_never_logged(
    script: Script, autotask: AutotaskPort, caplog: pytest.LogCaptureFixture
) -> None:
    script += [Answer(401, b"")]
    with caplog.at_level(logging.DEBUG), pytest.raises(Misconfigured) as caught:
        await autotask.units([8001])
    assert "zoneInformation" in caplog.text
    assert not [word for word in ("s3cret", "CODE", "partnersim") if word in caplog.text + str(caught.value)]
