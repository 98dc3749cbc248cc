"""The two places that keep a refresh token, for the tests that must hold for both."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from azure.identity.aio import ClientSecretCredential

from shared.partner_center.key_vault import KeyVault, VaultedToken
from shared.partner_center.refresh_tokens import RefreshTokens, TokenFile
from tests.local_world.vendor_processes import CLIENT_ID, CLIENT_SECRET, TENANT, Entra
from tests.local_world.vendor_processes import KeyVault as RunningVault
from tests.sign_in.conftest import Clock


def in_a_file(directory: Path, clock: Clock) -> RefreshTokens:
    """A file that is not there yet, in a directory that is not there yet."""
    return TokenFile(directory / "kept" / "refresh-token.json", now=clock)


@asynccontextmanager
async def opened(vault: RunningVault, entra: Entra) -> AsyncIterator[KeyVault]:
    """The running vault through the unmodified SDK, as an application that the directory knows."""
    credential = ClientSecretCredential(
        TENANT,
        CLIENT_ID,
        CLIENT_SECRET,
        authority=entra.url,
        disable_instance_discovery=True,
        connection_verify=str(entra.ca_file),
    )
    client = KeyVault(vault.url, credential=credential, ca_file=str(vault.ca_file))
    yield client
    await client.close()
    await credential.close()


def in_key_vault(client: KeyVault, clock: Clock) -> RefreshTokens:
    """A secret that is not there yet."""
    return VaultedToken(client, f"refresh-token-{uuid.uuid4()}", now=clock)
