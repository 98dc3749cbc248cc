"""How the local Functions host resolves names, connections, schedules and `host.json`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from local.functions_host.host_json import HostJsonError, HostOptions, ServiceBusOptions, read_host_json
from local.functions_host.settings import ServiceBusConnection, Settings, SettingsError, add_local_settings
from local.functions_host.timers import Schedule, ScheduleError

if TYPE_CHECKING:
    from pathlib import Path


def test_reference_is_replaced_and_a_missing_or_empty_one_is_named() -> None:
    settings = Settings({"QUEUE": "work", "EMPTY": ""})
    assert settings.expand("%QUEUE%-eu") == "work-eu"
    with pytest.raises(SettingsError, match="EMPTY"):
        settings.expand("%EMPTY%")
    with pytest.raises(SettingsError, match="ABSENT"):
        settings.expand("%ABSENT%")


@pytest.mark.parametrize(
    ("values", "connection"),
    [
        ({"Bus": "plain"}, ServiceBusConnection(connection_string="plain")),
        ({"Bus": "plain", "AzureWebJobsBus": "prefixed"}, ServiceBusConnection(connection_string="prefixed")),
        ({"Bus__fullyQualifiedNamespace": "n"}, ServiceBusConnection(fully_qualified_namespace="n")),
        ({"AzureWebJobsBus__fullyQualifiedNamespace": "n"}, ServiceBusConnection(fully_qualified_namespace="n")),
    ],
)
def test_connection_resolves_as_in_the_real_host(values: dict[str, str], connection: ServiceBusConnection) -> None:
    assert Settings(values).service_bus("Bus") == connection


def test_local_settings_file_fills_only_what_the_environment_does_not_set(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text('{"IsEncrypted": false, "Values": {"A": "file", "B": 2}}')
    environment = {"A": "environment"}
    add_local_settings(tmp_path, environment)
    assert environment == {"A": "environment", "B": "2"}


@pytest.mark.parametrize("text", ["[]", '{"Values": []}', "no json", '{"IsEncrypted": true, "Values": {}}'])
def test_unusable_local_settings_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)
    with pytest.raises(SettingsError, match=r"local\.settings\.json"):
        add_local_settings(tmp_path, {})


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("*/30 * * * * *", datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)),
        ("0 */5 * * * *", datetime(2026, 1, 31, 12, 5, tzinfo=UTC)),
        ("0 0 6 * * 1-5", datetime(2026, 2, 2, 6, tzinfo=UTC)),
        ("0 0 6 1 * mon", datetime(2026, 6, 1, 6, tzinfo=UTC)),
    ],
)
def test_schedule_has_seconds_first_and_wants_day_and_weekday_both(schedule: str, following: datetime) -> None:
    assert Schedule(schedule).following(datetime(2026, 1, 31, 12, tzinfo=UTC)) == following


@pytest.mark.parametrize("text", ["*/5 * * * *", "00:05:00", "99 * * * * *", ""])
def test_anything_but_six_ncrontab_fields_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError, match="six fields"):
        Schedule(text)


def test_host_json_gives_prefix_and_service_bus_options(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_text("{}")
    assert read_host_json(tmp_path) == HostOptions("api", ServiceBusOptions(16, 300.0))
    path.write_text(
        '{"extensions": {"http": {"routePrefix": ""},'
        ' "serviceBus": {"maxConcurrentCalls": 4, "maxAutoLockRenewalDuration": "1.00:00:30"}}}'
    )
    assert read_host_json(tmp_path) == HostOptions("", ServiceBusOptions(4, 86430.0))


@pytest.mark.parametrize(
    "options",
    [
        '{"autoCompleteMessages": false}',
        '{"prefetchCount": 10}',
        '{"maxConcurrentCalls": 0}',
        '{"maxAutoLockRenewalDuration": "5 minutes"}',
    ],
)
def test_host_json_that_asks_for_the_unsupported_is_refused(tmp_path: Path, options: str) -> None:
    (tmp_path / "host.json").write_text(f'{{"extensions": {{"serviceBus": {options}}}}}')
    with pytest.raises(HostJsonError):
        read_host_json(tmp_path)


def test_folder_without_host_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostJsonError, match="is missing"):
        read_host_json(tmp_path)
