"""Mappings as CSV: export, import with a dry run, and how far an import has come."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

import azure.functions as func
from pydantic import Field

from functions.http_actions import long_work
from functions.http_actions import representations as show
from functions.http_actions.answers import imports as answers
from functions.http_actions.answers.common import Page
from functions.http_actions.endpoint import Answer, Call, Paged, Query, endpoint
from functions.http_actions.problems import BadRequest, retry_after
from shared.domain.errors import Refused
from shared.domain.mapping_import import MOST_BYTES, MOST_ROWS, Import, Item, RowStatus
from shared.domain.mapping_sheet import (
    COLUMNS,
    ORDER,
    CustomerRow,
    Numbered,
    ProductRow,
    SubscriptionRow,
    Wrong,
    rows_of,
    wrong_columns,
)
from shared.domain.sheet import NotASheet, records, written
from shared.identity import Forbidden, Role
from shared.usecases.mapping_export import Place, export_mappings
from shared.usecases.mapping_import import ImportRequest, rows_of_import, take_in_import

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS
_LOOK_AGAIN = timedelta(seconds=5)
_EXPORTED = 1000  # rows of a page
_ERRORS = 200  # that a problem names


class ExportQuery(Query):
    """Where to go on."""

    continuation: Annotated[str, Field(description="As the `Link` of a page says")] | None = None


class ImportQuery(Query):
    """Whether only to say what would happen."""

    dry_run: bool = False


class RowsQuery(Paged):
    """The rows of one status, or all."""

    status: RowStatus | None = None


@blueprint.function_name("export_mappings")
@blueprint.route(route="mappings/export", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(
    Role.READ, {200: None}, query=ExportQuery, refuses=("continuation_invalid",), texts=("text/csv",), headers=("Link",)
)
async def export(call: Call) -> Answer:
    """A page of all mappings as CSV, in the form that an import reads; the header `Link` names the next page."""
    rows, following = await export_mappings(call.app, call.caller.reach.customers, _place(call), _EXPORTED)
    headers = {"Content-Disposition": 'attachment; filename="mappings.csv"'}
    if following is not None:
        headers["Link"] = f'<{call.path}?continuation={quote(_mark(following), safe="=")}>; rel="next"'
    return Answer(written(COLUMNS, rows), headers=headers, media="text/csv")


@blueprint.function_name("import_mappings")
@blueprint.route(route="mappings/import", methods=["POST"], auth_level=_ANONYMOUS)
@endpoint(
    Role.MAPPINGS,
    {202: answers.Import},
    query=ImportQuery,
    keyed=True,
    refuses=("invalid_sheet", "not_utf8", "body_too_large", "too_large"),
    body="text/csv",
)
async def import_(call: Call) -> Answer:
    """Take in a sheet of mappings, or try it out with `dryRun=true`; no vendor is asked before the answer."""
    dry_run = call.choice("dryRun", ["true", "false"]) == "true"
    raw = call.request.get_body()
    rows = _rows(raw)
    for one in rows:
        if isinstance(one.row, ProductRow):
            call.caller.reach.require_all()
        else:
            call.caller.reach.require(one.row.customer)
    request = ImportRequest(
        caller=call.caller.id,
        idempotency_key=call.idempotency_key(),
        target=call.target,
        request_hash=hashlib.sha256(raw + (b"\ntry" if dry_run else b"\ndo")).hexdigest(),
        dry_run=dry_run,
        rows=rows,
    )
    job = await take_in_import(call.app, request)
    where = {"Operation-Location": f"/api/mappings/imports/{job.id}", **retry_after(_LOOK_AGAIN)}
    return Answer(_shown(job), 202, where)


@blueprint.function_name("get_mapping_import")
@blueprint.route(route="mappings/imports/{job}", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, answers.Import, headers=("Retry-After",))
async def get_import(call: Call) -> Answer:
    """How far an import has come."""
    job = await _find(call)
    return Answer(_shown(job), headers=long_work.look_again(job, _LOOK_AGAIN))


@blueprint.function_name("list_mapping_import_rows")
@blueprint.route(route="mappings/imports/{job}/rows", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.MAPPINGS, Page[answers.ImportRow], query=RowsQuery)
async def list_import_rows(call: Call) -> Answer:
    """What became, or would become, of each row, by pages; `status` shows those of one."""
    job = await _find(call)
    word = call.choice("status", [status.value for status in RowStatus])
    size, mark = call.page(int)
    after = min(max(int(mark), 0), job.size) if mark else 0
    status = RowStatus(word) if word else None
    items, following = await rows_of_import(call.app, job, status=status, size=size, after=after)
    return call.listing([_item(item) for item in items], str(following) if following is not None else None)


def _rows(raw: bytes) -> tuple[Numbered, ...]:
    """The rows of a sheet. Raises BadRequest, and Refused with every cell that is wrong."""
    if len(raw) > MOST_BYTES:
        raise BadRequest("body_too_large", f"The sheet is larger than {MOST_BYTES} bytes.", status=413)
    try:
        names, found = records(raw.decode("utf-8-sig"), MOST_ROWS)
    except UnicodeDecodeError:
        raise BadRequest("not_utf8", "The sheet is not in UTF-8.", name="body") from None
    except NotASheet as error:
        raise _invalid([Wrong(error.row, "", f"{error}")]) from None
    wrong = wrong_columns(names)
    rows, more = rows_of(found) if not wrong else ([], [])
    wrong += more
    if not wrong and not rows:
        wrong.append(Wrong(2, "", "is missing: there is nothing to import"))
    if wrong:
        raise _invalid(wrong)
    return tuple(rows)


def _invalid(wrong: list[Wrong]) -> Refused:
    wrong = sorted(wrong, key=lambda one: one.row)
    errors = [
        {
            "field": f"row {one.row}, {one.column}" if one.column else f"row {one.row}",
            "row": one.row,
            "column": one.column,
            "message": one.message,
        }
        for one in wrong[:_ERRORS]
    ]
    sentence = f"The sheet is wrong in {len(wrong)} places, first in row {wrong[0].row}."
    return Refused("invalid_sheet", sentence, status=422, errors=errors)


async def _find(call: Call) -> Import:
    """The import that a route names. Raises BadRequest with status 404, Forbidden where it is somebody else's."""
    stored = await long_work.find(call, "import", call.app.mappings.imports.get, parameter="job")
    if call.caller.reach.customers is not None and stored.value.requested_by != call.caller.id:
        raise Forbidden("The import may concern other customers than yours.", "customer_forbidden")
    return stored.value


