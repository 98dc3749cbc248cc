"""All settings, read from the environment on first use and never at import (an import error would lose every function).

Names are documented in docs/configuration.md; secrets come from Key Vault references in the cloud.
"""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.domain.errors import Misconfigured


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone of the zone database") from error
    return name


def _hosts(text: object) -> object:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


Positive = Annotated[float, Field(gt=0)]
Seconds = Positive
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)]  # host or host:port, comma-separated


class Settings(BaseSettings):
    """The settings of one function app."""

    model_config = SettingsConfigDict(extra="ignore", case_sensitive=False)

    tables_connection_string: SecretStr | None = None
    tables_endpoint: str | None = None
    servicebus: SecretStr | None = None
    servicebus_namespace: str | None = Field(default=None, validation_alias="ServiceBus__fullyQualifiedNamespace")
    autotask_queue: str = "autotask-operations"

    entra_authority: str = "https://login.microsoftonline.com"
    entra_ca_file: str | None = None
    api_tenant: str
    api_audience: str
    access_default: Literal["all", "none"] = "all"
    access_remember_seconds: Seconds = 30
    caller_requests_per_minute: Positive = 600
    caller_burst: Annotated[float, Field(ge=1)] = 120

    partner_center_url: str = "https://api.partnercenter.microsoft.com"
    partner_center_tenant: str
    partner_center_client_id: str
    partner_center_client_secret: SecretStr
    partner_center_scope: str = "https://api.partnercenter.microsoft.com/.default"

    autotask_url: str = "https://webservices.autotask.net"
    autotask_user: str
    autotask_secret: SecretStr
    autotask_integration_code: SecretStr

    partner_time_zone: Annotated[str, AfterValidator(_zone)]

    accept_seconds: Seconds = 30
    settle_seconds: Seconds = 900
    autotask_timeout_seconds: Seconds = 30
    partner_center_timeout_seconds: Seconds = 60
    partner_center_settle_seconds: Seconds = 60
    partner_center_give_up_seconds: Seconds = 3600
    lease_seconds: Seconds = 120
    outbox_seconds: Seconds = 60
    retry_seconds: Seconds = 30
    retry_max_seconds: Seconds = 900
    push_budget_seconds: Seconds = 120
    idempotency_days: Seconds = 30

    partner_center_requests_per_minute: Annotated[float, Field(gt=0, le=600_000)] = 360
    sync_budget_seconds: Seconds = 240
    detected_changes: Literal["push", "hold"] = "push"

    webhook_certificate_hosts: Hosts = ("3psostorageacct.blob.core.windows.net",)
    webhook_issuer_hosts: Hosts = ("www.microsoft.com", "cacerts.digicert.com")
    webhook_subject: str = "pcnotifications-dispatch.microsoft.com"
    webhook_roots_file: str | None = None


def load() -> Settings:
    """Read the settings. Raises Misconfigured naming what is missing or wrong, never its value."""
    try:
        return Settings()
    except ValidationError as error:
        named = ", ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['type']}" for item in error.errors())
        raise Misconfigured(f"settings are missing or wrong: {named}") from None
