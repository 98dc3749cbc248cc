"""The control paths of this simulator below `/_control/state`.

They look at subscriptions, change them as somebody at Microsoft would, and buy.

- `GET state` -> customers with their subscriptions; of the generated ones only those written, and the counts
- `GET state/subscriptions/{id}` -> one subscription with its batches, version and pending change
- `PATCH state/subscriptions/{id}` -> a portal user's change under the API's rules; with `"force": true` the
  properties as given, no rules
- `POST state/subscriptions` `{"customerId", "template", "quantity", "boughtDaysAgo", "id", "set"}` -> 201, a purchase
- `POST state/async` `{"seconds", "times", "outcome"}` -> the next changes are answered 202 and take effect (or get
  lost) later
- `POST state/generated` `{"every", "seats"}` -> each subscription of every n-th generated customer has so many seats
  more than its number says
- `DELETE state/customers/{id}` -> the relationship with the customer ends
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from local.partner_center import catalogue
from local.partner_center.api import SlowAnswers
from local.partner_center.audit import PORTAL_USER, summary
from local.partner_center.errors import ApiError
from local.partner_center.fields import read_fields
from local.partner_center.moments import with_micros
from local.partner_center.offers import ENTERPRISE_3
from local.partner_center.patch import Situation, check
from local.partner_center.seed import Regenerated, instructions
from local.partner_center.subscription import SeatBatch
from local.simulation.control import control_route, json_object
from local.simulation.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.requests import Request
    from starlette.routing import Route

    from local.partner_center.account import Account
    from local.partner_center.action_control import ActionControl
    from local.partner_center.api import PartnerCenterApi
    from local.partner_center.subscription import Subscription

PURCHASES = uuid.UUID("b0000000-0000-4000-8000-000000000000")


def _nce(product: catalogue.Product, term: str) -> Callable[[str, str, int, datetime], Subscription]:
    def make(identity: str, customer: str, quantity: int, bought: datetime) -> Subscription:
        order = uuid.UUID(identity).hex[-12:]
        return catalogue.nce(identity, customer, product, [(quantity, bought)], term=term, order_id=order)

    return make


TEMPLATES: dict[str, Callable[[str, str, int, datetime], Subscription]] = {
    "nce": _nce(catalogue.BUSINESS_STANDARD, "P1Y"),
    "nce-premium": _nce(catalogue.BUSINESS_PREMIUM, "P1Y"),
    "nce-monthly": _nce(catalogue.BUSINESS_PREMIUM, "P1M"),
    "nce-three-years": _nce(catalogue.BUSINESS_PREMIUM, "P3Y"),
    "nce-e3": _nce(ENTERPRISE_3, "P1Y"),
    "trial": lambda identity, customer, quantity, bought: catalogue.nce(
        identity,
        customer,
        catalogue.PREMIUM_TRIAL,
        [(quantity, bought)],
        term="P1M",
        isTrial=True,
        scheduledNextTermInstructions=instructions(catalogue.BUSINESS_PREMIUM[0], quantity, "P1Y"),
    ),
    "legacy": lambda identity, customer, quantity, bought: catalogue.legacy(
        identity, customer, catalogue.LEGACY_EXCHANGE, quantity, bought
    ),
    "software": lambda identity, customer, quantity, bought: catalogue.software(
        identity, customer, catalogue.REMOTE_DESKTOP, quantity, bought
    ),
    "saas": lambda identity, customer, quantity, bought: catalogue.saas(
        identity, customer, catalogue.BACKUP_SERVICE, quantity, bought
    ),
    "azure-plan": lambda identity, customer, _, bought: catalogue.azure_plan(identity, customer, bought),
}


class StateControl:
    """The handlers over one account and its API."""

    def __init__(self, account: Account, api: PartnerCenterApi, actions: ActionControl) -> None:
        self._account = account
        self._actions = actions
        self._api = api
        self._bought = 0

    def routes(self) -> list[Route]:
        """The control routes below `state/`."""
        one = "/state/subscriptions/{subscription}"
        return [
            control_route(one, "GET", self.show),
            control_route(one, "PATCH", self.change),
            control_route("/state/subscriptions", "POST", self.buy, 201),
            control_route("/state/async", "POST", self.answer_slowly),
            control_route("/state/generated", "POST", self.regenerate),
            control_route("/state/customers/{customer}", "DELETE", self.end_relationship),
        ]

    def state(self) -> dict[str, Any]:
        """The whole state, except the generated subscriptions that nobody wrote."""
        account = self._account
        account.finish_due()
        return {
            "now": with_micros(account.now()),
            "startedAt": with_micros(account.started),
            "customers": [
                {
                    "id": customer.id,
                    "name": customer.name,
                    "related": account.customers.find(customer.id) is not None,
                    "subscriptions": [self._described(one) for one in account.subscriptions(customer)],
                }
                for customer in account.customers.fixed
            ],
            "generated": {
                "customers": account.customers.generated,
                "subscriptionsPerCustomer": account.per_generated_customer,
                "changed": [self._described(one) for one in account.written_generated()],
            },
            "auditRecords": len(account.audit),
            "async": self._slow(),
        }

    async def show(self, request: Request) -> dict[str, Any]:
        """One subscription."""
        return self._described(self._found(request))

    async def change(self, request: Request) -> dict[str, Any]:
        """Somebody changes a subscription directly at Microsoft."""
        wanted = await json_object(request)
        subscription = self._found(request)
        if wanted.pop("force", False):
            self._force(subscription, wanted)
        else:
            self._change_by_the_rules(subscription, wanted)
        return self._described(subscription)

    async def buy(self, request: Request) -> dict[str, Any]:
        """Somebody buys a subscription at Microsoft."""
        wanted = {"template": "nce", "quantity": 1, "boughtDaysAgo": 0, "set": {}} | await json_object(request)
        make = TEMPLATES.get(str(wanted["template"]))
        if make is None:
            raise ControlError(f"template must be one of {', '.join(TEMPLATES)}")
        quantity, days = wanted["quantity"], wanted["boughtDaysAgo"]
        if not isinstance(quantity, int) or not isinstance(days, int | float) or not isinstance(wanted["set"], dict):
            raise ControlError("quantity must be an integer, boughtDaysAgo a number, set an object")
        account = self._account
        try:
            customer = account.customer(str(wanted.get("customerId", "")))
            identity = str(uuid.UUID(str(wanted["id"]))) if "id" in wanted else self._next_id()
        except (ApiError, ValueError) as error:
            raise ControlError(str(error)) from error
        subscription = make(identity, customer.id, quantity, account.now() - timedelta(days=days))
        subscription.properties |= wanted["set"]
        account.buy(subscription, PORTAL_USER, account.now())
        return self._described(subscription)

    async def answer_slowly(self, request: Request) -> dict[str, Any]:
        """Let the next changes be answered with 202."""
        wanted = {"seconds": 0, "times": 1, "outcome": "applied"} | await json_object(request)
        seconds, times, outcome = wanted["seconds"], wanted["times"], wanted["outcome"]
        if not isinstance(seconds, int | float) or not isinstance(times, int) or seconds < 0:
            raise ControlError("seconds must be a number of 0 or more, times an integer")
        if outcome not in ("applied", "lost"):
            raise ControlError("outcome must be applied or lost")
        self._api.slow = SlowAnswers(float(seconds), times, outcome)
        return self._slow()

    async def regenerate(self, request: Request) -> dict[str, Any]:
        """Generated subscriptions that nobody wrote have other seats from now on; no audit record tells of it."""
        wanted = {"every": 1, "seats": 0} | await json_object(request)
        every, seats = wanted["every"], wanted["seats"]
        if not isinstance(every, int) or not isinstance(seats, int) or every < 1 or seats < 0:
            raise ControlError("every must be an integer of 1 or more, seats one of 0 or more")
        self._account.regenerated = Regenerated(every, seats)
        return {"every": every, "seats": seats}

    async def end_relationship(self, request: Request) -> None:
        """The customer is no longer this partner's."""
        try:
            customer = self._account.customer(request.path_params["customer"])
        except ApiError as error:
            raise ControlError(error.description) from error
        self._account.customers.end_relationship(customer)

    def _found(self, request: Request) -> Subscription:
        self._account.finish_due()
        try:
            return self._account.find_anywhere(request.path_params["subscription"])
        except ApiError as error:
            raise ControlError(error.description) from error

    def _change_by_the_rules(self, subscription: Subscription, wanted: dict[str, Any]) -> None:
        account = self._account
        try:
            customer = account.customer(subscription.customer_id)
            situation = Situation(account.now(), account.switches, account.parent(customer, subscription))
            fields = read_fields(subscription.properties | wanted, subscription)
            change = check(subscription, fields, None, situation)
        except ApiError as error:
            raise ControlError(f"refused with {error.status}/{error.code}: {error.description}") from error
        account.change(subscription, change, PORTAL_USER)

    def _force(self, subscription: Subscription, wanted: dict[str, Any]) -> None:
        account = self._account
        before = summary(subscription)
        account.keep(subscription)
        subscription.properties |= wanted
        subscription.version += 1
        if "quantity" in wanted and subscription.batches:
            subscription.batches = [SeatBatch(subscription.quantity, subscription.batches[0].added_at)]
        account.record(subscription, "update_subscription", PORTAL_USER, account.now(), before=before)

    def _next_id(self) -> str:
        self._bought += 1
        return str(uuid.UUID(int=PURCHASES.int + self._bought))

    def _slow(self) -> dict[str, Any]:
        slow = self._api.slow
        return {"seconds": slow.seconds, "times": slow.times, "outcome": slow.outcome}

    def _described(self, subscription: Subscription) -> dict[str, Any]:
        return {
            "id": subscription.id,
            "customerId": subscription.customer_id,
            "family": subscription.family.value,
            "status": subscription.status,
            "quantity": subscription.quantity,
            "autoRenewEnabled": subscription.auto_renew,
            "batches": [
                {
                    "quantity": batch.quantity,
                    "addedAt": with_micros(batch.added_at),
                    "windowEndsAt": with_micros(batch.window_ends_at),
                }
                for batch in subscription.batches
            ],
            "version": subscription.version,
            "updates": subscription.updates,
            "termStart": with_micros(subscription.term_start),
            "termEnd": _moment(subscription.term_end),
            "cancellableUntil": _moment(subscription.cancel_until),
            "suspendedAt": _moment(subscription.suspended_at),
            "underway": subscription.underway,
            "changeDueAt": _moment(subscription.change_due),
            "migratedTo": subscription.migrated_to,
            **self._actions.of(subscription),
            "resource": subscription.resource(self._account.now(), self._account.switches),
        }


def _moment(moment: datetime | None) -> str | None:
    return with_micros(moment) if moment else None
