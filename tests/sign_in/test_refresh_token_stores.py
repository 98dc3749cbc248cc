"""Keeping a refresh token: a file and Key Vault do the same, and each says what only a person can put right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.domain.errors import Misconfigured, RetryLater
from shared.partner_center.key_vault import KeyVault, VaultedToken
from shared.partner_center.refresh_tokens import RefreshTokens, TokenFile
from tests.local_world.vendor_processes import Entra
from tests.local_world.vendor_processes import KeyVault as RunningVault
from tests.sign_in.conftest import Clock, fault
from tests.sign_in.stores import in_a_file, in_key_vault, opened

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["file", "key vault"])
async def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncIterator[RefreshTokens]:
    if request.param == "file":
        yield in_a_file(tmp_path, clock)
        return
    async with opened(request.getfixturevalue("vault"), request.getfixturevalue("entra")) as client:
        yield in_key_vault(client, clock)


@pytest.fixture
async def client(vault: RunningVault, entra: Entra) -> AsyncIterator[KeyVault]:
    async with opened(vault, entra) as client:
        yield client


async def test_nothing_is_stored_at_first(store: RefreshTokens) -> None:
    assert await store.load() is None


async def test_what_was_saved_last_is_loaded_with_its_moment(store: RefreshTokens, clock: Clock) -> None:
    await store.save("first")
    saved = await store.save("second")
    assert await store.load() == saved
    assert saved.value == "second"
    assert abs(clock() - saved.stored_at) < timedelta(seconds=5)


async def test_a_token_may_be_long(store: RefreshTokens) -> None:
    long = "1.AX" + "x" * 4000
    await store.save(long)
    assert (await store.load() or await store.save("")).value == long


async def test_savers_at_the_same_time_leave_one_whole_token(store: RefreshTokens) -> None:
    tokens = {f"token-{number}" * 100 for number in range(10)}
    await asyncio.gather(*(store.save(token) for token in tokens))
    assert (await store.load() or await store.save("")).value in tokens


async def test_a_stored_token_does_not_show_its_value(store: RefreshTokens) -> None:
    assert "secret" not in repr(await store.save("secret"))


async def test_only_its_owner_reads_the_file(clock: Clock, tmp_path: Path) -> None:
    store = in_a_file(tmp_path, clock)
    await store.save("secret")
    (file,) = (tmp_path / "kept").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


async def test_a_save_that_fails_leaves_what_is_there_and_no_draft(clock: Clock, tmp_path: Path) -> None:
    in_the_way = tmp_path / "refresh-token.json" / "kept"
    in_the_way.mkdir(parents=True)
    with pytest.raises(RetryLater, match="cannot be written"):
        await TokenFile(tmp_path / "refresh-token.json", now=clock).save("new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kept", "refresh-token.json"]  # noqa: ASYNC240 - a test


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"token": "t"}',
        '{"token": "", "storedAt": "2026-05-06T12:00:00+00:00"}',
        '{"token": 7, "storedAt": "2026-05-06T12:00:00+00:00"}',
        '{"token": "t", "storedAt": "yesterday"}',
        '{"token": "t", "storedAt": "2026-05-06T12:00:00"}',
    ],
)
async def test_a_damaged_file_is_for_a_person(clock: Clock, tmp_path: Path, content: str) -> None:
    file = tmp_path / "refresh-token.json"
    file.write_text(content)
    with pytest.raises(Misconfigured, match="damaged"):
        await TokenFile(file, now=clock).load()


async def test_a_file_that_cannot_be_read_is_for_later(clock: Clock, tmp_path: Path) -> None:
    with pytest.raises(RetryLater, match="cannot be read"):
        await TokenFile(tmp_path, now=clock).load()


async def test_each_save_is_a_version_that_expires_with_the_refresh_token(
    client: KeyVault, vault: RunningVault, clock: Clock
) -> None:
    store = VaultedToken(client, "expiring", now=clock)
    await store.save("first")
    await store.save("second")
    assert len(vault.http.get("/_control/state").json()["secrets"]["expiring"]) == 2
    secret = await client.get("expiring")
    assert secret is not None
    assert secret.properties.expires_on is not None
    assert abs(secret.properties.expires_on - clock() - timedelta(days=90)) < timedelta(seconds=5)


async def test_a_vault_that_allows_only_reading_is_for_a_person(client: KeyVault, vault: RunningVault) -> None:
    vault.http.post("/_control/switches", json={"access": "read_only"}).raise_for_status()
    store = VaultedToken(client, "read-only", now=Clock())
    with pytest.raises(Misconfigured, match="Key Vault refuses access"):
        await store.save("token")
    assert await store.load() is None


async def test_a_vault_that_does_not_answer_is_for_later(client: KeyVault, vault: RunningVault) -> None:
    store = VaultedToken(client, "away", now=Clock())
    await store.save("kept")
    fault(vault.http, path="/secrets/away", fault="503", times=0)
    with pytest.raises(RetryLater):
        await store.load()
    with pytest.raises(RetryLater):
        await store.save("lost")
    vault.http.delete("/_control/faults").raise_for_status()
    assert (await store.load() or await store.save("")).value == "kept"


async def test_an_identity_that_the_directory_refuses_is_for_a_person(vault: RunningVault, entra: Entra) -> None:
    fault(entra.http, path="/token$", fault="401", body={"error": "invalid_client"}, times=0)
    async with opened(vault, entra) as client:
        with pytest.raises(Misconfigured, match="Key Vault refuses access"):
            await client.get("anything")
