"""The settings that the local stack gives to its functions hosts, and the environment of every process.

Addresses and identities are those of the stack; the times are a laptop's, where nobody wants to wait half an hour to
see a retry. A person overrides each of them by an environment variable of the same name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.cloud_queue import CLOUD_QUEUE
from local.entra.identities import API_AUDIENCE, PARTNER_CENTER_APP, PARTNER_TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping

QUEUE = CLOUD_QUEUE.name
ROLES: dict[str, tuple[str, ...]] = {
    "operator": ("Subscriptions.Read", "Subscriptions.Operate"),
    "reader": ("Subscriptions.Read",),
    "mapper": ("Subscriptions.Read", "Mappings.Manage"),
    "deadletters": ("Subscriptions.Read", "DeadLetters.Manage"),
    "access": ("Access.Manage",),
}

_TIMES = {
    "WAKE_SCHEDULE": "* * * * * *",
    "SYNC_SCHEDULE": "0 0 */4 * * *",
    "SYNC_TICK_SCHEDULE": "*/5 * * * * *",
    "SYNC_CHANGES_SCHEDULE": "0 * * * * *",
    "SWEEP_SCHEDULE": "0 0 * * * *",
    "RECONCILE_SCHEDULE": "0 30 3 * * *",
    "TICKETS_SCHEDULE": "*/5 * * * * *",
    "METRICS_SCHEDULE": "*/15 * * * * *",
    "RETENTION_SCHEDULE": "0 40 3 * * *",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_BLRP_SCHEDULE_DELAY": "500",
    "OTEL_METRIC_EXPORT_INTERVAL": "2000",
    "PARTNER_TIME_ZONE": "UTC",
    "ACCEPT_SECONDS": "5",
    "SETTLE_SECONDS": "4",
    "AUTOTASK_TIMEOUT_SECONDS": "4",
    "AUTOTASK_BUDGET_PERCENT": "60",
    "AUTOTASK_BUDGET_SECONDS": "60",
    "PARTNER_CENTER_TIMEOUT_SECONDS": "8",
    "PARTNER_CENTER_SETTLE_SECONDS": "4",
    "PARTNER_CENTER_GIVE_UP_SECONDS": "3600",
    "CHANGE_WORKING_SECONDS": "7200",
    "UPGRADE_WORKING_SECONDS": "86400",
    "MIGRATION_WORKING_SECONDS": "288000",
    "PARTNER_CENTER_STOP_SECONDS": "10",
    "LEASE_SECONDS": "10",
    "OUTBOX_SECONDS": "5",
    "RETRY_SECONDS": "2",
    "RETRY_MAX_SECONDS": "10",
    "PUSH_BUDGET_SECONDS": "60",
    "IDEMPOTENCY_DAYS": "30",
    "RECORD_DAYS": "90",
    "RETENTION_MONTHS": "24",
    "PARTNER_CENTER_REQUESTS_PER_MINUTE": "60000",
    "SYNC_BUDGET_SECONDS": "60",
    "DETECTED_CHANGES": "push",
    "WEBHOOK_SUBJECT": "pcnotifications-dispatch.microsoft.com",
    "DEAD_LETTER_TICKETS": "off",
    "TICKET_COMPANY_ID": "",
    "TICKET_QUEUE_ID": "",
    "TICKET_PRIORITY": "2",
    "TICKET_OPEN_STATUS": "1",
    "TICKET_CLOSED_STATUS": "5",
    "TICKET_DUE_HOURS": "24",
}
_FIXED = {
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "AUTOTASK_QUEUE": QUEUE,
    "PARTNER_CENTER_TENANT": PARTNER_TENANT,
    "PARTNER_CENTER_CLIENT_ID": PARTNER_CENTER_APP.client_id,
    "PARTNER_CENTER_CLIENT_SECRET": PARTNER_CENTER_APP.secret,
    "PARTNER_CENTER_CLOUD": "commercial",
    "PARTNER_CENTER_SIGN_IN": "app",
    "PARTNER_CENTER_CERTIFICATE_FILE": "",
    "PARTNER_CENTER_CERTIFICATE_SECRET": "",
    "PARTNER_CENTER_REFRESH_TOKEN_SECRET": "partner-center-refresh-token",
    "PARTNER_CENTER_SCOPE": "https://api.partnercenter.microsoft.com/.default",
    "API_TENANT": PARTNER_TENANT,
    "API_AUDIENCE": API_AUDIENCE,
    "ACCESS_DEFAULT": "all",
    "ACCESS_REMEMBER_SECONDS": "1",
    "CALLER_REQUESTS_PER_MINUTE": "60000",
    "CALLER_BURST": "10000",
    "AUTOTASK_USER": "api@partnersim.example",
    "AUTOTASK_SECRET": "local-autotask-secret",
    "AUTOTASK_INTEGRATION_CODE": "LOCALINTEGRATIONCODE0000001",
}
_ADDRESSES = (
    "AzureWebJobsStorage",
    "TABLES_CONNECTION_STRING",
    "ServiceBus",
    "PARTNER_CENTER_URL",
    "PARTNER_CENTER_REFRESH_TOKEN_FILE",
    "ENTRA_AUTHORITY",
    "ENTRA_CA_FILE",
    "AUTOTASK_URL",
    "KEY_VAULT_URL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "WEBHOOK_CERTIFICATE_HOSTS",
    "WEBHOOK_ISSUER_HOSTS",
    "WEBHOOK_ROOTS_FILE",
)
# A process of the stack inherits these and nothing else: a CA bundle, proxy or credential of the caller's
# environment would change what it talks to
_INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True)
class Addresses:
    """Where the parts of one stack are found."""

    partner_center: str
    autotask: str
    entra: str
    ca_file: Path
    refresh_token_file: Path
    webhook_host: str
    service_bus: str
    storage: str
    telemetry: str


def host_settings(addresses: Addresses, overrides: Mapping[str, str]) -> dict[str, str]:
    """All settings of a functions host of this stack, by name; the overrides win."""
    where = {
        "AzureWebJobsStorage": addresses.storage,
        "TABLES_CONNECTION_STRING": addresses.storage,
        "ServiceBus": addresses.service_bus,
        "PARTNER_CENTER_URL": addresses.partner_center,
        "PARTNER_CENTER_REFRESH_TOKEN_FILE": str(addresses.refresh_token_file),
        "ENTRA_AUTHORITY": addresses.entra,
        "ENTRA_CA_FILE": str(addresses.ca_file),
        "AUTOTASK_URL": addresses.autotask,
        "OTEL_EXPORTER_OTLP_ENDPOINT": addresses.telemetry,
        "WEBHOOK_CERTIFICATE_HOSTS": addresses.webhook_host,
        "WEBHOOK_ISSUER_HOSTS": addresses.webhook_host,
        "WEBHOOK_ROOTS_FILE": str(addresses.ca_file.with_name("webhook-roots.pem")),
    }
    return {**_FIXED, **_TIMES, **where, **overrides}


def overrides_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Those variables of the caller's environment that name a setting of the host."""
    return {name: environment[name] for name in (*_FIXED, *_TIMES, *_ADDRESSES) if name in environment}


def clean_environment() -> dict[str, str]:
    """What every process of the stack gets from the caller's environment, and unbuffered output for its log."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, "PYTHONUNBUFFERED": "1"}
