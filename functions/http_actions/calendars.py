"""The calendar as JSON or CSV, and what syncs have found that somebody should know of."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import azure.functions as func
from pydantic import Field

from functions.http_actions import representations as show
from functions.http_actions.answers import subscriptions as answers
from functions.http_actions.answers.common import Page
from functions.http_actions.answers.service import UnreadableItem
from functions.http_actions.endpoint import GUID_IN_ANY_CASE, Answer, Call, Paged, endpoint
from functions.http_actions.problems import BadRequest, plain
from functions.http_actions.reach import within_reach
from functions.http_actions.sync_representations import calendar_item
from shared.domain.deadlines import Kind
from shared.domain.errors import NotFound
from shared.domain.sheet import written
from shared.identity import Role
from shared.usecases import calendar as use_case

blueprint = func.Blueprint()

_ANONYMOUS = func.AuthLevel.ANONYMOUS
_KINDS = "|".join(kind.value for kind in Kind)
_DAYS = 30
_MOST_DAYS = 400
_CSV_CUSTOMERS = 500  # read at a time
_CSV_LINES = 20_000


class CalendarQuery(Paged):
    """Which moments to list, within how many days; `kind` is one or more of them with commas between."""

    days: Annotated[int, Field(ge=1, le=_MOST_DAYS)] = _DAYS
    kind: Annotated[str, Field(pattern=f"^({_KINDS})?(,({_KINDS})?)*$")] | None = None
    customer: Annotated[str, Field(pattern=f"^({GUID_IN_ANY_CASE})?$")] | None = None
    routine: bool = False
    format: Literal["json", "csv"] = "json"


_COLUMNS = ("at", "daysLeft", "kind", "customerId", "customerName", "subscriptionId")  # of a calendar without items


@blueprint.function_name("get_calendar")
@blueprint.route(route="calendar", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(
    Role.READ,
    Page[answers.CalendarItem],
    query=CalendarQuery,
    refuses=("customer_not_found", "days_invalid", "calendar_too_long"),
    texts=("text/csv",),
)
async def get_calendar(call: Call) -> Answer:
    """What needs a person soon, by moment: windows closing, undecided renewals, ends, legacy licences."""
    question = _question(call)
    size, mark = call.page()
    if call.choice("format", ["json", "csv"]) == "csv":
        return await _csv(call, question)
    page = await use_case.calendar(call.app, question, size, _place(mark))
    now = call.app.partner_center.microsoft_now()
    return call.listing([calendar_item(item, now) for item in page.items], _mark(page.following))


@blueprint.function_name("list_new_subscriptions")
@blueprint.route(route="new-subscriptions", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.READ, Page[answers.NewSubscription], query=Paged)
async def list_new_subscriptions(call: Call) -> Answer:
    """Subscriptions that a sync has seen appear at a known customer and that are not mapped yet."""
    entries, following = await within_reach(call, call.app.sync.indexes.new)
    now = call.app.partner_center.microsoft_now()
    shown = []
    for entry in entries:
        row = await call.app.views.subscription(entry.customer, entry.subscription)
        if row is None or row.value.badge != "not_mapped" or row.value.snapshot.state.value == "deleted":
            await call.app.sync.indexes.drop_new(entry)  # mapped meanwhile, or gone
            continue
        subscription = show.subscription(row.value.snapshot, row.value.badge, now, row.value.missing_since)
        shown.append({"seenAt": show.moment(entry.seen_at), "causeKind": entry.cause, "subscription": subscription})
    return call.listing(shown, following)


@blueprint.function_name("list_unreadable_items")
@blueprint.route(route="unreadable-items", methods=["GET"], auth_level=_ANONYMOUS)
@endpoint(Role.DEAD_LETTERS, Page[UnreadableItem], query=Paged)
async def list_unreadable_items(call: Call) -> Answer:
    """What Partner Center listed and nobody could understand, raw."""
    entries, following = await within_reach(call, call.app.sync.indexes.unreadable)
    return call.listing(
        [
            {
                "customerId": entry.customer,
                "name": entry.name,
                "reason": entry.reason,
                "seenAt": show.moment(entry.seen_at),
                "raw": entry.raw,
            }
            for entry in entries
        ],
        following,
    )


def _question(call: Call) -> use_case.Question:
    text = call.request.params.get("days", str(_DAYS))
    if not (text.isdecimal() and len(text) < 4 and 1 <= int(text) <= _MOST_DAYS):
        raise BadRequest("days_invalid", f"days is a number from 1 to {_MOST_DAYS}.", name="days", status=422)
    names = [name for name in call.request.params.get("kind", "").split(",") if name]
    unknown = sorted(set(names) - {kind.value for kind in Kind})
    if unknown:
        allowed = ", ".join(kind.value for kind in Kind)
        raise BadRequest("parameter_invalid", f"kind is one or more of {allowed}.", name="kind", status=422)
    customer = call.request.params.get("customer")
    if customer:
        call.caller.reach.require(customer.lower())
    return use_case.Question(
        days=int(text),
        kinds=frozenset(Kind(name) for name in names),
        customer=_customer(customer) if customer else None,
        routine=call.choice("routine", ["true", "false"]) == "true",
        among=call.caller.reach.customers,
    )


def _customer(text: str) -> str:
    if len(text) != 36:
        raise NotFound("customer", text[:64])
    return text.lower()


def _place(mark: str | None) -> tuple[str, str] | None:
    if mark is None:
        return None
    place = json.loads(mark)
    return place["PartitionKey"], place["RowKey"]


def _mark(place: tuple[str, str] | None) -> str | None:
    return json.dumps({"PartitionKey": place[0], "RowKey": place[1]}) if place else None


async def _csv(call: Call, question: use_case.Question) -> Answer:
    """Everything in one file, by moment."""
    items: list[use_case.Item] = []
    place: tuple[str, str] | None = None
    while True:
        page = await use_case.calendar(call.app, question, _CSV_CUSTOMERS, place)
        items += page.items
        place = page.following
        if len(items) > _CSV_LINES:
            sentence = f"These are more than {_CSV_LINES} lines; ask for fewer days, kinds, or one customer."
            raise BadRequest("calendar_too_long", sentence, name="days", status=422)
        if place is None:
            break
    now = call.app.partner_center.microsoft_now()
    rows = [calendar_item(item, now) for item in sorted(items, key=lambda item: item.at)]
    headers = {"Content-Disposition": 'attachment; filename="calendar.csv"'}
    return Answer(written(list(rows[0]) if rows else _COLUMNS, plain(rows)), headers=headers, media="text/csv")
