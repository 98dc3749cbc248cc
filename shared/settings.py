"""All settings, read from the environment on first use and never at import (an import error would lose every function).

Names are documented in docs/configuration.md; secrets come from Key Vault references in the cloud.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.domain.errors import Misconfigured
from shared.domain.tickets import TicketPolicy


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
WholeOrNone = int | Literal[""]
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)]  # host or host:port, comma-separated


class SignIn(StrEnum):
    """As whom the application calls Partner Center."""

    APP = "app"
    USER = "user"


class Cloud(StrEnum):
    """The Microsoft cloud that the partner's account lives in; tokens of one are worth nothing in another."""

    COMMERCIAL = "commercial"
    US_GOVERNMENT = "us_government"
    CHINA = "china"


# Sign-in authority and base address of the Partner Center API in each cloud
_CLOUDS = {
    Cloud.COMMERCIAL: ("https://login.microsoftonline.com", "https://api.partnercenter.microsoft.com"),
    Cloud.US_GOVERNMENT: ("https://login.microsoftonline.us", "https://api.partnercenter.microsoft.com"),
    Cloud.CHINA: ("https://login.partner.microsoftonline.cn", "https://partner.partnercenterapi.microsoftonline.cn"),
}


class TableSettings(BaseSettings):
    """Where the tables are, which is all that some commands need."""

    model_config = SettingsConfigDict(extra="ignore", case_sensitive=False, env_ignore_empty=True)

    tables_connection_string: SecretStr | None = None
    tables_endpoint: str | None = None


class SignInSettings(TableSettings):
    """What signing in to Partner Center needs, for the application and for the consent command alike."""

    entra_authority: str | None = None
    entra_ca_file: str | None = None
    key_vault_url: str | None = None

    partner_center_cloud: Cloud = Cloud.COMMERCIAL
    partner_center_url: str | None = None
    partner_center_scope: str | None = None
    partner_center_sign_in: SignIn = SignIn.APP
    partner_center_tenant: str
    partner_center_client_id: str
    partner_center_client_secret: SecretStr | None = None
    partner_center_certificate_file: str = ""
    partner_center_certificate_secret: str = ""
    partner_center_refresh_token_file: str | None = None
    partner_center_refresh_token_secret: str = "partner-center-refresh-token"  # noqa: S105 - a name in Key Vault
    partner_center_stop_seconds: Seconds = 300

    @property
    def authority(self) -> str:
        """The sign-in authority without a tenant: the one that is named, else the cloud's."""
        return self.entra_authority or _CLOUDS[self.partner_center_cloud][0]

    @property
    def partner_center_base(self) -> str:
        """The base address of the Partner Center API: the one that is named, else the cloud's."""
        return self.partner_center_url or _CLOUDS[self.partner_center_cloud][1]

    @property
    def scope(self) -> str:
        """What a token is asked for: the scope that is named, else all permissions at the cloud's API."""
        return self.partner_center_scope or f"{_CLOUDS[self.partner_center_cloud][1]}/.default"


class Settings(SignInSettings):
    """The settings of one function app."""

    servicebus: SecretStr | None = None
    servicebus_namespace: str | None = Field(default=None, validation_alias="ServiceBus__fullyQualifiedNamespace")
    autotask_queue: str = "autotask-operations"

    api_tenant: str
    api_audience: str
    access_default: Literal["all", "none"] = "all"
    access_remember_seconds: Seconds = 30
    caller_requests_per_minute: Positive = 600
    caller_burst: Annotated[float, Field(ge=1)] = 120

    autotask_url: str = "https://webservices.autotask.net"
    autotask_user: str
    autotask_secret: SecretStr
    autotask_integration_code: SecretStr

    partner_time_zone: Annotated[str, AfterValidator(_zone)]

    accept_seconds: Seconds = 30
    settle_seconds: Seconds = 900
    autotask_timeout_seconds: Seconds = 30
    autotask_budget_percent: Annotated[float, Field(gt=0, le=100)] = 60
    autotask_budget_seconds: Seconds = 60
    partner_center_timeout_seconds: Seconds = 60
    partner_center_settle_seconds: Seconds = 60
    partner_center_give_up_seconds: Seconds = 3600
    change_working_seconds: Seconds = 7200
    upgrade_working_seconds: Seconds = 86400
    migration_working_seconds: Seconds = 288000
    lease_seconds: Seconds = 120
    outbox_seconds: Seconds = 60
    retry_seconds: Seconds = 30
    retry_max_seconds: Seconds = 900
    push_budget_seconds: Seconds = 120
    idempotency_days: Seconds = 30
    record_days: Positive = 90
    retention_months: Annotated[int, Field(ge=0, le=1200)] = 24

    partner_center_requests_per_minute: Annotated[float, Field(gt=0, le=600_000)] = 360
    sync_budget_seconds: Seconds = 240
    detected_changes: Literal["push", "hold"] = "push"

    dead_letter_tickets: Literal["off", "on"] = "off"
    ticket_company_id: WholeOrNone = ""
    ticket_queue_id: WholeOrNone = ""
    ticket_priority: int = 2
    ticket_open_status: int = 1
    ticket_closed_status: int = 5
    ticket_due_hours: Positive = 24

    webhook_certificate_hosts: Hosts = ("3psostorageacct.blob.core.windows.net",)
    webhook_issuer_hosts: Hosts = ("www.microsoft.com", "cacerts.digicert.com")
    webhook_subject: str = "pcnotifications-dispatch.microsoft.com"
    webhook_roots_file: str | None = None

    @property
    def ticketing(self) -> TicketPolicy:
        """How tickets are made in Autotask."""
        return TicketPolicy(
            automatic=self.dead_letter_tickets == "on",
            company=self.ticket_company_id if isinstance(self.ticket_company_id, int) else None,
            queue=self.ticket_queue_id if isinstance(self.ticket_queue_id, int) else None,
            priority=self.ticket_priority,
            open_status=self.ticket_open_status,
            closed_status=self.ticket_closed_status,
            due=timedelta(hours=self.ticket_due_hours),
        )


Kind = TypeVar("Kind", bound=TableSettings)


class Destinations(BaseSettings):
    """Where telemetry goes; read apart, so that an app with wrong settings can still tell of it."""

    model_config = SettingsConfigDict(extra="ignore", case_sensitive=False)

    applicationinsights_connection_string: SecretStr | None = None
    otel_exporter_otlp_endpoint: str | None = None


def load() -> Settings:
    """Read the settings. Raises Misconfigured naming what is missing or wrong, never its value."""
    return read(Settings)


def read(kind: type[Kind]) -> Kind:
    """Read the settings of a kind. Raises Misconfigured naming what is missing or wrong, never its value."""
    try:
        return kind()
    except ValidationError as error:
        named = ", ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['type']}" for item in error.errors())
        raise Misconfigured(f"settings are missing or wrong: {named}") from None
