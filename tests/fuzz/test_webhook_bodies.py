"""An event of Partner Center is noted, seen, ignored or refused, whatever its body is."""

from __future__ import annotations

import asyncio

from hypothesis import given

from shared.domain.errors import Refused
from shared.storage.hints import Hint
from shared.usecases import webhook
from shared.usecases.app import App
from tests.fuzz.strange import EXAMPLES, bodies
from tests.world.world import World

CUSTOMER, SUBSCRIPTION = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101", "7c1e2a34-90ab-4cde-8f01-23456789ab01"
TRUE = {
    "EventName": "subscription-updated",
    "ResourceUri": f"https://api.example/v1/customers/{CUSTOMER}/subscriptions/{SUBSCRIPTION}",
    "ResourceName": "subscription",
    "AuditUri": "https://api.example/auditactivity/v1/x",
    "ResourceChangeUtcDate": "2026-03-02T12:00:00.1234567+00:00",
}


@EXAMPLES
@given(body=bodies(TRUE, ("EventName", "ResourceUri", "AuditUri", "ResourceChangeUtcDate")))
def test_a_body_becomes_a_hint_or_nothing(body: bytes) -> None:
    world = World()

    async def take(app: App) -> tuple[str, list[Hint]]:
        said = await webhook.receive(app, body)
        return said, [stored.value for stored in await app.sync.hints.waiting(10)]

    try:
        found = asyncio.run(world.run(world.start(), take))
    except Refused:
        return
    assert found is not None
    said, hints = found
    assert (said == "noted") == bool(hints)
    assert all(hint.received_at >= hint.changed_at for hint in hints)
    assert all(len(hint.customer) == 36 and len(hint.subscription) in {0, 36} for hint in hints)
