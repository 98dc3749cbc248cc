"""The refresh token that is stored is always a living one, and the newest one is never lost.

A process is an object here: what it holds in memory is gone when the test lets go of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.domain.errors import Misconfigured, RetryLater
from shared.partner_center.refresh_tokens import RefreshToken, RefreshTokens, TokenFile
from shared.partner_center.rotation import DIES, LIVES_ON, UserSignIn
from shared.partner_center.token import Tokens
from shared.storage.coordination import Coordination
from tests.sign_in.conftest import EXPIRED, WITHOUT_MFA, Clock, Directory, expected, fault, soon
from tests.sign_in.stores import in_a_file, in_key_vault, opened
from tests.sign_in.test_tokens import PAUSE

pytestmark = pytest.mark.anyio
FACT = "partner_center_refresh_token"


@pytest.fixture(params=["file", "key vault"])
async def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncIterator[RefreshTokens]:
    if request.param == "file":
        yield in_a_file(tmp_path, clock)
        return
    vault = request.getfixturevalue("vault")
    async with opened(vault, request.getfixturevalue("entra")) as client:
        yield in_key_vault(client, clock)


class Unreliable(TokenFile):
    """A file that takes nothing while it is away, and counts what it takes."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, now=clock)
        self.away = False
        self.saved: list[str] = []

    async def save(self, value: str) -> RefreshToken:
        if self.away:
            raise RetryLater("the store does not take anything")
        self.saved.append(value)
        return await super().save(value)


@pytest.fixture
def file(clock: Clock, tmp_path: Path) -> Unreliable:
    return Unreliable(tmp_path / "refresh-token.json", clock)


class Party:
    """Instances of the application on one store and one coordination."""

    def __init__(self, directory: Directory, coordination: Coordination, clock: Clock) -> None:
        self.directory = directory
        self.coordination = coordination
        self.clock = clock

    def sign_in(self, store: RefreshTokens) -> UserSignIn:
        return UserSignIn(self.directory.authority(), store, self.coordination, now=self.clock)

    def process(self, store: RefreshTokens) -> Tokens:
        return Tokens(self.sign_in(store), self.coordination, expected(user=True), now=self.clock, pause=PAUSE)


@pytest.fixture
def party(directory: Directory, coordination: Coordination, clock: Clock) -> Party:
    return Party(directory, coordination, clock)


async def stored(store: RefreshTokens) -> str:
    found = await store.load()
    assert found is not None
    return found.value


@pytest.mark.parametrize(("switch", "fact"), [("stays_valid", LIVES_ON), ("dies", DIES)])
async def test_the_first_exchange_is_stored_and_finds_out_whether_old_tokens_live_on(
    party: Party, store: RefreshTokens, switch: str, fact: str
) -> None:
    party.directory.switch(oldRefreshToken=switch)
    await store.save(first := party.directory.refresh_token())
    assert await party.process(store).token()
    assert await party.coordination.fact(FACT) == fact
    assert await stored(store) != first
    assert party.directory.is_alive(await stored(store))
    assert len(party.directory.exchanges()) == 2, "the exchange, and the old token once more"


async def test_where_old_tokens_live_on_nothing_is_written_for_a_day_and_then_the_newest(
    party: Party, store: RefreshTokens
) -> None:
    await store.save(party.directory.refresh_token())
    process = party.process(store)
    await process.token()
    kept = await stored(store)
    for _ in range(3):
        party.clock.advance(hours=7)
        await process.token()
    assert await stored(store) == kept
    party.clock.advance(hours=4)
    await process.token()
    assert await stored(store) != kept
    assert party.directory.is_alive(await stored(store))


async def test_where_old_tokens_die_every_exchange_is_stored_so_that_any_process_can_go_on(
    party: Party, store: RefreshTokens
) -> None:
    party.directory.switch(oldRefreshToken="dies")
    await store.save(party.directory.refresh_token())
    for _ in range(4):
        assert await party.process(store).token(), "the processes before it died with what they knew"
        assert party.directory.is_alive(await stored(store))


async def test_a_process_that_dies_right_after_its_first_exchange_leaves_a_living_token(
    party: Party, file: Unreliable
) -> None:
    party.directory.switch(oldRefreshToken="dies")
    await file.save(party.directory.refresh_token())
    fault(party.directory.entra.http, path="/token$", fault="reset", skip=1)  # it never finds out
    assert await party.process(file).token()
    assert await party.coordination.fact(FACT) == ""
    assert await party.process(file).token()


@pytest.mark.parametrize("switch", ["stays_valid", "dies"])
async def test_instances_that_race_all_get_a_token_and_leave_a_living_one(
    party: Party, store: RefreshTokens, switch: str
) -> None:
    party.directory.switch(oldRefreshToken=switch)
    await store.save(party.directory.refresh_token())
    instances = [party.process(store) for _ in range(4)]
    for _ in range(3):
        assert all(await asyncio.gather(*(instance.token() for instance in instances)))
        assert party.directory.is_alive(await stored(store))
        party.clock.advance(hours=13)
    assert await party.coordination.stopped_until("partner_center") is None


