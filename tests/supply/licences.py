"""The licences of everything that is locked, as SPDX expressions, and docs/licences.md made from them.

`python -m tests.documents` writes the tables. A package that is not installed on this machine (another platform or
Python) keeps what the document says of it.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "licences.md"
# Permissive, or reciprocal for the licence's own files only (MPL); anything else needs a decision and a line here
ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BlueOak-1.0.0",
        "CC-BY-3.0",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "WTFPL",
    }
)
# What packages write where an SPDX expression belongs
_SAME = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
_LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)
_WORD = re.compile(r"[^\s()]+")


def locked(file: str) -> list[str]:
    """The names in a lock file."""
    return sorted(set(_LOCKED.findall((ROOT / file).read_text(encoding="utf-8"))))


def licence(package: str) -> str | None:
    """The licence of an installed package as it says itself; empty where it says none, None where it is not here."""
    try:
        metadata = importlib.metadata.metadata(package).json
    except importlib.metadata.PackageNotFoundError:
        return None
    classifiers = metadata.get("classifier", [])
    named = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: OSI")]
    for text in (metadata.get("license_expression"), metadata.get("license"), *named):
        said = _SAME.get(str(text), str(text))
        if text and not refused(said):
            return said
    return str(metadata.get("license_expression") or metadata.get("license") or " ".join(named))[:60]


def refused(expression: str) -> bool:
    """Whether a licence expression leaves no choice that is allowed."""
    alternatives = re.split(r"\s+OR\s+", expression.strip("()"))
    return not any(
        all(word in ALLOWED for word in _WORD.findall(one) if word not in {"AND", "WITH"}) and _WORD.search(one)
        for one in alternatives
    )


def documented() -> dict[str, str]:
    """Package and licence as the document says."""
    if not DOCUMENT.exists():
        return {}
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))


def licences(packages: list[str]) -> dict[str, str]:
    """Package and licence; what is not installed here as the document says."""
    known = documented()
    found = {package: licence(package) for package in packages}
    return {package: known.get(package, "unknown") if said is None else said for package, said in found.items()}


def npm_licences() -> Counter[str]:
    """How many packages of the local storage emulator have which licence."""
    packages = json.loads((ROOT / "local" / "azurite" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return Counter(str(one.get("license", "none said")) for path, one in packages.items() if path)


def runtime_table() -> str:
    """What is deployed."""
    return _table(licences(locked("requirements.txt")))


def development_table() -> str:
    """What is used to build and test beside it."""
    deployed = set(locked("requirements.txt"))
    tools = {*locked("requirements-dev.txt"), *locked("requirements-node.txt")}
    return _table(licences(sorted(tools - deployed)))


def npm_table() -> str:
    """The licences of the storage emulator's packages."""
    rows = [f"| {name} | {count} |" for name, count in sorted(npm_licences().items())]
    return "\n".join(["| Licence | Packages |", "|---|---|", *rows])


def _table(found: dict[str, str]) -> str:
    return "\n".join(
        ["| Package | Licence |", "|---|---|", *(f"| `{name}` | {said} |" for name, said in found.items())]
    )
