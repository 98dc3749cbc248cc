"""The local Functions host agrees with Microsoft's worker library about every app in `apps`, and each app runs in it.

The library, azure-functions-runtime, exists for Python 3.13 and later only; where it cannot be installed, `conftest`
does not collect this file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest

from tests.conformance.apps import APPS, ROOT, App


def run(module: str, *arguments: str, standard_input: str = "") -> Any:
    """Run a module in a process with an empty environment and return the JSON that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(  # noqa: S603 - this repository's own modules
        command, cwd=ROOT, env={}, input=standard_input, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module", params=list(APPS.values()), ids=list(APPS))
def app(request: pytest.FixtureRequest) -> App:
    chosen: App = request.param
    return chosen


@pytest.fixture(scope="module")
def outcome(app: App) -> Any:
    """What the library read from the app and how the invocations ended, without any setting."""
    invocations = json.dumps([asdict(row.invocation()) for row in app.expectations])
    return run("tests.conformance.worker_library", str(app.folder), standard_input=invocations)


def test_library_indexes_the_app_as_the_local_host_does_without_any_setting(app: App, outcome: Any) -> None:
    functions = outcome["functions"]
    assert functions
    assert functions == run("local.functions_host", "--app", str(app.folder), "--list")


def test_invocations_through_the_library_end_as_the_table_says(app: App, outcome: Any) -> None:
    assert {row.kind for row in app.expectations} == {"http", "timer", "queue"}
    for row, result in zip(app.expectations, outcome["results"], strict=True):
        for name, expected in row.result.items():
            told = result[name]
            assert expected in told if name == "error" else expected == told, (row, result)
