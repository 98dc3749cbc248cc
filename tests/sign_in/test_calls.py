"""Calls to Partner Center with a real token: what a 401 leads to, and what a stop saves the vendor from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.domain.errors import Misconfigured
from shared.domain.outcomes import Listing
from shared.partner_center.claims import Expected
from shared.partner_center.client import PartnerCenter
from shared.partner_center.rotation import UserSignIn
from shared.partner_center.token import AppSignIn, Tokens
from shared.storage.coordination import Coordination
from shared.transport import Transport
from tests.local_world.vendor_processes import TENANT
from tests.sign_in.conftest import WITHOUT_MFA, Clock, Directory, expected, fault
from tests.sign_in.stores import in_a_file
from tests.sign_in.test_tokens import PAUSE

pytestmark = pytest.mark.anyio
CUSTOMER = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"


class Callers:
    """Clients of Partner Center, each with a sign-in of its own kind."""

    def __init__(
        self, directory: Directory, coordination: Coordination, clock: Clock, simulator: httpx.Client, file: Path
    ) -> None:
        self.directory = directory
        self.simulator = simulator
        self.store = in_a_file(file, clock)
        self._coordination = coordination
        self._clock = clock
        self._transport = Transport(str(simulator.base_url), now=clock)

    def application(self) -> PartnerCenter:
        return self._client(AppSignIn(self.directory.authority()), expected(user=False))

    def application_for(self, api: str) -> PartnerCenter:
        sign_in = AppSignIn(self.directory.authority(scope=f"{api}/.default"))
        return self._client(sign_in, Expected(TENANT, api, user=False))

    def user(self) -> PartnerCenter:
        return self._client(self.user_sign_in(), expected(user=True))

    def user_sign_in(self) -> UserSignIn:
        return UserSignIn(self.directory.authority(), self.store, self._coordination, now=self._clock)

    def calls(self) -> list[dict[str, Any]]:
        """What reached Partner Center."""
        found = self.simulator.get("/_control/requests", params={"path": "/v1/"}).json()
        requests: list[dict[str, Any]] = found["requests"]
        return requests

    async def close(self) -> None:
        await self._transport.aclose()

    def _client(self, sign_in: AppSignIn | UserSignIn, wanted: Expected) -> PartnerCenter:
        tokens = Tokens(sign_in, self._coordination, wanted, now=self._clock, pause=PAUSE)
        return PartnerCenter(self._transport, tokens, now=self._clock, timeout=5, read_seconds=10)


@pytest.fixture
async def callers(
    directory: Directory, coordination: Coordination, clock: Clock, partner_center: httpx.Client, tmp_path: Path
) -> AsyncIterator[Callers]:
    opened = Callers(directory, coordination, clock, partner_center, tmp_path)
    yield opened
    await opened.close()


def read(client: PartnerCenter) -> Any:
    return client.subscriptions(CUSTOMER)


async def test_the_application_and_a_user_with_a_second_factor_are_let_in(callers: Callers) -> None:
    await callers.store.save(callers.directory.refresh_token())
    for client in (callers.application(), callers.user()):
        assert isinstance(await read(client), Listing)


async def test_one_401_costs_one_exchange_for_all_calls_that_met_it(callers: Callers) -> None:
    client = callers.application()
    await read(client)
    fault(callers.simulator, path="/v1/", fault="401", times=5)
    answers = await asyncio.gather(*(read(client) for _ in range(5)))
    assert all(isinstance(answer, Listing) for answer in answers)
    assert len(callers.directory.exchanges()) == 2
    assert len(callers.calls()) == 1 + 5 + 5


async def test_a_resource_that_always_answers_401_is_no_loop_and_stops_nothing_else(callers: Callers) -> None:
    client = callers.application()
    await read(client)
    fault(callers.simulator, path=f"/v1/customers/{CUSTOMER}/", fault="401", times=0)
    for _ in range(3):
        with pytest.raises(Misconfigured, match="401"):
            await read(client)
    assert len(callers.directory.exchanges()) == 2
    assert len(callers.calls()) == 1 + 2 + 1 + 1
    callers.simulator.delete("/_control/faults").raise_for_status()
    assert isinstance(await read(client), Listing)


@pytest.mark.parametrize("code", ["900420", "900421"])
async def test_a_token_that_is_never_accepted_is_shown_once_and_then_no_call_leaves(
    callers: Callers, code: str
) -> None:
    await callers.store.save(callers.directory.refresh_token())
    fault(callers.simulator, path="/v1/", fault="401", body={"code": int(code), "description": "no"}, times=0)
    first, second = callers.user(), callers.user()
    for client in (first, first, second):
        with pytest.raises(Misconfigured, match=rf"code {code}.*(consent command|PARTNER_CENTER_SCOPE)"):
            await read(client)
    assert len(callers.calls()) == 1
    callers.simulator.delete("/_control/faults").raise_for_status()
    await callers.user_sign_in().adopt(callers.directory.refresh_token())
    assert isinstance(await read(first), Listing), "a new consent ends it at once"
    assert isinstance(await read(second), Listing)


async def test_a_token_for_the_retired_audience_is_told_as_such(callers: Callers) -> None:
    client = callers.application_for("https://graph.windows.net")
    for _ in range(2):
        with pytest.raises(Misconfigured, match=r"900420.*PARTNER_CENTER_SCOPE"):
            await read(client)
    assert len(callers.calls()) == 1


async def test_a_consent_that_comes_while_a_weak_token_is_refused_is_used_for_the_same_call(callers: Callers) -> None:
    await callers.store.save(callers.directory.refresh_token())
    client = callers.user()
    await read(client)
    refusal = {"code": 900421, "description": "MFA"}
    fault(callers.simulator, path="/v1/", fault="401", body=refusal, times=1)
    await callers.store.save(callers.directory.refresh_token())
    assert isinstance(await read(client), Listing)
    assert len(callers.calls()) == 3


async def test_a_user_without_a_second_factor_never_reaches_partner_center(callers: Callers) -> None:
    await callers.store.save(callers.directory.refresh_token(WITHOUT_MFA))
    with pytest.raises(Misconfigured, match="second factor"):
        await read(callers.user())
    assert callers.calls() == []
