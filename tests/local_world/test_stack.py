"""The supervisor of the local stack tells where everything is, survives a child's death, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.stack import Stack, StackOptions, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
PROCESSES = {"azurite", "entra", "servicebus", "autotask", "partner-center", "telemetry", "host"}


class Supervisor:
    """`python -m local` as a person starts it."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.ready_file = directory / "ready.json"
        self._log = directory / "supervisor.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-m", "local", "--ready-file", str(self.ready_file), *arguments],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )

    def ready(self) -> dict[str, Any]:
        wait_until(lambda: self.ready_file.exists() or self.process.poll() is not None, seconds=60)
        assert self.process.poll() is None, self.said()
        ready: dict[str, Any] = json.loads(self.ready_file.read_text(encoding="utf-8"))
        return ready

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[list[Supervisor]]:
    started: list[Supervisor] = []
    yield started
    for supervisor in started:
        supervisor.process.terminate()
        supervisor.process.wait(20)


def wait_until(condition: Callable[[], object], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether a process lives; a dead one whose new parent has not yet asked for its code does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    return not status.parent.parent.is_dir()


def test_sigterm_ends_everything_and_a_kill_of_the_second_run_takes_its_children_with_it(
    tmp_path: Path, supervised: list[Supervisor]
) -> None:
    arguments = ("--port", "0", "--data", str(tmp_path / "data"))
    supervisor = Supervisor(tmp_path, *arguments)
    supervised.append(supervisor)
    pids = supervisor.ready()["pids"]
    assert pids.keys() == PROCESSES
    assert all(map(is_running, pids.values()))

    supervisor.process.send_signal(signal.SIGTERM)

    assert supervisor.process.wait(20) == 0, supervisor.said()
    assert [name for name, pid in pids.items() if is_running(pid)] == []
    assert not supervisor.ready_file.exists()

    again = Supervisor(tmp_path, *arguments)
    supervised.append(again)
    pids = again.ready()["pids"]
    assert pids.keys() == PROCESSES
    assert all(map(is_running, pids.values()))

    again.process.kill()

    wait_until(lambda: not any(map(is_running, pids.values())))


def test_a_taken_port_is_told_at_once(tmp_path: Path, supervised: list[Supervisor]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        supervisor = Supervisor(tmp_path, "--port", str(port))
        supervised.append(supervisor)

        assert supervisor.process.wait(20) == 1
    assert f"port {port} of 127.0.0.1 is taken" in supervisor.said()


def test_a_process_that_dies_while_starting_is_told_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("raise RuntimeError('this app is broken')\n")
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    broken = Stack(StackOptions(app=tmp_path, storage_in_memory=True))

    with pytest.raises(StartError, match=r"(?s)host ended with code 1.*\[host\].*this app is broken"):
        broken.open()


def test_the_ready_description_is_complete(stack: Stack) -> None:
    ready = stack.ready

    assert ready["api"] == f"{ready['host']}/api"
    assert ready["tokens"].keys() == {"operator", "reader", "mapper", "deadletters", "access"}
    assert ready["pids"].keys() >= PROCESSES
    assert ready["queue"] == "autotask-operations"
    assert ready["settings"]["ServiceBus"] == ready["serviceBus"]
    assert Path(ready["caFile"]).is_file()
    assert Path(ready["logs"], "host.log").is_file()
    for base in (ready["partnerCenter"], ready["autotask"]):
        assert httpx.get(f"{base}/_control/health", trust_env=False).status_code == 200
    assert json.loads(json.dumps(ready)) == ready


def test_a_process_that_dies_unasked_is_told_once_and_starts_again_on_its_port(stack: Stack) -> None:
    os.kill(stack.ready["pids"]["host"], signal.SIGKILL)
    reports: list[str] = []
    while not reports:
        reports = stack.unexpected_ends()

    assert [report.splitlines()[0] for report in reports] == ["host ended with code -9"]
    assert stack.unexpected_ends() == []
    assert "host" not in stack.ready["pids"]

    stack.start("host")

    assert is_running(stack.ready["pids"]["host"])
    assert httpx.get(f"{stack.ready['host']}/admin/host/status", trust_env=False).status_code == 200


def test_a_further_host_joins_and_leaves(stack: Stack) -> None:
    name = stack.start_extra_host({"RETRY_SECONDS": "1"})

    assert httpx.get(f"{stack.ready['hosts'][name]}/admin/host/status", trust_env=False).status_code == 200
    pid = stack.ready["pids"][name]
    stack.stop(name)
    assert not is_running(pid)
    assert stack.unexpected_ends() == []
