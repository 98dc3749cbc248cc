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
# Guess by names, and by randomness: in tests almost everything that they find is made up, and the documents show ids
_BY_NAME: list[dict[str, Any]] = [{"name": "KeywordDetector"}]
_BY_CHANCE: list[dict[str, Any]] = [
    {"name": "Base64HighEntropyString", "limit": 4.5},
    {"name": "HexHighEntropyString", "limit": 3.0},
]
_GUESSING = {"tests/": [], "docs/": _BY_NAME, "": [*_BY_NAME, *_BY_CHANCE]}
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
    groups: dict[str, list[str]] = {}
    for file in files:
        groups.setdefault(next(start for start in _GUESSING if file.startswith(start)), []).append(file)
    for start, group in groups.items():
        with transient_settings(_settings(_GUESSING[start])):
            found = SecretsCollection(str(root))
            for file in group:
                found.scan_file(file)
            yield from (Found(file, secret.type, secret.secret_hash) for file, secret in found)


def _settings(guessing: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "plugins_used": [*({"name": name} for name in _KNOWING), *guessing],
        "filters_used": [{"path": f"detect_secrets.filters.heuristic.{name}"} for name in _FILTERS],
    }
