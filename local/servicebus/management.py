"""The `$management` node of a queue: renew a lock, peek, and settle without the link that received.

The SDK settles here when the receiving link is gone. Operations and status codes are those of "AMQP 1.0 in Azure
Service Bus: request-response-based operations".
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from local.servicebus.codec import Array, Int, Symbol
from local.servicebus.errors import AmqpError, LockLostError
from local.servicebus.message import Request, milliseconds, write_message, write_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.servicebus.broker import Queue

MANAGEMENT_NODE = "/$management"


def answer(queue: Queue, request: Request) -> bytes:
    """Does what the request asks of the queue and returns the answer."""
    operation = _OPERATIONS.get(str(request.properties.get("operation")), _unsupported)
    try:
        result = operation(queue, request.value if isinstance(request.value, dict) else {})
    except LockLostError as problem:
        return _answer(request, 410, problem)
    except AmqpError as problem:
        return _answer(request, 501 if problem.condition == "amqp:not-implemented" else 400, problem)
    properties = {"statusCode": Int(204 if result is None else 200), "statusDescription": "OK"}
    return write_response(request, properties, result)


def _answer(request: Request, status: int, problem: AmqpError) -> bytes:
    properties = {
        "statusCode": Int(status),
        "statusDescription": problem.description,
        "errorCondition": Symbol(problem.condition),
    }
    return write_response(request, properties, None)


def _unsupported(_queue: Queue, _arguments: dict[Any, Any]) -> None:
    raise AmqpError("amqp:not-implemented", "The operation is not supported.")


def _renew_lock(queue: Queue, arguments: dict[Any, Any]) -> dict[str, Any]:
    return {"expirations": Array(milliseconds(queue.renew(token)) for token in _tokens(arguments))}


def _peek(queue: Queue, arguments: dict[Any, Any]) -> dict[str, Any] | None:
    start, limit = arguments.get("from-sequence-number"), arguments.get("message-count")
    if not isinstance(start, int) or not isinstance(limit, int):
        raise AmqpError("amqp:invalid-field", "from-sequence-number and message-count are expected.")
    messages = queue.peek(start, limit)
    return {"messages": [{"message": write_message(message)} for message in messages]} if messages else None


def _update_disposition(queue: Queue, arguments: dict[Any, Any]) -> dict[str, Any]:
    status = arguments.get("disposition-status")
    for token in _tokens(arguments):
        if status == "completed":
            queue.complete(token)
        elif status == "abandoned":
            queue.abandon(token)
        elif status == "suspended":
            queue.dead_letter(token, arguments.get("deadletter-reason"), arguments.get("deadletter-description"))
        else:
            raise AmqpError("amqp:not-implemented", f"The disposition {status} is not supported.")
    return {}


def _tokens(arguments: dict[Any, Any]) -> list[uuid.UUID]:
    tokens = arguments.get("lock-tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, uuid.UUID) for token in tokens):
        raise AmqpError("amqp:invalid-field", "lock-tokens are expected.")
    return tokens


_OPERATIONS: dict[str, Callable[[Queue, dict[Any, Any]], dict[str, Any] | None]] = {
    "com.microsoft:renew-lock": _renew_lock,
    "com.microsoft:peek-message": _peek,
    "com.microsoft:update-disposition": _update_disposition,
}
