"""The partner's account: customers, their subscriptions, changes that are still under way, and the audit records.

Generated subscriptions are made when somebody reads them and kept only once they were written. Time catches up with a
subscription when it is looked at. The rules are `patch`'s and `lifecycle`'s, upgrades `transitions`'
and `upgrades`', migrations `migrations`'; HTTP is `api`'s.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from local.partner_center.agenda import Agenda
from local.partner_center.audit import Actor, AuditRecord, summary
from local.partner_center.errors import ApiError
from local.partner_center.lifecycle import live_until
from local.partner_center.patch import Change, apply
from local.partner_center.seed import GENERATED_ID, Regenerated, generated_number, generated_subscription
from local.partner_center.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from local.partner_center.customers import Customer, Customers
    from local.simulation.switches import Switches

Outcome = Literal["applied", "lost"]


class Account:
    """Everything that one partner has at Partner Center."""

    def __init__(
        self,
        customers: Customers,
        seeded: Iterable[Subscription],
        *,
        per_generated_customer: int,
        now: Callable[[], datetime],
        switches: Switches,
    ) -> None:
        self.customers = customers
        self.switches = switches
        self.now = now
        self.started = now()
        self.per_generated_customer = per_generated_customer
        self.audit: list[AuditRecord] = []
        self.agenda = Agenda()
        self.regenerated = Regenerated()
        self.on_record: Callable[[AuditRecord], None] | None = None
        self._kept: dict[str, dict[str, Subscription]] = {}
        for subscription in seeded:
            self.keep(subscription)

    def customer(self, customer_id: str) -> Customer:
        """The customer with this id.

        Raises:
            ApiError: 403/20002 (or 404/60003, by switch) there is no relationship with such a customer.
        """
        if customer := self.customers.find(customer_id):
            return customer
        if self.switches["unknownCustomer"] == 60003:
            raise ApiError(404, 60003, "Tenant not found.")
        raise ApiError(403, 20002, f"The partner has no commerce relationship with the customer ID {customer_id}.")

    def subscriptions(self, customer: Customer, moment: datetime | None = None) -> list[Subscription]:
        """All subscriptions of a customer, as they are now, or at an earlier moment that is being lived through."""
        kept = self._kept.get(customer.id, {})
        found: list[Subscription] = []
        if customer.number is not None:
            for number in range(1, self.per_generated_customer + 1):
                made = generated_subscription(self.started, customer, number, self.regenerated)
                found.append(kept.get(made.key, made))
        known = {subscription.key for subscription in found}
        found += [subscription for key, subscription in kept.items() if key not in known]
        for subscription in found:
            self.catch_up(subscription, moment or self.now())
        return found

    def subscription(self, customer: Customer, subscription_id: str) -> Subscription:
        """One subscription, as it is now.

        Raises:
            ApiError: 404/20003 the customer has no such subscription.
        """
        key = subscription_id.lower()
        found = self._kept.get(customer.id, {}).get(key)
        if found is None:
            number = generated_number(customer, key)
            if number is None or not 1 <= number <= self.per_generated_customer:
                raise ApiError(404, 20003, f"Subscription {subscription_id} was not found.")
            found = generated_subscription(self.started, customer, number, self.regenerated)
        self.catch_up(found, self.now())
        return found

    def add_ons(self, customer: Customer, base: Subscription) -> list[Subscription]:
        """The legacy add-ons of a base."""
        return [candidate for candidate in self.subscriptions(customer) if candidate.parent_key == base.key]

    def parent(self, customer: Customer, add_on: Subscription) -> Subscription | None:
        """The base of a legacy add-on."""
        return self.subscription(customer, add_on.parent_key) if add_on.parent_key else None

    def keep(self, subscription: Subscription) -> None:
        """Store a subscription that is new or about to be written."""
        self._kept.setdefault(subscription.customer_id, {})[subscription.key] = subscription

    def new_id(self) -> str:
        """An id for something that Partner Center makes; random, so that a restarted simulator repeats none."""
        return str(uuid.uuid4())

    def buy(self, subscription: Subscription, actor: Actor, at: datetime) -> None:
        """Store a new subscription with the audit record of its order."""
        self.keep(subscription)
        self.record(subscription, "create_order", actor, at, before="")

    def change(self, subscription: Subscription, change: Change, actor: Actor) -> None:
        """Do an allowed change now."""
        self._do(subscription, change, actor, self.now())

    def change_later(
        self, subscription: Subscription, change: Change, actor: Actor, *, seconds: float, outcome: Outcome
    ) -> None:
        """Let an allowed change take effect (or get lost) so many simulated seconds from now."""
        self.keep(subscription)
        subscription.underway, subscription.change_due = "change", self.now() + timedelta(seconds=seconds)

        def finish(due: datetime) -> None:
            self.catch_up(subscription, due)
            subscription.underway = subscription.change_due = None
            if outcome == "applied":
                self._do(subscription, change, actor, due)

        self.agenda.add(subscription.change_due, finish)

    def finish_due(self) -> None:
        """Finish what is under way and whose moment has come; called before every answer."""
        self.agenda.run(self.now())

    def record(self, subscription: Subscription, operation: str, actor: Actor, at: datetime, *, before: str) -> None:
        """Append an audit record with the subscription's present value."""
        customer = self.customers.find(subscription.customer_id)
        self.audit.append(
            AuditRecord(
                number=len(self.audit) + 1,
                at=at,
                actor=actor,
                operation=operation,
                customer_id=subscription.customer_id,
                customer_name=customer.name if customer else "",
                subscription_id=subscription.id,
                before=before,
                after=summary(subscription),
            )
        )
        if self.on_record is not None:
            self.on_record(self.audit[-1])

    def written_generated(self) -> list[Subscription]:
        """The subscriptions of generated customers that differ from what their number says."""
        fixed = {customer.id for customer in self.customers.fixed}
        return [
            subscription
            for customer_id, kept in self._kept.items()
            if customer_id not in fixed
            for subscription in kept.values()
        ]

    def find_anywhere(self, subscription_id: str) -> Subscription:
        """A subscription of any customer, by its id alone (for the control paths).

        Raises:
            ApiError: 404/20003 there is none.
        """
        key = subscription_id.lower()
        for kept in self._kept.values():
            if found := kept.get(key):
                self.catch_up(found, self.now())
                return found
        place = int(key[1:8], 16) if GENERATED_ID.fullmatch(key) else 0
        customer = self.customers.find(f"c0000000-0000-4000-8000-{place:012x}")
        if customer is None:
            raise ApiError(404, 20003, f"Subscription {subscription_id} was not found.")
        return self.subscription(customer, key)

    def _do(self, subscription: Subscription, change: Change, actor: Actor, at: datetime) -> None:
        self.keep(subscription)
        before = summary(subscription)
        customer = self.customers.find(subscription.customer_id)
        add_ons = self.add_ons(customer, subscription) if customer and change.status == "suspended" else []
        apply(subscription, change, at, self.switches, add_ons)
        self.record(subscription, "update_subscription", actor, at, before=before)

    def catch_up(self, subscription: Subscription, moment: datetime) -> None:
        """Let time act on the subscription up to the moment."""
        live_until(subscription, moment, self.switches)
