"""The supporting reads around the actions: provisioning status, and the ends a next term may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from local.partner_center.errors import ApiError
from local.partner_center.moments import DAY, NEVER_ENDS, TERM_MONTHS, add_months, midnight, term_end, to_the_second
from local.partner_center.paging import collection
from local.partner_center.subscription import Family

if TYPE_CHECKING:
    from datetime import datetime

    from local.partner_center.account import Account
    from local.partner_center.calls import Call, Endpoint
    from local.partner_center.customers import Customer


class SupportingEndpoints:
    """The endpoints over an account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """The endpoints by method and path; the fixed word comes before a subscription's id."""
        subscriptions = "/v1/customers/{customer}/subscriptions"
        return {
            ("GET", subscriptions + "/customTermEndDates"): self._term_ends,
            ("GET", subscriptions + "/{subscription}/provisioningstatus"): self._provisioning,
        }

    def _provisioning(self, call: Call) -> Response:
        if not call.caller.delegated:
            raise ApiError(403, 900329, "App-only authentication is not supported here.")
        account = self._account
        found = account.subscription(account.customer(call.customer_id), call.path("subscription"))
        status = account.switches["provisioningStatus"]
        if status == "derived":
            status = "pending" if found.underway is not None or found.status == "pending" else "success"
        shown = {
            "skuId": str(found.properties["offerId"]),
            "status": status,
            "quantity": found.quantity,
            "endDate": to_the_second(found.term_end - DAY) if found.term_end else NEVER_ENDS,
            "attributes": {"objectType": "SubscriptionProvisioningStatus"},
        }
        return JSONResponse(shown)

    def _term_ends(self, call: Call) -> Response:
        account = self._account
        customer = account.customer(call.customer_id)
        term = (call.query("termDuration") or "").upper()
        if term not in TERM_MONTHS:
            raise ApiError(400, 900268, "The term duration is invalid.")
        items = _calendar_months(account.now(), term) + self._others_ends(customer, account.now(), term)
        return JSONResponse(collection(items, call.request.url.path.removeprefix("/v1")))

    def _others_ends(self, customer: Customer, now: datetime, term: str) -> list[dict[str, Any]]:
        ends: dict[datetime, list[str]] = {}
        for one in self._account.subscriptions(customer):
            fits = one.term_end is not None and now + DAY < one.term_end <= term_end(now, term)
            if one.family is Family.NCE and one.status == "active" and not one.is_trial and fits and one.term_end:
                ends.setdefault(one.term_end, []).append(one.id)
        return [_item("subscriptionAligned", end) | {"cotermSubscriptionIds": ids} for end, ids in ends.items()]


def _calendar_months(now: datetime, term: str) -> list[dict[str, Any]]:
    first = now.date().replace(day=1)
    ends = [midnight(add_months(first, number)) for number in range(1, TERM_MONTHS[term] + 1)]
    return [_item("calendarMonthAligned", end) for end in ends if end <= term_end(now, term)]


def _item(kind: str, end: datetime) -> dict[str, Any]:
    return {"allowedCustomTermEndDateType": kind, "allowedCustomTermEndDate": f"{end - DAY:%Y-%m-%d}T23:59:59Z"}