def _place(call: Call) -> Place:
    mark = call.request.params.get("continuation")
    if not mark:
        return Place()
    try:
        found = json.loads(base64.urlsafe_b64decode(mark.encode()))
        place = Place(found["kind"], found["customer"], found["mark"])
        pages = call.caller.reach.customers is None or place.kind == "product"  # their marks are objects of storage
        inner = json.loads(place.mark) if place.mark and pages else {}
        texts = [place.kind, place.customer, place.mark, *inner.values()]
        good = place.kind in ORDER and isinstance(inner, dict) and all(isinstance(text, str) for text in texts)
    except (binascii.Error, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise BadRequest("continuation_invalid", "The continuation is not ours.", name="continuation")
    return place


def _mark(place: Place) -> str:
    document = json.dumps({"kind": place.kind, "customer": place.customer, "mark": place.mark})
    return base64.urlsafe_b64encode(document.encode()).decode()


def _shown(job: Import) -> dict[str, Any]:
    return {
        "id": job.id,
        "dryRun": job.dry_run,
        **long_work.progress(job),
        "size": job.size,
        "counts": {status.value: number for status, number in job.progress.items()},
        "links": {
            "self": f"/api/mappings/imports/{job.id}",
            "rows": f"/api/mappings/imports/{job.id}/rows",
            "refused": f"/api/mappings/imports/{job.id}/rows?status=refused",
        },
        **long_work.pause(job),
    }


def _item(item: Item) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "row": item.number,
        "kind": item.row.kind,
        **_about(item),
        "status": item.status.value,
        "change": item.change.value if item.change else None,
    }
    if item.code:
        shown |= {"code": item.code, "detail": item.sentence, "column": item.column or None}
    if item.not_before is not None:
        shown["retryAt"] = show.moment(item.not_before)
    return shown


def _about(item: Item) -> dict[str, Any]:
    match item.row:
        case CustomerRow(customer, company):
            return {"customerId": customer, "companyId": company, "companyName": item.name or None}
        case ProductRow(product, term, billing, service):
            offer = {"product": product, "termDuration": term, "billingCycle": billing}
            return {**offer, "serviceId": service, "serviceName": item.name or None}
        case SubscriptionRow(customer, subscription, contract):
            return {
                "customerId": customer,
                "subscriptionId": subscription,
                "contractId": contract,
                "contractServiceId": item.line or item.row.line,
                "createsLine": item.creates_line,
                "units": item.units or None,
                "operation": item.operation or None,
            }
