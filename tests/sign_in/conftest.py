"""Entra, Partner Center, Key Vault and an Azurite of our own: a stop is shared by all who share their storage.

Each test finds switches, faults and coordination as they are at the start, and an hour that it can move.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local import readiness, storage
from local.ports import free_ports
from local.processes import Launcher, ProcessSpec, stop_all
from local.settings import clean_environment
from shared.partner_center import credential
from shared.partner_center.authority import Authority
from shared.partner_center.claims import Expected, audience_of
from shared.storage.azure_tables import AzureTables
from shared.storage.coordination import Coordination
from shared.storage.store import Delete
from tests.local_world.vendor_processes import (
    CLIENT_ID,
    CLIENT_SECRET,
    SCOPE,
    TENANT,
    Entra,
    KeyVault,
    running_entra,
    running_key_vault,
    running_partner_center,
)
from tests.spine.world import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    import httpx

WITH_MFA = "0.local-refresh-token-with-mfa"
WITHOUT_MFA = "0.local-refresh-token-without-mfa"
EXPIRED = "0.local-refresh-token-expired"
KINDS = ("lease", "fact")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package")
def running_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with running_entra(tmp_path_factory.mktemp("entra")) as running:
        yield running


@pytest.fixture
def entra(running_directory: Entra) -> Iterator[Entra]:
    calm(running_directory.http)
    yield running_directory
    calm(running_directory.http)


@pytest.fixture(scope="package")
def running_center(running_directory: Entra) -> Iterator[httpx.Client]:
    with running_partner_center(running_directory) as running:
        yield running


@pytest.fixture
def partner_center(running_center: httpx.Client) -> Iterator[httpx.Client]:
    """Partner Center's simulator; only its control paths are asked here."""
    calm(running_center)
    yield running_center
    calm(running_center)


@pytest.fixture(scope="package")
def running_vault(running_directory: Entra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyVault]:
    with running_key_vault(running_directory, tmp_path_factory.mktemp("key-vault")) as running:
        yield running


@pytest.fixture
def vault(running_vault: KeyVault) -> Iterator[KeyVault]:
    calm(running_vault.http)
    yield running_vault
    calm(running_vault.http)


@pytest.fixture(scope="package")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of an Azurite in memory."""
    ports = storage.Ports(*free_ports(3))
    directory = tmp_path_factory.mktemp("azurite")
    spec = ProcessSpec(
        name="azurite",
        command=storage.command(ports, directory, in_memory=True),
        environment=clean_environment(),
        directory=directory,
        log=directory / "azurite.log",
        is_ready=readiness.accepts(ports.table),
    )
    with Launcher() as launcher, contextlib.ExitStack() as ending:
        child = launcher.launch(spec)
        ending.callback(stop_all, [child])
        eventually(spec.is_ready, bool)
        yield storage.connection_string(ports)


@pytest.fixture
async def coordination(tables: str, anyio_backend: str) -> AsyncIterator[Coordination]:
    """The coordination that all instances of a test share, with nothing in it."""
    store = AzureTables(connection_string=tables)
    for kind, name in (("stop", "partner_center"), *((kind, "partner_center_refresh_token") for kind in KINDS)):
        await store.write("coordination", [Delete(kind, name)])
    yield Coordination(store)
    await store.close()


class Clock:
    """Real time, moved by the test."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, **span: float) -> None:
        self._ahead += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@dataclass(frozen=True)
class Directory:
    """The directory as the application is configured for it."""

    entra: Entra

    def authority(self, source: credential.CredentialSource | None = None, **other: Any) -> Authority:
        values = {
            "authority": self.entra.url,
            "tenant": TENANT,
            "client_id": CLIENT_ID,
            "credential": source or credential.from_secret(CLIENT_SECRET),
            "scope": SCOPE,
            "ca_file": str(self.entra.ca_file),
        }
        return Authority(**{**values, **other})

    def switch(self, **values: object) -> None:
        self.entra.http.post("/_control/switches", json=values).raise_for_status()

    def exchanges(self) -> list[dict[str, Any]]:
        """The requests for a token for Partner Center that reached the directory."""
        found = self.entra.http.get("/_control/requests", params={"method": "POST", "path": "/token$"}).json()
        return [request for request in found["requests"] if "vault.azure.net" not in request["body"]]

    def refresh_token(self, present: str = WITH_MFA) -> str:
        """A refresh token that nobody has presented yet, of the strength of a seeded one."""
        switches = self.entra.http.get("/_control/switches").json()["switches"]
        value = next(item["value"] for item in switches if item["name"] == "oldRefreshToken")
        self.switch(oldRefreshToken="stays_valid")
        answer = self.entra.token(grant_type="refresh_token", refresh_token=present)
        self.switch(oldRefreshToken=value)
        self.entra.http.delete("/_control/requests")
        return str(answer.raise_for_status().json()["refresh_token"])

    def is_alive(self, refresh_token: str) -> bool:
        """Whether a refresh token would be taken, without presenting it."""
        known = self.entra.http.get("/_control/state").json()["refreshTokens"]
        return any(item["token"] == refresh_token and not item["expired"] for item in known)


@pytest.fixture
def directory(entra: Entra) -> Directory:
    return Directory(entra)


def expected(*, user: bool) -> Expected:
    return Expected(TENANT, audience_of(SCOPE), user=user)


async def soon(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in another process or task
            await asyncio.sleep(0.1)


def calm(simulator: httpx.Client) -> None:
    """No faults, an empty log, every switch at its default."""
    simulator.delete("/_control/faults").raise_for_status()
    simulator.delete("/_control/requests").raise_for_status()
    switches = simulator.get("/_control/switches").json()["switches"]
    simulator.post("/_control/switches", json={item["name"]: item["default"] for item in switches}).raise_for_status()


def fault(simulator: httpx.Client, **rule: object) -> None:
    simulator.post("/_control/faults", json=rule).raise_for_status()


def client_file(entra: Entra) -> Path:
    """Key and certificate of the client application."""
    return entra.ca_file.parent / "client.pem"
