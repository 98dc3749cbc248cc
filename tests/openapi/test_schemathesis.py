"""The running stack keeps what its document promises, tried with requests that schemathesis makes of the document.

Schemathesis runs as a program of its own, so that its plugin costs no other test anything.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Stack
from shared.identity import Role
from tests.documents.dialogs import CLOSED, FRESH, LEGACY
from tests.openapi.conforming import FILE
from tests.security.inventory import ROUTES

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SECONDS = 400  # a few on a machine of its own
BY_SIGNATURE = "partner_center_webhook"  # tests/adapters/test_partner_center_webhook.py


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document, half of whose customers and subscriptions are there."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    known: dict[str, set[str]] = {"customer": set(), "subscription": set()}
    for path in (FRESH, CLOSED, LEGACY):
        _, _, customer, _, subscription = path.split("/")
        known["customer"].add(customer)
        known["subscription"].add(subscription)
    for parameter in _parameters(found):
        if parameter["in"] == "path" and parameter["name"] in known:
            there = {"enum": sorted(known[parameter["name"]])}
            parameter["schema"] = {"anyOf": [there, parameter["schema"]]}
    written = tmp_path_factory.mktemp("openapi") / "openapi.json"
    written.write_text(json.dumps(found), encoding="utf-8")
    return written


def test_every_route_keeps_what_the_document_promises_and_its_boundaries_are_those_of_the_document(
    seeded: Stack, document: Path
) -> None:
    """In one run: a second one costs seconds before its first request. The configuration names the shapes."""
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "--config-file", str(HERE / "schemathesis.toml"), "run", str(document)]
    command += ["--url", seeded.ready["api"], "-H", f"Authorization: Bearer {token(seeded)}", "--no-color"]
    command += ["--exclude-operation-id", BY_SIGNATURE]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}

    done = subprocess.run(  # noqa: S603 - our own program and arguments
        command, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=document.parent, env=environment
    )

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    tried = dict(re.findall(r"(Coverage|Fuzzing) \(in [^)]*\)\s+\S+\s+(\d+) passed", done.stdout))
    assert tried == {"Coverage": "5", "Fuzzing": str(len(ROUTES) - 1)}, done.stdout[-2000:]


def token(stack: Stack) -> str:
    """A token with every role."""
    trust = ssl.create_default_context(cafile=stack.ready["caFile"])
    with httpx.Client(base_url=stack.ready["entra"], verify=trust, trust_env=False) as entra:
        answer = entra.post("/_control/tokens", json={"roles": [role.value for role in Role]})
    return str(answer.raise_for_status().json()["access_token"])


def _parameters(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        parameter
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation["parameters"]
    ]
