"""The host is killed with SIGKILL at each step of accept and push; after a restart everything comes to rest, once.

Relays stand between the host and Table storage, the queue and both vendors. A dry run enumerates the steps of one
cancel: each request or frame that changes something outside the host. For each step one cancel is held when the step
has had its effect and its answer has not come back, and there the host is killed; and so before the first step of
accept and of push. What else a crash could separate leaves the same world: one before a step is one after the step
before it, and a read changes nothing. Each round kills one cancel in its push and one in its accept, and nobody waits
for a round to recover before the next, so that recoveries are interrupted too.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest

from local.forking import ForkServer
from local.stack import Stack, StackOptions
from shared.domain.operation import Address
from shared.messaging.envelope import decode, encode, message_id
from tests.spine.broker import Broker
from tests.spine.conftest import SETTINGS
from tests.spine.relay import Relays, Step
from tests.spine.world import Subject, World, eventually

KILL_SETTINGS = {
    **SETTINGS,
    "SETTLE_SECONDS": "1",
    "AUTOTASK_TIMEOUT_SECONDS": "1",
    "PARTNER_CENTER_TIMEOUT_SECONDS": "1",
    "PARTNER_CENTER_SETTLE_SECONDS": "1",
    "LEASE_SECONDS": "1.5",
    "OUTBOX_SECONDS": "1.5",
    "RETRY_SECONDS": "0.5",
    "RETRY_MAX_SECONDS": "2",
}
# What was stored and not called yet is repeated when the 30 seconds that accept may take, and the call's own, are over
SECONDS = 75.0
HOLD_SECONDS = 10.0
SEND = "queue: send"
SETTLE = "queue: settle"


@dataclass(frozen=True)
class Point:
    """Where a cancel is stopped: `before` or `after` the step of that number (from 1)."""

    number: int
    moment: str


class Watch:
    """The steps of one subject, and its being held at a point; `settles` says whether settled messages are its own."""

    def __init__(self, subject: Subject, point: Point | None, *, settles: bool = True) -> None:
        self.subject = subject
        self.seen: list[str] = []
        self.reached = threading.Event()
        self._marks = (subject.customer.encode(), subject.adjustments_path.encode())
        self._point = point
        self._settles = settles
        self._held: Step | None = None

    def concerns(self, step: Step) -> bool:
        return (self._settles and step.what == "settle") or any(mark in step.content for mark in self._marks)

    def before(self, step: Step) -> bool:
        self.seen.append(f"{step.channel}: {step.what}")
        if self._point is None or len(self.seen) != self._point.number:
            return True
        self._held = step
        if self._point.moment == "before":
            self.reached.set()
            return False
        return True

    def holds_answer(self, step: Step) -> bool:
        return step is self._held

    def after(self, step: Step) -> None:
        if step is self._held:
            self.reached.set()


class Watches:
    """All subjects that are watched at the moment. Called from the relays' one thread."""

    def __init__(self) -> None:
        self.current: tuple[Watch, ...] = ()

    def _of(self, step: Step) -> Watch | None:
        return next((watch for watch in self.current if watch.concerns(step)), None)

    def before(self, step: Step) -> bool:
        watch = self._of(step)
        return watch is None or watch.before(step)

    def holds_answer(self, step: Step) -> bool:
        return any(watch.holds_answer(step) for watch in self.current)

    def after(self, step: Step) -> None:
        for watch in self.current:
            watch.after(step)


@dataclass(frozen=True)
class Killed:
    """A cancel whose host was killed at its point: the steps until then, and what it became."""

    subject: Subject
    point: Point
    reached: bool
    steps: tuple[str, ...]
    operation: str


@dataclass
class Relayed:
    """A stack whose only host works through relays, with these settings."""

    world: World
    watches: Watches
    settings: dict[str, str]
    broker: Broker
    pool: ThreadPoolExecutor

    def steps_of_a_cancel(self) -> list[str]:
        """The dry run: what a host does outside for one cancel, from the request to the settled message."""
        watch = Watch(self.world.inside_window(), None)
        self.watches.current = (watch,)
        self.world.wait_for_rest(self.world.done(watch.subject, "cancel"))
        eventually(lambda: watch.seen, lambda seen: SETTLE in seen)
        return list(watch.seen)

    def kill_at(self, points: tuple[Point, Point | None], *, repeat_messages: bool) -> list[Killed]:
        """Cancel one or two subscriptions, kill the host when each is held at its point, and start it again.

        Args:
            points: one in the push, which settles the message, and one in the accept.
            repeat_messages: send each message twice more, the later operation's first.
        """
        push, accept = points
        watches = [Watch(self.world.inside_window(), push)]
        if accept:
            watches.append(Watch(self.world.inside_window(), accept, settles=False))
        self.watches.current = tuple(watches)
        keys = [f"{watch.subject.subscription}-killed" for watch in watches]
        asked = []
        for watch, key in zip(watches, keys, strict=True):
            asked.append(self.pool.submit(self._ask, watch.subject, key))
            watch.reached.wait(HOLD_SECONDS)
        self.world.stack.kill("host")
        killed = [(watch.reached.is_set(), tuple(watch.seen)) for watch in watches]
        self.watches.current = ()
        for request in asked:
            request.result()
        self.world.stack.start("host", self.settings)
        operations = [self._again(watch.subject, key) for watch, key in zip(watches, keys, strict=True)]
        if repeat_messages:
            self.broker.send(*(_message(operation) for operation in reversed(operations) for _ in range(2)))
        found = zip(watches, points, killed, operations, strict=False)
        return [
            Killed(watch.subject, point, reached, steps, operation)
            for watch, point, (reached, steps), operation in found
            if point
        ]

    def _ask(self, subject: Subject, key: str) -> None:
        with contextlib.suppress(httpx.TransportError):
            self.world.act(subject, "cancel", key=key)

    def _again(self, subject: Subject, key: str) -> str:
        """The portal got no answer, or a good one, and repeats its request; the operation that it gets."""
        answer = self.world.act(subject, "cancel", key=key)
        return str(answer.json()["operation"]["id"])


