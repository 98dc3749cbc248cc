"""The settings are the same everywhere: in the app, in the example, in the cloud, in the local stack, and in words."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.settings import Addresses, host_settings, overrides_of
from shared.settings import Destinations, Settings, load
from tests.infra.reader import INFRA, Parameter, read

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = Addresses(
    "http://pc",
    "http://at",
    "https://entra",
    Path("ca.pem"),
    Path("token.json"),
    "localhost:1",
    "Endpoint=sb://bus/",
    "AccountName=a",
    "http://t",
)
# Read by the host, by the triggers' bindings or by the SDKs, not by the app's code
OF_THE_HOST = {
    "WAKE_SCHEDULE",
    "SYNC_SCHEDULE",
    "SYNC_TICK_SCHEDULE",
    "SYNC_CHANGES_SCHEDULE",
    "SWEEP_SCHEDULE",
    "RETENTION_SCHEDULE",
    "RECONCILE_SCHEDULE",
    "TICKETS_SCHEDULE",
    "METRICS_SCHEDULE",
}
ONLY_IN_THE_CLOUD = {
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "ServiceBus__fullyQualifiedNamespace",
    "ServiceBus__credential",
    "ServiceBus__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "PYTHON_ENABLE_OPENTELEMETRY",
    "AZURE_CLIENT_ID",
    "TABLES_ENDPOINT",
    "KEY_VAULT_URL",
}
ONLY_LOCAL = {
    "FUNCTIONS_WORKER_RUNTIME",  # Flex Consumption takes it from the app's own resource
    "AzureWebJobsStorage",
    "TABLES_CONNECTION_STRING",
    "ServiceBus",
    "ENTRA_CA_FILE",
    "PARTNER_CENTER_CERTIFICATE_FILE",
    "PARTNER_CENTER_REFRESH_TOKEN_FILE",
    "ENTRA_AUTHORITY",  # in the cloud these three follow from PARTNER_CENTER_CLOUD
    "PARTNER_CENTER_URL",
    "PARTNER_CENTER_SCOPE",
    "WEBHOOK_CERTIFICATE_HOSTS",  # in the cloud these are Microsoft's, by default
    "WEBHOOK_ISSUER_HOSTS",
    "WEBHOOK_ROOTS_FILE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_METRIC_EXPORT_INTERVAL",
}


@dataclass(frozen=True)
class Row:
    """One row of docs/configuration.md: the names in its first cell, and the other cells."""

    names: list[str]
    default: str
    source: str
    meaning: str


def example() -> dict[str, str]:
    values: dict[str, str] = json.loads((ROOT / "local.settings.example.json").read_text(encoding="utf-8"))["Values"]
    return values


def usual() -> dict[str, str]:
    values: dict[str, str] = json.loads((INFRA / "app-settings.json").read_text(encoding="utf-8"))
    return values


def in_the_cloud() -> dict[str, str]:
    """Every app setting that the deployment makes, and where its value comes from."""
    variables = read(INFRA / "modules" / "function.bicep").variables
    return (
        dict.fromkeys(usual(), "`app-settings.json`")
        | {name: f"vault: `{secret}`" for name, secret in variables["fromVault"].items()}
        | {name: str(value) for name, value in variables["fixed"].items()}
    )


def fields() -> dict[str, object]:
    """Every setting that the app's code reads, with its default."""
    found = (Settings.model_fields | Destinations.model_fields).items()
    return {str(field.validation_alias or name.upper()): field.default for name, field in found}


def rows(heading_cell: str) -> list[Row]:
    """The rows of the tables whose first heading is this one."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    found: list[Row] = []
    wanted = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("|"):
            wanted = False
        elif cells[0] == heading_cell:
            wanted = True
        elif wanted and not cells[0].startswith("---"):
            name_cell, default, source, meaning = [cell.strip() for cell in line.split("|")[1:-1]]
            found.append(Row(re.findall(r"`([^`]+)`", name_cell), default, source, meaning))
    return found


@pytest.mark.parametrize("values", [example(), host_settings(ADDRESSES, {})], ids=["example", "local stack"])
def test_the_app_takes_every_setting_of(values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    load()


def test_the_example_has_every_setting_of_the_app_and_of_the_host() -> None:
    read_by_somebody = fields().keys() | OF_THE_HOST | ONLY_LOCAL
    servicebus = {"SERVICEBUS": "ServiceBus"}  # names of settings are compared without regard to case
    wanted = {servicebus.get(name, name) for name in read_by_somebody} - ONLY_IN_THE_CLOUD

    assert example().keys() == wanted


def test_the_example_and_the_local_stack_have_the_same_settings() -> None:
    assert example().keys() == host_settings(ADDRESSES, {}).keys()


def test_the_deployment_makes_the_settings_of_the_example_but_for_those_that_are_explained() -> None:
    assert in_the_cloud().keys() == (example().keys() - ONLY_LOCAL) | ONLY_IN_THE_CLOUD


def test_what_is_usual_in_the_cloud_is_the_default_of_the_code() -> None:
    defaults = {name: default for name, default in fields().items() if name in usual()}

    assert {name: str(default) for name, default in defaults.items()} == {name: usual()[name] for name in defaults}
    assert usual().keys() - defaults.keys() == OF_THE_HOST


def test_every_setting_has_a_row_that_says_where_its_value_comes_from() -> None:
    documented = [name for row in rows("Setting") for name in row.names]

    assert sorted(documented) == sorted(example().keys() | in_the_cloud().keys())
    assert all(row.source and row.meaning for row in rows("Setting"))


def test_the_rows_say_truly_where_a_value_comes_from() -> None:
    made = in_the_cloud()
    (api,) = [module for module in read(INFRA / "main.bicep").modules if module.name == "api"]
    wrong = []
    for row in rows("Setting"):
        for name in row.names:
            given = made.get(name, "local only")
            if row.source.startswith("parameter"):
                given = f"parameter `{api.params.get(given)}`"  # what main.bicep gives to the module's parameter
            elif row.source == "deployment" and name in read(INFRA / "modules" / "function.bicep").variables["fixed"]:
                given = "deployment"
            wrong += [f"{name}: {row.source}, but it is {given}"] if row.source != given else []

    assert not wrong


def parameters() -> dict[str, Parameter]:
    return read(INFRA / "main.bicep").parameters


def test_every_parameter_of_the_deployment_has_a_row_and_no_row_is_of_none() -> None:
    documented = [name for row in rows("Parameter") for name in row.names]

    assert documented == list(parameters())


def test_the_rows_of_parameters_say_which_variable_gives_them() -> None:
    given = json.loads((INFRA / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]
    wrong = []
    for row in rows("Parameter"):
        (name,) = row.names
        variable = re.match(r"\${(\w+)", str(given.get(name, {}).get("value", "")))
        said = re.match(r"`(\w+)`", row.source)
        if (variable[1] if variable else None) != (said[1] if said else None):
            wrong.append(name)

    assert not wrong


def test_a_variable_of_the_caller_overrides_the_setting_of_its_name() -> None:
    settings = host_settings(ADDRESSES, overrides_of({"RETRY_SECONDS": "7", "HTTPS_PROXY": "http://proxy"}))

    assert settings["RETRY_SECONDS"] == "7"
    assert "HTTPS_PROXY" not in settings
