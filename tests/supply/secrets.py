"""Looks for secrets in the files that git knows, with detect-secrets; nothing is asked of any server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect_secrets.core.potential_secret import PotentialSecret
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.filters.heuristic import is_indirect_reference
from detect_secrets.settings import transient_settings

from tests.supply.licences import ROOT

# Full of hashes on purpose
_LOCKS = ("requirements", "local/azurite/package-lock.json")
# Those of the tools and clouds that this project has anything to do with, each with what all that it finds contains: a
# file without that is not given to it, line by line
_KNOWING = {
    "AWSKeyDetector": re.compile("aws|A3T|ABIA|ACCA|AKIA|ASIA", re.IGNORECASE),
    "AzureStorageKeyDetector": re.compile("AccountKey="),
    "BasicAuthDetector": re.compile(r"://[^\s@]+@"),
    "GitHubTokenDetector": re.compile("gh[pousr]_"),
    "JwtTokenDetector": re.compile("eyJ"),
    "NpmDetector": re.compile("_authToken="),
    "PrivateKeyDetector": re.compile("PRIVATE KEY|PuTTY-User-Key-File-2"),
    "PypiTokenDetector": re.compile("pypi-AgE"),
}
# Guess by names, and by randomness: in tests almost everything that they find is made up, and the documents show ids
_BY_NAME: list[dict[str, Any]] = [{"name": "KeywordDetector"}]
_BY_CHANCE: list[dict[str, Any]] = [
    {"name": "Base64HighEntropyString", "limit": 4.5},
    {"name": "HexHighEntropyString", "limit": 3.0},
]
_GUESSING = {"tests/": [], "docs/": _BY_NAME, "": [*_BY_NAME, *_BY_CHANCE]}
_FILTERS = (
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
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for file in files:
        start = next(start for start in _GUESSING if file.startswith(start))
        groups.setdefault((start, _knowing(root / file)), []).append(file)
    for (start, knowing), group in groups.items():
        plugins = [*({"name": name} for name in knowing), *_GUESSING[start]]
        if not plugins:
            continue
        with transient_settings(_settings(plugins)):
            found = SecretsCollection(str(root))
            for file in group:
                found.scan_file(file)
            yield from (
                Found(file, one.type, one.secret_hash) for file, one in found if not _only_named(root / file, one)
            )


def _only_named(path: Path, found: PotentialSecret) -> bool:
    """Whether the lines with a finding all take it from somewhere (`password = read(...)`).

    The same filter on every line of every file, before anything is looked for, would cost more than all the rest.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    lines_with_it = [line for line in lines if found.secret_value and found.secret_value in line]
    return bool(lines_with_it) and all(map(is_indirect_reference, lines_with_it))


def _knowing(path: Path) -> tuple[str, ...]:
    text = path.read_text(encoding="utf-8", errors="replace")
    return tuple(name for name, mark in _KNOWING.items() if mark.search(text))


def _settings(plugins: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "plugins_used": plugins,
        "filters_used": [{"path": f"detect_secrets.filters.heuristic.{name}"} for name in _FILTERS],
    }
