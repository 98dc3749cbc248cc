"""Whether Table Storage is asked directly or through a proxy is for the environment to say."""

from __future__ import annotations

import pytest

from shared.domain.errors import CspError
from shared.storage.azure_tables import AzureTables
from tests.adapters.conftest import Answer, Server

ACCOUNT = "DefaultEndpointsProtocol=http;AccountName=somebody;AccountKey=c2VjcmV0"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def refused(endpoint: str) -> None:
    tables = AzureTables(connection_string=f"{ACCOUNT};TableEndpoint={endpoint}/somebody;")
    with pytest.raises(CspError):
        await tables.get("ledger", "partition", "key")
    await tables.close()


async def test_a_proxy_of_the_environment_is_asked_instead(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.reply = lambda _: Answer(403)
    await refused("http://tables.invalid")
    assert {received.headers["host"] for received in server.received} == {"tables.invalid"}


async def test_without_a_proxy_it_is_asked_itself(server: Server) -> None:
    server.reply = lambda _: Answer(403)
    await refused(server.url)
    assert {received.headers["host"] for received in server.received} == {server.url.removeprefix("http://")}
