"""One token for all callers of a process, one exchange at a time, and the stop where only a person can help."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.domain.errors import Misconfigured, RetryLater
from shared.partner_center import credential
from shared.partner_center.token import AppSignIn, Tokens
from tests.sign_in.conftest import Clock, Directory, client_file, expected, fault

if TYPE_CHECKING:
    from shared.storage.coordination import Coordination

pytestmark = pytest.mark.anyio
PAUSE = timedelta(minutes=5)


@pytest.fixture
def tokens(directory: Directory, coordination: Coordination, clock: Clock) -> Tokens:
    return process(directory, coordination, clock)


def process(directory: Directory, coordination: Coordination, clock: Clock, secret: str = "") -> Tokens:
    """The tokens of one process; with another secret it is one whose settings are wrong."""
    source = credential.from_secret(secret) if secret else None
    return Tokens(AppSignIn(directory.authority(source)), coordination, expected(user=False), now=clock, pause=PAUSE)


async def test_a_token_is_kept_until_five_minutes_before_its_end(
    tokens: Tokens, directory: Directory, clock: Clock
) -> None:
    first = await tokens.token()
    clock.advance(minutes=54, seconds=50)
    assert await tokens.token() == first
    clock.advance(seconds=11)
    assert await tokens.token() != first
    assert len(directory.exchanges()) == 2


async def test_callers_at_the_same_time_share_one_exchange(tokens: Tokens, directory: Directory) -> None:
    assert len(set(await asyncio.gather(*(tokens.token() for _ in range(10))))) == 1
    assert len(directory.exchanges()) == 1


async def test_callers_whose_token_was_rejected_share_one_exchange(tokens: Tokens, directory: Directory) -> None:
    old = await tokens.token()
    new = set(await asyncio.gather(*(tokens.token(rejected=old) for _ in range(10))))
    assert len(new) == 1
    assert old not in new
    assert await tokens.token(rejected=old) in new, "a slow caller gets the token that is there by now"
    assert len(directory.exchanges()) == 2


async def test_a_caller_that_gives_up_does_not_end_the_exchange_of_the_others(
    tokens: Tokens, directory: Directory
) -> None:
    fault(directory.entra.http, path="/token$", fault="slow", delaySeconds=0.3)
    patient = asyncio.create_task(tokens.token())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tokens.token(), 0.1)
    assert await patient
    assert len(directory.exchanges()) == 1


async def test_a_certificate_signs_in_as_well_as_a_secret(
    directory: Directory, coordination: Coordination, clock: Clock
) -> None:
    source = credential.from_file(str(client_file(directory.entra)))
    tokens = Tokens(AppSignIn(directory.authority(source)), coordination, expected(user=False), now=clock, pause=PAUSE)
    assert await tokens.token()
    (exchange,) = directory.exchanges()
    assert "client_assertion=" in exchange["body"]
    assert "client_secret" not in exchange["body"]


async def test_a_refused_secret_stops_the_calls_of_all_processes_without_asking_again(
    directory: Directory, coordination: Coordination, clock: Clock
) -> None:
    wrong, other = (process(directory, coordination, clock, "wrong") for _ in range(2))
    for tokens in (wrong, wrong, other, other):
        with pytest.raises(Misconfigured, match=r"AADSTS7000215.*client secret is wrong"):
            await tokens.token()
    assert len(directory.exchanges()) == 1
    assert await coordination.stopped_until("partner_center") is not None


async def test_a_process_that_holds_a_good_token_stops_too(
    tokens: Tokens, directory: Directory, coordination: Coordination, clock: Clock
) -> None:
    await tokens.token()
    with pytest.raises(Misconfigured):
        await process(directory, coordination, clock, "wrong").token()
    clock.advance(seconds=3)
    with pytest.raises(Misconfigured, match="AADSTS7000215"):
        await tokens.token()


async def test_a_stop_ends_after_its_time(directory: Directory, coordination: Coordination, clock: Clock) -> None:
    wrong = process(directory, coordination, clock, "wrong")
    for minutes in (0, 2, 3.1):
        clock.advance(minutes=minutes)
        with pytest.raises(Misconfigured):
            await wrong.token()
    assert len(directory.exchanges()) == 2
    clock.advance(minutes=5.1)
    assert await process(directory, coordination, clock).token()


async def test_a_stop_that_somebody_lifts_ends_at_once(
    tokens: Tokens, coordination: Coordination, clock: Clock
) -> None:
    await coordination.stop("partner_center", clock() + PAUSE, "closed")
    with pytest.raises(Misconfigured, match="closed"):
        await tokens.token()
    await coordination.resume("partner_center")
    assert await tokens.token()


async def test_an_authority_that_is_away_stops_nothing(
    tokens: Tokens, directory: Directory, coordination: Coordination
) -> None:
    fault(directory.entra.http, path="/token$", fault="503")
    with pytest.raises(RetryLater):
        await tokens.token()
    assert await coordination.stopped_until("partner_center") is None
    assert await tokens.token()


async def test_a_token_that_partner_center_will_never_take_stops_the_calls(
    tokens: Tokens, directory: Directory, coordination: Coordination
) -> None:
    token = await tokens.token()
    for _ in range(3):  # the calls that were under way together
        with pytest.raises(Misconfigured, match="code 900421"):
            await tokens.refused(token, "not accepted, code 900421", lasting=True)
    with pytest.raises(Misconfigured, match="code 900421"):
        await tokens.token()
    assert len(directory.exchanges()) == 1
    assert (await coordination.stopped_until("partner_center") or ("", ""))[1] == "not accepted, code 900421"


async def test_a_rejection_that_a_new_token_does_not_heal_costs_one_exchange_a_minute_and_stops_nobody(
    tokens: Tokens, directory: Directory, clock: Clock
) -> None:
    for _ in range(3):
        with pytest.raises(Misconfigured):
            await a_call_to_a_resource_that_is_never_allowed(tokens)
    assert await tokens.token(), "other resources are asked on"
    assert len(directory.exchanges()) == 2
    clock.advance(minutes=1.1)
    assert await tokens.token(rejected=await tokens.token())


async def a_call_to_a_resource_that_is_never_allowed(tokens: Tokens) -> None:
    second = await tokens.token(rejected=await tokens.token())
    await tokens.refused(second, "not accepted", lasting=False)


async def test_a_token_for_another_tenant_is_not_used(
    directory: Directory, coordination: Coordination, clock: Clock
) -> None:
    other = "99999999-0000-4000-8000-000000000009"
    sign_in = AppSignIn(directory.authority(tenant=other))
    tokens = Tokens(sign_in, coordination, expected(user=False), now=clock, pause=PAUSE)
    with pytest.raises(Misconfigured, match="another tenant"):
        await tokens.token()


async def test_a_token_for_another_api_is_not_used(
    directory: Directory, coordination: Coordination, clock: Clock
) -> None:
    sign_in = AppSignIn(directory.authority(scope="https://graph.example/.default"))
    tokens = Tokens(sign_in, coordination, expected(user=False), now=clock, pause=PAUSE)
    with pytest.raises(Misconfigured, match="another API"):
        await tokens.token()
