"""Starts the Entra, Partner Center and Key Vault simulators as processes of their own, and gets tokens from the first.

Used by the tests of the simulators; every process ends with its `with` block and must do so with exit code 0.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TENANT = "6f0c2c5e-1a3b-4d52-9a44-2d8a7f1b9c01"
CLIENT_ID = "5a1d0000-0000-4000-8000-00000000c5b1"
CLIENT_SECRET = "local-partner-center-secret"
SCOPE = "https://api.partnercenter.microsoft.com/.default"


@dataclass(frozen=True)
class Entra:
    """A running Entra simulator and a client that trusts its CA."""

    url: str
    ca_file: Path
    http: httpx.Client

    def token(self, **form: str) -> httpx.Response:
        """Ask the version 2 token endpoint as the Partner Center application; `form` adds and overrides."""
        fields = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "scope": SCOPE} | form
        return self.http.post(f"/{TENANT}/oauth2/v2.0/token", data=fields)

    def access_token(self, **form: str) -> str:
        """The access token of that answer."""
        answer = self.token(**({"grant_type": "client_credentials"} | form))
        return str(answer.raise_for_status().json()["access_token"])

    def portal_token(self, **wanted: Any) -> str:
        """A token from the control path."""
        return str(self.http.post("/_control/tokens", json=wanted).raise_for_status().json()["access_token"])


@contextlib.contextmanager
def running_entra(directory: Path) -> Iterator[Entra]:
    """Run the Entra simulator on a free port."""
    port = free_port()
    with _process("local.entra", "--port", str(port), "--directory", str(directory)) as process:
        ca_file = directory / "ca.pem"
        _wait_until_listening(process, port)
        trust = ssl.create_default_context(cafile=str(ca_file))
        url = f"https://localhost:{port}"
        with httpx.Client(base_url=url, verify=trust, trust_env=False, timeout=10) as http:
            yield Entra(url, ca_file, http)


@contextlib.contextmanager
def running_partner_center(entra: Entra, *arguments: str) -> Iterator[httpx.Client]:
    """Run the Partner Center simulator on a free port; the client carries an app token."""
    port = free_port()
    command = ("--port", str(port), "--entra", entra.url, "--ca-file", str(entra.ca_file), *arguments)
    with _process("local.partner_center", *command) as process:
        _wait_until_listening(process, port)
        headers = {"Authorization": f"Bearer {entra.access_token()}"}
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=10) as http:
            yield http


@dataclass(frozen=True)
class KeyVault:
    """A running Key Vault simulator and a client that trusts its CA."""

    url: str
    ca_file: Path
    http: httpx.Client


@contextlib.contextmanager
def running_key_vault(entra: Entra, directory: Path) -> Iterator[KeyVault]:
    """Run the Key Vault simulator on a free port."""
    port = free_port()
    command = ("--port", str(port), "--entra", entra.url, "--ca-file", str(entra.ca_file))
    with _process("local.key_vault", *command, "--directory", str(directory)) as process:
        _wait_until_listening(process, port)
        url, ca_file = f"https://localhost:{port}", directory / "ca.pem"
        trust = ssl.create_default_context(cafile=str(ca_file))
        with httpx.Client(base_url=url, verify=trust, trust_env=False, timeout=10) as http:
            yield KeyVault(url, ca_file, http)


def free_port() -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _process(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment) as process:  # noqa: S603  # our own module
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(10) == 0


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        assert process.poll() is None, f"the simulator ended with exit code {process.returncode}"
        assert time.monotonic() < deadline, f"nothing listens on port {port}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
