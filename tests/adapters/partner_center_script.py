"""Shared by the tests of the Partner Center adapter: tokens, and a session with the scripted server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.domain.errors import Misconfigured
from shared.partner_center.session import Session
from shared.transport import Transport
from tests.adapters.conftest import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LATER = NOW + timedelta(seconds=20)


class Tokens:
    """Counts; each rejection gives another token, and each refusal is a misconfiguration."""

    def __init__(self, error: Exception | None = None) -> None:
        self.number = 1
        self.error = error

    async def token(self, *, rejected: str = "") -> str:
        if self.error:
            raise self.error
        self.number += rejected == f"token-{self.number}"
        return f"token-{self.number}"

    async def refused(self, token: str, reason: str, *, lasting: bool) -> None:
        raise Misconfigured(reason)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Session]:
    """A session whose attempts take half a second at most."""
    transport = Transport(url, now=lambda: NOW)
    yield Session(transport, Tokens(), now=lambda: NOW, timeout=0.5)
    await transport.aclose()
