"""Builds the application from its settings, once, on first use: the same for the cloud and a laptop.

Importing this module reads no setting and opens no connection (invariant 10); settings and adapters are imported when
the first invocation needs them.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from shared import telemetry
from shared.access import Access
from shared.domain.retention import Keep
from shared.gate import Gate
from shared.ports import SignaturesPort
from shared.rate_limit import RateLimit
from shared.usecases.app import App, SyncPolicy, SyncStores, Times

if TYPE_CHECKING:
    from shared.settings import Settings
    from shared.storage.azure_tables import AzureTables
    from shared.storage.store import TableStore

log = logging.getLogger(__name__)
_built: Services | None = None
_building = asyncio.Lock()
_observed = False


@dataclass(frozen=True, slots=True)
class Services:
    """What the doors use: the use cases' application and the gate before them."""

    app: App
    gate: Gate
    queue_name: str
    webhooks: SignaturesPort


async def services() -> Services:
    """The services of this process. Raises Misconfigured naming the settings that are missing or wrong."""
    global _built  # noqa: PLW0603 - one per process, by design: clients hold connections
    async with _building:
        if _built is None:
            from shared.settings import load

            _built = build(load())
    return _built


def observe() -> None:
    """Send telemetry to where the settings say, if they do, from the first invocation on."""
    global _observed  # noqa: PLW0603 - one per process, by design
    if _observed:
        return
    _observed = True
    from shared.settings import Destinations

    where = Destinations()
    secret = _reveal(where.applicationinsights_connection_string)
    if not secret and not where.otel_exporter_otlp_endpoint:
        return
    from shared import recording

    try:
        found = [recording.application_insights(secret)] if secret else []
        found += [recording.otlp()] if where.otel_exporter_otlp_endpoint else []
        telemetry.use(recording.Recording(found))
    except Exception as error:  # noqa: BLE001 - the work goes on without telemetry, whatever is wrong with it
        telemetry.tell(log, "telemetry_is_off", level=logging.ERROR, error=error)


def build(settings: Settings, *, around_store: Callable[[AzureTables], TableStore] | None = None) -> Services:
    """Wire the adapters of a set of settings; `around_store` may put something of one's own around table storage."""
    from shared.autotask.client import Autotask
    from shared.messaging.queue import ServiceBusQueue
    from shared.partner_center.client import PartnerCenter
    from shared.partner_center.listings import Listings
    from shared.partner_center.migrations import Migrations
    from shared.partner_center.session import Session
    from shared.partner_center.sign_in import tokens
    from shared.partner_center.transitions import Transitions
    from shared.partner_center.webhook import Trust, WebhookSignatures
    from shared.storage.alarms import Alarms
    from shared.storage.azure_tables import AzureTables
    from shared.storage.bulks import Bulks
    from shared.storage.coordination import Coordination
    from shared.storage.desk import Desk
    from shared.storage.grants import Grants
    from shared.storage.ledger import Ledger
    from shared.storage.mappings import Mappings
    from shared.storage.read_models import ReadModels
    from shared.storage.records import Records
    from shared.transport import Retries, Transport
    from shared.verifier import Verifier

    tables = AzureTables(
        connection_string=_reveal(settings.tables_connection_string), endpoint=settings.tables_endpoint
    )
    store = around_store(tables) if around_store else tables
    coordination = Coordination(store)
    sign_in = tokens(settings, coordination, now)
    transport = Transport(settings.partner_center_base, now=now, vendor="partner_center")
    partner_center = PartnerCenter(
        transport,
        sign_in,
        now=now,
        timeout=settings.partner_center_timeout_seconds,
        read_seconds=settings.partner_center_timeout_seconds,
    )
    autotask = Autotask(
        Transport(settings.autotask_url, now=now, vendor="autotask"),
        user=settings.autotask_user,
        secret=settings.autotask_secret.get_secret_value(),
        integration_code=settings.autotask_integration_code.get_secret_value(),
        now=now,
        timeout=settings.autotask_timeout_seconds,
        budget_seconds=settings.autotask_budget_seconds,
    )
    app = App(
        ledger=Ledger(store),
        bulks=Bulks(store),
        alarms=Alarms(store),
        coordination=coordination,
        mappings=Mappings(store),
        views=ReadModels(store),
        partner_center=partner_center,
        transitions=Transitions(partner_center.session),
        migrations=Migrations(partner_center.session),
        autotask=autotask,
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
                sign_in,
                now=now,
                timeout=settings.partner_center_timeout_seconds,
                read_seconds=settings.partner_center_timeout_seconds,
                retries=Retries(),
            )
        ),
        sync=SyncStores.on(store),
        records=Records(store),
        keep=Keep(months=settings.retention_months, records=timedelta(days=settings.record_days)),
        desk=Desk(store),
        tickets=autotask,
        ticketing=settings.ticketing,
        policy=SyncPolicy(
            per_minute=settings.partner_center_requests_per_minute,
            budget=timedelta(seconds=settings.sync_budget_seconds),
            detected=settings.detected_changes,
        ),
        budget_percent=settings.autotask_budget_percent,
    )
    gate = Gate(
        Verifier(
            Transport(settings.authority, now=now, ca_file=settings.entra_ca_file, vendor="entra"),
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
    issuer = f"https://{trust.hosts[0]}" if trust.hosts else ""
    certificates = Transport(issuer, now=now, ca_file=trust.roots, vendor="webhook_certificates")
    webhooks = WebhookSignatures(certificates, trust, now=now)
    return Services(app, gate, settings.autotask_queue, webhooks)


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
        change_working=seconds(settings.change_working_seconds),
        upgrade_working=seconds(settings.upgrade_working_seconds),
        migration_working=seconds(settings.migration_working_seconds),
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
