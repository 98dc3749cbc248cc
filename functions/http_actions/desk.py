"""How dead letters, plans and changes of a bill look in the API: reasons, dates, units, rates and money."""

from __future__ import annotations

from typing import Any

from functions.http_actions import representations as show
from functions.http_actions.problems import camel, plain
from shared.domain.bill_changes import BillChange
from shared.domain.operation import Operation
from shared.domain.planning import Adjustment
from shared.domain.tickets import OurTicket
from shared.messaging.envelope import BrokerMessage
from shared.usecases.outlook import LineOutlook, Option

_RAW_SHOWN = 4096


def outlook(item: LineOutlook) -> dict[str, Any]:
    """A line and what each decision about it would do."""
    shown: dict[str, Any] = {"contractServiceId": item.key.line, "contractId": item.key.contract}
    if item.problem:
        return shown | {"problem": {"code": item.problem, "sentence": item.sentence}}
    return shown | {
        "reading": item.reading,
        "handEdited": item.drifted,
        "plans": [option(found, drifted=item.drifted) for found in item.options],
    }


def option(item: Option, *, drifted: bool = True) -> dict[str, Any]:
    """What one decision would do. Without a hand edit it is the same whatever the decision."""
    shown: dict[str, Any] = {
        "driftPolicy": item.policy.value if drifted else None,
        "adjustments": [adjustment(found) for found in item.adjustments],
        "changes": [bill_change(found) for found in item.changes],
    }
    if item.shortfalls:
        shown["approximations"] = [show.approximation(found) for found in item.shortfalls]
    if item.blocked:
        shown["blocked"] = item.blocked
    return shown


def adjustment(item: Adjustment) -> dict[str, Any]:
    """An adjustment as it would be sent to Autotask."""
    return {
        "date": show.moment(item.date),
        "unitChange": item.change,
        "unitPrice": plain(item.price),
        "unitCost": plain(item.cost),
    }


def bill_change(item: BillChange) -> dict[str, Any]:
    """A stretch of days that is billed otherwise, with its money where it is known."""
    shown = show.known(camel(plain(item)))
    return {"start": shown.pop("start"), "end": shown.pop("end", None), **shown}


def ticket(item: OurTicket) -> dict[str, Any]:
    """Our ticket in Autotask; `problem` is Autotask's text where it was refused."""
    return {
        "id": item.id,
        "number": item.number or None,
        "state": item.state.value,
        "about": item.about,
        "problem": item.problem or None,
    }


def dead_letter(item: Operation) -> dict[str, Any]:
    """A dead operation as ops see it in the list."""
    death = item.death
    return {
        "id": str(item.address),
        "type": "operation",
        "diedAt": show.moment(death.at) if death else None,
        "sequenceNumber": death.sequence_number if death else None,
        "reasons": [camel(plain(leg.reason)) for leg in item.legs if leg.reason is not None],
        "operation": show.operation(item),
    }


def broker_message(item: BrokerMessage) -> dict[str, Any]:
    """A dead-lettered message that no operation explains, raw."""
    return {
        "id": f"message-{item.sequence_number}",
        "type": "message",
        "sequenceNumber": item.sequence_number,
        "messageId": item.message_id,
        "diedAt": show.moment(item.enqueued_at),
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
