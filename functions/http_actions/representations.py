"""How domain values look in the API: camelCase JSON, moments as ISO 8601 in UTC."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic.alias_generators import to_camel

from functions.http_actions.problems import camel, plain
from shared.domain.actions import Action, Allowed, AlreadyDone, Decision, NotAllowed, table
from shared.domain.operation import Event, Leg, Operation
from shared.domain.subscription import Subscription
from shared.messaging.envelope import BrokerMessage
from shared.storage.mappings import CustomerMapping, ProductMapping, SubscriptionMapping
from shared.storage.read_models import CustomerView

_RAW_SHOWN = 4096


def moment(value: datetime | date | None) -> str | None:
    """A moment or day as text."""
    return value.isoformat() if value is not None else None


def customer(view: CustomerView) -> dict[str, Any]:
    """A customer."""
    return {"id": view.customer, "name": view.name, "domain": view.domain, "syncedAt": moment(view.synced_at)}


def subscription(item: Subscription, badge: str, now: datetime) -> dict[str, Any]:
    """A subscription with its badge and what may be done with it."""
    return {
        "id": item.id,
        "customerId": item.customer_id,
        "offerId": item.offer_id,
        "offerName": item.offer_name,
        "friendlyName": item.friendly_name,
        "family": item.family.value,
        "isTrial": item.is_trial,
        "state": item.state.value,
        "status": item.status_raw,
        "quantity": item.quantity,
        "unitType": item.unit_type,
        "autoRenewEnabled": item.auto_renew,
        "termDuration": item.term_duration,
        "billingCycle": item.billing_cycle,
        "commitmentEndsAt": moment(item.commitment_end),
        "cancellationAllowedUntil": moment(item.cancel_until),
        "refundableSeats": [
            {"quantity": batch.quantity, "until": moment(batch.until)} for batch in item.refundable or ()
        ],
        "productKey": item.product_key,
        "badge": badge,
        "actions": {to_camel(action.value): decision(found) for action, found in table(item, now).items()},
    }


def decision(found: Decision) -> dict[str, Any]:
    """Whether an action is offered, and why not."""
    match found:
        case Allowed(until, _):
            return {"allowed": True, **({"until": moment(until)} if until else {})}
        case AlreadyDone():
            return {"allowed": False, "code": "already_done", "reason": "The subscription is in this state already."}
        case NotAllowed(code, sentence, until, alternatives):
            shown: dict[str, Any] = {"allowed": False, "code": code, "reason": sentence}
            if until is not None:
                shown["until"] = moment(until)
            if alternatives:
                shown["alternatives"] = plain(alternatives)
            return shown


def operation(item: Operation, events: list[Event] | None = None) -> dict[str, Any]:
    """An operation with both legs, and its history where it was asked for."""
    leg = item.partner_center
    shown: dict[str, Any] = {
        "id": str(item.address),
        "customerId": item.address.customer,
        "subscriptionId": item.address.subscription,
        "sequence": item.address.sequence,
        "kind": item.kind.value,
        "status": item.status,
        "atRest": item.at_rest,
        "requestedAt": moment(item.requested_at),
        "requestedBy": item.requested_by,
        "businessDate": moment(item.business_date),
        "before": plain(item.before),
        "after": plain(item.after),
        "cause": item.cause,
        "partnerCenter": {
            "status": leg.status.value,
            "requestId": leg.request_id,
            "attempts": leg.attempts,
            "code": leg.code,
            "text": leg.text,
        },
        "autotask": [_leg(part) for part in item.legs],
        "links": {"self": f"/api/operations/{item.address}"},
    }
    if events is not None:
        shown["events"] = [_event(event) for event in events]
    return shown


def action_name(action: Action) -> str:
    """An action as a path segment."""
    return action.value.replace("_", "-")


def _leg(leg: Leg) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "contractServiceId": leg.line,
        "contractId": leg.contract,
        "units": leg.target.units,
        "increaseOn": moment(leg.target.increase_on),
        "decreaseOn": moment(leg.target.decrease_on),
        "status": leg.status.value,
        "retryAt": moment(leg.retry_at),
        "settledAt": moment(leg.settled_at),
    }
    if leg.reason is not None:
        shown["reason"] = camel(plain(leg.reason))
    if leg.drift is not None:
        shown["drift"] = camel(plain(leg.drift))
    if leg.shortfalls:
        shown["approximations"] = plain(leg.shortfalls)
    return shown


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": moment(event.at),
        "by": event.by,
        "event": event.name,
        "from": event.before,
        "to": event.after,
        "why": event.why,
    }


def customer_mapping(item: CustomerMapping) -> dict[str, Any]:
    """A customer's mapping."""
    return {
        "customerId": item.customer,
        "companyId": item.company,
        "companyName": item.company_name,
        "changedAt": moment(item.changed_at),
        "changedBy": item.changed_by,
    }


def product_mapping(item: ProductMapping) -> dict[str, Any]:
    """A product's mapping."""
    return {
        "id": item.key,
        "product": item.product,
        "termDuration": item.term,
        "billingCycle": item.billing,
        "serviceId": item.service,
        "serviceName": item.service_name,
        "changedAt": moment(item.changed_at),
        "changedBy": item.changed_by,
    }


def subscription_mapping(item: SubscriptionMapping) -> dict[str, Any]:
    """A subscription's mapping."""
    return {
        "customerId": item.customer,
        "subscriptionId": item.subscription,
        "contractId": item.contract,
        "contractServiceId": item.line,
        "serviceId": item.service,
        "since": moment(item.since),
        "periodType": item.calendar.period.name.lower(),
        "policy": {"suspend": item.policy.suspend.value, "suspendFrom": item.policy.suspend_from.value},
        "changedAt": moment(item.changed_at),
        "changedBy": item.changed_by,
    }


def dead_letter(item: Operation) -> dict[str, Any]:
    """A dead operation as ops see it in the list."""
    death = item.death
    return {
        "id": str(item.address),
        "type": "operation",
        "diedAt": moment(death.at) if death else None,
        "sequenceNumber": death.sequence_number if death else None,
        "reasons": [camel(plain(leg.reason)) for leg in item.legs if leg.reason is not None],
        "operation": operation(item),
    }


def broker_message(item: BrokerMessage) -> dict[str, Any]:
    """A dead-lettered message that no operation explains, raw."""
    return {
        "id": f"message-{item.sequence_number}",
        "type": "message",
        "sequenceNumber": item.sequence_number,
        "messageId": item.message_id,
        "diedAt": moment(item.enqueued_at),
        "reasons": [
            {
                "code": "not_ours",
                "sentence": "The message is not one of this application, cannot be read, or names no operation.",
                "remedy": "Find out who sends to the queue; remove it with a Service Bus tool.",
                "vendorText": " ".join(part for part in (item.reason, item.description) if part),
            }
        ],
        "body": item.body[:_RAW_SHOWN].decode(errors="replace"),
    }
