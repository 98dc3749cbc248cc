"""Imports what the processes of a stack consist of once, and becomes each of them by a fork: `local.forking` asks it.

A process that is forked here is one like any other: its own id and process group, killed by SIGKILL, ended by SIGTERM,
and it runs its module from the first line as `python -m` does. It only does not import again what every other one has
imported, which is most of what a start costs. Nothing imported here reads a setting or opens a connection.

Arguments are the descriptor of a socket and further programs to import. On the socket each line is a JSON object:
`{"run": {...}}` is answered with `{"pid": n}`, `{"ended": pid}` with `{"code": n}`, which is null while it runs. The
end of the socket is the end of the server, and the kernel then ends what it has forked (see `local.attach`).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import socket
import sys
from typing import Any

from local.attach import PR_SET_PDEATHSIG

PROGRAMS = ("functions_host", "entra", "servicebus", "telemetry", "autotask", "partner_center")
# What a host imports when it works for the first time
WHEN_NEEDED = (
    "opentelemetry.exporter.otlp.json.http._log_exporter",
    "opentelemetry.exporter.otlp.json.http.metric_exporter",
    "opentelemetry.exporter.otlp.json.http.trace_exporter",
    "shared.autotask.client",
    "shared.messaging.queue",
    "shared.partner_center.listings",
    "shared.partner_center.migrations",
    "shared.partner_center.sign_in",
    "shared.partner_center.transitions",
    "shared.partner_center.webhook",
    "shared.recording",
    "shared.settings",
    "shared.storage.azure_tables",
    "shared.storage.bulks",
    "shared.storage.desk",
    "shared.storage.grants",
    "shared.storage.mappings",
    "shared.storage.records",
    "shared.verifier",
)


def main() -> None:
    """Import everything, then fork whenever it is asked for until nobody can ask any longer."""
    _import()
    with socket.socket(fileno=int(sys.argv[1])) as connection, connection.makefile("rwb") as orders:
        for line in orders:
            order = json.loads(line)
            if "run" in order:
                pid = os.fork()
                if pid == 0:
                    break
                with contextlib.suppress(OSError):  # the child does it too: whoever comes first
                    os.setpgid(pid, pid)
                answer: dict[str, Any] = {"pid": pid}
            else:
                answer = {"code": _exit_code(order["ended"])}
            orders.write(json.dumps(answer).encode() + b"\n")
            orders.flush()
        else:
            return
    _become(**order["run"])


def _import() -> None:
    for name in ("function_app", *(f"local.{program}.__main__" for program in PROGRAMS), *sys.argv[2:]):
        importlib.import_module(name)
        del sys.modules[name]  # it is run, or imported, by the one that needs it
    for name in WHEN_NEEDED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in the child would copy every page


def _exit_code(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _become(
    *,
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    directory: str,
    output: str,
    errors: str,
    orphan_signal: int,
) -> None:
    server = os.getppid()
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, orphan_signal, 0, 0, 0)
    if os.getppid() != server:
        sys.exit("the server that forked this process is gone")
    os.chdir(directory)
    sys.path[0] = directory
    os.environ.clear()
    os.environ.update(environment)
    for stream, file in ((sys.stdout, output), (sys.stderr, errors)):
        opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(opened, stream.fileno())
        os.close(opened)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
