"""Shared by the tests of the Partner Center adapter: tokens, and a session with the scripted server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.partner_center.session import Session
from shared.transport import Transport
from tests.adapters.conftest import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LATER = NOW + timedelta(seconds=20)


class Tokens:
    """Counts; each forced renewal gives another token."""

    def __init__(self, error: Exception | None = None) -> None:
        self.number = 1
        self.error = error

    async def token(self, *, force: bool = False) -> str:
        if self.error:
            raise self.error
        self.number += force
        return f"token-{self.number}"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Session]:
    """A session whose attempts take half a second at most."""
    transport = Transport(url, now=lambda: NOW)
    yield Session(transport, Tokens(), now=lambda: NOW, timeout=0.5)
    await transport.aclose()
