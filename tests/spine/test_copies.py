"""The command that copies the tables, on the real stack."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import pytest

from local.forking import ForkServer

if TYPE_CHECKING:
    from tests.spine.world import World


Command = Callable[..., CompletedProcess[str]]


@pytest.fixture
def command(world: World, forks: ForkServer) -> Command:
    """The command as an engineer runs it, with the tables of the stack."""
    environment = {"PATH": os.environ["PATH"], "TABLES_CONNECTION_STRING": world.stack.ready["tables"]}
    return lambda *arguments: forks.run("infra.copy_tables", arguments, environment)


def test_a_copy_is_whole_and_for_nobody_else_and_is_put_into_empty_tables_only(
    world: World, command: Command, tmp_path: Path
) -> None:
    subject = world.outside_window()
    file = tmp_path / "ledger.jsonl.gz"

    done = command("save", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    with gzip.open(file, "rt", encoding="utf-8") as text:
        lines = text.read().splitlines()
    assert f"Saved {len(lines)} rows" in done.stdout
    assert any(f"S:{subject.customer}:{subject.subscription}" in line for line in lines)
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [file.name]

    refused = command("restore", str(file))
    assert refused.returncode == 1
    assert "not empty" in refused.stderr


def test_a_file_that_is_no_copy_is_told_as_such(command: Command, tmp_path: Path) -> None:
    missing = command("restore", str(tmp_path / "nowhere.gz"))
    assert missing.returncode == 1
    assert "Traceback" not in missing.stderr
