"""The runbook has an entry for every reason to be called: alerts (tests/infra), symptoms, and codes of dead letters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.documents.generated import DOCS

ROOT = DOCS.parent
RUNBOOK = (DOCS / "runbook.md").read_text(encoding="utf-8")
SYMPTOMS = (
    "Dead letters grow",
    "Sync has stalled",
    "Drift was found",
    "Autotask has locked us out",
    "Sign-in to Partner Center",
    "The wrong tenant",
    "Changing a secret or key",
    "Restore",
    "A region is lost",
)
_SHELL = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)


def codes_of_dead_letters() -> set[str]:
    """The first argument of every Reason that the explanations make."""
    tree = ast.parse((ROOT / "shared" / "domain" / "explanations.py").read_text(encoding="utf-8"))
    made = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    firsts = (node.args[0] for node in made if getattr(node.func, "id", "") == "Reason" and node.args)
    return {first.value for first in firsts if isinstance(first, ast.Constant) and isinstance(first.value, str)}


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_every_symptom_has_its_heading(symptom: str) -> None:
    assert re.search(rf"^##+ {re.escape(symptom)}$", RUNBOOK, re.MULTILINE)


def test_every_code_of_a_dead_letter_is_explained_in_the_runbook_and_named_in_the_api() -> None:
    codes = codes_of_dead_letters() - {"autotask_unavailable", "misconfigured", "settling"}
    api = (DOCS / "api.md").read_text(encoding="utf-8")
    assert len(codes) > 8
    assert sorted(code for code in codes if f"`{code}`" not in RUNBOOK) == []
    assert sorted(code for code in codes if f"`{code}`" not in api) == []


def test_every_route_of_the_runbook_is_one_of_the_api() -> None:
    routes = {
        re.sub(r"\{\w+\}", "*", route)
        for path in sorted((ROOT / "functions" / "http_actions").glob("*.py"))
        for route in re.findall(r"route=f?\"([^\"]+)\"", path.read_text(encoding="utf-8"))
    }
    routes = {
        route.replace("*", "customers/*/subscriptions/*", 1) if route.startswith("*/") else route for route in routes
    }
    named = {re.sub(r"\$[A-Z]+", "*", found).rstrip("/") for found in re.findall(r"\$API_URL/([\w$/*-]+)", RUNBOOK)}
    assert sorted(named - routes) == []
    assert len(named) > 6


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", RUNBOOK))))
def test_every_command_of_the_runbook_is_there(module: str) -> None:
    assert Path(ROOT, *module.split(".")).with_suffix(".py").exists() or Path(ROOT, *module.split(".")).is_dir()
