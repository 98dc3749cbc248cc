"""What every invocation begins with: telemetry is on, and everything in it is in one span of the right trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared import telemetry
from shared.messaging.envelope import Delivery
from shared.usecases.app import App
from shared.wiring import observe, services


@asynccontextmanager
async def timer(name: str) -> AsyncIterator[App]:
    """One run of a timer function; raising Misconfigured where the settings are wrong.

    What it does to find work makes no spans; what it does for an operation does, in the operation's trace.
    """
    observe()
    with telemetry.entry(name, telemetry.Kind.INTERNAL, {"faas.trigger": "timer"}), telemetry.quietly():
        yield (await services()).app


@asynccontextmanager
async def delivery_of(delivery: Delivery) -> AsyncIterator[App]:
    """One delivery of the queue, in the trace that sent it; raising Misconfigured where the settings are wrong."""
    observe()
    built = await services()
    attributes: dict[str, telemetry.Attribute] = {
        "faas.trigger": "pubsub",
        "messaging.system": "servicebus",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": built.queue_name,
        "messaging.servicebus.message.delivery_count": delivery.count,
    }
    name = f"process {built.queue_name}"
    with telemetry.entry(name, telemetry.Kind.CONSUMER, attributes, within=delivery.traceparent):
        yield built.app
