"""The command that copies the tables, on the real stack."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.spine.world import World


def command(world: World, *arguments: str) -> CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "TABLES_CONNECTION_STRING": world.stack.ready["tables"]}
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "infra.copy_tables", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_copy_is_whole_and_for_nobody_else_and_is_put_into_empty_tables_only(world: World, tmp_path: Path) -> None:
    subject = world.outside_window()
    file = tmp_path / "ledger.jsonl.gz"

    done = command(world, "save", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    with gzip.open(file, "rt", encoding="utf-8") as text:
        lines = text.read().splitlines()
    assert f"Saved {len(lines)} rows" in done.stdout
    assert any(f"S:{subject.customer}:{subject.subscription}" in line for line in lines)
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [file.name]

    refused = command(world, "restore", str(file))
    assert refused.returncode == 1
    assert "not empty" in refused.stderr


def test_a_file_that_is_no_copy_is_told_as_such(world: World, tmp_path: Path) -> None:
    missing = command(world, "restore", str(tmp_path / "nowhere.gz"))
    assert missing.returncode == 1
    assert "Traceback" not in missing.stderr
