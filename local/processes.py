"""Starting, watching and ending one process of the local stack; `local.stack` knows which processes there are.

Each child leads a process group, so that Ctrl-C reaches the supervisor alone and a whole child can be ended at once.
On Linux the kernel also ends a child whose supervisor died without a word (`local.attach`). The kernel counts the
*thread* that started the child as its parent, therefore one thread starts all children and lives as long as the stack.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from local.readiness import Check

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from local.forking import ForkServer

_ATTACH = Path(__file__).with_name("attach.py")
_LOG_LINES = 25


@dataclass(frozen=True)
class ProcessSpec:
    """What to run, in which environment, how to see that it is ready, and after which other processes."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    is_ready: Check
    after: frozenset[str] = frozenset()
    orphan_signal: signal.Signals = signal.SIGKILL


class Process(Protocol):
    """What is asked of a running process, as of `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Its id."""

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired` after so many seconds."""


@dataclass
class Child:
    """A started process. `ending` tells that its end is wanted, so that nobody reports it."""

    spec: ProcessSpec
    process: Process
    ready: bool = False
    ending: bool = False
    reported: bool = field(default=False, repr=False)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self.process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child and whatever it started; nothing happens if it is gone."""
        self.ending = True
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """End it as a crash would: SIGKILL, nothing is saved or said."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def last_lines(self) -> str:
        """The end of its log, each line with the child's name in front."""
        lines = self.spec.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join(f"  [{self.spec.name}] {line}" for line in lines) or f"  [{self.spec.name}] (no output)"


class Launcher:
    """Starts children from one thread of its own; a context manager because of that thread."""

    def __init__(self, forks: ForkServer | None = None) -> None:
        """With a fork server, what it can fork is forked."""
        self._forks = forks
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")

    def __enter__(self) -> Launcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def launch(self, spec: ProcessSpec) -> Child:
        """Start the process of the specification; its output is appended to its log."""
        if self._forks is not None and self._forks.can_fork(spec):
            return Child(spec, self._forks.fork(spec))
        return Child(spec, self._thread.submit(_spawn, spec).result())


def stop_all(children: Iterable[Child], *, seconds: float = 5.0) -> list[Child]:
    """Ask all to end at the same moment, wait, and kill what is left.

    Returns:
        Those that had to be killed.
    """
    asked = [child for child in children if child.exit_code is None]
    for child in asked:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    stubborn: list[Child] = []
    for child in asked:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            stubborn.append(child)
    for child in stubborn:
        child.kill()
    return stubborn


def _spawn(spec: ProcessSpec) -> subprocess.Popen[bytes]:
    with spec.log.open("ab") as log:
        return subprocess.Popen(
            [*_attachment(spec), *spec.command],
            cwd=spec.directory,
            env=dict(spec.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def _attachment(spec: ProcessSpec) -> list[str]:
    if not sys.platform.startswith("linux"):
        return []
    return [sys.executable, "-I", "-S", str(_ATTACH), str(int(spec.orphan_signal)), str(os.getpid())]
