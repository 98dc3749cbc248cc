"""How domain values look in the API: camelCase JSON, moments as ISO 8601 in UTC."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from pydantic.alias_generators import to_camel

from functions.http_actions.problems import camel, plain
from shared.domain.actions import Action, Allowed, AlreadyDone, Decision, NotAllowed, table
from shared.domain.billing import Policy
from shared.domain.known import Known
from shared.domain.operation import Event, Kind, Leg, Operation
from shared.domain.pricing import Pricing
from shared.domain.shortfalls import Shortfall
from shared.domain.subscription import Subscription
from shared.storage.mappings import CustomerMapping, ProductMapping, SubscriptionMapping
from shared.storage.read_models import CustomerView
from shared.telemetry import trace_of


def moment(value: datetime | date | None) -> str | None:
    """A moment or day as text."""
    return value.isoformat() if value is not None else None


def customer(view: CustomerView, complete_since: datetime | None = None) -> dict[str, Any]:
    """A customer; what a complete full sync saw unchanged was read after it had begun."""
    read = [at for at in (view.synced_at, complete_since) if at is not None]
    well = view.synced_at is not None and not view.problem and view.missing_since is None
    shown: dict[str, Any] = {
        "id": view.customer,
        "name": view.name,
        "domain": view.domain,
        "syncedAt": moment(max(read) if well else view.synced_at),
    }
    if view.missing_since is not None:
        shown["missingSince"] = moment(view.missing_since)
    if view.problem:
        shown["problem"] = {
            "code": view.problem,
            "sentence": view.problem_text,
            "since": moment(view.problem_since),
        }
    if view.unreadable:
        shown["unreadableItems"] = view.unreadable
    return shown


def subscription(
    item: Subscription, badge: str, now: datetime, missing_since: datetime | None = None
) -> dict[str, Any]:
    """A subscription with its badge and what may be done with it."""
    missing = {"missingSince": moment(missing_since)} if missing_since is not None else {}
    return missing | {
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
        "scheduled": json.loads(item.schedule) if item.schedule else None,
        "migratedFrom": item.migrated_from,
        "actions": {member_name(action): decision(found) for action, found in table(item, now).items()},
    }


def decision(found: Decision) -> dict[str, Any]:
    """Whether an action is offered, and why not."""
    match found:
        case Allowed(until, _):
            return {"allowed": True, **({"until": moment(until)} if until else {})}
        case AlreadyDone():
            return {"allowed": False, "code": "already_done", "reason": "The subscription is in this state already."}
        case NotAllowed():
            moments = {"until": moment(found.until), "allowedFrom": moment(found.allowed_from)}
            lists = {"alternatives": plain(found.alternatives), "differences": plain(found.differences)}
            more = {name: value for name, value in (moments | lists).items() if value}
            return {"allowed": False, "code": found.code, "reason": found.sentence} | more


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
        "before": _known(item.before),
        "after": _known(item.after),
        "cause": item.cause,
        **_detected(item),
        "partnerCenter": {
            "status": leg.status.value,
            "requestId": leg.request_id,
            "attempts": leg.attempts,
            "code": leg.code,
            "text": leg.text,
        },
        "autotask": [_leg(part) for part in item.legs],
        **_beyond_a_patch(item),
        "traceId": trace_of(item.traceparent) or None,
        "links": {"self": f"/api/operations/{item.address}"},
    }
    if events is not None:
        shown["events"] = [_event(event) for event in events]
    return shown


def _beyond_a_patch(item: Operation) -> dict[str, Any]:
    """What an upgrade or a migration is about, and the operations that belong to this one."""
    shown: dict[str, Any] = {}
    if item.upgrade is not None:
        job = item.upgrade
        shown["upgrade"] = {
            "target": job.target,
            "title": job.title,
            "quantity": job.quantity,
            "allSeats": job.full,
            "toSubscriptionId": job.to_subscription,
            "newSubscriptionId": job.made,
            "microsoftId": job.microsoft_id,
            "warning": job.warning,
        }
    if item.migration is not None:
        plan = item.migration
        shown["migration"] = {
            "reference": plan.reference,
            "termDuration": plan.term,
            "billingCycle": plan.billing,
            "purchaseFullTerm": plan.full_term,
            "quantity": plan.quantity,
            "addOns": list(plan.add_ons),
            "scheduledFor": moment(plan.at),
            "microsoftId": plan.microsoft_id,
            "newSubscriptionId": plan.made,
            "note": plan.note,
        }
    links = {
        "follows": str(replace(item.address, sequence=item.follows)) if item.follows else "",
        "followedBy": str(replace(item.address, sequence=item.followed_by)) if item.followed_by else "",
        "causedBy": item.linked,
        "undoes": str(replace(item.address, sequence=item.undoes)) if item.undoes else "",
        "undoneBy": str(replace(item.address, sequence=item.undone_by)) if item.undone_by else "",
    }
    return shown | {name: value for name, value in links.items() if value}


def member_name(action: Action) -> str:
    """An action as a member of a JSON object."""
    return to_camel(action.value)


def _detected(item: Operation) -> dict[str, Any]:
    """What only a detected operation has."""
    if item.kind is not Kind.DETECTED:
        return {}
    return {
        "causeKind": item.cause_kind.value if item.cause_kind else None,
        "auditRecord": item.audit_record or None,
        "changes": plain(item.changes),
    }


def action_name(action: Action) -> str:
    """An action as a path segment."""
    return action.value.replace("_", "-")


def _known(item: Known) -> dict[str, Any]:
    shown: dict[str, Any] = {"status": item.status, "quantity": item.quantity}
    if item.product:
        shown["product"] = item.product
    if item.auto_renew is not None:
        shown["autoRenewEnabled"] = item.auto_renew
    if item.schedule is not None:
        shown["scheduled"] = json.loads(item.schedule) if item.schedule else None
    return shown


def _leg(leg: Leg) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "contractServiceId": leg.line or None,
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
        shown["drift"] = known(camel(plain(leg.drift)))
    if leg.shortfalls:
        shown["approximations"] = [approximation(item) for item in leg.shortfalls]
    for name, steps in (("price", leg.target.price), ("cost", leg.target.cost)):
        if steps:
            shown[name] = [{"from": moment(step.on), "amount": plain(step.amount)} for step in steps]
    if leg.target.timeline is not None:
        shown["restores"] = camel(plain(leg.target.timeline.steps))
    if leg.target.free is not None and leg.target.free.free:
        shown["freeFrom"] = moment(leg.target.free.on)
    return shown


def approximation(item: Shortfall) -> dict[str, Any]:
    """A stretch of days that is billed otherwise than wanted, with its money where it is known."""
    shown = {**camel(plain(item)), "end": moment(item.end)}
    return {name: value for name, value in shown.items() if name == "end" or (value is not None and value is not False)}


def known(document: dict[str, Any]) -> dict[str, Any]:
    """A document without the members that nothing is known of."""
    return {name: value for name, value in document.items() if value is not None}


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
        "policy": policy(item.policy),
        "pricing": pricing(item.pricing),
        "changedAt": moment(item.changed_at),
        "changedBy": item.changed_by,
    }


def policy(item: Policy) -> dict[str, Any]:
    """A billing policy, every rule of it."""
    found: dict[str, Any] = camel(plain(item))
    return found


def pricing(item: Pricing) -> dict[str, Any]:
    """Where a mapping's price and cost come from."""
    return {"source": item.source.value, "unitPrice": plain(item.price), "unitCost": plain(item.cost)}
