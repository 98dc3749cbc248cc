"""Between the wire and what a function sees: builds trigger arguments and answers with the SDK's own converters.

The converters are fed with the data that the real host sends to the Python worker (names and quirks included), so
that a function meets the same objects here and in the cloud. `http_server`, `timers` and `queues` call this;
`invocation` does not.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.functions.http import HttpRequestConverter, HttpResponseConverter
from azure.functions.meta import Datum
from azure.functions.servicebus import ServiceBusMessageInConverter
from azure.functions.timer import TimerRequestConverter
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    import azure.functions as func
    from azure.servicebus import ServiceBusReceivedMessage
    from starlette.requests import Request


def http_request(request: Request, route_parameters: Mapping[str, str], body: bytes) -> func.HttpRequest:
    """Build the function's request; joins repeated names by commas and drops empty query values, as the real host."""
    query: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        query.setdefault(name, []).append(value)
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    document = {
        "method": _text(request.method),
        "url": _text(str(request.url)),
        "headers": {name: _text(",".join(values)) for name, values in headers.items()},
        "query": {name: _text(",".join(values)) for name, values in query.items() if any(values)},
        "params": {name: _text(value) for name, value in route_parameters.items()},
        "body": Datum(body, "bytes"),
    }
    converted: func.HttpRequest = HttpRequestConverter.decode(Datum(document, "http"), trigger_metadata={})
    return converted


def http_response(returned: object) -> Response:
    """Turn what an HTTP function returned into the answer: a response, a string (200), or nothing (204).

    Raises `NotImplementedError` for any other type, as the worker does.
    """
    if returned is None:
        return Response(status_code=204)
    datum = HttpResponseConverter.encode(returned, expected_type=None)
    if datum.type == "string":
        return Response(datum.value, media_type="text/plain")
    value: dict[str, Any] = datum.value
    response = Response(value["body"].value, int(value["status_code"].value))
    for name, header in value["headers"].items():
        if name.lower() != "content-length":
            response.headers[name] = header.value
    for cookies in value["cookies"] or ():
        for morsel in cookies.values():
            response.headers.append("set-cookie", morsel.OutputString())
    return response


def timer_request(*, past_due: bool, last: datetime | None, following: datetime) -> func.TimerRequest:
    """Build the argument of a timer function; `last` and `following` are scheduled times in UTC."""
    status = {
        "Last": (last or datetime.min.replace(tzinfo=UTC)).isoformat(),
        "Next": following.isoformat(),
        "LastUpdated": (last or datetime.min.replace(tzinfo=UTC)).isoformat(),
    }
    document = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    converted: func.TimerRequest = TimerRequestConverter.decode(
        Datum(json.dumps(document), "json"), trigger_metadata={}
    )
    return converted


def received_message(message: ServiceBusReceivedMessage) -> func.ServiceBusMessage:
    """Build a queue function's argument from a message of the SDK."""
    properties = {_decoded(key): _decoded(value) for key, value in (message.application_properties or {}).items()}
    texts = {
        "MessageId": message.message_id,
        "CorrelationId": message.correlation_id,
        "ContentType": message.content_type,
        "Subject": message.subject,
        "Label": message.subject,
        "To": message.to,
        "ReplyTo": message.reply_to,
        "ReplyToSessionId": message.reply_to_session_id,
        "SessionId": message.session_id,
        "PartitionKey": message.partition_key,
        "LockToken": message.lock_token,
        "DeadLetterSource": message.dead_letter_source,
        "DeadLetterReason": message.dead_letter_reason,
        "DeadLetterErrorDescription": message.dead_letter_error_description,
        "EnqueuedTimeUtc": _timestamp(message.enqueued_time_utc),
        "ExpiresAtUtc": _timestamp(message.expires_at_utc),
        "LockedUntil": _timestamp(message.locked_until_utc),
    }
    numbers = {
        # .NET counts deliveries from 1; the AMQP header, and with it the SDK, from 0.
        "DeliveryCount": (message.delivery_count or 0) + 1,
        "SequenceNumber": message.sequence_number,
        "EnqueuedSequenceNumber": message.enqueued_sequence_number,
    }
    metadata = {name: _text(str(value)) for name, value in texts.items() if value is not None}
    metadata |= {name: Datum(str(value), "json") for name, value in numbers.items() if value is not None}
    return _service_bus_message(b"".join(message.body), properties, metadata)


def message_from_input(text: str) -> func.ServiceBusMessage:
    """Build a queue function's argument from the text of an on-demand run: a first delivery without a lock."""
    return _service_bus_message(text.encode(), {}, {"DeliveryCount": Datum("1", "json"), "MessageId": _text("")})


def _service_bus_message(
    body: bytes, properties: Mapping[str, Any], metadata: dict[str, Datum]
) -> func.ServiceBusMessage:
    document = Datum(json.dumps(properties, default=str), "json")
    # The presence of `UserProperties` is how the converter knows that this is one message and not a batch.
    metadata |= {"ApplicationProperties": document, "UserProperties": document}
    converted: Any = ServiceBusMessageInConverter.decode(_body(body), trigger_metadata=metadata)
    message: func.ServiceBusMessage = converted
    return message


def _body(body: bytes) -> Datum:
    try:
        return _text(body.decode())
    except UnicodeDecodeError:
        return Datum(body, "bytes")


def _text(value: str) -> Datum:
    return Datum(value, "string")


def _decoded(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _timestamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
