"""One small stack for this directory, and an Entra ID that issues any token, true or forged."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.forking import ForkServer
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
    issued: dict[str, str] = field(default_factory=dict)

    def token(self, **wanted: Any) -> str:
        """A token with every role, unless something else is wanted; the same one for the same wish."""
        wish = json.dumps({"roles": EVERY_ROLE, **wanted})
        if wish not in self.issued:
            answer = self.client.post("/_control/tokens", content=wish).raise_for_status()
            self.issued[wish] = str(answer.json()["access_token"])
        return self.issued[wish]

    def bearer(self, **wanted: Any) -> dict[str, str]:
        """The same as a header."""
        return {"Authorization": f"Bearer {self.token(**wanted)}"}


@pytest.fixture(scope="package")
def world(forks: ForkServer) -> Iterator[World]:
    options = StackOptions(
        storage_in_memory=True,
        seed_customers=12,
        subscriptions_per_customer=2,
        settings={**FAST_SETTINGS, "ACCESS_REMEMBER_SECONDS": "0.2"},
        forks=forks,
    )
    with Stack(options) as stack, World(stack) as running:
        yield running


@pytest.fixture(scope="package")
def entra(world: World) -> Iterator[Entra]:
    ready = world.stack.ready
    trust = ssl.create_default_context(cafile=ready["caFile"])
    with httpx.Client(base_url=ready["entra"], verify=trust, trust_env=False) as client:
        yield Entra(client)
