"""Partner Center: the fake of the crash tests and the real client against the simulator do the same."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.stack import Stack
from shared.domain.errors import Misconfigured, NotFound, RetryLater
from shared.domain.known import Intention, Known
from shared.domain.outcomes import Applied, Busy, ChangeOutcome, ChangeRefused, Unknown, Unreached, Working
from shared.domain.subscription import Family, State
from shared.partner_center.client import PartnerCenter
from shared.partner_center.sign_in import tokens
from shared.partner_center.wire import parse_subscription
from shared.ports import PartnerCenterPort
from shared.settings import SignInSettings
from shared.storage.azure_tables import AzureTables
from shared.storage.coordination import Coordination
from shared.transport import Transport
from shared.usecases.microsoft import changed
from tests.contract.partner_accounts import CUSTOMER, Account, FakeAccount, SimulatedAccount

pytestmark = pytest.mark.anyio


def now() -> datetime:
    return datetime.now(UTC)


class OwnToken:
    """A token that nobody looks at."""

    async def token(self, *, rejected: str = "") -> str:
        return "token"

    async def refused(self, token: str, reason: str, *, lasting: bool) -> None:
        raise Misconfigured(reason)


@pytest.fixture(params=["fake", "client"])
async def account(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Account]:
    if request.param == "fake":
        yield FakeAccount()
        return
    stack: Stack = request.getfixturevalue("stack")
    control: httpx.Client = request.getfixturevalue("partner_center")
    settings = stack.ready["settings"]
    tables = AzureTables(connection_string=stack.ready["tables"])
    signed_in = tokens(
        SignInSettings.model_validate({name.lower(): value for name, value in settings.items()}),
        Coordination(tables),
        now,
    )
    transport = Transport(stack.ready["partnerCenter"], now=now)
    yield SimulatedAccount(PartnerCenter(transport, signed_in, now=now, timeout=5, read_seconds=5), control)
    await transport.aclose()
    await tables.close()


@pytest.fixture(params=["fake", "client"])
async def nobody(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[PartnerCenterPort]:
    """Partner Center, away."""
    if request.param == "fake":
        fake = FakeAccount()
        fake.go_away()
        yield fake.port
        return
    transport = Transport("http://127.0.0.1:1", now=now)
    yield PartnerCenter(transport, OwnToken(), now=now, timeout=1, read_seconds=2)
    await transport.aclose()


async def change(account: Account, subscription: str, intention: Intention, **more: Any) -> ChangeOutcome:
    reading = await account.port.subscription(CUSTOMER, subscription)
    body = changed(reading.raw, intention) | more
    return await account.port.change(
        CUSTOMER, subscription, body, request_id=str(uuid.uuid4()), deadline=account.deadline()
    )


async def test_a_subscription_is_read_by_id_and_in_the_list(account: Account) -> None:
    identity = account.bought(10)
    reading = await account.port.subscription(CUSTOMER, identity)
    subscription = parse_subscription(CUSTOMER, reading.raw)
    assert (subscription.family, subscription.state, subscription.quantity) == (Family.NCE_LICENSE, State.ACTIVE, 10)
    assert subscription.cancellable_at(reading.observed_at)
    assert subscription.refundable_at(reading.observed_at) == 10
    listing = await account.port.subscriptions(CUSTOMER)
    assert identity in {item["id"] for item in listing.items}
    customers = [item.id async for page in account.port.customers() for item in page]
    assert CUSTOMER in customers


async def test_what_does_not_exist_is_named(account: Account) -> None:
    account.bought(1)
    stranger = str(uuid.uuid4())
    with pytest.raises(NotFound) as customer:
        await account.port.subscription(stranger, stranger)
    with pytest.raises(NotFound) as customer_of_list:
        await account.port.subscriptions(stranger)
    with pytest.raises(NotFound) as subscription:
        await account.port.subscription(CUSTOMER, stranger)
    assert [customer.value.what, customer_of_list.value.what, subscription.value.what] == [
        "customer",
        "customer",
        "subscription",
    ]


@pytest.mark.parametrize(
    ("intention", "after"),
    [
        (Intention(quantity=14), Known("active", 14)),
        (Intention(quantity=4), Known("active", 4)),
        (Intention(status="suspended"), Known("suspended", 10)),
        (Intention(status="deleted"), Known("deleted", 10)),
    ],
    ids=["more seats", "fewer seats", "suspend", "cancel"],
)
async def test_a_change_is_applied_and_shown(account: Account, intention: Intention, after: Known) -> None:
    identity = account.bought(10)
    outcome = await change(account, identity, intention)
    assert isinstance(outcome, Applied)
    answered = parse_subscription(CUSTOMER, outcome.raw)
    assert Known(answered.status_raw, answered.quantity) == after
    reading = await account.port.subscription(CUSTOMER, identity)
    shown = parse_subscription(CUSTOMER, reading.raw)
    assert Known(shown.status_raw, shown.quantity) == after == account.shown(identity)


async def test_a_deleted_subscription_is_not_changed_any_more(account: Account) -> None:
    identity = account.bought(10)
    assert isinstance(await change(account, identity, Intention(status="deleted")), Applied)
    outcome = await change(account, identity, Intention(quantity=14, status="active"))
    assert isinstance(outcome, ChangeRefused)
    assert account.shown(identity) == Known("deleted", 10)


async def test_a_change_of_what_does_not_exist_is_refused(account: Account) -> None:
    identity = account.bought(10)
    body = (await account.port.subscription(CUSTOMER, identity)).raw
    outcome = await account.port.change(
        CUSTOMER, str(uuid.uuid4()), body, request_id=str(uuid.uuid4()), deadline=account.deadline()
    )
    assert isinstance(outcome, ChangeRefused)


async def test_nothing_is_sent_after_the_deadline(account: Account) -> None:
    identity = account.bought(10)
    body = changed((await account.port.subscription(CUSTOMER, identity)).raw, Intention(quantity=14))
    late = account.deadline() - timedelta(minutes=1)
    outcome = await account.port.change(CUSTOMER, identity, body, request_id=str(uuid.uuid4()), deadline=late)
    assert isinstance(outcome, Unreached)
    assert account.shown(identity) == Known("active", 10)


@pytest.mark.parametrize(("when", "seats"), [("before", 10), ("after", 14)])
async def test_a_lost_answer_leaves_the_outcome_unknown(account: Account, when: str, seats: int) -> None:
    identity = account.bought(10)
    account.lose(when=when)
    assert isinstance(await change(account, identity, Intention(quantity=14)), Unknown)
    assert account.shown(identity) == Known("active", seats)


async def test_throttling_says_for_how_long(account: Account) -> None:
    identity = account.bought(10)
    account.throttle(17)
    outcome = await change(account, identity, Intention(quantity=14))
    assert isinstance(outcome, Busy)
    assert outcome.after == timedelta(seconds=17)
    assert account.shown(identity) == Known("active", 10)


async def test_slow_work_is_answered_at_once_and_shows_later(account: Account) -> None:
    identity = account.bought(10)
    account.work_slowly(100)
    assert isinstance(await change(account, identity, Intention(quantity=14)), Working)
    assert account.shown(identity) == Known("active", 10)
    assert isinstance(await change(account, identity, Intention(quantity=15)), Busy)
    account.pass_time(101)
    reading = await account.port.subscription(CUSTOMER, identity)
    assert reading.raw["quantity"] == 14


async def test_a_change_at_microsoft_is_read(account: Account) -> None:
    identity = account.bought(10)
    account.edit(identity, 12)
    assert (await account.port.subscription(CUSTOMER, identity)).raw["quantity"] == 12


async def test_microsofts_clock_goes_on_between_answers(account: Account) -> None:
    identity = account.bought(1)
    observed = (await account.port.subscription(CUSTOMER, identity)).observed_at
    assert timedelta() <= account.port.microsoft_now() - observed < timedelta(seconds=5)


async def test_partner_center_that_is_away_asks_to_come_later(nobody: PartnerCenterPort) -> None:
    with pytest.raises(RetryLater):
        await nobody.subscription(CUSTOMER, "any")
    with pytest.raises(RetryLater):
        await nobody.subscriptions(CUSTOMER)
    deadline = now() + timedelta(seconds=2)
    outcome = await nobody.change(
        CUSTOMER, "any", {"status": "active", "quantity": 1}, request_id="1", deadline=deadline
    )
    assert isinstance(outcome, Unreached)
