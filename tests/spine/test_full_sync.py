"""Syncs on two real hosts: no request twice, never above the rate, and a kill at any time is made up for.

The hosts share 600 requests a minute and work for three seconds at a time, so that a run passes through several hands.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from azure.data.tables import TableServiceClient

from local.forking import ForkServer
from local.stack import Stack, StackOptions
from tests.spine.conftest import SETTINGS
from tests.spine.world import World, eventually, fault, requests

GENERATED, FIXED, EACH = 40, 3, 2
PER_SECOND = 10
RUN_SETTINGS = {
    **SETTINGS,
    "PARTNER_CENTER_REQUESTS_PER_MINUTE": str(60 * PER_SECOND),
    "SYNC_BUDGET_SECONDS": "3",
    "LEASE_SECONDS": "10",
    "PARTNER_CENTER_TIMEOUT_SECONDS": "8",  # a busy machine is no outage
    "OUTBOX_SECONDS": "10",
}
SECONDS = 90.0


@pytest.fixture(scope="module")
def world(forks: ForkServer) -> Iterator[World]:
    options = StackOptions(
        storage_in_memory=True,
        seed_customers=GENERATED,
        subscriptions_per_customer=EACH,
        first_sync=False,
        settings=RUN_SETTINGS,
        forks=forks,
    )
    with Stack(options) as stack, World(stack, keep_alive=False) as world:
        stack.start_extra_host()
        yield world


def trigger(world: World, function: str) -> None:
    """Run a timer function on all hosts at the same moment; nobody waits for its end."""
    world.run_timer(function, *world.stack.ready["hosts"].values())


def newest(world: World) -> dict[str, Any]:
    """The open run, or the one that ended last."""
    found: dict[str, Any] = world.clients["reader"].get("/sync/runs").raise_for_status().json()["value"][0]
    return found


def begin(world: World) -> str:
    """Ask for a full sync; its id."""
    answer = world.clients["operator"].post("/sync/runs", json={})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run"]["id"])


def to_its_end(world: World, run: str) -> dict[str, Any]:
    """Let all hosts tick until the run has ended."""

    def ticked() -> dict[str, Any]:
        trigger(world, "timer_sync_tick")
        return newest(world)

    found = eventually(ticked, lambda seen: bool(seen["endedAt"]), SECONDS)
    assert found["id"] == run
    return found


def asked(world: World) -> tuple[Counter[str], list[datetime]]:
    """How often each path of Partner Center was asked for, and when, since the log was cleared."""
    found = requests(world.partner_center, "GET", "^/v1/")
    return Counter(each["path"].lower() for each in found), sorted(datetime.fromisoformat(each["at"]) for each in found)


def forget_requests(world: World) -> None:
    world.partner_center.delete("/_control/requests").raise_for_status()


def most_within(moments: list[datetime], span: timedelta) -> int:
    return max(sum(first <= other < first + span for other in moments) for first in moments)


def at_microsoft(world: World) -> dict[str, tuple[str, int]]:
    """Status and seats of every subscription by id in lower case."""
    state = world.partner_center.get("/_control/state").raise_for_status().json()
    fixed = [one for customer in state["customers"] for one in customer["subscriptions"]]
    found = {
        f"5{customer:07x}-0000-4000-8000-{number:012x}": ("active", 5 + (customer + number) % 20)
        for customer, number in itertools.product(range(1, GENERATED + 1), range(1, EACH + 1))
    }
    written = [*fixed, *state["generated"]["changed"]]
    return found | {one["id"].lower(): (one["status"], one["quantity"]) for one in written}


def listed(world: World) -> dict[str, tuple[str, int]]:
    """The same as our API lists it."""
    found: dict[str, tuple[str, int]] = {}
    following: str | None = "/subscriptions?pageSize=200"
    while following:
        page = world.clients["reader"].get(following.removeprefix("/api")).raise_for_status().json()
        assert [one["id"] for one in page["value"] if one.get("missingSince")] == []
        found |= {one["id"]: (one["status"], one["quantity"]) for one in page["value"]}
        following = page.get("nextLink")
    return found


def written(world: World) -> dict[str, str]:
    """The etag of every row about a customer or a subscription, which each write changes."""
    with TableServiceClient.from_connection_string(world.stack.ready["tables"]) as tables:
        rows = [
            (name, row["PartitionKey"], row["RowKey"], row.metadata["etag"])
            for name in ("customers", "subscriptions")
            for row in tables.get_table_client(name).list_entities(select=["PartitionKey", "RowKey"])
        ]
    return {f"{table}/{partition}/{key}": str(etag) for table, partition, key, etag in rows}


def test_two_hosts_double_no_request_and_stay_under_the_rate(world: World) -> None:
    forget_requests(world)
    trigger(world, "timer_sync_all")
    eventually(lambda: world.clients["reader"].get("/sync/runs").json()["value"], bool)
    run = to_its_end(world, newest(world)["id"])
    assert (run["status"], run["customersDone"]) == ("complete", GENERATED + FIXED)
    paths, moments = asked(world)
    assert paths.pop("/v1/customers") == 1
    assert (len(paths), set(paths.values())) == (GENERATED + FIXED, {1})
    assert most_within(moments, timedelta(seconds=1)) <= PER_SECOND + 3, "one may be late and the next in time"
    assert most_within(moments, timedelta(seconds=3)) <= 3 * PER_SECOND + 3
    assert listed(world) == at_microsoft(world)


def test_two_hosts_read_what_changed_once(world: World) -> None:
    world.run_timer("timer_sync_changes")  # the cursor begins here
    eventually(lambda: world.clients["reader"].get("/sync/runs").json()["incremental"], bool)
    to_its_end(world, newest(world)["id"])
    for customer in range(1, 6):
        path = f"/_control/state/subscriptions/5{customer:07x}-0000-4000-8000-{1:012x}"
        world.partner_center.patch(path, json={"force": True, "quantity": 70}).raise_for_status()
    forget_requests(world)
    trigger(world, "timer_sync_changes")
    eventually(lambda: listed(world) == at_microsoft(world), bool)
    paths, _ = asked(world)
    assert paths.pop("/v1/auditrecords") <= 2
    assert (len(paths), set(paths.values())) == (5, {1})


def test_a_run_over_what_is_unchanged_writes_no_row(world: World) -> None:
    before = written(world)
    assert len(before) == len(at_microsoft(world)) + GENERATED + FIXED
    run = to_its_end(world, begin(world))
    assert (run["status"], run["rowsWritten"], run["changesDetected"]) == ("complete", 0, 0)
    assert written(world) == before


@pytest.mark.parametrize("moment", ["listing", "reading", "reading late"])
def test_after_a_kill_the_next_tick_goes_on_and_the_end_is_what_microsoft_has(world: World, moment: str) -> None:
    seats = {"listing": 1, "reading": 2, "reading late": 3}[moment]
    world.partner_center.post("/_control/state/generated", json={"every": 2, "seats": seats}).raise_for_status()
    if moment == "listing":
        fault(world.partner_center, {"path": "^/v1/customers$", "fault": "slow", "when": "after", "delaySeconds": 5})
    forget_requests(world)
    run = begin(world)
    world.run_timer("timer_sync_tick")
    wanted = {"listing": 0, "reading": 5, "reading late": 20}[moment]
    eventually(lambda: len(asked(world)[1]), lambda count: count > wanted)
    world.stack.restart("host")
    ended = to_its_end(world, run)
    assert (ended["status"], ended["customersDone"]) == ("complete", GENERATED + FIXED)
    paths, moments = asked(world)
    assert max(paths.values()) <= 2, "what was not stored is asked for once more"
    assert most_within(moments, timedelta(seconds=1)) <= PER_SECOND + 3
    shown = listed(world)
    grown = {
        f"5{customer:07x}-0000-4000-8000-{number:012x}"
        for customer, number in itertools.product(range(2, GENERATED + 1, 2), range(1, EACH + 1))
    }
    untouched = {one["id"].lower() for one in _changed(world)}
    for identity, (status, quantity) in at_microsoft(world).items():
        more = seats if identity in grown - untouched else 0
        assert shown[identity] == (status, quantity + more), identity
    before = written(world)
    assert to_its_end(world, begin(world))["rowsWritten"] == 0, "every change was written, and once"
    assert written(world) == before


def _changed(world: World) -> list[dict[str, Any]]:
    state = world.partner_center.get("/_control/state").raise_for_status().json()
    found: list[dict[str, Any]] = state["generated"]["changed"]
    return found
