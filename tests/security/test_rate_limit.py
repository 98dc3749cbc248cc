"""How often one caller may ask."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest

from shared.rate_limit import RateLimit, TooManyRequests
from tests.security.conftest import Entra
from tests.spine.world import World


@dataclass
class Clock:
    """Seconds that the test moves."""

    seconds: float = 50.0

    def __call__(self) -> float:
        return self.seconds


def taken(limit: RateLimit, caller: str, asked: int) -> int:
    """How many of so many requests at once are taken."""
    count = 0
    for _ in range(asked):
        try:
            limit.take(caller)
        except TooManyRequests:
            continue
        count += 1
    return count


def test_a_burst_is_taken_and_then_the_rate_holds() -> None:
    clock = Clock()
    limit = RateLimit(per_minute=60, burst=10, monotonic=clock)

    at_once = taken(limit, "a", 50)
    clock.seconds += 3
    later = taken(limit, "a", 50)
    clock.seconds += 3600
    rested = taken(limit, "a", 50)

    assert (at_once, later, rested) == (10, 3, 10)


def test_who_asks_too_often_does_not_disturb_others() -> None:
    limit = RateLimit(per_minute=60, burst=5, monotonic=Clock())

    assert taken(limit, "a", 50) == 5
    assert taken(limit, "b", 5) == 5


def test_a_refused_request_is_not_counted_and_told_when_to_come_back() -> None:
    clock = Clock()
    limit = RateLimit(per_minute=6, burst=1, monotonic=clock)
    limit.take("a")
    with pytest.raises(TooManyRequests) as refused:
        limit.take("a")

    clock.seconds += refused.value.after.total_seconds()

    assert refused.value.after.total_seconds() == pytest.approx(10)
    limit.take("a")


def test_it_remembers_the_callers_who_asked_last_and_no_more_than_ten_thousand() -> None:
    limit = RateLimit(per_minute=60, burst=1, monotonic=Clock())
    limit.take("first")
    limit.take("kept")
    for number in range(9_998):
        limit.take(str(number))
    assert taken(limit, "kept", 1) == 0

    limit.take("one more")

    assert taken(limit, "first", 1) == 1
    assert taken(limit, "kept", 1) == 0


def test_over_the_limit_the_answer_is_429_for_this_caller_alone(world: World, entra: Entra) -> None:
    host = world.stack.start_extra_host({"CALLER_REQUESTS_PER_MINUTE": "6", "CALLER_BURST": "3"})
    api = f"{world.stack.ready['hosts'][host]}/api/mappings/products"
    busy, quiet = (entra.bearer(oid=str(uuid.uuid4()), roles=["Subscriptions.Read"]) for _ in range(2))
    try:
        answers = [world.anonymous.get(api, headers=busy) for _ in range(5)]
        other = world.anonymous.get(api, headers=quiet)
    finally:
        world.stack.stop(host)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["Content-Type"].startswith("application/problem+json")
    assert answers[-1].json()["code"] == "too_many_requests"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 10
    assert other.status_code == 200