async def test_a_day_old_token_is_written_back_by_one_of_the_instances(party: Party, file: Unreliable) -> None:
    await file.save(party.directory.refresh_token())
    instances = [party.process(file) for _ in range(4)]
    await asyncio.gather(*(instance.token() for instance in instances))
    party.clock.advance(hours=25)
    file.saved.clear()
    await asyncio.gather(*(instance.token() for instance in instances))
    assert file.saved == [await stored(file)]


async def test_a_token_that_cannot_be_stored_is_kept_and_stored_later(party: Party, file: Unreliable) -> None:
    party.directory.switch(oldRefreshToken="dies")
    await file.save(old := party.directory.refresh_token())
    file.away = True
    process = party.process(file)
    assert await process.token(), "the calls go on"
    assert await stored(file) == old
    party.clock.advance(hours=1)
    assert await process.token(), "with the token in memory"
    with pytest.raises(Misconfigured, match="AADSTS700082"):
        await party.process(file).token()
    file.away = False

    async def stored_and_resumed() -> bool:
        return await stored(file) != old and await party.coordination.stopped_until("partner_center") is None

    await soon(stored_and_resumed)
    assert party.directory.is_alive(await stored(file))
    assert await party.process(file).token(), "the stop of the others has ended with it"


async def test_a_write_back_that_fails_is_made_up_for_at_the_next_exchange(party: Party, file: Unreliable) -> None:
    await file.save(party.directory.refresh_token())
    process = party.process(file)
    await process.token()
    kept = await stored(file)
    file.away = True
    party.clock.advance(hours=25)
    assert await process.token()
    assert await stored(file) == kept
    assert party.directory.is_alive(kept)
    file.away = False
    party.clock.advance(hours=1)
    assert await process.token()
    assert await stored(file) != kept


async def test_without_a_stored_token_a_consent_is_asked_for_and_ends_the_stop(party: Party, file: Unreliable) -> None:
    process = party.process(file)
    for _ in range(2):
        with pytest.raises(Misconfigured, match=r"no refresh token.*consent command"):
            await process.token()
    await party.sign_in(file).adopt(party.directory.refresh_token())
    assert await process.token()


async def test_an_expired_token_stops_the_calls_until_a_consent(party: Party, file: Unreliable) -> None:
    await file.save(EXPIRED)
    processes = [party.process(file) for _ in range(2)]
    for process in processes * 3:
        with pytest.raises(Misconfigured, match=r"AADSTS700082.*consent command"):
            await process.token()
    assert len(party.directory.exchanges()) == 1
    await party.sign_in(file).adopt(party.directory.refresh_token())
    assert [bool(await process.token()) for process in processes] == [True, True]


@pytest.mark.parametrize(("switch", "told"), [("refused", "AADSTS50076"), ("token_without_mfa", "amr")])
async def test_a_sign_in_without_a_second_factor_stops_the_calls(
    party: Party, file: Unreliable, switch: str, told: str
) -> None:
    weak = party.directory.refresh_token(WITHOUT_MFA)
    party.directory.switch(refreshWithoutMfa=switch)
    await file.save(weak)
    process = party.process(file)
    for _ in range(3):
        with pytest.raises(Misconfigured, match=rf"{told}.*consent command"):
            await process.token()
    assert {exchange["status"] for exchange in party.directory.exchanges()} <= {200, 400}
    assert len(party.directory.exchanges()) <= 2, "at most the exchange and its trial"


async def test_a_consent_while_an_expired_token_is_being_exchanged_is_used_at_once(
    party: Party, file: Unreliable
) -> None:
    await file.save(EXPIRED)
    fresh = party.directory.refresh_token()
    fault(party.directory.entra.http, path="/token$", fault="slow", delaySeconds=0.4)
    waiting = asyncio.create_task(party.process(file).token())
    await asyncio.sleep(0.2)
    await file.save(fresh)
    assert await waiting
    assert await party.coordination.stopped_until("partner_center") is None


async def test_a_refusal_of_the_application_itself_presents_no_other_token(party: Party, file: Unreliable) -> None:
    await file.save(party.directory.refresh_token())
    fault(party.directory.entra.http, path="/token$", fault="401", body={"error": "invalid_client"})
    with pytest.raises(Misconfigured, match="invalid_client"):
        await party.process(file).token()
    assert len(party.directory.exchanges()) == 1


async def test_a_directory_that_changes_its_mind_is_found_out_again(party: Party, file: Unreliable) -> None:
    await file.save(party.directory.refresh_token())
    first = party.process(file)
    await first.token()
    assert await party.coordination.fact(FACT) == LIVES_ON
    party.directory.switch(oldRefreshToken="dies")
    party.clock.advance(hours=1)
    await first.token()  # exchanges its own token freely; the stored one is of no use any more
    party.directory.entra.token(grant_type="refresh_token", refresh_token=await stored(file))
    with pytest.raises(Misconfigured):
        await party.process(file).token()
    assert await party.coordination.fact(FACT) == ""
    party.clock.advance(hours=1)
    assert await first.token()
    assert await party.process(file).token(), "what the first one has was stored at once"
