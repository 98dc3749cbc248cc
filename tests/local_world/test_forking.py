"""Processes that are forked from one that has imported everything: what else they are, they are like any other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.forking import ForkServer
from local.plan import REPOSITORY
from local.processes import Child, Launcher, ProcessSpec
from tests.spine.world import eventually

PROGRAM = """
import os, sys, time, random
print(__name__, sys.argv[1:], sorted(os.environ), os.getcwd(), os.getpgid(0) == os.getpid(), flush=True)
print(random.random(), flush=True)
if sys.argv[1] == "sleep":
    time.sleep(60)
sys.exit(int(sys.argv[1]))
"""

Run = Callable[[str], Child]


@pytest.fixture
def run(forks: ForkServer, tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    with Launcher(forks) as launcher:

        def run(argument: str) -> Child:
            command = (sys.executable, "-m", "program", argument)
            log = tmp_path / f"{argument}.log"
            return launcher.launch(ProcessSpec("program", command, {"ONLY": "this"}, tmp_path, log, lambda: True))

        yield run


def said(child: Child) -> list[str]:
    return child.spec.log.read_text(encoding="utf-8").splitlines() if child.spec.log.exists() else []


def test_a_process_runs_its_module_with_its_own_arguments_environment_directory_and_group(run: Run) -> None:
    child = run("3")
    assert child.process.wait(10) == 3
    where = child.spec.directory
    assert said(child)[0] == f"__main__ ['3'] ['ONLY'] {where} True"


def test_a_kill_ends_it_at_once(run: Run) -> None:
    child = run("sleep")
    eventually(lambda: said(child), bool)
    assert child.exit_code is None
    child.kill()
    assert child.exit_code == -signal.SIGKILL


def test_who_waits_for_one_that_runs_is_told_so(run: Run) -> None:
    child = run("sleep")
    with pytest.raises(subprocess.TimeoutExpired):
        child.process.wait(0.05)
    child.kill()


def test_no_two_have_the_same_chance(run: Run) -> None:
    first, second = run("0"), run("1")
    assert (first.process.wait(10), second.process.wait(10)) == (0, 1)
    assert said(first)[1] != said(second)[1]


def test_a_command_is_run_to_its_end_with_what_it_says(forks: ForkServer) -> None:
    path = {"PATH": os.environ["PATH"]}
    wrong = forks.run("infra.copy_tables", ["burn"], path)
    right = forks.run("infra.copy_tables", ["--help"], path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "invalid choice: 'burn'" in wrong.stderr
    assert (right.returncode, right.stderr) == (0, "")
    assert "save" in right.stdout


def test_with_the_server_everything_ends_that_it_has_forked(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = (sys.executable, "-m", "program", "sleep")
    spec = ProcessSpec("program", command, {}, tmp_path, tmp_path / "log", lambda: True)
    with ForkServer(REPOSITORY) as server:
        pid = server.fork(spec).pid

    def is_there() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2][:3]

    eventually(is_there, lambda there: not there)
