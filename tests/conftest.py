"""The local stack for the tests that need it, one per test worker, and clients for those who talk to it.

Everything runs on free ports and is started by the first test that asks. A test that kills a process starts it again.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.forking import ForkServer
from local.plan import REPOSITORY
from local.stack import Stack, StackOptions
from tests.distribution import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401 - hooks of pytest
from tests.openapi import conforming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Short enough to see a retry in a test, long enough for a slow machine
FAST_SETTINGS = {
    "SETTLE_SECONDS": "2",
    "AUTOTASK_TIMEOUT_SECONDS": "2",
    "PARTNER_CENTER_TIMEOUT_SECONDS": "4",
    "PARTNER_CENTER_SETTLE_SECONDS": "2",
    "LEASE_SECONDS": "6",
    "OUTBOX_SECONDS": "1",
    "RETRY_SECONDS": "1",
    "RETRY_MAX_SECONDS": "3",
    "PUSH_BUDGET_SECONDS": "30",
    "METRICS_SCHEDULE": "0 0 0 1 1 *",  # tests count the vendors' requests; those of metrics run it themselves
    "OTEL_METRIC_EXPORT_INTERVAL": "500",
    # A test that wants one of these timers runs it itself: nothing is read behind the others' backs
    "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
    "TICKETS_SCHEDULE": "0 0 0 1 1 *",
    "SYNC_TICK_SCHEDULE": "0 0 0 1 1 *",
    "SYNC_CHANGES_SCHEDULE": "0 0 0 1 1 *",
}
COMMANDS = ("ops.__main__", "infra.copy_tables", "infra.forget_customer")  # what is tested as a command line


@dataclass(frozen=True)
class Portal:
    """The API as its kinds of users see it: `portal.operator.get("/customers")`."""

    operator: httpx.Client
    reader: httpx.Client
    mapper: httpx.Client
    deadletters: httpx.Client
    anonymous: httpx.Client


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    """Starts the processes of all stacks of this worker and our commands, so that their modules are imported once."""
    with ForkServer(REPOSITORY, *COMMANDS) as server:
        yield server


@pytest.fixture(scope="session")
def stack(forks: ForkServer) -> Iterator[Stack]:
    with Stack(StackOptions(storage_in_memory=True, settings=FAST_SETTINGS, forks=forks)) as running:
        yield running


@pytest.fixture(scope="session")
def api(stack: Stack) -> Iterator[Portal]:
    with contextlib.ExitStack() as clients:

        def client(role: str | None = None) -> httpx.Client:
            headers = {"Authorization": f"Bearer {stack.ready['tokens'][role]}"} if role else {}
            return clients.enter_context(_client(stack.ready["api"], headers))

        yield Portal(client("operator"), client("reader"), client("mapper"), client("deadletters"), client())


@pytest.fixture
def partner_center(simulator: Callable[[str], httpx.Client]) -> httpx.Client:
    """Partner Center's simulator; faults that the test leaves behind are removed."""
    return simulator("partnerCenter")


@pytest.fixture
def autotask(simulator: Callable[[str], httpx.Client]) -> httpx.Client:
    """Autotask's simulator; faults that the test leaves behind are removed."""
    return simulator("autotask")


@pytest.fixture
def simulator(stack: Stack) -> Iterator[Callable[[str], httpx.Client]]:
    with contextlib.ExitStack() as clients:

        def client(name: str) -> httpx.Client:
            opened = clients.enter_context(_client(stack.ready[name], {}))
            clients.callback(opened.delete, "/_control/faults")
            return opened

        yield client


def _client(base_url: str, headers: dict[str, str]) -> httpx.Client:
    return plain_client(base_url, headers=headers, event_hooks={"response": [conforming.require]})


def plain_client(base_url: str, **more: Any) -> httpx.Client:
    """A client of a process of a stack, which speaks plain http; a TLS context of its own would cost 0.03 seconds."""
    return httpx.Client(base_url=base_url, timeout=30.0, trust_env=False, verify=_tls(), **more)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
