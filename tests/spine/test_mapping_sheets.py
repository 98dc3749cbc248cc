"""Mappings as CSV on the real stack: export, dry run, import, round trip, and what is wrong by row and column."""

from __future__ import annotations

import csv
import io
import re
import uuid
from typing import Any

import httpx
import pytest

from local.plan import HOST
from tests.spine.test_mapping_at_purchase import company_of
from tests.spine.world import Subject, World, eventually, requests

SECONDS = 60.0
STRANGER = "99999999-0000-4000-8000-000000000009"
Row = dict[str, str]


def sheet(*rows: Row) -> str:
    """CSV as a person writes it."""
    names = sorted({name for row in rows for name in row})
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def ask(world: World, text: str | bytes, *, dry_run: bool = False, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key or str(uuid.uuid4()), "Content-Type": "text/csv"}
    content = text.encode() if isinstance(text, str) else text
    query = "?dryRun=true" if dry_run else ""
    return world.clients["mapper"].post(f"/mappings/import{query}", content=content, headers=headers)


def finished(world: World, text: str, *, dry_run: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ask for an import and wait until it is over; the import and its rows."""
    answer = ask(world, text, dry_run=dry_run)
    assert answer.status_code == 202, answer.text
    path = answer.headers["Operation-Location"].removeprefix("/api")
    mapper = world.clients["mapper"]
    job = eventually(lambda: mapper.get(path).json(), lambda found: found["status"] == "finished", SECONDS)
    rows = mapper.get(f"{path}/rows?pageSize=200").raise_for_status().json()["value"]
    return job, rows


def exported(world: World) -> list[Row]:
    """All pages of the export."""
    found: list[Row] = []
    path: str | None = "/mappings/export"
    while path is not None:
        answer = world.clients["reader"].get(path)
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/csv")
        found += csv.DictReader(io.StringIO(answer.text, newline=""))
        following = re.fullmatch(r'<(/api)?(.*)>; rel="next"', answer.headers.get("Link", ""))
        path = following[2] if following else None
    return found


def customer_row(subject: Subject) -> Row:
    return {"kind": "customer", "customerId": subject.customer, "companyId": str(company_of(subject))}


def subscription_row(subject: Subject, **more: str) -> Row:
    return {
        "kind": "subscription",
        "customerId": subject.customer,
        "subscriptionId": subject.subscription,
        "contractId": str(subject.contract),
        "contractServiceId": str(subject.line),
        **more,
    }


def test_a_sheet_is_tried_out_then_carried_out_and_then_changes_nothing(world: World) -> None:
    first, second, third = (world.unmapped("open") for _ in range(3))
    rows = [
        subscription_row(first, priceSource="fixed", unitPrice="13.25", drift="overwrite"),
        subscription_row(second, contractId="1"),
        customer_row(first),
        subscription_row(third, units="push", subscriptionId=STRANGER),
        subscription_row(third, contractServiceId="", serviceId="678"),
    ]
    text = sheet(*rows)

    tried, shown = finished(world, text, dry_run=True)

    assert (tried["dryRun"], tried["counts"]["done"], tried["counts"]["refused"]) == (True, 3, 2)
    by_row = {row["row"]: row for row in shown}
    assert [row["row"] for row in shown] == [4, 2, 3, 5, 6], "customers come first"
    assert (by_row[3]["code"], by_row[3]["column"]) == ("contract_not_found", "contractId")
    assert (by_row[5]["code"], by_row[5]["column"]) == ("subscription_not_found", "subscriptionId")
    assert (by_row[2]["change"], by_row[2]["units"], by_row[2]["operation"]) == ("create", "adopt", None)
    assert (by_row[6]["createsLine"], by_row[6]["units"]) == (True, "push")
    for subject in (first, third):
        assert world.clients["reader"].get(f"{subject.path}/mapping").status_code == 404

    carried, shown = finished(world, text)

    assert carried["counts"] == tried["counts"]
    by_row = {row["row"]: row for row in shown}
    world.wait_for_rest(by_row[2]["operation"])
    world.wait_for_rest(by_row[6]["operation"])
    mapping = world.clients["reader"].get(f"{first.path}/mapping").json()
    assert (mapping["pricing"]["unitPrice"], mapping["policy"]["drift"]) == ("13.25", "overwrite")
    made = Subject(third.customer, third.subscription, third.contract, by_row[6]["contractServiceId"], third.quantity)
    assert world.bill(made) == [(world.today(), third.quantity)]
    refused = world.clients["mapper"].get(carried["links"]["refused"].removeprefix("/api")).json()["value"]
    assert [row["row"] for row in refused] == [3, 5]

    again, shown = finished(world, text)

    assert (again["counts"]["unchanged"], again["counts"]["refused"]) == (3, 2)
    assert len(world.operations(third)) == 0


def test_an_export_reads_back_as_it_is_and_a_row_that_was_changed_by_hand_is_changed(world: World) -> None:
    subject = world.inside_window()
    rows = exported(world)
    mine = [row for row in rows if subject.customer in row["customerId"]]
    assert {row["kind"] for row in mine} == {"customer", "subscription"}
    autotask = len(requests(world.autotask, "POST", "query"))

    job, _ = finished(world, sheet(*mine))

    assert job["counts"] == {"pending": 0, "unchanged": 2, "done": 0, "refused": 0}
    assert len(requests(world.autotask, "POST", "query")) == autotask, "nothing has to be asked of Autotask for that"
    changed = [row | {"drift": "respect"} if row["kind"] == "subscription" else row for row in mine]
    job, shown = finished(world, sheet(*changed))
    assert job["counts"]["done"] == 1
    assert [row["change"] for row in shown] == [None, "change"]
    assert world.clients["reader"].get(f"{subject.path}/mapping").json()["policy"]["drift"] == "respect"


def test_names_that_look_like_formulas_are_exported_as_text_and_come_back_as_they_are(world: World) -> None:
    subject = world.inside_window()
    name = '=HYPERLINK("http://x.example";"Click")'
    settings = world.stack.ready["settings"]
    headers = {
        "UserName": settings["AUTOTASK_USER"],
        "Secret": settings["AUTOTASK_SECRET"],
        "ApiIntegrationCode": settings["AUTOTASK_INTEGRATION_CODE"],
    }
    body = {"companyName": name, "companyType": 1, "phone": "0", "ownerResourceID": 1, "isActive": True}
    made = world.autotask.post("/ATServicesRest/v1.0/Companies", json=body, headers=headers).json()["itemId"]
    put = world.clients["mapper"].put(f"/mappings/customers/{subject.customer}", json={"companyId": made})
    assert put.json()["companyName"] == name

    (row,) = [row for row in exported(world) if (row["customerId"], row["kind"]) == (subject.customer, "customer")]

    assert row["companyName"] == f"'{name}"
    job, _ = finished(world, sheet(row))
    assert job["counts"]["unchanged"] == 1
    assert world.clients["reader"].get(f"/mappings/customers/{subject.customer}").json()["companyName"] == name


def test_the_same_key_is_the_same_import(world: World) -> None:
    text, key = sheet(customer_row(world.unmapped("open"))), str(uuid.uuid4())
    first, again = ask(world, text, key=key), ask(world, text, key=key)
    assert first.json()["id"] == again.json()["id"]
    other = ask(world, text, dry_run=True, key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("kind,customerId,companyId\ncustomer,nobody,0\n", [(2, "customerId"), (2, "companyId")]),
        ("kind,customer\ncustomer,1\n", [(1, "customer")]),
        ("customerId\n1\n", [(1, "kind")]),
        ("kind\n", [(2, "")]),
        ("kind,companyId\ncustomer,1,2\n", [(2, "")]),
        ('kind\n"customer\n', [(2, "")]),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_wrong_sheet_names_every_row_and_column_and_nothing_is_stored(
    world: World,
    text: str,
    places: list[tuple[int, str]],
    dry_run: bool,  # noqa: FBT001 - pytest gives it by name
) -> None:
    answer = ask(world, text, dry_run=dry_run)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_sheet")
    assert [(error["row"], error["column"]) for error in answer.json()["errors"]] == places


def test_a_sheet_needs_utf8_a_key_a_size_and_the_role(world: World) -> None:
    text = sheet(customer_row(world.unmapped("open")))
    assert ask(world, b"kind\n\xff").json()["code"] == "not_utf8"
    assert ask(world, "x" * (2 * 1024 * 1024 + 1)).status_code == 413
    too_many = "kind,product,serviceId\n" + "".join(f"product,P{number},1\n" for number in range(5001))
    assert ask(world, too_many).json()["errors"][0]["row"] == 5002
    mapper = world.clients["mapper"]
    assert mapper.post("/mappings/import", content=text).json()["code"] == "idempotency_key_missing"
    assert mapper.post("/mappings/import?dryRun=maybe", content=text).json()["errors"][0]["field"] == "dryRun"
    headers = {"Idempotency-Key": "x"}
    assert world.clients["operator"].post("/mappings/import", content=text, headers=headers).status_code == 403
    assert mapper.get("/mappings/export?continuation=e30=").json()["code"] == "continuation_invalid"


@pytest.mark.parametrize("path", ["", "/rows"])
@pytest.mark.parametrize("identity", [STRANGER, "nonsense"])
def test_an_import_that_nobody_knows_is_not_found(world: World, identity: str, path: str) -> None:
    answer = world.clients["mapper"].get(f"/mappings/imports/{identity}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "import_not_found")


def test_an_import_goes_on_after_its_host_was_killed_and_does_each_row_once(world: World) -> None:
    subjects = [world.unmapped("open") for _ in range(50)]
    text = sheet(*map(customer_row, subjects), *map(subscription_row, subjects))
    path = ask(world, text).headers["Operation-Location"].removeprefix("/api")
    eventually(lambda: len(requests(world.autotask, "POST", "ContractServiceUnits")), lambda count: count > 12)
    world.stack.kill(HOST)
    world.stack.start(HOST)
    mapper = world.clients["mapper"]
    job = eventually(lambda: mapper.get(path).json(), lambda found: found["status"] == "finished", 2 * SECONDS)
    assert job["counts"]["refused"] == 0
    assert job["counts"]["done"] + job["counts"]["unchanged"] == 100
    for subject in subjects:
        operations = world.clients["reader"].get(f"{subject.path}/operations").json()["value"]
        assert [operation["kind"] for operation in operations] == ["map"]
        world.wait_for_badge(subject)
        assert world.adjustments(subject) == []
