"""The Autotask simulator over HTTP: the facts about Autotask that the product is built on."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.autotask.periods import ONE_DAY, add_months, billing_periods
from tests.local_world.simulator_process import Simulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = {
    "ApiIntegrationCode": "LOCALINTEGRATIONCODE0000001",
    "UserName": "api@partnersim.example",
    "Secret": "local-autotask-secret",
}
DUPLICATE = "Attempt to insert duplicate data into contract_service_period"
CUSTOMERS = 60


class Autotask:
    """A client of the simulator; `fresh` gives each test a generated customer of its own."""

    def __init__(self, simulator: Simulator) -> None:
        self.control = simulator
        self.http = httpx.Client(base_url=f"{simulator.url}/atservicesrest/v1.0", headers=HEADERS, timeout=5)
        self._numbers = itertools.count(1)

    def fresh(self) -> tuple[int, int, int]:
        """Return contract, line and units of a customer that no test used."""
        number = next(self._numbers)
        return 31_000_000 + number, 32_000_000 + number * 1000 + 1, 5 + (number + 1) % 20

    def query(self, entity: str, *conditions: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
        answer = self.http.post(f"/{entity}/query", json={"filter": list(conditions), **options})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def adjust(self, contract: int, **body: Any) -> httpx.Response:
        return self.http.post(f"/Contracts/{contract}/ServiceAdjustments", json=body)

    def rows(self, line: int) -> list[dict[str, Any]]:
        return self.query("ContractServiceUnits", equals("contractServiceID", line))

    def units(self, line: int, day: date) -> int:
        return next(
            (row["units"] for row in self.rows(line) if row["startDate"][:10] <= f"{day}" <= row["endDate"][:10]), 0
        )

    def today(self) -> date:
        return date.fromisoformat(self.control.get("clock")["now"][:10])


def equals(field: str, value: Any) -> dict[str, Any]:
    return {"op": "eq", "field": field, "value": value}


def errors(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 500, answer.text
    found: list[str] = answer.json()["errors"]
    return found


@pytest.fixture(scope="module")
def autotask_process() -> Iterator[Autotask]:
    arguments = ("--seed-customers", str(CUSTOMERS), "--subscriptions-per-customer", "2")
    with running("local.autotask", *arguments) as simulator:
        autotask = Autotask(simulator)
        with autotask.http:
            yield autotask


@pytest.fixture
def autotask(autotask_process: Autotask) -> Autotask:
    autotask_process.control.reset()
    return autotask_process


def test_periods_step_from_the_start_and_clamp_to_the_months_end() -> None:
    periods = billing_periods(date(2026, 1, 31), date(2026, 4, 10), 1)
    assert [(period.start.isoformat(), period.end.isoformat(), period.full_days) for period in periods] == [
        ("2026-01-31", "2026-02-27", 28),
        ("2026-02-28", "2026-03-30", 31),
        ("2026-03-31", "2026-04-10", 30),
    ]


def test_the_zone_is_open_and_leads_to_the_api(autotask: Autotask) -> None:
    zone = f"{autotask.control.url}/ATServicesRest/V1.0/ZoneInformation"
    answer = httpx.get(zone, params={"user": HEADERS["UserName"]}).json()
    version = httpx.get(answer["url"] + "VersionInformation").json()
    assert version == {"apiVersions": ["V1.0"]}
    assert errors(httpx.get(zone, params={"user": "nobody@partnersim.example"}))


@pytest.mark.parametrize("name", list(HEADERS))
def test_each_wrong_header_is_a_401(autotask: Autotask, name: str) -> None:
    assert autotask.http.get("/Companies/29683616", headers={name: "wrong"}).status_code == 401


def test_generated_customers_are_found_by_id_company_and_contract(autotask: Autotask) -> None:
    company = autotask.http.get(f"/Companies/{30_000_000 + CUSTOMERS}").json()["item"]
    assert company["companyName"] == f"Generated Customer {CUSTOMERS:06d}"
    contracts = autotask.query("Contracts", equals("companyID", company["id"]))
    lines = autotask.query("ContractServices", equals("contractID", contracts[0]["id"]))
    assert [line["id"] for line in lines] == [32_000_000 + CUSTOMERS * 1000 + j for j in (1, 2)]
    assert {row["units"] for row in autotask.rows(lines[0]["id"])} == {5 + (CUSTOMERS + 1) % 20}
    assert autotask.http.get("/Companies/999").json() == {"item": None}


def test_an_adjustment_answers_null_and_splits_the_period(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    month = add_months(autotask.today().replace(day=1), 1)
    before = len(autotask.rows(line))
    answer = autotask.adjust(
        contract,
        contractServiceID=line,
        unitChange=3,
        effectiveDate=f"{month.replace(day=10)}T00:00:00",
        adjustedUnitPrice=20,
    )
    assert (answer.status_code, answer.json()) == (200, {"itemId": None})
    rows = autotask.rows(line)
    assert len(rows) == before + 1
    first, second = [row for row in rows if row["startDate"].startswith(f"{month:%Y-%m}")]
    days = (add_months(month, 1) - month).days
    assert (first["units"], first["price"]) == (units, round(units * 12.5 * 9 / days, 2))
    assert (second["units"], second["price"]) == (units + 3, round((units + 3) * 20 * (days - 9) / days, 2))
    assert first["endDate"][:10] == f"{month.replace(day=9)}"
    assert rows[-1]["units"] == units + 3
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)


def test_a_second_adjustment_of_a_date_is_a_duplicate_unless_switched(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    wanted = {"contractServiceID": line, "unitChange": 1, "effectiveDate": f"{autotask.today()}T00:00:00"}
    assert autotask.adjust(contract, **wanted).status_code == 200
    assert errors(autotask.adjust(contract, **wanted)) == [DUPLICATE]
    autotask.control.post("switches", {"sameDate": "accept"})
    assert autotask.adjust(contract, **wanted).status_code == 200
    assert autotask.units(line, autotask.today()) == units + 2


def test_a_refused_adjustment_changes_nothing(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    today = autotask.today()
    line_and_date = {"contractServiceID": line, "effectiveDate": f"{today}"}
    assert "below zero" in errors(autotask.adjust(contract, **line_and_date, unitChange=-units - 1))[0]
    assert (
        "between the start date and end date"
        in errors(autotask.adjust(contract, contractServiceID=line, unitChange=1, effectiveDate="2040-01-01T00:00:00"))[
            0
        ]
    )
    assert "contractServiceID" in errors(autotask.adjust(contract + 1, **line_and_date, unitChange=1))[0]
    assert "Unexpected character" in errors(autotask.adjust(contract, **line_and_date, unitChange="two"))[0]
    assert (
        "Recurring Service"
        in errors(autotask.adjust(29747651, serviceID=677, unitChange=1, effectiveDate=f"{today}"))[0]
    )
    assert (
        "between"
        in errors(autotask.adjust(29747650, contractServiceID=8201, unitChange=1, effectiveDate=f"{today}"))[0]
    )
    assert autotask.units(line, today) == units
    history = autotask.control.get("state/adjustments", contractServiceId=line)["adjustments"]
    assert [one["source"] for one in history] == ["seed"]


def test_a_price_reaches_to_the_next_one_or_over_all_later_days(autotask: Autotask) -> None:
    contract, line, _ = autotask.fresh()
    first = add_months(autotask.today().replace(day=1), 1)
    second = add_months(first, 1)
    for day, price in ((second, 20), (first, 15)):
        effective = f"{day}T00:00:00"
        autotask.adjust(
            contract, contractServiceID=line, unitChange=0, effectiveDate=effective, adjustedUnitPrice=price
        )

    def price_on(day: date) -> float:
        return float(autotask.control.get("state/units", contractServiceId=line, date=f"{day}")["price"])

    assert (price_on(first), price_on(second)) == (15, 20)
    autotask.control.post("switches", {"priceReach": "onwards"})
    assert (price_on(first), price_on(second)) == (15, 15)


def test_parts_of_a_period_are_extended_by_days_or_by_thirtieths(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    first = next(day for day in (add_months(autotask.today().replace(day=1), n) for n in (1, 2)) if day.month != 2)
    autotask.adjust(contract, contractServiceID=line, unitChange=0, effectiveDate=f"{first.replace(day=16)}T00:00:00")
    autotask.control.post("switches", {"proration": "thirtieths"})
    parts = [row for row in autotask.rows(line) if row["startDate"].startswith(f"{first:%Y-%m}")]
    assert parts[0]["price"] == round(units * 12.5 / 2, 2)


def test_costs_are_hidden_when_switched(autotask: Autotask) -> None:
    _, line, units = autotask.fresh()
    assert autotask.rows(line)[0]["cost"] == units * 10
    autotask.control.post("switches", {"costs": "hidden"})
    assert autotask.rows(line)[0]["cost"] is None
    assert autotask.query("ContractServices", equals("id", line))[0]["unitCost"] is None


def test_a_line_in_a_bundle_is_not_adjusted_by_itself(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    autotask.control.post("state/bundle", {"contractServiceId": line})
    wanted = {"contractServiceID": line, "unitChange": 1, "effectiveDate": f"{autotask.today()}T00:00:00"}
    assert "ContractServiceBundle" in errors(autotask.adjust(contract, **wanted))[0]
    autotask.control.post("state/bundle", {"contractServiceId": line, "inBundle": False})
    assert autotask.adjust(contract, **wanted).status_code == 200
    assert autotask.units(line, autotask.today()) == units + 1


def test_zero_units_have_no_row_unless_switched(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    today = autotask.today()
    autotask.adjust(contract, contractServiceID=line, unitChange=-units, effectiveDate=f"{today}T00:00:00")
    assert max(row["endDate"][:10] for row in autotask.rows(line)) == f"{today - ONE_DAY}"
    autotask.control.post("switches", {"zeroRows": "emit"})
    assert autotask.rows(line)[-1]["units"] == 0
    assert len(autotask.rows(8003)) == 0


def test_a_service_is_added_by_the_adjustment_and_repeated_only_when_allowed(autotask: Autotask) -> None:
    contract, _, _ = autotask.fresh()
    buy = {"contractID": contract, "serviceID": 678, "unitChange": 4, "effectiveDate": f"{autotask.today()}T00:00:00"}
    assert autotask.http.post("/ContractServiceAdjustments", json=buy).json() == {"itemId": None}
    assert autotask.adjust(contract, **buy, allowRepeatService=True).status_code == 200
    lines = autotask.query("ContractServices", equals("contractID", contract), equals("serviceID", 678))
    assert [autotask.units(line["id"], autotask.today()) for line in lines] == [4, 4]
    assert (
        "already associated"
        in errors(autotask.http.post(f"/Contracts/{contract}/Services", json={"serviceID": 678}))[0]
    )
    assert autotask.http.post("/ContractServices", json={}).status_code == 404


def test_a_line_made_by_hand_is_listed_patched_and_starts_at_nothing(autotask: Autotask) -> None:
    contract, _, _ = autotask.fresh()
    url = f"/Contracts/{contract}/Services"
    made = autotask.http.post(url, json={"serviceID": 679, "unitPrice": 5, "internalDescription": "csp:1"}).json()[
        "itemId"
    ]
    assert autotask.http.patch(url, json={"id": made, "invoiceDescription": "mail"}).json() == {"itemId": made}
    line = next(one for one in autotask.http.get(url).json()["items"] if one["id"] == made)
    assert (line["invoiceDescription"], line["internalDescription"], line["unitPrice"]) == ("mail", "csp:1", 5)
    autotask.http.put(url, json={"id": made, "invoiceDescription": "post"})
    assert autotask.http.get(f"/ContractServices/{made}").json()["item"]["internalDescription"] is None
    assert autotask.rows(made) == []


def test_shortening_a_contract_deletes_what_follows_for_good(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    today = autotask.today()
    end = autotask.http.get(f"/Contracts/{contract}").json()["item"]["endDate"]
    autotask.adjust(contract, contractServiceID=line, unitChange=2, effectiveDate=f"{today + timedelta(days=40)}")
    for wanted in (f"{today + timedelta(days=30)}T00:00:00", end):
        answer = autotask.http.patch("/Contracts", json={"id": contract, "endDate": wanted})
        assert answer.json() == {"itemId": contract}
    assert autotask.rows(line)[-1]["units"] == units
    history = autotask.control.get("state/adjustments", contractServiceId=line)["adjustments"]
    assert [(one["unitChange"], one["removedAt"] is None) for one in history] == [(units, True), (2, False)]


def test_posted_periods_are_protected_and_billed(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    today = autotask.today()
    month = add_months(today.replace(day=1), 1)
    middle = month.replace(day=15)
    autotask.control.post("state/post-periods", {"contractServiceId": line, "through": f"{month}"})
    wanted = {"contractServiceID": line, "unitChange": 1}
    assert "approved and posted" in errors(autotask.adjust(contract, **wanted, effectiveDate=f"{month}"))[0]
    autotask.control.post("switches", {"posted": "reject"})
    assert "approved and posted" in errors(autotask.adjust(contract, **wanted, effectiveDate=f"{middle}"))[0]
    autotask.control.post("switches", {"posted": "prorate"})
    assert autotask.adjust(contract, **wanted, effectiveDate=f"{middle}").status_code == 200
    row = next(row for row in autotask.rows(line) if row["startDate"].startswith(f"{middle}"))
    assert (row["units"], row["approveAndPostDate"]) == (units + 1, None)
    items = autotask.query("BillingItems", equals("contractServiceID", line))
    assert items[-1]["itemDate"][:10] == f"{month}"
    shorten = {"id": contract, "endDate": f"{today}T00:00:00"}
    assert "approved and posted" in errors(autotask.http.patch("/Contracts", json=shorten))[0]


def test_a_hand_edit_changes_units_and_does_not_occupy_its_date(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    today = autotask.today()
    edit = {"contractServiceId": line, "effectiveDate": f"{today}", "unitChange": 2}
    assert autotask.control.post("state/edit", edit)["source"] == "manual"
    assert autotask.units(line, today) == units + 2
    wanted = {"contractServiceID": line, "unitChange": 1, "effectiveDate": f"{today}"}
    autotask.control.post("switches", {"sameDateSources": "all"})
    assert errors(autotask.adjust(contract, **wanted)) == [DUPLICATE]
    autotask.control.post("switches", {"sameDateSources": "api"})
    assert autotask.adjust(contract, **wanted).status_code == 200
    state = autotask.control.get("state/units", contractServiceId=line, date=f"{today}")
    assert (state["units"], len(state["steps"])) == (units + 3, 2)
    assert autotask.control.http.post("/_control/state/edit", json=edit | {"unitChange": -99}).status_code == 400


def test_reads_lag_behind_writes_when_switched(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    today = autotask.today()
    autotask.control.post("switches", {"lagSeconds": 30})
    autotask.adjust(contract, contractServiceID=line, unitChange=1, effectiveDate=f"{today}")
    assert autotask.units(line, today) == units
    assert autotask.control.get("state/units", contractServiceId=line)["units"] == units + 1
    autotask.control.post("clock", {"advanceSeconds": 31})
    assert autotask.units(line, today) == units + 1


def test_an_unknown_operator_is_dropped_and_an_unknown_field_is_loud(autotask: Autotask) -> None:
    every = {"op": "gte", "field": "id", "value": 0}
    dropped = autotask.query("Services", every, {"op": "ne", "field": "id", "value": 677})
    assert len(dropped) == len(autotask.query("Services", every)) >= 4
    answer = autotask.http.post("/Services/query", json={"filter": [equals("projectID", 1)]})
    assert errors(answer) == ["Unable to find projectID in the Service Entity"]
    assert errors(autotask.http.post("/Services/query", json={}))
    many = {"op": "in", "field": "id", "value": list(range(501))}
    assert "500 or fewer" in errors(autotask.http.post("/Services/query", json={"filter": [many]}))[0]


def test_filters_combine_compare_and_name_the_fields_to_return(autotask: Autotask) -> None:
    group = {"op": "or", "items": [equals("ID", 677), {"op": "beginsWith", "field": "name", "value": "exchange"}]}
    found = autotask.query(
        "Services", group, {"op": "lt", "field": "unitPrice", "value": 10}, IncludeFields=["id", "NAME"]
    )
    assert found == [{"id": 679, "name": "Exchange Online (Plan 1)"}]
    tenant = {"op": "eq", "field": "Microsoft Tenant ID", "value": "0B7F5B9D-3C61-4F0E-8F9A-51C2A7D4E101", "udf": True}
    assert [row["companyName"] for row in autotask.query("Companies", tenant)] == ["Northwind"]
    assert "userDefinedFields" not in autotask.query("Companies", equals("id", 30_000_001))[0]
    day = autotask.today()
    covering = autotask.query(
        "ContractServiceUnits",
        {"op": "in", "field": "contractServiceID", "value": [8002, 8101]},
        {"op": "lte", "field": "startDate", "value": f"{day}T23:59:59"},
        {"op": "gte", "field": "endDate", "value": f"{day}T00:00:00"},
    )
    assert [(row["contractServiceID"], row["units"]) for row in covering] == [(8002, 10), (8101, 12)]


def test_pages_of_a_post_query_are_fetched_by_post_only(autotask: Autotask) -> None:
    wanted = {"MaxRecords": 25, "filter": [{"op": "gte", "field": "id", "value": 30_000_000}]}
    page = autotask.http.post("/Companies/query", json=wanted).json()
    following = page["pageDetails"]["nextPageUrl"]
    refused = autotask.http.get(following)
    assert (refused.status_code, list(refused.json())) == (405, ["Message"])
    ids = [row["id"] for row in page["items"]]
    while following:
        page = autotask.http.post(following, json=wanted).json()
        ids += [row["id"] for row in page["items"]]
        following = page["pageDetails"]["nextPageUrl"]
    assert ids == [30_000_000 + number for number in range(1, CUSTOMERS + 1)]
    assert autotask.http.post("/Companies/query/count", json=wanted).json() == {"queryCount": CUSTOMERS}


def test_get_queries_page_by_get_and_must_not_be_long(autotask: Autotask) -> None:
    search = json.dumps({"MaxRecords": 1, "filter": [{"op": "gte", "field": "id", "value": 678}]})
    page = autotask.http.get("/Services/query", params={"search": search}).json()
    assert [row["id"] for row in page["items"]] == [678]
    page = autotask.http.get(page["pageDetails"]["nextPageUrl"]).json()
    assert [row["id"] for row in page["items"]] == [679]
    assert autotask.http.get("/Services/query", params={"search": " " * 2048}).status_code == 404


def test_adjustments_cannot_be_queried_and_say_so_in_their_metadata(autotask: Autotask) -> None:
    assert autotask.http.post("/ContractServiceAdjustments/query", json={}).status_code == 404
    assert autotask.http.get("/Contracts/29747643/ServiceAdjustments").status_code == 405
    info = autotask.http.get("/ContractServiceAdjustments/entityInformation").json()["info"]
    assert (info["canCreate"], info["canQuery"]) == (True, False)
    fields = autotask.http.get("/Contracts/entityInformation/fields").json()["fields"]
    kinds = next(field for field in fields if field["name"] == "contractType")
    assert {"7": "Recurring Service"}.items() <= {one["value"]: one["label"] for one in kinds["picklistValues"]}.items()


def test_a_fourth_request_at_once_is_throttled(autotask: Autotask) -> None:
    autotask.control.post("switches", {"latencySeconds": 0.3, "throttleRetryAfterSeconds": 5})

    def read(_: int) -> httpx.Response:
        return autotask.http.get("/Companies/29683616")

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(read, range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 429, 429]
    throttled = next(answer for answer in answers if answer.status_code == 429)
    assert (throttled.headers["retry-after"], "thread" in throttled.json()["errors"][0]) == ("5", True)


def test_the_hourly_budget_is_shared_and_rolls(autotask: Autotask) -> None:
    used = autotask.http.get("/ThresholdInformation").json()["currentTimeframeRequestCount"]
    autotask.control.post("switches", {"hourlyRequests": used + 1})
    assert [autotask.http.get("/Services/677").status_code for _ in range(2)] == [200, 429]
    autotask.control.post("clock", {"advanceSeconds": 3700})
    assert autotask.http.get("/Services/677").status_code == 200


def test_tickets_are_found_by_external_id_and_closed(autotask: Autotask) -> None:
    ticket = {"companyID": 29683616, "title": "CSP sync failed", "status": 1, "priority": 2, "externalID": "op-1"}
    assert errors(autotask.http.post("/Tickets", json=ticket)) == ["Missing Required Field: dueDateTime"]
    ticket["dueDateTime"] = "2026-08-11T17:00:00Z"
    made = autotask.http.post("/Tickets", json=ticket).json()["itemId"]
    assert autotask.http.post(f"/Tickets/{made}/Notes", json={"title": "a", "description": "b"}).status_code == 200
    autotask.http.patch("/Tickets", json={"id": made, "status": 5})
    found = autotask.query("Tickets", equals("externalID", "OP-1"))
    assert [(row["id"], row["status"], row["title"]) for row in found] == [(made, 5, "CSP sync failed")]
    assert (
        "assignedResourceRoleID" in errors(autotask.http.post("/Tickets", json=ticket | {"assignedResourceID": 1}))[0]
    )


def test_a_contract_note_marks_each_api_adjustment_and_can_be_ours(autotask: Autotask) -> None:
    contract, line, _ = autotask.fresh()
    autotask.adjust(contract, contractServiceID=line, unitChange=1, effectiveDate=f"{autotask.today()}")
    autotask.http.post(f"/Contracts/{contract}/Notes", json={"title": "cspsync 1", "description": "x"})
    titles = [note["title"] for note in autotask.query("ContractNotes", equals("contractID", contract))]
    assert titles == ["Contract service adjusted through the API", "cspsync 1"]


def test_names_of_services_are_unique_and_contracts_need_their_fields(autotask: Autotask) -> None:
    service = {"name": "rds cals", "unitPrice": 1, "periodType": 2, "billingCodeID": 29683278}
    assert "IX_service" in errors(autotask.http.post("/Services", json=service))[0]
    contract = {"companyID": 29683616, "contractName": "x", "contractType": 7, "status": 1, "startDate": "2026-01-01"}
    contract |= {"endDate": "2027-01-01T00:00:00", "timeReportingRequiresStartAndStopTimes": 0}
    assert errors(autotask.http.post("/Contracts", json=contract)) == ["Missing Required Field: contractPeriodType"]
    made = autotask.http.post("/Contracts", json=contract | {"contractPeriodType": 2}).json()["itemId"]
    assert autotask.http.get(f"/Contracts/{made}").json()["item"]["startDate"] == "2026-01-01T00:00:00Z"


def test_a_timeout_after_the_effect_leaves_the_adjustment_in_place(autotask: Autotask) -> None:
    contract, line, units = autotask.fresh()
    for when, expected in (("before", units), ("after", units + 1)):
        autotask.control.post(
            "faults", {"method": "POST", "path": "serviceadjustments", "fault": "timeout", "when": when}
        )
        with httpx.Client(base_url=autotask.http.base_url, headers=HEADERS, timeout=0.4) as client:
            body = {"contractServiceID": line, "unitChange": 1, "effectiveDate": f"{autotask.today()}"}
            with pytest.raises(httpx.ReadTimeout):
                client.post(f"/Contracts/{contract}/ServiceAdjustments", json=body)
        assert autotask.units(line, autotask.today()) == expected
