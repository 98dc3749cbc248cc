"""One small stack per test worker, and an Entra ID that issues any token, true or forged."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.stack import Stack, StackOptions
from shared.identity import Role
from tests.conftest import FAST_SETTINGS
from tests.spine.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY_ROLE = [role.value for role in Role]


@dataclass(frozen=True)
class Entra:
    """The simulator's control path for tokens."""

    client: httpx.Client

    def token(self, **wanted: Any) -> str:
        """A token with every role, unless something else is wanted."""
        answer = self.client.post("/_control/tokens", json={"roles": EVERY_ROLE, **wanted})
        return str(answer.raise_for_status().json()["access_token"])

    def bearer(self, **wanted: Any) -> dict[str, str]:
        """The same as a header."""
        return {"Authorization": f"Bearer {self.token(**wanted)}"}


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    options = StackOptions(
        storage_in_memory=True,
        seed_customers=12,
        subscriptions_per_customer=2,
        settings={**FAST_SETTINGS, "ACCESS_REMEMBER_SECONDS": "0.2"},
    )
    with Stack(options) as stack, World(stack) as running:
        yield running


@pytest.fixture(scope="session")
def entra(world: World) -> Iterator[Entra]:
    ready = world.stack.ready
    trust = ssl.create_default_context(cafile=ready["caFile"])
    with httpx.Client(base_url=ready["entra"], verify=trust, trust_env=False) as client:
        yield Entra(client)
