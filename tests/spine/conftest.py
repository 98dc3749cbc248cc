"""One stack with generated customers per test worker; each test takes subscriptions that nobody else touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.forking import ForkServer
from local.stack import Stack, StackOptions
from tests.conftest import FAST_SETTINGS
from tests.spine.broker import Broker
from tests.spine.leaks import left_behind
from tests.spine.world import SEEDED_CUSTOMERS, SUBSCRIPTIONS_EACH, World

if TYPE_CHECKING:
    from collections.abc import Iterator


# A call to Microsoft ends before the alarm of its operation is due, as in production
SETTINGS = {
    **FAST_SETTINGS,
    "OUTBOX_SECONDS": "2",
    "PARTNER_CENTER_TIMEOUT_SECONDS": "1.5",
    "AUTOTASK_BUDGET_SECONDS": "0.5",
    "OTEL_METRIC_EXPORT_INTERVAL": "5000",  # a tenth of a host's work if it is half a second; test_gauges asks for that
}

# Where a test waits for Autotask to be tried again, and looks at nothing of how long that takes
IMPATIENT = {"SETTLE_SECONDS": "1", "OUTBOX_SECONDS": "1", "RETRY_SECONDS": "0.5", "RETRY_MAX_SECONDS": "1"}


@pytest.fixture(scope="session")
def running_world(forks: ForkServer) -> Iterator[World]:
    options = StackOptions(
        storage_in_memory=True,
        seed_customers=SEEDED_CUSTOMERS,
        subscriptions_per_customer=SUBSCRIPTIONS_EACH,
        first_sync=False,
        settings=SETTINGS,
        forks=forks,
    )
    with Stack(options) as stack, World(stack) as world:
        yield world
        # After everything that the tests of this worker did: nobody left a secret or a name anywhere
        assert left_behind(world) == []


@pytest.fixture
def world(running_world: World) -> Iterator[World]:
    """The worker's world; whoever uses it leaves faults, switches and clocks as at its start."""
    yield running_world
    running_world.calm()


@pytest.fixture(scope="module")
def impatient(running_world: World) -> Iterator[None]:
    """Meanwhile the worker's host tries again sooner."""
    running_world.stack.restart("host", IMPATIENT)
    yield
    running_world.stack.restart("host")


@pytest.fixture(scope="session")
def broker(running_world: World) -> Iterator[Broker]:
    """The worker's queue, through the plain SDK."""
    ready = running_world.stack.ready
    with Broker(ready["serviceBus"], ready["queue"]) as broker:
        yield broker
