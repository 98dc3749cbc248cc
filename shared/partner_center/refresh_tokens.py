"""Where the refresh token of a user sign-in is kept: the interface, and a file on one machine.

In the cloud it is a secret in Key Vault (`shared.partner_center.key_vault`). Whatever keeps it holds one token: the
newest one that was saved.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from shared.domain.errors import Misconfigured, RetryLater


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A stored refresh token, and since when it is stored."""

    value: str = field(repr=False)
    stored_at: datetime


class RefreshTokens(Protocol):
    """Keeps one refresh token. Both methods raise Misconfigured and RetryLater."""

    async def load(self) -> RefreshToken | None:
        """The stored token, None where none was ever stored."""
        ...

    async def save(self, value: str) -> RefreshToken:
        """Put a token in the place of the stored one, which stays until the new one is safe."""
        ...

    async def close(self) -> None:
        """Close the connections, if it has any."""
        ...


class TokenFile:
    """A refresh token in a file that only its owner can read (where the system knows such modes)."""

    def __init__(self, path: str | Path, *, now: Callable[[], datetime]) -> None:
        self._path = Path(path)
        self._now = now

    async def load(self) -> RefreshToken | None:
        """See RefreshTokens."""
        return await asyncio.to_thread(self._load)

    async def save(self, value: str) -> RefreshToken:
        """See RefreshTokens. Readers see the old file or the new one, never half of one."""
        token = RefreshToken(value, self._now())
        await asyncio.to_thread(self._save, token)
        return token

    async def close(self) -> None:
        """See RefreshTokens; a file is open only while it is read or written."""

    def __str__(self) -> str:
        return f"the file {self._path}"

    def _load(self) -> RefreshToken | None:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            value, stored_at = document["token"], datetime.fromisoformat(document["storedAt"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RetryLater(f"the file of the refresh token cannot be read ({type(error).__name__})") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            value, stored_at = None, None
        if not isinstance(value, str) or not value or stored_at is None or stored_at.tzinfo is None:
            raise Misconfigured("the file of the refresh token is damaged; run the consent command again")
        return RefreshToken(value, stored_at)

    def _save(self, token: RefreshToken) -> None:
        document = json.dumps({"token": token.value, "storedAt": token.stored_at.isoformat()})
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _put(self._path, document.encode())
        except OSError as error:
            raise RetryLater(f"the file of the refresh token cannot be written ({type(error).__name__})") from None


def _put(path: Path, content: bytes) -> None:
    """Write a draft with mode 0600 beside the file, force it to disk, and move it into place in one step."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise
