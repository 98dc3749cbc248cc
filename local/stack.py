"""The whole local stack as one object: starts all processes, tells where they are, ends, kills and restarts them.

`python -m local` wraps it for a person; tests use it directly. What is started is decided by `local.plan`, how by
`local.processes`, and what happens once everything runs by `local.warm_up`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from local.plan import HOST, REPOSITORY, SERVICE_BUS, Plan, StackOptions
from local.processes import Child, Launcher, ProcessSpec, stop_all
from local.settings import QUEUE
from local.warm_up import first_sync, portal_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["Stack", "StackOptions", "StartError"]
_POLL_SECONDS = 0.03


class StartError(RuntimeError):
    """A process ended or stayed silent while it started; the text ends with its last log lines."""


class Stack:
    """All processes of one local stack on ports of its own. A context manager; not for several threads at once.

    Attributes:
        ready: what the ready file holds (`docs/local.md`); empty until `open` returns, kept up to date afterwards.
        logs: directory with one log per process.
    """

    def __init__(self, options: StackOptions | None = None, data: Path | None = None) -> None:
        """Decide options and directory; nothing is created or started yet.

        Args:
            options: see `StackOptions`.
            data: directory that keeps storage and logs between runs; None takes a temporary one.
        """
        self.ready: dict[str, Any] = {}
        self._options = options or StackOptions()
        self._keep = data
        self._children: dict[str, Child] = {}
        self._specs: dict[str, ProcessSpec] = {}
        self._lasting = contextlib.ExitStack()

    def __enter__(self) -> Stack:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Start everything and wait until it is ready.

        Raises:
            StartError: a process did not come up; all others are ended by then.
            MissingProgramError: Node or Azurite is not installed.
            NoFreePortError: the wanted port is taken.
        """
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End every process, the hosts first, and leave none behind. May be called again."""
        stop_all(child for child in self._children.values() if SERVICE_BUS in child.spec.after)
        stop_all(self._children.values())
        self._lasting.close()
        self.ready = {}

    def start(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        """Start a process that was stopped or killed, on its old port, and wait until it is ready.

        Args:
            name: as in `pids`.
            settings: for a host, instead of the stack's own, for this run of it alone.

        Raises:
            StartError: it runs already, or did not come up.
        """
        if name in self._children and self._children[name].exit_code is None:
            raise StartError(f"{name} is running already")
        self._bring_up([self._plan.host(name, settings) if name in self._plan.hosts else self._specs[name]])

    def stop(self, name: str) -> None:
        """End a process as a person would (SIGTERM)."""
        stop_all([self._children[name]])
        self._tell()

    def kill(self, name: str) -> None:
        """End a process as a crash would (SIGKILL)."""
        self._children[name].kill()
        self._tell()

    def restart(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        """Kill a process and start it again on its old port; what it held in memory is gone."""
        self.kill(name)
        self.start(name, settings)

    def start_extra_host(self, settings: Mapping[str, str] | None = None) -> str:
        """Start one more functions host on the same queue and ledger.

        Returns:
            Its name; its address is in `ready["hosts"]`.
        """
        name = f"{HOST}-{len(self._plan.hosts) + 1}"
        self._specs[name] = self._plan.host(name, settings)
        self._bring_up([self._specs[name]])
        return name

    def unexpected_ends(self) -> list[str]:
        """One report, with the last log lines, for each process that died unasked since the last call."""
        reports = []
        for child in self._children.values():
            if child.exit_code is not None and not child.ending and not child.reported:
                child.reported = True
                reports.append(f"{child.spec.name} ended with code {child.exit_code}\n{child.last_lines()}")
        if reports:
            self._tell()
        return reports

    def _open(self) -> None:
        data = self._run_directory()
        self.logs = data / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self._plan = Plan(self._options, data, self.logs)
        self._launcher = self._lasting.enter_context(Launcher(self._options.forks))
        specs = self._plan.specs()
        self._specs = {spec.name: spec for spec in specs}
        self._bring_up(specs)
        try:
            self.ready["tokens"] = portal_tokens(self._plan.addresses)
        except httpx.HTTPError as error:
            raise StartError(f"the Entra simulator gives no tokens: {error}") from error
        if self._options.first_sync:
            reader = self.ready["tokens"]["reader"]
            first_sync(self.ready["host"], reader, generated=self._options.seed_customers)

    def _run_directory(self) -> Path:
        if self._keep:
            self._keep.mkdir(parents=True, exist_ok=True)
            return self._keep.resolve()
        directory = Path(tempfile.mkdtemp(prefix="csp-functions-"))
        self._lasting.callback(shutil.rmtree, directory, ignore_errors=True)
        return directory

    def _bring_up(self, specs: list[ProcessSpec]) -> None:
        """Start each process as soon as those that it waits for are ready, and wait for all."""
        waiting = list(specs)
        starting: list[Child] = []
        deadline = time.monotonic() + self._options.start_seconds
        while waiting or starting:
            for spec in [spec for spec in waiting if self._may_start(spec, specs)]:
                waiting.remove(spec)
                child = self._launcher.launch(spec)
                self._children[spec.name] = child
                starting.append(child)
            for child in starting:
                _require_alive(child, deadline)
                child.ready = child.spec.is_ready()
            starting = [child for child in starting if not child.ready]
            time.sleep(_POLL_SECONDS)
        self._tell()

    def _may_start(self, spec: ProcessSpec, together: list[ProcessSpec]) -> bool:
        needed = spec.after & {other.name for other in together}
        return all(name in self._children and self._children[name].ready for name in needed)

    def _tell(self) -> None:
        where = self._plan.addresses
        running = {name: child for name, child in self._children.items() if child.exit_code is None}
        hosts = {name: f"http://127.0.0.1:{port}" for name, port in self._plan.hosts.items()}
        self.ready |= {
            "api": f"{hosts[HOST]}/api",
            "host": hosts[HOST],
            "hosts": hosts,
            "partnerCenter": where.partner_center,
            "autotask": where.autotask,
            "entra": where.entra,
            "telemetry": where.telemetry,
            "serviceBus": where.service_bus,
            "tables": where.storage,
            "queue": QUEUE,
            "pids": {name: child.pid for name, child in running.items()},
            "supervisor": os.getpid(),
            "logs": str(self.logs),
            "caFile": str(self._plan.ca_file),
            "settings": dict(self._plan.settings),
            "commands": {name: list(spec.command) for name, spec in self._specs.items()},
            "directory": str(REPOSITORY),
        }


def _require_alive(child: Child, deadline: float) -> None:
    if child.exit_code is not None:
        raise StartError(f"{child.spec.name} ended with code {child.exit_code} at start\n{child.last_lines()}")
    if time.monotonic() > deadline:
        raise StartError(f"{child.spec.name} is not ready in time\n{child.last_lines()}")
