"""A webhook event becomes a hint: which customer, which subscription, when. Nothing of the event is trusted further.

Its resource address is never asked for, for it may lead anywhere; the ids are taken out of it, and what they name is
read with our own call when the tick comes (`shared.usecases.sync_due`).
"""

from __future__ import annotations

import json
import re
from typing import Any

from shared.domain.errors import Refused
from shared.partner_center.wire import moment
from shared.storage.hints import Hint
from shared.usecases.app import App

_GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_SUBSCRIPTION = re.compile(f"/customers/({_GUID})/subscriptions/({_GUID})", re.IGNORECASE)
_CUSTOMER = re.compile(f"/customers/({_GUID})", re.IGNORECASE)
_EVENTS = ("subscription-", "new-commerce-migration-", "reseller-relationship-")


async def receive(app: App, body: bytes) -> str:
    """Store a hint of a verified event; says what was done: noted, seen (before) or ignored. Raises Refused."""
    event = _event(body)
    name, uri = _text(event, "eventname").lower(), _text(event, "resourceuri")
    found = _SUBSCRIPTION.search(uri) or _CUSTOMER.search(uri)
    if found is None or not name.startswith(_EVENTS):
        return "ignored"
    groups = found.groups()
    changed_at = moment(_text(event, "resourcechangeutcdate")) or app.now()
    hint = Hint(
        customer=groups[0].lower(),
        subscription=groups[1].lower() if len(groups) > 1 else "",
        event=name,
        changed_at=min(changed_at, app.now()),
        received_at=app.now(),
    )
    identity = f"{name} {uri.lower()} {_text(event, 'resourcechangeutcdate')} {_text(event, 'audituri')}"
    return "noted" if await app.sync.hints.add(identity, hint) else "seen"


def _event(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("not_an_event", "The body is not JSON.", status=400) from None
    if not isinstance(event, dict):
        raise Refused("not_an_event", "The body is not a JSON object.", status=400)
    return {str(name).lower(): value for name, value in event.items()}


def _text(event: dict[str, Any], name: str) -> str:
    value = event.get(name)
    return value.strip()[:2048] if isinstance(value, str) else ""
