"""A full sync over HTTP against the Partner Center simulator: 1,203 customers on three pages, in all its variety.

What does not depend on the number of customers or pages is shown with a simulator that has 103.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.domain.errors import Misconfigured
from shared.domain.subscription import Family, State
from shared.domain.sync_run import Ending, Run
from shared.partner_center.listings import Listings
from shared.partner_center.session import Session
from shared.storage.read_models import SubscriptionView
from shared.transport import Retries, Transport
from shared.usecases.app import SyncPolicy
from shared.usecases.sync_changes import sync_changes
from shared.usecases.sync_full import go_on
from tests.local_world.vendor_processes import Entra, running_entra, running_partner_center
from tests.world.sync import customers, subscriptions
from tests.world.world import World

CUSTOMERS, FIXED, PAGES = 1200, 3, 3
FEW, SOME = 100, 25  # every SOMEth of a few
NORTHWIND = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"


class Token:
    """The token that the simulator's client has."""

    def __init__(self, bearer: str) -> None:
        self._bearer = bearer

    async def token(self, *, rejected: str = "") -> str:
        return self._bearer

    async def refused(self, token: str, reason: str, *, lasting: bool) -> None:
        raise Misconfigured(reason)


@dataclass
class Setting:
    """The simulator with its control paths, and a world whose listings are real."""

    http: httpx.Client
    world: World

    def run(self) -> Run:
        """A full sync from beginning to end; each process has an HTTP client of its own."""

        async def whole() -> Run:
            async with self._listings() as listings:
                app = replace(self.world.start().app, listings=listings, now=now)
                run = await go_on(app, start=("test", "tester"))
                while run is None or run.ending is None:
                    run = await go_on(app)
                return run

        return asyncio.run(whole())

    def changes(self) -> Any:
        """An incremental sync."""

        async def once() -> Any:
            async with self._listings() as listings:
                return await sync_changes(replace(self.world.start().app, listings=listings, now=now))

        return asyncio.run(once())

    def _listings(self) -> Opened:
        return Opened(str(self.http.base_url), self.http.headers["Authorization"].removeprefix("Bearer "))

    def requests(self) -> int:
        """How many requests ever reached the simulator."""
        return int(self.http.get("/_control/requests", params={"limit": 0}).json()["total"])

    def switch(self, **values: object) -> None:
        self.http.post("/_control/switches", json=values).raise_for_status()


class Opened:
    """Real listings while they are open."""

    def __init__(self, url: str, bearer: str) -> None:
        self._transport = Transport(url, now=now)
        self._bearer = bearer

    async def __aenter__(self) -> Listings:
        return Listings(Session(self._transport, Token(self._bearer), now=now, timeout=10, retries=Retries()))

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with running_entra(tmp_path_factory.mktemp("entra")) as entra:
        yield entra


@pytest.fixture(scope="module")
def setting(entra: Entra) -> Iterator[Setting]:
    with running_partner_center(entra, *seed(CUSTOMERS)) as center:
        yield Setting(center, a_new_world())


@pytest.fixture(scope="module")
def small(entra: Entra) -> Iterator[Setting]:
    """One with a few customers, which have been read."""
    with running_partner_center(entra, *seed(FEW)) as center:
        setting = Setting(center, a_new_world())
        assert setting.run().ending is Ending.COMPLETE
        yield setting


def seed(customers: int) -> tuple[str, ...]:
    return ("--seed-customers", str(customers), "--subscriptions-per-customer", "1")


def a_new_world() -> World:
    """Tables that are empty, on the real clock, without a pace."""
    world = World()
    world.clock.advance(now() - world.clock.now())
    world.policy = SyncPolicy(per_minute=600_000, block=timedelta(seconds=1))
    return world


@pytest.fixture(scope="module")
def first(setting: Setting) -> Run:
    """The first run, with links that begin with /v1 and a last link that leads past the end."""
    setting.switch(nextLinkPrefix="/v1", pagePastEnd="error_2000")
    run = setting.run()
    setting.switch(nextLinkPrefix="", pagePastEnd="no_next_link")
    return run


@pytest.fixture
def rows(setting: Setting, first: Run) -> dict[str, SubscriptionView]:
    return subscriptions(setting.world)


def test_links_with_v1_and_a_page_past_the_end_lead_through_all_customers(setting: Setting, first: Run) -> None:
    assert (first.ending, first.total, first.done) == (Ending.COMPLETE, CUSTOMERS + FIXED, CUSTOMERS + FIXED)
    assert first.pages == PAGES + 1, "the last one is past the end"
    assert len(customers(setting.world)) == CUSTOMERS + FIXED


def test_every_subscription_has_its_row_under_its_id_in_lower_case(
    setting: Setting, rows: dict[str, SubscriptionView]
) -> None:
    state = setting.http.get("/_control/state").json()
    shown = [one for customer in state["customers"] for one in customer["subscriptions"]]
    assert any(one["id"] != one["id"].lower() for one in shown)
    for one in shown:
        snapshot = rows[one["id"].lower()].snapshot
        assert (snapshot.status_raw, snapshot.quantity) == (one["status"], one["quantity"])
    assert len(rows) == len(shown) + CUSTOMERS


