"""The age of the last complete sync begins anew with each one, and one that left a customer out is none."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from local.stack import Stack
from tests.spine.observer import Observer
from tests.spine.world import fault

NORTHWIND = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"


@pytest.fixture
def observer(stack: Stack) -> Iterator[Observer]:
    with Observer(stack) as observer:
        yield observer


@pytest.fixture
def sync(stack: Stack, observer: Observer) -> Iterator[Callable[[], int]]:
    """Runs the sync of all customers and says how many were left out."""
    host = httpx.Client(base_url=f"{stack.ready['host']}/admin/functions", trust_env=False, timeout=30)

    def run() -> int:
        runs = len(ended())
        host.post("/timer_sync_all", json={}).raise_for_status()
        while len(ended()) == runs:
            host.post("/timer_sync_tick", json={}).raise_for_status()
            time.sleep(0.5)
        counts: dict[str, int] = ast.literal_eval(ended()[-1]["counts"])
        return counts["unread"] + counts["closed"]

    def ended() -> list[dict[str, str]]:
        told = [record["attributes"] for record in observer.records(event="full_sync")]
        return [attributes for attributes in told if attributes["phase"] == "ended"]

    with host:
        yield run


def age(observer: Observer) -> float:
    (point,) = observer.measured()["csp.sync.age"]
    return float(point["value"])


def test_the_age_grows_until_a_sync_is_complete(
    observer: Observer, sync: Callable[[], int], partner_center: httpx.Client
) -> None:
    assert sync() == 0
    young = age(observer)
    fault(partner_center, {"path": NORTHWIND, "fault": "400", "times": 0})  # longer than a run tries again
    assert sync() == 1
    older = age(observer)
    partner_center.delete("/_control/faults").raise_for_status()
    assert sync() == 0
    young_again = age(observer)

    assert 0 <= young < older
    assert young_again < older
