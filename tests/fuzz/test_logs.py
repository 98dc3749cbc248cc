"""No text from outside can forge a line of the log, and every line is one JSON object."""

from __future__ import annotations

import ast
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import telemetry
from shared.domain.errors import Refused
from tests.fuzz.strange import EXAMPLES, TEXT

ROOT = Path(__file__).parents[2]
DIRECT = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
# What writes to a logger without `telemetry.tell`, and why that is safe
BY_THEMSELVES = {
    "shared/telemetry.py": "it is `tell`",
    "shared/transport.py": "two lines for debugging: a fixed text, the rest as fields",
}


class Lines(logging.Handler):
    """Keeps every line as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@EXAMPLES
@given(event=TEXT, names=st.dictionaries(st.sampled_from(["customer", "caller", "code", "reason"]), TEXT), why=TEXT)
def test_whatever_is_told_is_one_line_of_json(event: str, names: dict[str, str], why: str) -> None:
    log, lines = logging.getLogger("tests.fuzz"), Lines()
    log.propagate = False
    log.setLevel(logging.INFO)
    log.handlers = [lines]

    told_fields: dict[str, Any] = dict(names)
    telemetry.tell(log, event, error=Refused(why, why), **told_fields)

    (line,) = lines.lines
    assert line.isascii()
    assert line.isprintable()
    told = json.loads(line)
    assert (told["event"], {name: told[name] for name in names}) == (event, names)


@pytest.mark.parametrize("folder", ["functions", "shared"])
def test_everything_is_told_and_nothing_is_formatted_into_a_line(folder: str) -> None:
    found = []
    for path in Path(ROOT / folder).rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "logger" | "logging"), attr=name)):
                    if name in DIRECT and place not in BY_THEMSELVES:
                        found.append(f"{place}:{node.lineno}")

    assert found == []
