"""The endpoints of upgrades: eligible targets, transitions, and the legacy upgrades beside them.

They find customer and subscription and write the answers; the rules are `eligibility`'s, `transition_rules`' and
`upgrades`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from local.partner_center.eligibility import eligible_items
from local.partner_center.errors import ApiError
from local.partner_center.paging import collection
from local.partner_center.subscription import Family
from local.partner_center.transition_rules import Surroundings, read_plan
from local.partner_center.upgrades import upgrade, upgrade_items

if TYPE_CHECKING:
    from local.partner_center.account import Account
    from local.partner_center.calls import Call, Endpoint
    from local.partner_center.customers import Customer
    from local.partner_center.subscription import Subscription
    from local.partner_center.transitions import Transitions


class TransitionEndpoints:
    """The endpoints over an account and its upgrades."""

    def __init__(self, account: Account, transitions: Transitions) -> None:
        self._account = account
        self._transitions = transitions

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """The endpoints by method and path."""
        one = "/v1/customers/{customer}/subscriptions/{subscription}"
        return {
            ("GET", one + "/transitionEligibilities"): self._eligibilities,
            ("GET", one + "/transitions"): self._list,
            ("POST", one + "/transitions"): self._start,
            ("GET", one + "/upgrades"): self._upgrades,
            ("POST", one + "/upgrades"): self._upgrade,
        }

    def _eligibilities(self, call: Call) -> Response:
        customer, source = self._source(call)
        wanted = (call.query("eligibilityType") or "immediate").lower()
        if wanted not in ("none", "immediate", "scheduled"):
            raise ApiError(400, 900126, f"Unable to parse enum value '{wanted}' of 'eligibilityType'.")
        account = self._account
        items = eligible_items(
            source,
            account.subscriptions(customer),
            account.now(),
            account.switches,
            self._transitions.forced,
            scheduled=wanted == "scheduled",
        )
        return _collection(items, call)

    def _list(self, call: Call) -> Response:
        _, source = self._source(call)
        if source.family is Family.LEGACY:
            raise ApiError(403, 900263, "This method is not supported for legacy subscriptions.")
        wanted = call.query("operationId")
        switches = self._account.switches
        found = [
            one.resource(switches, in_post=False)
            for one in self._transitions.of(source)
            if wanted is None or one.operation_id == wanted.lower()
        ]
        root = switches["transitionsRoot"]
        if root == "array":
            return JSONResponse(found)
        envelope = {"totalCount": len(found), root: found, "attributes": {"objectType": "Collection"}}
        return JSONResponse(envelope)

    def _start(self, call: Call) -> Response:
        customer, source = self._source(call)
        account = self._account
        around = Surroundings(
            account.now(), account.switches, self._transitions.forced, lambda key: account.subscription(customer, key)
        )
        plan = read_plan(source, call.given(), around)
        started = self._transitions.start(source, plan, call.caller.actor)
        return JSONResponse(started.resource(account.switches, in_post=True))

    def _upgrades(self, call: Call) -> Response:
        customer, source = self._source(call)
        return _collection(upgrade_items(self._account, customer, source, delegated=call.caller.delegated), call)

    def _upgrade(self, call: Call) -> Response:
        customer, source = self._source(call)
        outcome = self._transitions.course.outcome
        return JSONResponse(upgrade(self._account, customer, source, call, outcome))

    def _source(self, call: Call) -> tuple[Customer, Subscription]:
        customer = self._account.customer(call.customer_id)
        return customer, self._account.subscription(customer, call.path("subscription"))


def _collection(items: list[dict[str, Any]], call: Call) -> Response:
    return JSONResponse(collection(items, call.request.url.path.removeprefix("/v1")))
