"""The asking side of `local.fork_server`: processes of Python modules, for those who start many stacks one by one.

The stack of a person starts each process by itself; the tests start some hundred, and each has the same to import.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from local.processes import ProcessSpec

_POLL_SECONDS = 0.01


class ForkServer:
    """One server, started by the first process that is asked for; a context manager. For any number of threads."""

    def __init__(self, directory: Path, *more: str) -> None:
        """Remember the directory whose modules are imported, and more that will be run than those of a stack."""
        self._directory = directory
        self._more = more
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server, and what it has forked. May be called again."""
        if self._server is not None:
            self._asked.close()
            self._socket.close()
            self._server.wait()
            self._server = None

    def can_fork(self, spec: ProcessSpec) -> bool:
        """Whether it is a module of this interpreter, on a system that ends children with their parent."""
        return sys.platform.startswith("linux") and spec.command[:2] == (sys.executable, "-m")

    def fork(self, spec: ProcessSpec) -> Forked:
        """Start the process of a specification that can be forked."""
        _, _, module, *arguments = spec.command
        where = {"directory": spec.directory, "output": spec.log, "errors": spec.log}
        return self._fork(module, arguments, spec.environment, where, spec.orphan_signal)

    def run(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], *, seconds: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a module of the directory to its end, as `subprocess.run` does with `python -m`.

        Raises:
            subprocess.TimeoutExpired: it takes longer than so many seconds; it is killed.
        """
        with tempfile.TemporaryDirectory() as temporary:
            output, errors = Path(temporary) / "output", Path(temporary) / "errors"
            where = {"directory": self._directory, "output": output, "errors": errors}
            forked = self._fork(module, arguments, environment, where, signal.SIGKILL)
            try:
                code = forked.wait(seconds)
            except subprocess.TimeoutExpired:
                os.kill(forked.pid, signal.SIGKILL)
                raise
            return subprocess.CompletedProcess([module, *arguments], code, output.read_text(), errors.read_text())

    def _fork(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        where: Mapping[str, Path],
        orphan_signal: signal.Signals,
    ) -> Forked:
        order = {
            "module": module,
            "arguments": list(arguments),
            "environment": dict(environment),
            "orphan_signal": int(orphan_signal),
            **{name: str(path) for name, path in where.items()},
        }
        return Forked(self, int(self.ask({"run": order})["pid"]))

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """The server's answer to one order."""
        with self._lock:
            if self._server is None:
                self._start()
            self._asked.write(json.dumps(order).encode() + b"\n")
            self._asked.flush()
            answer: dict[str, Any] = json.loads(self._asked.readline())
        return answer

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._asked = self._socket.makefile("rwb")
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "local.fork_server", str(theirs.fileno()), *self._more],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )


class Forked:
    """A forked process as `subprocess.Popen` shows one."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server = server
        self._code: int | None = None
        self.pid = pid

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = self._server.ask({"ended": self.pid})["code"]
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired` after so many seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(_POLL_SECONDS)
        return code
