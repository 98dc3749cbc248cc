"""Looks for secrets in the files that git knows, with detect-secrets; nothing is asked of any server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

from tests.supply.licences import ROOT

# Full of hashes on purpose
_LOCKS = ("requirements", "local/azurite/package-lock.json")
# Those of the tools and clouds that this project has anything to do with
_KNOWING = (
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "GitHubTokenDetector",
    "JwtTokenDetector",
    "NpmDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
)
# Guess by names and by randomness: in tests almost everything that they find is made up
_GUESSING: dict[str, dict[str, Any]] = {
    "KeywordDetector": {},
    "Base64HighEntropyString": {"limit": 4.5},
    "HexHighEntropyString": {"limit": 3.0},
}
_FILTERS = (
    "is_indirect_reference",
    "is_likely_id_string",
    "is_not_alphanumeric_string",
    "is_potential_uuid",
    "is_prefixed_with_dollar_sign",
    "is_sequential_string",
    "is_templated_secret",
)


@dataclass(frozen=True, order=True)
class Found:
    """Something that looks like a secret; `hash` is the SHA-1 of it."""

    file: str
    kind: str
    hash: str


def tracked() -> list[str]:
    """Every file of the project."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)  # noqa: S607 - the pipeline's git
    return [file for file in listed.stdout.split("\0") if file and not file.startswith(_LOCKS)]


def secrets_in(files: Iterable[str], root: Path = ROOT) -> Iterator[Found]:
    """What looks like a secret in these files."""
    product = [file for file in files if not file.startswith("tests/")]
    tests = [file for file in files if file.startswith("tests/")]
    for group, guessing in ((product, True), (tests, False)):
        with transient_settings(_settings(guessing=guessing)):
            found = SecretsCollection(str(root))
            for file in group:
                found.scan_file(file)
            yield from (Found(file, secret.type, secret.secret_hash) for file, secret in found)


def _settings(*, guessing: bool) -> dict[str, Any]:
    plugins: list[dict[str, Any]] = [{"name": name} for name in _KNOWING]
    if guessing:
        plugins += [{"name": name, **limits} for name, limits in _GUESSING.items()]
    return {
        "plugins_used": plugins,
        "filters_used": [{"path": f"detect_secrets.filters.heuristic.{name}"} for name in _FILTERS],
    }
