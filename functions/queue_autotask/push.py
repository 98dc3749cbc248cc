"""The queue door: each delivery is a reason to look at its operation."""

from __future__ import annotations

import azure.functions as func

from shared.messaging.envelope import Delivery
from shared.usecases.push import deliver
from shared.wiring import services

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
    )
    await deliver((await services()).app, delivery)
