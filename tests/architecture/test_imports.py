"""Importing the app is what every instance waits for first, so it brings only what indexing needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOW = "import json, sys; import function_app; print(json.dumps(sorted(sys.modules)))"
# Each takes longer than the app's own modules together, and an invocation that needs it can wait for it
LATE = (
    "aiohttp",
    "azure.core",
    "azure.data",
    "azure.identity",
    "azure.monitor",
    "azure.servicebus",
    "cryptography",
    "httpx",
    "jwt",
    "msal",
    "opentelemetry",
    "pydantic_settings",
    "requests",
)


@pytest.fixture(scope="module")
def modules() -> frozenset[str]:
    """What is imported together with the app, in an empty environment."""
    shown = subprocess.run(  # noqa: S603 - a line of our own
        [sys.executable, "-c", SHOW], cwd=ROOT, env={}, capture_output=True, text=True, timeout=60, check=True
    )
    return frozenset(json.loads(shown.stdout))


@pytest.mark.parametrize("name", LATE)
def test_importing_the_app_does_not_import(modules: frozenset[str], name: str) -> None:
    assert not [module for module in modules if module == name or module.startswith(f"{name}.")]


def test_importing_the_app_imports_the_app(modules: frozenset[str]) -> None:
    assert {"azure.functions", "pydantic", "shared.wiring", "shared.telemetry", "shared.usecases.act"} <= modules