def _message(operation: str) -> bytes:
    address = Address.parse(operation)
    return encode(message_id(address, 0), address, now=datetime.now(UTC))


@pytest.fixture(scope="module")
def relayed(forks: ForkServer) -> Iterator[Relayed]:
    options = StackOptions(
        storage_in_memory=True,
        seed_customers=100,
        subscriptions_per_customer=2,
        first_sync=False,
        settings=KILL_SETTINGS,
        forks=forks,
    )
    watches = Watches()
    with Relays() as relays, Stack(options) as stack, ThreadPoolExecutor(2) as pool:
        settings = through_relays(stack, relays, watches)
        stack.restart("host", settings)
        ready = stack.ready
        with World(stack, keep_alive=False) as world, Broker(ready["serviceBus"], ready["queue"]) as broker:
            yield Relayed(world, watches, settings, broker, pool)


def through_relays(stack: Stack, relays: Relays, watches: Watches) -> dict[str, str]:
    """The settings that let a host reach everything through the relays."""
    ready = stack.ready
    tables = next(part for part in ready["tables"].split(";") if part.startswith("TableEndpoint=")).partition("=")[2]
    ports = {
        "tables": urlsplit(tables).port,
        "partner center": urlsplit(ready["partnerCenter"]).port,
        "autotask": urlsplit(ready["autotask"]).port,
    }
    relayed = {name: relays.http(name, port or 0, watches) for name, port in ports.items()}
    bus = ready["serviceBus"].partition("://")[2].partition(";")[0]
    queue = relays.amqp("queue", int(bus.rpartition(":")[2]), watches)
    return {
        "TABLES_CONNECTION_STRING": ready["tables"].replace(
            tables, tables.replace(str(ports["tables"]), str(relayed["tables"]))
        ),
        "ServiceBus": ready["serviceBus"].replace(bus, f"127.0.0.1:{queue}"),
        "PARTNER_CENTER_URL": f"http://127.0.0.1:{relayed['partner center']}",
        "AUTOTASK_URL": f"http://127.0.0.1:{relayed['autotask']}",
    }


@pytest.fixture(scope="module")
def killed(relayed: Relayed) -> list[Killed]:
    steps = relayed.steps_of_a_cancel()
    sent = steps.index(SEND) + 1
    accepts = [Point(1, "before"), *(Point(number, "after") for number in range(1, sent + 1))]
    pushes = [Point(sent + 1, "before"), *(Point(number, "after") for number in range(sent + 1, len(steps) + 1))]
    assert len(accepts) <= len(pushes)
    rounds = itertools.zip_longest(pushes, accepts)
    return [
        item for index, points in enumerate(rounds) for item in relayed.kill_at(points, repeat_messages=index % 2 == 1)
    ]


def test_the_dry_run_sees_accept_and_push_to_the_end(relayed: Relayed) -> None:
    steps = [step.partition(" /")[0] for step in relayed.steps_of_a_cancel()]

    accepted = ["tables: PUT alarms", "tables: PUT views", "tables: POST ledger + PUT ledger", "partner center: PATCH"]
    assert steps[:4] == accepted
    last_alarm = len(steps) - 1 - steps[::-1].index("tables: DELETE alarms")  # a slow host re-schedules one before
    assert steps.index(SEND) < steps.index("autotask: POST") < last_alarm
    assert steps[-1] == SETTLE
    assert len(steps) >= 12


def test_a_kill_at_any_step_leaves_one_change_one_adjustment_and_no_open_operation(
    relayed: Relayed, killed: list[Killed]
) -> None:
    world = relayed.world
    missed = [item for item in killed if not item.reached]
    assert len(missed) <= len(killed) / 10, missed
    for item in killed:
        subject = item.subject
        where = f"killed {item.point.moment} the last of {item.steps}"
        world.wait_for_rest(item.operation, seconds=SECONDS)
        assert world.at_microsoft(subject)["status"] == "deleted", where
        assert world.at_microsoft(subject)["updates"] == 1, where
        assert world.adjustments(subject) == [(world.today(), -subject.quantity)], where
        assert world.units_before_and_from(subject, world.today()) == [subject.quantity, 0, 0], where
        assert world.subscription(subject)["badge"] == "synced", where
        assert [operation["id"] for operation in world.operations(subject)] == [item.operation], where


def test_a_kill_loses_no_message(relayed: Relayed, killed: list[Killed]) -> None:
    """What a killed host had locked comes back when the lock ends; it is about operations that are at rest by then."""
    for item in killed:
        relayed.world.wait_for_rest(item.operation, seconds=SECONDS)
    assert relayed.broker.dead() == []
    for message in relayed.broker.waiting():
        assert relayed.world.operation(str(decode(message.body).address))["atRest"]
