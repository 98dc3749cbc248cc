"""The message: a pointer to an operation in a CloudEvents 1.0 envelope. Messages are built and read here only.

It carries no business data; whoever receives one reads the ledger. The id is the operation and its attempt, stored
before it is sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from shared.domain.operation import Address

TYPE = "csp-functions.operation.push.v1"
SOURCE = "csp-functions"


class NotOurs(Exception):
    """A message that is not ours, does not parse, or names no operation: it belongs in the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A pointer to an operation; `id` is the message id, `traceparent` the trace that it belongs to, if it says so."""

    id: str
    address: Address
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a message by the broker.

    `count` starts at 1; `enqueued_at` is the broker's clock; `traceparent` is the message's application property.
    """

    body: bytes
    sequence_number: int
    count: int
    enqueued_at: datetime | None
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class BrokerMessage:
    """A message in the dead-letter queue as peeked."""

    sequence_number: int
    message_id: str
    enqueued_at: datetime | None
    reason: str
    description: str
    body: bytes


def message_id(address: Address, attempt: int) -> str:
    """The id of an operation's message."""
    return f"{address}:{attempt}"


def notice_id(address: Address, attempt: int) -> str:
    """The id of the message that carries an operation into the dead-letter queue."""
    return f"{address}:{attempt}:dead"


def encode(identifier: str, address: Address, *, now: datetime, traceparent: str = "") -> bytes:
    """The body of a message; the trace is CloudEvents' distributed tracing extension."""
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": identifier,
        "source": SOURCE,
        "type": TYPE,
        "subject": str(address),
        "time": now.isoformat(),
        "datacontenttype": "application/json",
        "data": {"operation": str(address)},
    }
    return json.dumps(event | ({"traceparent": traceparent} if traceparent else {})).encode()


def decode(body: bytes) -> Envelope:
    """Read a body. Raises NotOurs."""
    try:
        event = json.loads(body)
        if event["specversion"] != "1.0" or event["type"] != TYPE:
            raise NotOurs("not a push message of this application")
        address = Address.parse(event["data"]["operation"])
        return Envelope(str(event["id"]), address, str(event.get("traceparent", "")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotOurs(f"the body is not a message of this application ({type(error).__name__})") from error
