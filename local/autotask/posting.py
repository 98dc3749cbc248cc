"""Approve and post: gives units rows their post date and makes billing items of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.autotask.rows import day_text, moment_text
from local.autotask.units import row_id

if TYPE_CHECKING:
    from datetime import date, datetime

    from local.autotask.tables import Row
    from local.autotask.tenant import Tenant
    from local.autotask.timeline import Segment


def post_rows(tenant: Tenant, line: Row, through: date) -> list[int]:
    """Post each row of a line that starts on or before a day and has units; return the ids of the rows."""
    now = tenant.clock.now()
    posted = tenant.posted.setdefault(line["id"], {})
    numbers = []
    for segment in tenant.segments(line):
        if segment.start > through:
            break
        if segment.units and segment.start not in posted:
            posted[segment.start] = now
            tenant.billing_items.put(_billing_item(tenant, line, segment, now))
            numbers.append(row_id(line["id"], segment.start))
    return numbers


def _billing_item(tenant: Tenant, line: Row, segment: Segment, now: datetime) -> Row:
    adjustment = None
    if segment.start != segment.period_start:
        dated = [one.id for one in tenant.in_effect(line["id"]) if one.effective == segment.start]
        adjustment = dated[-1] if dated else None
    service = tenant.services.get(line["serviceID"])
    return {
        "id": tenant.billing_items.next_id(),
        "billingItemType": 6,
        "subType": 24 if adjustment else 23,
        "companyID": tenant.contract_of(line)["companyID"],
        "contractID": line["contractID"],
        "contractServiceID": line["id"],
        "contractServicePeriodID": None if adjustment else row_id(line["id"], segment.start),
        "contractServiceAdjustmentID": adjustment,
        "serviceID": line["serviceID"],
        "itemDate": day_text(segment.start),
        "postedDate": moment_text(now),
        "postedOnTime": moment_text(now),
        "invoiceID": None,
        "quantity": float(segment.units),
        "rate": round(segment.price / segment.units, 4),
        "extendedPrice": segment.price,
        "totalAmount": segment.price,
        "ourCost": segment.cost,
        "nonBillable": 0,
        "description": service["name"] if service else None,
    }
