"""No text from outside can forge a line of the log, and every line is one JSON object."""

from __future__ import annotations

import ast
import json
import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.stack import Stack, StackOptions
from shared import telemetry
from shared.domain.errors import Refused
from tests.conftest import FAST_SETTINGS
from tests.fuzz.strange import EXAMPLES, TEXT
from tests.security.inventory import ROUTES
from tests.spine.world import World

ROOT = Path(__file__).parents[2]
NEVER = "forged_by_a_test"
FORGED = f'x\r\n{{"event": "{NEVER}"}}\n\x1b[2K\x00 \u2028{{"event": "{NEVER}"}}'
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


def forged(log: str) -> list[str]:
    """The lines of a log that a reader would take for ours and that a caller wrote."""
    lines = [line.strip("\x00\x1b ") for line in log.splitlines()]
    return [line for line in lines if line.startswith(f'{{"event": "{NEVER}"')]


def test_a_forged_line_would_be_found() -> None:
    assert forged(f"2026 ours\n{FORGED}\n")


@pytest.mark.slow
def test_no_request_can_write_a_line_of_its_own_into_the_hosts_log() -> None:
    with Stack(StackOptions(storage_in_memory=True, first_sync=False, settings=FAST_SETTINGS)) as stack:
        with World(stack) as world:
            for route in ROUTES:
                world.clients["operator"].request(
                    route.method,
                    "/" + re.sub(r"{[^}]+}", quote(FORGED, safe=""), route.template),
                    params={"kind": FORGED, FORGED: FORGED},
                    json={"reason": FORGED, FORGED: FORGED},
                    headers={"Idempotency-Key": "x", "traceparent": f"00-{NEVER}", "User-Agent": NEVER},
                )
        log = (Path(stack.logs) / "host.log").read_text(encoding="utf-8", errors="replace")

    assert log
    assert forged(log) == []
