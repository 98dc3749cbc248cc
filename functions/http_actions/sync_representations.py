"""Syncs as JSON: full and incremental ones, what a look at a customer found, and the lines of the calendar."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from functions.http_actions.problems import plain
from functions.http_actions.representations import moment, operation
from shared.domain.sync_run import Run, progress
from shared.storage.audit_cursor import AuditCursor
from shared.usecases import calendar
from shared.usecases.look import Looked


def run(item: Run, now: datetime, per_minute: float) -> dict[str, Any]:
    """A full sync with its progress."""
    state = progress(item, now, at_most_per_minute=per_minute)
    counts = item.counts
    return {
        "id": item.id,
        "status": item.ending.value if item.ending else "stopped" if item.stopped else "running",
        "phase": item.phase.value,
        "trigger": item.trigger,
        "requestedBy": item.requested_by,
        "startedAt": moment(item.started_at),
        "endedAt": moment(item.ended_at),
        "notBefore": moment(item.not_before),
        "problem": item.problem or None,
        "customersDone": state.done,
        "customersTotal": state.total,
        "customersPerMinute": round(state.per_minute, 1) if state.per_minute is not None else None,
        "endsAt": moment(state.ends_at),
        "unchangedCustomers": counts.unchanged,
        "subscriptionsCompared": counts.subscriptions,
        "rowsWritten": counts.written,
        "changesDetected": counts.detected,
        "failures": {
            "closedCustomers": counts.closed,
            "unreadCustomers": counts.unread,
            "unreadableItems": counts.unreadable,
        },
        "missing": {"customers": counts.missing_customers, "subscriptions": counts.missing_subscriptions},
        "links": {"self": f"/api/sync/runs/{item.id}"},
    }


def incremental(item: AuditCursor, now: datetime) -> dict[str, Any]:
    """How the incremental sync went last: audit records until `handledUntil` are done with."""
    return {
        "handledUntil": moment(item.until),
        "ranAt": moment(item.ran_at),
        "running": item.expires is not None and now < item.expires,
        "newRecords": item.records,
        "customersRead": item.customers,
        "changesDetected": item.detected,
        "unreadCustomers": item.failed,
        "problem": item.problem or None,
    }


def looked(item: Looked) -> dict[str, Any]:
    """What a look at a customer found."""
    return {
        "subscriptions": item.subscriptions,
        "changed": [{"subscriptionId": one.subscription, "changes": plain(one.changes)} for one in item.changed],
        "operations": [operation(one) for one in item.operations],
        "unreadableItems": item.unreadable,
        "notListedAnyMore": list(item.gone),
    }


def calendar_item(item: calendar.Item, now: datetime) -> dict[str, Any]:
    """A line of the calendar."""
    snapshot = item.subscription
    return {
        "at": moment(item.at),
        "daysLeft": max((item.at - now).days, 0),
        "kind": item.kind.value,
        "customerId": item.customer,
        "customerName": item.customer_name,
        "subscriptionId": snapshot.id,
        "offerName": snapshot.offer_name,
        "friendlyName": snapshot.friendly_name,
        "quantity": snapshot.quantity,
        "state": snapshot.state.value,
        "autoRenewEnabled": snapshot.auto_renew,
        "termDuration": snapshot.term_duration,
        "badge": item.badge,
    }
