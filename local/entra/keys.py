"""The public keys of an Entra directory, fetched over https by a simulator that verifies tokens."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING

import httpx
import jwt

from local.entra.identities import PARTNER_TENANT

if TYPE_CHECKING:
    from pathlib import Path

REFETCH_SECONDS = 1.0


class KeysUnavailableError(Exception):
    """The directory does not answer, or not with keys."""


class DirectoryKeys:
    """The keys of one directory by their id; an unknown id fetches them anew, at most once a second."""

    def __init__(self, entra_url: str, ca_file: Path) -> None:
        self._url = f"{entra_url.rstrip('/')}/{PARTNER_TENANT}/discovery/v2.0/keys"
        self._ca_file = ca_file
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """A key, None where the directory has none with that id. Raises KeysUnavailableError."""
        async with self._fetching:
            if key_id not in self._keys and time.monotonic() - self._fetched > REFETCH_SECONDS:
                await self._fetch()
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        # Read anew each time: a directory that was restarted has another CA and other keys
        try:
            trust = ssl.create_default_context(cafile=str(self._ca_file))
            async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=5.0) as client:
                keys = jwt.PyJWKSet.from_dict((await client.get(self._url)).raise_for_status().json())
        except (OSError, httpx.HTTPError, jwt.PyJWTError, ValueError) as error:
            raise KeysUnavailableError(f"the keys of the directory cannot be read: {error}") from error
        self._keys = {str(key.key_id): key for key in keys.keys}
        self._fetched = time.monotonic()
