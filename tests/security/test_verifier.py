"""The verifier against a real token service: clock skew, key roll-over, and an authority that cannot be trusted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from shared.domain.errors import RetryLater
from shared.identity import Unauthenticated
from shared.transport import Transport
from shared.verifier import Verifier
from tests.adapters.conftest import Answer, Received, Server
from tests.adapters.conftest import server as server  # noqa: PLC0414 - a fixture of the adapters' tests
from tests.local_world.vendor_processes import TENANT, Entra, running_entra

DAY = 24 * 3600.0
AUDIENCE = "api://csp-functions"
UNKNOWN_KEY = "eyJhbGciOiJSUzI1NiIsImtpZCI6InVua25vd24ifQ"  # {"alg":"RS256","kid":"unknown"}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with running_entra(tmp_path_factory.mktemp("entra")) as running:
        yield running


def token(entra: Entra, **wanted: object) -> str:
    return str(entra.http.post("/_control/tokens", json=wanted).raise_for_status().json()["access_token"])


def key_readings(entra: Entra) -> int:
    """How often the keys were asked for since the log was cleared."""
    return int(entra.http.get("/_control/requests", params={"path": "discovery"}).json()["count"])


@dataclass
class Checker:
    """A verifier with a clock that the test moves."""

    transport: Transport
    tenant: str = TENANT
    seconds: float = 1000.0
    why: str = ""
    verifier: Verifier = field(init=False)

    def __post_init__(self) -> None:
        self.verifier = Verifier(self.transport, tenant=self.tenant, audience=AUDIENCE, monotonic=lambda: self.seconds)

    async def accepts(self, token: str) -> bool:
        """Whether a token is taken; why not is in `why`."""
        try:
            await self.verifier.identify(f"Bearer {token}")
        except Unauthenticated as refusal:
            self.why = refusal.why
            return False
        return True


@pytest.fixture
async def checker(entra: Entra) -> AsyncIterator[Checker]:
    transport = Transport(entra.url, now=lambda: datetime.now(UTC), ca_file=str(entra.ca_file))
    yield Checker(transport)
    await transport.aclose()


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"expiresInSeconds": -50}, ""),
        ({"expiresInSeconds": -70}, "expired"),
        ({"startsInSeconds": 50}, ""),
        ({"startsInSeconds": 70}, "not_yet"),
    ],
)
async def test_clocks_may_differ_by_a_minute(checker: Checker, entra: Entra, wanted: dict[str, int], why: str) -> None:
    accepted = await checker.accepts(token(entra, **wanted))

    assert (accepted, checker.why) == (not why, why)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"audience": "api://somebody-else"}, "audience"),
        ({"version": "1.0"}, "issuer"),
        ({"signedBy": "stranger"}, "invalid"),
        ({"algorithm": "none"}, "algorithm"),
        ({"algorithm": "HS256"}, "algorithm"),
        ({"oid": "x"}, "nobody"),
    ],
)
async def test_a_refusal_says_why(checker: Checker, entra: Entra, wanted: dict[str, str], why: str) -> None:
    assert not await checker.accepts(token(entra, **wanted))
    assert checker.why == why


async def test_the_tenant_of_the_token_is_pinned_beside_its_issuer(checker: Checker, entra: Entra) -> None:
    ours = f"{entra.url}/{TENANT}/v2.0"

    assert not await checker.accepts(token(entra, tenant="deadbeef-0000-4000-8000-000000000000", issuer=ours))
    assert checker.why == "tenant"


async def test_a_new_key_is_fetched_when_a_token_names_it_and_the_old_one_still_opens(
    checker: Checker, entra: Entra
) -> None:
    old = token(entra)
    assert await checker.accepts(old)
    checker.seconds += 31

    entra.http.post("/_control/keys/roll-over", json={}).raise_for_status()

    assert await checker.accepts(token(entra))
    assert await checker.accepts(old)


async def test_a_withdrawn_key_opens_nothing_once_the_keys_are_read_again(checker: Checker, entra: Entra) -> None:
    old = token(entra)
    assert await checker.accepts(old)

    entra.http.post("/_control/keys/roll-over", json={"keepOld": False}).raise_for_status()
    checker.seconds += 31
    assert await checker.accepts(token(entra))

    assert not await checker.accepts(old)
    assert checker.why == "key"


async def test_unknown_keys_make_it_ask_no_more_than_twice_a_minute(checker: Checker, entra: Entra) -> None:
    assert await checker.accepts(token(entra))
    entra.http.delete("/_control/requests").raise_for_status()
    unknown = f"{UNKNOWN_KEY}.{token(entra).partition('.')[2]}"

    for _ in range(20):
        checker.seconds += 3
        assert not await checker.accepts(unknown)

    assert 1 <= key_readings(entra) <= 2


async def test_keys_are_read_again_after_a_day_and_not_before(checker: Checker, entra: Entra) -> None:
    assert await checker.accepts(token(entra))
    entra.http.delete("/_control/requests").raise_for_status()

    checker.seconds += DAY - 1
    assert await checker.accepts(token(entra))
    within_the_day = key_readings(entra)
    checker.seconds += 2
    assert await checker.accepts(token(entra))

    assert (within_the_day, key_readings(entra)) == (0, 1)


async def test_without_an_answer_from_the_authority_nobody_gets_in(entra: Entra, unused_port_url: str) -> None:
    checker = Checker(Transport(unused_port_url, now=lambda: datetime.now(UTC)))

    with pytest.raises(RetryLater):
        await checker.accepts(token(entra))


@pytest.fixture
def unused_port_url() -> str:
    return "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("keys_at", "keys"),
    [
        ("https://keys.example.com/keys", []),
        ("http://127.0.0.1:1/keys", []),
        ("", []),
        ("{url}/keys", []),
        ("{url}/keys", [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]),
        ("{url}/keys", [{"kty": "RSA", "kid": "a", "n": "not base64!", "e": "AQAB"}, "no key at all"]),
        ("{url}/keys", [{"kty": "RSA", "use": "enc", "kid": "a", "n": "AQAB", "e": "AQAB"}]),
    ],
    ids=["another host", "another port", "nowhere", "no keys", "a shared key", "garbage", "an encryption key"],
)
async def test_an_authority_whose_keys_cannot_be_trusted_lets_nobody_in(
    server: Server,
    entra: Entra,
    keys_at: str,
    keys: list[object],
) -> None:
    def reply(request: Received) -> Answer:
        if request.path.endswith("openid-configuration"):
            return Answer(body={"issuer": f"{server.url}/x", "jwks_uri": keys_at.format(url=server.url)})
        return Answer(body={"keys": keys})

    server.reply = reply
    checker = Checker(Transport(server.url, now=lambda: datetime.now(UTC)))

    with pytest.raises(RetryLater):
        await checker.accepts(token(entra))
    await checker.transport.aclose()
    assert {request.path for request in server.received} <= {
        "/keys",
        f"/{TENANT}/v2.0/.well-known/openid-configuration",
    }
