"""The HTTP door of the API: token, throttle, replay, then one of the endpoints.

On the way back: errors and echo headers. The endpoints are short: `listings` pages, `account` keeps, `fields` and
`patch` judge a PATCH.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.partner_center.account import Outcome
from local.partner_center.calls import Call
from local.partner_center.errors import ApiError, ThrottledError, UnauthorizedError
from local.partner_center.fields import read_fields
from local.partner_center.listings import audit_page, customer_page
from local.partner_center.paging import collection
from local.partner_center.patch import Situation, check
from local.partner_center.replay import Replay
from local.partner_center.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.partner_center.access import Access
    from local.partner_center.account import Account
    from local.partner_center.calls import Endpoint
    from local.partner_center.subscription import Subscription
    from local.simulation.switches import Switches


@dataclass
class SlowAnswers:
    """How many of the next changes are answered with 202, and when they take effect."""

    seconds: float = 0.0
    times: int = 0
    outcome: Outcome = "applied"


class PartnerCenterApi:
    """The endpoints over an account."""

    def __init__(
        self,
        account: Account,
        access: Access,
        switches: Switches,
        further: Mapping[tuple[str, str], Endpoint] | None = None,
    ) -> None:
        """`further` are the endpoints of other modules by method and path; their paths go before the ones here."""
        self._further = further or {}
        self.slow = SlowAnswers()
        self._account = account
        self._access = access
        self._switches = switches
        self._throttle = Throttle(switches, "requestsPerMinute")
        self._replay = Replay(switches)

    def routes(self) -> list[Route]:
        """The routes of the API."""
        customer = "/v1/customers/{customer}"
        one = customer + "/subscriptions/{subscription}"
        reads: dict[str, Endpoint] = {
            "/v1/customers": self._customers,
            customer: self._customer,
            customer + "/subscriptions": self._subscriptions,
            one: self._subscription,
            one + "/addons": self._add_ons,
            "/v1/auditrecords": self._audit_records,
        }
        routes = [self._route(path, method, endpoint) for (method, path), endpoint in self._further.items()]
        routes += [self._route(path, "GET", endpoint) for path, endpoint in reads.items()]
        return [*routes, self._route(one, "PATCH", self._patch)]

    def _route(self, path: str, method: str, endpoint: Endpoint) -> Route:
        async def handle(request: Request) -> Response:
            try:
                caller = await self._access.caller(request.headers.get("Authorization"))
                answer = self._answer(endpoint, Call(request, caller, await request.body()))
            except UnauthorizedError:
                answer = Response(status_code=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
            except ThrottledError as error:
                body = {"statusCode": 429, "message": str(error)}
                answer = JSONResponse(body, 429, {"Retry-After": str(error.seconds)})
            except ApiError as error:
                answer = self._refusal(error)
            _echo(request, answer)
            return answer

        route = Route(path, handle, methods=[method])
        # Paths match in any case at Partner Center
        route.path_regex = re.compile(route.path_regex.pattern, re.IGNORECASE)
        return route

    def _answer(self, endpoint: Endpoint, call: Call) -> Response:
        """Throttle, replay, act. Nothing is awaited in here, so two equal writes cannot overtake each other."""
        self._throttle.count(call.caller.tenant, self._account.now())
        self._account.finish_due()
        if call.request.method == "GET":
            return endpoint(call)
        memory = (call.caller.tenant, call.request.url.path, call.request.headers.get("MS-RequestId"))
        earlier = self._replay.earlier_answer(*memory)
        if earlier is not None:
            return Response(earlier.body, earlier.status_code, dict(earlier.headers))
        try:
            answer = endpoint(call)
        except ApiError as error:
            answer = self._refusal(error)
        self._replay.remember(*memory, answer)
        return answer

    def _refusal(self, error: ApiError) -> Response:
        as_text = self._switches["errorCodeType"] == "string"
        return JSONResponse(error.body(code_as_text=as_text), error.status)

    def _customers(self, call: Call) -> Response:
        return JSONResponse(customer_page(self._account, call.request.query_params, call.continuation))

    def _customer(self, call: Call) -> Response:
        return JSONResponse(self._account.customer(call.customer_id).resource())

    def _audit_records(self, call: Call) -> Response:
        return JSONResponse(audit_page(self._account, call.request.query_params, call.continuation))

    def _subscriptions(self, call: Call) -> Response:
        customer = self._account.customer(call.customer_id)
        found = self._account.subscriptions(customer)
        query = call.request.query_params
        if "order_id" in query:
            found = [one for one in found if str(one.properties["orderId"]).lower() == query["order_id"].lower()]
        if "mpn_id" in query:
            found = [one for one in found if one.properties.get("partnerId") == query["mpn_id"]]
        return self._collection(found, f"/customers/{customer.id}/subscriptions")

    def _add_ons(self, call: Call) -> Response:
        customer = self._account.customer(call.customer_id)
        base = self._account.subscription(customer, call.path("subscription"))
        uri = f"/customers/{customer.id}/subscriptions/{base.id}/addons"
        return self._collection(self._account.add_ons(customer, base), uri)

    def _subscription(self, call: Call) -> Response:
        customer = self._account.customer(call.customer_id)
        return self._shown(self._account.subscription(customer, call.path("subscription")))

    def _patch(self, call: Call) -> Response:
        account = self._account
        customer = account.customer(call.customer_id)
        subscription = account.subscription(customer, call.path("subscription"))
        situation = Situation(account.now(), self._switches, account.parent(customer, subscription))
        wanted = read_fields(call.json(), subscription)
        change = check(subscription, wanted, call.request.headers.get("If-Match"), situation)
        if self.slow.times <= 0:
            account.change(subscription, change, call.caller.actor)
            return self._shown(subscription)
        self.slow.times -= 1
        account.change_later(
            subscription, change, call.caller.actor, seconds=self.slow.seconds, outcome=self.slow.outcome
        )
        location = f"/customers/{customer.id}/subscriptions/{subscription.id}"
        return Response(status_code=202, headers={"Location": location})

    def _shown(self, subscription: Subscription) -> Response:
        return JSONResponse(subscription.resource(self._account.now(), self._switches))

    def _collection(self, found: list[Subscription], uri: str) -> Response:
        now = self._account.now()
        items = [subscription.resource(now, self._switches, in_list=True) for subscription in found]
        return JSONResponse(collection(items, uri))


def _echo(request: Request, answer: Response) -> None:
    for name in ("MS-RequestId", "MS-CorrelationId"):
        answer.headers[name] = request.headers.get(name) or str(uuid.uuid4())
    answer.headers["MS-CV"] = f"{uuid.uuid4().hex[:16]}.0"
    answer.headers["MS-ServerId"] = "local-partner-center"
