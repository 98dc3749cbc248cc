"""`python -m local` answers what it cannot do in a line, with an exit code, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "local")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("port", ["65536", "-1", "http", "", "7 0"])
def test_what_is_no_port_is_told(port: str) -> None:
    refused = run("--port", port)
    assert refused.returncode == 2
    assert "is no port: a number from 0 to 65535" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_ready_file_that_cannot_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("", encoding="utf-8")
    for place in (in_the_way / "ready.json", tmp_path):
        refused = run("--port", "0", "--ready-file", str(place))
        assert refused.returncode == 1
        assert refused.stdout == "", "nothing was started"
        (line,) = refused.stderr.splitlines()
        assert line.startswith(f"The local stack did not start: the ready file {place} cannot be written: ")


def test_a_data_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("", encoding="utf-8")
    refused = run("--port", "0", "--data", str(in_the_way))
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert refused.stderr.startswith("The local stack did not start: ")


@pytest.mark.parametrize("after", [0.0, 0.2, 0.6])
def test_an_early_ctrl_c_ends_in_a_line_and_leaves_nothing(tmp_path: Path, after: float) -> None:
    ready_file = tmp_path / "ready.json"
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--port", "0", "--ready-file", str(ready_file)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Starting the local stack ...\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert said.rstrip().endswith("Stopped before it was ready.")
    assert not ready_file.exists()
