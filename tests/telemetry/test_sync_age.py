"""The age of the last complete sync begins anew with each one, and one that left a customer out is none."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import httpx
import pytest

from local.stack import Stack
from tests.spine.observer import Observer
from tests.spine.world import eventually, fault


@pytest.fixture
def observer(stack: Stack) -> Iterator[Observer]:
    with Observer(stack) as observer:
        yield observer


@pytest.fixture
def sync(stack: Stack, observer: Observer) -> Callable[[], int]:
    """Runs the sync of all customers and says how many were left out."""

    def run() -> int:
        runs = len(observer.records(event="sync"))
        httpx.post(f"{stack.ready['host']}/admin/functions/timer_sync_all", json={}).raise_for_status()
        ended = eventually(lambda: observer.records(event="sync"), lambda seen: len(seen) > runs)
        counts: dict[str, int] = ast.literal_eval(ended[-1]["attributes"]["counts"])
        return counts["failed"]

    return run


def age(observer: Observer) -> float:
    (point,) = observer.measured()["csp.sync.age"]
    return float(point["value"])


def test_the_age_grows_until_a_sync_is_complete(
    observer: Observer, sync: Callable[[], int], partner_center: httpx.Client
) -> None:
    assert sync() == 0
    young = age(observer)
    fault(partner_center, {"path": "subscriptions", "fault": "400"})
    assert sync() == 1
    older = age(observer)
    assert sync() == 0
    young_again = age(observer)

    assert 0 <= young < older
    assert young_again < older
