"""The queue door: each delivery is a reason to look at its operation."""

from __future__ import annotations

import azure.functions as func

from functions.invocation import delivery_of
from shared.messaging.envelope import Delivery
from shared.usecases.push import deliver

blueprint = func.Blueprint()


@blueprint.function_name("push_operation")
@blueprint.service_bus_queue_trigger(arg_name="message", queue_name="%AUTOTASK_QUEUE%", connection="ServiceBus")
async def push_operation(message: func.ServiceBusMessage) -> None:
    """Push an operation to Autotask. Raising leads the message into the dead-letter queue."""
    delivery = Delivery(
        body=message.get_body(),
        sequence_number=int(message.sequence_number or 0),
        count=int(message.delivery_count or 1),
        enqueued_at=message.enqueued_time_utc,
        traceparent=str((message.application_properties or {}).get("traceparent", "")),
    )
    async with delivery_of(delivery) as app:
        await deliver(app, delivery)
