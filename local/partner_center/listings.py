"""The paged collections: customers with their filter, audit records with their days.

Everything about pages is `paging`'s.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from local.partner_center.errors import ApiError
from local.partner_center.moments import DAY, midnight
from local.partner_center.paging import (
    collection,
    continuation_token,
    past_the_end,
    read_position,
    read_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.partner_center.account import Account
    from local.partner_center.audit import AuditRecord
    from local.partner_center.customers import Customer

AUDIT_DEFAULT = timedelta(days=30)
AUDIT_HORIZON = timedelta(days=90)


def customer_page(account: Account, query: Mapping[str, str], token: str | None) -> dict[str, Any]:
    """A page of `GET /v1/customers`.

    Raises:
        ApiError: the size, the filter or the continuation token is wrong, or the page lies past the end.
    """
    size = read_size(query.get("size"))
    bound = f"customers {size} {query.get('filter', '')}"
    if token is not None and query.get("seekOperation", "").lower() != "next":
        raise ApiError(400, 800002, "A continuation token needs seekOperation=Next.")
    position = read_position(bound, token)
    found, following = account.customers.page(position, size, _customer_filter(query.get("filter")))
    if following is None and account.switches["pagePastEnd"] == "error_2000":
        following = len(account.customers)
        if position >= following:
            raise past_the_end()
    asked = {name: query[name] for name in ("size", "filter") if name in query}
    return collection(
        [customer.list_item() for customer in found],
        _uri("/customers", asked),
        next_uri=account.switches["nextLinkPrefix"] + _uri("/customers", asked | {"seekOperation": "Next"}),
        token=None if following is None else continuation_token(bound, following),
    )


def audit_page(account: Account, query: Mapping[str, str], token: str | None) -> dict[str, Any]:
    """A page of `GET /v1/auditrecords`, newest first; the token holds the number of the record to go on with.

    Raises:
        ApiError: the size, a date, the filter or the continuation token is wrong, or the page lies past the end.
    """
    size = read_size(query.get("size"))
    asked = {name: query[name] for name in ("startDate", "endDate", "size", "filter") if name in query}
    bound = f"audit {urlencode(asked)}"
    first, after = _days(query, account.now())
    matches = _audit_filter(query.get("filter"))
    visible = account.now() - timedelta(seconds=float(account.switches["auditLagSeconds"]))
    newest = len(account.audit) if token is None else read_position(bound, token)
    found: list[AuditRecord] = []
    following = None
    for record in reversed(account.audit[:newest]):
        if not (first <= record.at < after and record.at <= visible and matches(record)):
            continue
        if len(found) == size:
            following = record.number
            break
        found.append(record)
    if following is None and token is not None and newest == 0:
        raise past_the_end()
    if following is None and account.switches["pagePastEnd"] == "error_2000":
        following = 0
    uri = _uri("/auditrecords", asked)
    return collection(
        [record.resource() for record in found],
        uri,
        next_uri=account.switches["nextLinkPrefix"] + uri,
        token=None if following is None else continuation_token(bound, following),
    )


def _uri(path: str, parameters: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path


def _filter(text: str, operators: Mapping[str, str]) -> tuple[str, str]:
    """The field (lower case) and the value (lower case) of a filter whose field has just one operator."""
    try:
        wanted = {str(name).lower(): str(value) for name, value in json.loads(text).items()}
        field, value, operator = wanted["field"].lower(), wanted["value"].lower(), wanted["operator"].lower()
    except (ValueError, AttributeError, KeyError) as error:
        raise ApiError(400, 800002, "The filter is invalid: Field, Value and Operator are expected.") from error
    if operators.get(field) != operator:
        raise ApiError(400, 800002, f"The filter is invalid: operator '{operator}' on field '{field}'.")
    return field, value


def _customer_filter(text: str | None) -> Callable[[Customer], bool] | None:
    if not text:
        return None
    field, value = _filter(text, {"companyname": "starts_with", "domain": "starts_with"})
    if field == "domain":
        return lambda customer: customer.domain.lower().startswith(value)
    return lambda customer: customer.name.lower().startswith(value)


def _audit_filter(text: str | None) -> Callable[[AuditRecord], bool]:
    if not text:
        return lambda _: True
    field, value = _filter(text, {"companyname": "substring", "customerid": "equals", "resourcetype": "equals"})
    if field == "companyname":
        return lambda record: value in record.customer_name.lower()
    if field == "customerid":
        return lambda record: record.customer_id.lower() == value
    return lambda record: record.resource()["resourceType"] == value


def _days(query: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """The first moment of the asked days and the first moment after them."""
    start = _day(query.get("startDate")) or (now - AUDIT_DEFAULT).date()
    end = _day(query.get("endDate")) or now.date()
    if midnight(start) < now - AUDIT_HORIZON - DAY:
        raise ApiError(400, 800002, "Audit records older than 90 days are not available.")
    return midnight(start), midnight(end) + DAY


def _day(text: str | None) -> date | None:
    """A day; a time of day is accepted and ignored."""
    if not text:
        return None
    for form in ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%Y %I:%M:%S %p"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text).date()
    except ValueError as error:
        raise ApiError(400, 800002, f"The date '{text}' is invalid.") from error
