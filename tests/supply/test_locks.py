"""Every dependency is pinned with its hashes, and the bill of materials names exactly what is deployed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supply.licences import ROOT

_BLOCK = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)==(?P<version>[^ ;\\]+)(?P<rest>(?:.*\\\n)*.*)$", re.MULTILINE)


def pinned(file: str) -> set[tuple[str, str]]:
    text = (ROOT / file).read_text(encoding="utf-8")
    return {(found["name"].lower(), found["version"]) for found in _BLOCK.finditer(text)}


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt", "requirements-node.txt"])
def test_every_line_of_a_lock_file_is_a_version_with_hashes(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    blocks = list(_BLOCK.finditer(text))
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]

    assert len(blocks) == len(lines) > 0
    assert [block["name"] for block in blocks if "--hash=sha256:" not in block["rest"]] == []


def test_what_is_deployed_is_a_part_of_what_is_tested() -> None:
    assert pinned("requirements.txt") <= pinned("requirements-dev.txt")


def test_every_npm_package_is_locked_with_its_hash_and_without_a_registrys_name() -> None:
    packages = json.loads((ROOT / "local" / "azurite" / "package-lock.json").read_text(encoding="utf-8"))["packages"]

    assert [path for path, one in packages.items() if path and not one.get("link") and "integrity" not in one] == []
    assert [path for path, one in packages.items() if "resolved" in one] == []


@pytest.mark.slow
def test_the_bill_of_materials_is_what_is_deployed(tmp_path: Path) -> None:
    bom = tmp_path / "sbom.json"
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "requirements.txt"]
    options = ["--pyproject", "pyproject.toml", "--output-reproducible", "--of", "JSON", "-o", str(bom)]

    subprocess.run([*command, *options], cwd=ROOT, check=True)  # noqa: S603 - our own command line

    document = json.loads(bom.read_text(encoding="utf-8"))
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "csp-functions"
    named = {(one["name"].lower(), one["version"]) for one in document["components"]}
    assert named == pinned("requirements.txt")
    assert all(one["purl"].startswith("pkg:pypi/") for one in document["components"])


def test_make_sbom_writes_it_like_that() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert "-m cyclonedx_py requirements requirements.txt --pyproject pyproject.toml --output-reproducible" in makefile
