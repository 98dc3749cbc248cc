"""Dependencies point inward, and each vendor's SDK stays behind one door."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
STANDARD = frozenset(sys.stdlib_module_names)
# Repositories speak the port in `store` and import no SDK; the adapter `azure_tables` is not among them
REPOSITORIES = (
    "alarms",
    "audit_cursor",
    "bulks",
    "coordination",
    "desk",
    "grants",
    "hints",
    "imports",
    "indexes",
    "keys",
    "ledger",
    "mappings",
    "mentions",
    "prices",
    "rates",
    "read_models",
    "records",
    "rows",
    "store",
    "sync_runs",
    "touched",
)


@dataclass(frozen=True)
class Layer:
    """Files whose path starts so may import the standard library, these modules, and nothing else."""

    path: str
    may_import: tuple[str, ...]


@dataclass(frozen=True)
class Door:
    """Only files whose path starts so may import this module."""

    module: str
    only_in: tuple[str, ...]


LAYERS = (
    Layer("shared/domain/", ("shared.domain",)),
    Layer("shared/ports.py", ("shared.domain",)),
    Layer(
        "shared/usecases/",
        (
            "shared.domain",
            "shared.ports",
            "shared.usecases",
            "shared.messaging.envelope",
            "shared.metrics",
            "shared.priority",
            "shared.partner_center.wire",
            "shared.telemetry",
            *(f"shared.storage.{name}" for name in REPOSITORIES),
        ),
    ),
    Layer("functions/", ("functions", "shared", "azure.functions", "pydantic", "typing_extensions")),
    Layer("function_app.py", ("functions", "azure.functions")),
    Layer(
        "infra/",
        (
            "infra",
            "shared.domain.errors",
            "shared.identity",
            "shared.settings",
            "shared.storage",
            "shared.transport",
            "shared.usecases.forgetting",
            "shared.usecases.restoring",
            "azure.identity",
        ),
    ),
    Layer("ops/", ("ops", "shared.domain.errors", "shared.transport", "azure.identity", "azure.core", "rich")),
)
DOORS = (
    Door("local", ("local/", "tests/", "bench/")),
    Door("bench", ("bench/", "tests/")),
    Door("tests", ("tests/",)),
    Door("infra", ("infra/", "tests/")),
    Door("ops", ("ops/", "tests/")),
    Door("rich", ("ops/",)),
    Door("functions", ("functions/", "function_app.py", "tests/")),
    Door("httpx", ("shared/transport.py", "local/", "tests/", "bench/")),
    Door("azure.data.tables", ("shared/storage/azure_tables.py", "local/", "tests/", "bench/")),
    Door("azure.monitor", ("shared/recording.py", "tests/")),
    Door("opentelemetry", ("shared/recording.py", "shared/log_export.py", "tests/")),
    Door("azure.servicebus", ("shared/messaging/queue.py", "local/", "tests/", "bench/")),
    Door("azure.keyvault", ("shared/partner_center/key_vault.py", "tests/")),
    Door("msal", ("shared/partner_center/authority.py", "tests/")),
)


def sources() -> list[str]:
    found = [REPOSITORY / "function_app.py"]
    for folder in ("functions", "shared", "infra", "ops", "local", "tests", "bench"):
        found += [path for path in (REPOSITORY / folder).rglob("*.py") if "node_modules" not in path.parts]
    return sorted(path.relative_to(REPOSITORY).as_posix() for path in found)


def imported(source: str) -> list[tuple[int, str]]:
    """Line and full name of everything a module imports, wherever in it, types included."""
    names: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            names += [(node.lineno, f"{origin}.{alias.name}") for alias in node.names]
    return names


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def violations(path: str, source: str) -> list[str]:
    found: list[str] = []
    for line, name in imported(source):
        if name.partition(".")[0] in STANDARD:
            continue
        found += [
            f"{path}:{line} imports {name}; {layer.path} may import {', '.join(layer.may_import)}"
            for layer in LAYERS
            if path.startswith(layer.path) and not any(within(name, module) for module in layer.may_import)
        ]
        found += [
            f"{path}:{line} imports {name}; only {', '.join(door.only_in)} may"
            for door in DOORS
            if within(name, door.module) and not path.startswith(door.only_in)
        ]
    return found


def test_every_import_points_inward() -> None:
    found = [line for path in sources() for line in violations(path, (REPOSITORY / path).read_text(encoding="utf-8"))]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("shared/domain/rules.py", "from shared.usecases import act"),
        ("shared/domain/rules.py", "import pydantic"),
        ("shared/domain/rules.py", "from . import timeline"),
        ("shared/usecases/act.py", "from shared import storage"),
        ("shared/usecases/act.py", "from shared.storage.azure_tables import AzureTables"),
        ("shared/usecases/act.py", "from shared.partner_center.client import PartnerCenter"),
        ("shared/usecases/act.py", "def f():\n    from pydantic import BaseModel"),
        ("functions/http_actions/service.py", "import httpx"),
        ("functions/http_actions/service.py", "from azure import servicebus"),
        ("shared/autotask/client.py", "import httpx"),
        ("shared/wiring.py", "from azure.data.tables.aio import TableServiceClient"),
        ("shared/storage/ledger.py", "import azure.servicebus"),
        ("shared/usecases/act.py", "from shared.recording import Recording"),
        ("shared/telemetry.py", "from opentelemetry import trace"),
        ("shared/wiring.py", "from local.stack import Stack"),
        ("shared/wiring.py", "import functions.http_actions"),
        ("function_app.py", "from tests import conftest"),
    ],
)
def test_an_import_that_points_outward_is_found(path: str, source: str) -> None:
    assert violations(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("shared/domain/rules.py", "from datetime import date\nfrom shared.domain import timeline"),
        ("shared/usecases/act.py", "from shared import ports"),
        ("functions/http_actions/service.py", "import azure.functions as func\nfrom shared.wiring import app"),
        ("shared/transport.py", "import httpx"),
        ("shared/storage/azure_tables.py", "from azure.data.tables import TableEntity"),
        ("local/stack.py", "import httpx"),
    ],
)
def test_an_import_that_points_inward_is_allowed(path: str, source: str) -> None:
    assert not violations(path, source)
