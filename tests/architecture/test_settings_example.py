"""The settings that people copy are the settings that the app reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from local.settings import Addresses, host_settings, overrides_of
from shared.settings import Settings, load

EXAMPLE = Path(__file__).resolve().parents[2] / "local.settings.example.json"
# Read by the host or by the triggers' bindings, not by the app's code
OF_THE_HOST = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage", "WAKE_SCHEDULE", "SYNC_SCHEDULE", "SWEEP_SCHEDULE"}
ADDRESSES = Addresses("http://pc", "http://at", "https://entra", Path("ca.pem"), "Endpoint=sb://bus/", "AccountName=a")


def example() -> dict[str, str]:
    values: dict[str, str] = json.loads(EXAMPLE.read_text(encoding="utf-8"))["Values"]
    return values


@pytest.mark.parametrize("values", [example(), host_settings(ADDRESSES, {})], ids=["example", "local stack"])
def test_the_app_takes_every_setting_of(values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    load()

    known = {name.upper() for name in Settings.model_fields}
    assert {name.upper() for name in values.keys() - OF_THE_HOST} <= known


def test_the_example_and_the_local_stack_have_the_same_settings() -> None:
    assert example().keys() == host_settings(ADDRESSES, {}).keys()


def test_a_variable_of_the_caller_overrides_the_setting_of_its_name() -> None:
    settings = host_settings(ADDRESSES, overrides_of({"RETRY_SECONDS": "7", "HTTPS_PROXY": "http://proxy"}))

    assert settings["RETRY_SECONDS"] == "7"
    assert "HTTPS_PROXY" not in settings
