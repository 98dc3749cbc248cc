"""Secrets in Azure Key Vault through the managed identity: the refresh token, and a client certificate.

The only import of `azure.keyvault`, and only when a secret is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from shared.domain.errors import CspError, Misconfigured, RetryLater
from shared.partner_center.refresh_tokens import RefreshToken

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.identity.aio import DefaultAzureCredential
    from azure.keyvault.secrets import KeyVaultSecret
    from azure.keyvault.secrets.aio import SecretClient

REFRESH_TOKEN_LIFE = timedelta(days=90)  # without use; shown as the secret's expiry
_PATIENCE: dict[str, Any] = {"retry_total": 2, "retry_backoff_max": 2, "connection_timeout": 5, "read_timeout": 15}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class KeyVault:
    """One vault, opened on first use inside the running event loop.

    `credential` and `ca_file` are for a vault on this machine; in the cloud the managed identity is taken.
    """

    def __init__(self, url: str, *, credential: AsyncTokenCredential | None = None, ca_file: str | None = None) -> None:
        self.url = url
        self._credential = credential
        self._ca_file = ca_file
        self._client: SecretClient | None = None
        self._own_credential: DefaultAzureCredential | None = None
        self._opening = asyncio.Lock()

    async def get(self, name: str) -> KeyVaultSecret | None:
        """The newest version of a secret, None where there is none. Raises Misconfigured, RetryLater."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 - as in _open

        try:
            return await (await self._open()).get_secret(name)
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise _reaction(error) from None

    async def put(self, name: str, value: str, *, expires_on: datetime) -> KeyVaultSecret:
        """Store a new version of a secret; the earlier ones stay. Raises Misconfigured, RetryLater."""
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - as in _open

        try:
            return await (await self._open()).set_secret(name, value, expires_on=expires_on)
        except AzureError as error:
            raise _reaction(error) from None

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        if self._own_credential is not None:
            await self._own_credential.close()
            self._own_credential = None

    async def _open(self) -> SecretClient:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._client_of)
        return self._client

    def _client_of(self) -> SecretClient:
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - slow to import; app-only needs none
        from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415 - as above

        if self._credential is None:
            self._own_credential = DefaultAzureCredential()
        trust = {"connection_verify": self._ca_file} if self._ca_file else {}
        return SecretClient(
            self.url,
            cast("AsyncTokenCredential", self._credential or self._own_credential),
            # The vault's challenge must name a parent domain of the vault, which a vault on this machine has not
            verify_challenge_resource=urlsplit(self.url).hostname not in _LOOPBACK,
            **trust,
            **_PATIENCE,
        )


def _reaction(error: Exception) -> CspError:
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 - see KeyVault

    status = getattr(error, "status_code", None)
    if isinstance(error, ClientAuthenticationError) or status in (401, 403):
        return Misconfigured("Key Vault refuses access to the secret of the Partner Center sign-in")
    if isinstance(status, int) and 400 <= status < 500 and status not in (408, 429):
        return Misconfigured(f"Key Vault refuses the secret of the Partner Center sign-in (status {status})")
    return RetryLater(f"Key Vault does not answer ({type(error).__name__})")


class VaultedToken:
    """A refresh token as a secret in Key Vault; each save is a new version of it."""

    def __init__(self, vault: KeyVault, name: str, *, now: Callable[[], datetime]) -> None:
        self._vault = vault
        self._name = name
        self._now = now

    async def load(self) -> RefreshToken | None:
        """See RefreshTokens."""
        secret = await self._vault.get(self._name)
        return self._token(secret) if secret is not None and secret.value else None

    async def save(self, value: str) -> RefreshToken:
        """See RefreshTokens."""
        return self._token(await self._vault.put(self._name, value, expires_on=self._now() + REFRESH_TOKEN_LIFE))

    async def close(self) -> None:
        """See RefreshTokens."""
        await self._vault.close()

    def __str__(self) -> str:
        return f"the secret {self._name} of {self._vault.url}"

    def _token(self, secret: KeyVaultSecret) -> RefreshToken:
        return RefreshToken(secret.value or "", secret.properties.created_on or self._now())
