"""The rules that code is checked by are on, an exception says why, and what is declared is what is locked."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from tests.supply.licences import ROOT
from tests.supply.secrets import tracked

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# bandit's rules that are off somewhere: asserts and made-up secrets in tests, processes of our own on a laptop
WITHOUT = {
    "tests/**": {"S101", "S105", "S106"},
    "bench/**": {"S603"},
    "local/**": {"S105", "S106", "S603", "S607"},
}
_IGNORE = re.compile(
    r"# (?:noqa|type: ignore)(?P<codes>: [A-Z0-9, ]+?|\[[a-z, -]+\])?(?P<reason>$|\s+(?:-|#)\s.*|\s+#.*)"
)
_EXCEPTION = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b")


def exceptions_without_a_reason(text: str) -> list[int]:
    """The lines with an exception that names no rule or no reason."""
    wrong = []
    for number, line in enumerate(text.splitlines(), start=1):
        for start in (found.start() for found in _EXCEPTION.finditer(line)):
            found = _IGNORE.match(line[start:])
            if found is None or not found["codes"] or len(found["reason"].strip(" -#")) < 3:
                wrong.append(number)
    return wrong


def test_every_exception_names_its_rule_and_its_reason() -> None:
    ours = Path(__file__).relative_to(ROOT).as_posix()
    files = [file for file in tracked() if file.endswith(".py") and file != ours and (ROOT / file).exists()]
    found = {file: exceptions_without_a_reason((ROOT / file).read_text(encoding="utf-8")) for file in files}
    assert {file: lines for file, lines in found.items() if lines} == {}
    assert len(files) > 100


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("x = 1  # noqa: S603 - our own command", False),
        ("x = 1  # noqa: S603, S607  # our own command", False),
        ("x = 1  # type: ignore[arg-type]  # the SDK has no types", False),
        ("x = 1  # noqa", True),
        ("x = 1  # noqa: S603", True),
        ("x = 1  # noqa: S603 -", True),
        ("x = 1  # type: ignore", True),
        ("x = 1  # type: ignore[arg-type]", True),
    ],
)
def test_an_exception_without_either_is_found(line: str, wrong: bool) -> None:  # noqa: FBT001 - a test's parameter
    assert bool(exceptions_without_a_reason(line)) is wrong


def test_the_security_rules_are_on_and_off_only_where_it_is_listed() -> None:
    lint = PROJECT["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [code for code in lint["ignore"] if code.startswith("S") and code[1:].isdigit()] == []
    off = {
        files: {code for code in codes if code.startswith("S") and code[1:].isdigit()}
        for files, codes in lint["per-file-ignores"].items()
    }
    assert {files: codes for files, codes in off.items() if codes} == WITHOUT


def test_types_are_strict_everywhere() -> None:
    mypy = PROJECT["tool"]["mypy"]
    assert mypy["strict"] is True
    assert mypy.get("overrides", []) == []
    folders = {file.partition("/")[0] for file in tracked() if file.endswith(".py")}
    assert folders <= set(mypy["files"])


def declared() -> list[tuple[str, str]]:
    """Each declared dependency with the lock file that has to have it."""
    groups = PROJECT["dependency-groups"]
    return [
        *(("requirements.txt", text) for text in PROJECT["project"]["dependencies"]),
        *(("requirements-dev.txt", text) for text in groups["dev"]),
        *(("requirements-node.txt", text) for text in groups["node"]),
    ]


@pytest.mark.parametrize(("lock", "wanted"), declared())
def test_what_is_declared_is_locked(lock: str, wanted: str) -> None:
    name, exactly = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?(?:==([0-9.]+))?.*", wanted).groups()  # type: ignore[union-attr]  # a name begins every requirement
    text = (ROOT / lock).read_text(encoding="utf-8").lower()
    versions = re.findall(rf"^{re.escape(name.lower())}(?:\[[a-z,]+\])?==([^ ;\\]+)", text, re.MULTILINE)
    assert versions, f"make lock: {name} is not in {lock}"
    assert exactly in {None, *versions}, f"make lock: {name} is locked to {versions}"


def test_what_is_deployed_is_the_application_and_nothing_else() -> None:
    patterns = (ROOT / ".funcignore").read_text(encoding="utf-8").split()

    def left_out(file: str) -> bool:
        parts = file.split("/")
        return any(
            fnmatch(part, pattern.rstrip("/")) for pattern in patterns for part in (parts if len(parts) > 1 else [file])
        )

    sent = {file.partition("/")[0] for file in tracked() if not left_out(file)}
    assert sent == {".funcignore", "LICENSE", "function_app.py", "functions", "host.json", "shared"}
    assert not left_out("requirements.txt")
