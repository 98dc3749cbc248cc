"""Builds the application from its settings, once, on first use: the same for the cloud and a laptop.

Importing this module reads no setting and opens no connection (invariant 10); the adapters are imported when the first
invocation needs them.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from shared.access import Access
from shared.gate import Gate
from shared.identity import Verifier
from shared.ports import SignaturesPort
from shared.rate_limit import RateLimit
from shared.settings import Settings, load
from shared.storage.store import TableStore
from shared.usecases.app import App, SyncPolicy, SyncStores, Times

if TYPE_CHECKING:
    from shared.storage.azure_tables import AzureTables

_built: Services | None = None
_building = asyncio.Lock()


@dataclass(frozen=True, slots=True)
class Services:
    """What the doors use: the use cases' application and the gate before them."""

    app: App
    gate: Gate
    webhooks: SignaturesPort


async def services() -> Services:
    """The services of this process. Raises Misconfigured naming the settings that are missing or wrong."""
    global _built  # noqa: PLW0603 - one per process, by design: clients hold connections
    async with _building:
        if _built is None:
            _built = build(load())
    return _built


def build(settings: Settings, *, around_store: Callable[[AzureTables], TableStore] | None = None) -> Services:
    """Wire the adapters of a set of settings; `around_store` may put something of one's own around table storage."""
    from shared.autotask.client import Autotask
    from shared.messaging.queue import ServiceBusQueue
    from shared.partner_center.client import PartnerCenter
    from shared.partner_center.listings import Listings
    from shared.partner_center.migrations import Migrations
    from shared.partner_center.session import Session
    from shared.partner_center.token import AppToken
    from shared.partner_center.transitions import Transitions
    from shared.partner_center.webhook import Trust, WebhookSignatures
    from shared.storage.alarms import Alarms
    from shared.storage.azure_tables import AzureTables
    from shared.storage.coordination import Coordination
    from shared.storage.grants import Grants
    from shared.storage.ledger import Ledger
    from shared.storage.mappings import Mappings
    from shared.storage.read_models import ReadModels
    from shared.transport import Retries, Transport

    tables = AzureTables(
        connection_string=_reveal(settings.tables_connection_string), endpoint=settings.tables_endpoint
    )
    store = around_store(tables) if around_store else tables
    tokens = AppToken(
        authority=settings.entra_authority,
        tenant=settings.partner_center_tenant,
        client_id=settings.partner_center_client_id,
        client_secret=settings.partner_center_client_secret.get_secret_value(),
        scope=settings.partner_center_scope,
        now=now,
        ca_file=settings.entra_ca_file,
    )
    transport = Transport(settings.partner_center_url, now=now)
    partner_center = PartnerCenter(
        transport,
        tokens,
        now=now,
        timeout=settings.partner_center_timeout_seconds,
        read_seconds=settings.partner_center_timeout_seconds,
    )
    app = App(
        ledger=Ledger(store),
        alarms=Alarms(store),
        coordination=Coordination(store),
        mappings=Mappings(store),
        views=ReadModels(store),
        partner_center=partner_center,
        transitions=Transitions(partner_center.session),
        migrations=Migrations(partner_center.session),
        autotask=Autotask(
            Transport(settings.autotask_url, now=now),
            user=settings.autotask_user,
            secret=settings.autotask_secret.get_secret_value(),
            integration_code=settings.autotask_integration_code.get_secret_value(),
            now=now,
            timeout=settings.autotask_timeout_seconds,
            read_seconds=3 * settings.autotask_timeout_seconds,
        ),
        queue=ServiceBusQueue(
            queue=settings.autotask_queue,
            connection_string=_reveal(settings.servicebus),
            namespace=settings.servicebus_namespace,
        ),
        times=times(settings),
        zone=ZoneInfo(settings.partner_time_zone),
        now=now,
        new_id=lambda: str(uuid.uuid4()),
        sleep=asyncio.sleep,
        listings=Listings(
            # The sync paces and repeats by itself, so that every request of it is counted
            Session(
                transport,
                tokens,
                now=now,
                timeout=settings.partner_center_timeout_seconds,
                read_seconds=settings.partner_center_timeout_seconds,
                retries=Retries(),
            )
        ),
        sync=SyncStores.on(store),
        policy=SyncPolicy(
            per_minute=settings.partner_center_requests_per_minute,
            budget=timedelta(seconds=settings.sync_budget_seconds),
            detected=settings.detected_changes,
        ),
    )
    gate = Gate(
        Verifier(
            Transport(settings.entra_authority, now=now, ca_file=settings.entra_ca_file),
            tenant=settings.api_tenant,
            audience=settings.api_audience,
        ),
        RateLimit(per_minute=settings.caller_requests_per_minute, burst=settings.caller_burst),
        Access(Grants(store), default=settings.access_default, remember_seconds=settings.access_remember_seconds),
    )
    trust = Trust(
        hosts=settings.webhook_certificate_hosts,
        issuer_hosts=settings.webhook_issuer_hosts,
        subject=settings.webhook_subject,
        roots=settings.webhook_roots_file,
    )
    certificates = Transport(f"https://{trust.hosts[0]}" if trust.hosts else "", now=now, ca_file=trust.roots)
    webhooks = WebhookSignatures(certificates, trust, now=now)
    return Services(app, gate, webhooks)


def times(settings: Settings) -> Times:
    """The times of the settings."""

    def seconds(value: float) -> timedelta:
        return timedelta(seconds=value)

    return Times(
        accept=seconds(settings.accept_seconds),
        settle=seconds(settings.settle_seconds),
        autotask_timeout=seconds(settings.autotask_timeout_seconds),
        partner_timeout=seconds(settings.partner_center_timeout_seconds),
        partner_settle=seconds(settings.partner_center_settle_seconds),
        partner_give_up=seconds(settings.partner_center_give_up_seconds),
        lease=seconds(settings.lease_seconds),
        outbox=seconds(settings.outbox_seconds),
        retry=seconds(settings.retry_seconds),
        retry_max=seconds(settings.retry_max_seconds),
        push_budget=seconds(settings.push_budget_seconds),
        idempotency=timedelta(days=settings.idempotency_days),
    )


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def _reveal(secret: object) -> str | None:
    reveal = getattr(secret, "get_secret_value", None)
    return reveal() if reveal else None
