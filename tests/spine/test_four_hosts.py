"""Four hosts on one queue and one ledger come to the same end as one, and only one of them pushes at a time."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import urlsplit

import pytest

from local.forking import ForkServer
from local.stack import Stack, StackOptions
from tests.spine.conftest import SETTINGS
from tests.spine.relay import Relays, Step
from tests.spine.world import Subject, World

HOSTS = 4
SUBSCRIPTIONS = 20
OPERATIONS = 40
SECONDS = 60.0
# An alarm that is due while its operation is being pushed only disturbs: it is for what was forgotten
CROWD_SETTINGS = {**SETTINGS, "OUTBOX_SECONDS": "6", "RETRY_MAX_SECONDS": "30", "WAKE_SCHEDULE": "*/2 * * * * *"}


@dataclass
class Posts:
    """When each adjustment of one host was on its way, on the clock that all hosts' relays share."""

    begun: dict[int, float] = field(default_factory=dict)
    spans: list[tuple[float, float]] = field(default_factory=list)

    def before(self, step: Step) -> bool:
        self.begun[id(step)] = time.monotonic()
        return True

    def holds_answer(self, step: Step) -> bool:
        return False

    def after(self, step: Step) -> None:
        self.spans.append((self.begun.pop(id(step)), time.monotonic()))


@dataclass(frozen=True)
class Crowd:
    """A world with four hosts, and what each of them posted to Autotask."""

    world: World
    apis: list[str]
    posts: list[Posts]


@pytest.fixture(scope="module")
def crowd(forks: ForkServer) -> Iterator[Crowd]:
    options = StackOptions(
        storage_in_memory=True,
        seed_customers=SUBSCRIPTIONS,
        subscriptions_per_customer=2,
        first_sync=False,
        settings=CROWD_SETTINGS,
        forks=forks,
    )
    with Relays() as relays, Stack(options) as stack, contextlib.ExitStack() as opened:
        port = urlsplit(stack.ready["autotask"]).port or 0
        posts = [Posts() for _ in range(HOSTS)]
        settings = [{"AUTOTASK_URL": f"http://127.0.0.1:{relays.http('autotask', port, each)}"} for each in posts]
        stack.restart("host", settings[0])
        for each in settings[1:]:
            stack.start_extra_host(each)
        world = opened.enter_context(World(stack))
        yield Crowd(world, [f"{host}/api" for host in stack.ready["hosts"].values()], posts)


def test_four_hosts_come_to_the_same_end_as_one(crowd: Crowd) -> None:
    world = crowd.world
    # Long enough for two pushers at the same time to be seen, if there ever were two
    world.autotask.post("/_control/switches", json={"latencySeconds": 0.05}).raise_for_status()
    subjects = [world.outside_window() for _ in range(SUBSCRIPTIONS)]
    wanted = {subject: subject.quantity for subject in subjects}

    def change(step: tuple[int, Subject, int]) -> str:
        number, subject, quantity = step
        answer = world.clients["operator"].post(
            f"{crowd.apis[number % HOSTS]}{subject.path}/change-quantity",
            json={"quantity": quantity},
            headers={"Idempotency-Key": f"operation-{number}"},
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["operation"]["id"])

    steps: list[tuple[int, Subject, int]] = []
    order = random.Random(11)  # noqa: S311  # the same order in each run
    for wave in range(OPERATIONS // SUBSCRIPTIONS):
        for subject in order.sample(subjects, SUBSCRIPTIONS):
            wanted[subject] += order.randint(1, 5)
            steps.append((len(steps) + wave, subject, wanted[subject]))
    with ThreadPoolExecutor(8) as pool:
        waves = [steps[start : start + SUBSCRIPTIONS] for start in range(0, OPERATIONS, SUBSCRIPTIONS)]
        operations = [operation for wave in waves for operation in pool.map(change, wave)]

    assert len(set(operations)) == OPERATIONS
    for operation in operations:
        world.wait_for_rest(operation, seconds=SECONDS)
    for subject in subjects:
        assert world.at_microsoft(subject)["quantity"] == wanted[subject]
        assert world.bill(subject)[-1] == (_last_change(world, subject), wanted[subject])
        assert world.subscription(subject)["badge"] == "synced"
        billed = subject.quantity + sum(change for _, change in world.adjustments(subject))
        assert billed == wanted[subject]
        dates = [day for day, _ in world.adjustments(subject)]
        assert len(dates) == len(set(dates)) <= OPERATIONS // SUBSCRIPTIONS


def _last_change(world: World, subject: Subject) -> date:
    return max(day for day, _ in world.adjustments(subject))


def test_one_host_pushes_at_a_time(crowd: Crowd) -> None:
    assert sum(len(posts.spans) for posts in crowd.posts) >= SUBSCRIPTIONS
    spans = sorted((*span, host) for host, posts in enumerate(crowd.posts) for span in posts.spans)
    for (_, ended, host), (begun, _, other) in itertools.pairwise(spans):
        assert host == other or ended <= begun