def test_what_is_odd_is_read_as_far_as_it_goes(rows: dict[str, SubscriptionView]) -> None:
    open_enum = rows["7c1e2a34-90ab-4cde-8f01-23456789ab06"].snapshot
    assert (open_enum.status_raw, open_enum.state) == ("in_review", State.UNKNOWN)
    endless = rows["9f30c2de-6f70-4a3e-bb1a-6a7cd0d1f0a3"].snapshot
    assert (endless.family, endless.commitment_end and endless.commitment_end.year) == (Family.AZURE_PLAN, 9999)
    zoneless = rows["1c2b75c1-74a5-472a-a729-7f8cefc47703"].snapshot
    assert zoneless.commitment_end is not None
    assert zoneless.commitment_end.tzinfo is not None
    assert rows["d3b7c9a2-9a4b-40b2-b075-6e442909e308"].snapshot.state is State.DELETED


def test_a_run_over_what_is_unchanged_makes_exactly_the_floor_of_requests(setting: Setting, first: Run) -> None:
    setting.run()  # links without a prefix, no page past the end
    writes = len(setting.world.tables.writes)
    before = setting.requests()
    run = setting.run()
    assert run.ending is Ending.COMPLETE
    assert setting.requests() - before == PAGES + CUSTOMERS + FIXED
    assert run.counts.unchanged == CUSTOMERS + FIXED
    written = {table for table, _ in setting.world.tables.writes[writes:]}
    assert written == {"coordination"}, "nothing but the run itself"
    assert first.counts.unchanged == 0


def test_what_has_changed_is_written_and_nothing_else(small: Setting) -> None:
    small.run()
    small.http.post("/_control/state/generated", json={"every": SOME, "seats": 3}).raise_for_status()
    run = small.run()
    assert (run.counts.written, run.counts.unchanged) == (FEW // SOME, FEW + FIXED - FEW // SOME)


def test_a_tenants_limit_is_met_by_waiting(small: Setting) -> None:
    small.run()
    small.http.post(
        "/_control/faults", json={"path": "customers/c0", "fault": "429", "retryAfterSeconds": 1, "times": 3}
    )
    run = small.run()
    assert (run.ending, run.counts.unread) == (Ending.COMPLETE, 0)


def test_an_end_of_a_relationship_is_seen(small: Setting) -> None:
    gone = f"c0000000-0000-4000-8000-{7:012x}"
    small.http.delete(f"/_control/state/customers/{gone}").raise_for_status()
    run = small.run()
    assert (run.ending, run.counts.missing_customers) == (Ending.COMPLETE, 1)
    assert customers(small.world)[gone].missing_since is not None


def test_an_incremental_sync_makes_exactly_the_floor_of_requests(small: Setting) -> None:
    small.changes()
    small.run()
    for number in (3, 4):
        subscription = f"5{number:07x}-0000-4000-8000-{1:012x}"
        for seats in (61, 62):
            path = f"/_control/state/subscriptions/{subscription}"
            small.http.patch(path, json={"force": True, "quantity": seats}).raise_for_status()
    before = small.requests()
    cursor = small.changes()
    assert small.requests() - before == 1 + 2
    assert (cursor.records, cursor.customers) == (4, 2)
    before = small.requests()
    small.changes()
    assert small.requests() - before == 1
    assert subscriptions(small.world)[f"5{3:07x}-0000-4000-8000-{1:012x}"].snapshot.quantity == 62


def test_an_item_that_cannot_be_understood_is_counted_and_keeps_its_row(small: Setting) -> None:
    path = "/_control/state/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab04"
    before = subscriptions(small.world)["7c1e2a34-90ab-4cde-8f01-23456789ab04"]
    small.http.patch(path, json={"force": True, "quantity": -1}).raise_for_status()
    run = small.run()
    assert (run.ending, run.counts.unreadable) == (Ending.COMPLETE, 1)
    assert customers(small.world)[NORTHWIND].unreadable == 1
    assert subscriptions(small.world)["7c1e2a34-90ab-4cde-8f01-23456789ab04"] == before
    small.http.patch(path, json={"force": True, "quantity": 26}).raise_for_status()
    assert small.run().counts.unreadable == 0
    assert subscriptions(small.world)["7c1e2a34-90ab-4cde-8f01-23456789ab04"].snapshot.quantity == 26


@pytest.mark.parametrize("hours", [-7, 7])
def test_microsofts_clock_may_be_wrong_by_hours(small: Setting, hours: int) -> None:
    skewed = Setting(small.http, a_new_world())
    small.http.post("/_control/clock", json={"advanceSeconds": hours * 3600}).raise_for_status()
    try:
        skewed.run()
        small.http.post("/_control/state/generated", json={"every": SOME, "seats": 20 + hours}).raise_for_status()
        run = skewed.run()
    finally:
        small.http.post("/_control/clock", json={"set": now().isoformat()}).raise_for_status()
    assert (run.ending, run.counts.missing_customers, run.counts.missing_subscriptions) == (Ending.COMPLETE, 0, 0)
    changed = f"5{SOME:07x}-0000-4000-8000-{1:012x}"
    assert subscriptions(skewed.world)[changed].snapshot.quantity == 5 + (SOME + 1) % 20 + 20 + hours
