"""Random schedules on the real stack: `make chaos` runs two hundred (`CHAOS_SEEDS`), `CHAOS_SEED=17` replays one.

Not part of `make test`. A schedule is one subscription of its own; all its chance comes from its seed, which is printed
when it fails. Some run at the same time, each with faults of its own. In the end people decide about what is dead, and
then the bill must be what Microsoft shows, on every day and by one adjustment a date.
"""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.spine.world import Subject, World, eventually, fault

AT_ONCE = 5
ACTS = 7
SECONDS = 90.0
DECISIONS = 8
ANSWERS = ("timeout", "reset", "500", "502", "429", "malformed")


def batches() -> list[range]:
    """The seeds, so many to a test."""
    one = os.environ.get("CHAOS_SEED")
    if one is not None:
        return [range(int(one), int(one) + 1)]
    count = int(os.environ.get("CHAOS_SEEDS", "200"))
    return [range(first, min(first + AT_ONCE, count)) for first in range(0, count, AT_ONCE)]


@dataclass
class Schedule:
    """What happens to one subscription, by one seed."""

    world: World
    seed: int
    subject: Subject
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - a schedule to be replayed is no secret
        self._by_hand = self._chance.random() < 0.4
        self._price = 1100

    def run(self) -> None:
        """Let so many things happen, one after the other; what is pushed meanwhile is under way."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (8, self._change),
            (3, self._suspend_or_reactivate),
            (6, self._fault),
            (3, self._reprice),
            (1, self._post),
            (2, self._sync),
            (3 if self._by_hand else 0, self._edit),
        ]
        weights = [weight for weight, _ in acts]
        for _ in range(ACTS):
            self._chance.choices([act for _, act in acts], weights)[0]()

    def _change(self) -> None:
        quantity, key = self._chance.randint(1, 60), str(uuid.UUID(int=self._chance.getrandbits(128)))
        for _ in range(1 + (self._chance.random() < 0.2)):  # a portal that asks twice with one key
            answer = self.world.act(self.subject, "change-quantity", key=key, quantity=quantity)
            self.log.append(f"{quantity} seats: {answer.status_code}")

    def _suspend_or_reactivate(self) -> None:
        for action in ("suspend", "reactivate"):
            answer = self.world.act(self.subject, action)
            self.log.append(f"{action}: {answer.status_code}")
            if answer.status_code < 300:
                return

    def _fault(self) -> None:
        kind, when = self._chance.choice(ANSWERS), self._chance.choice(["before", "after"])
        rule = {"method": "POST", "path": self.subject.adjustments_path, "fault": kind, "when": when}
        fault(self.world.autotask, rule | ({"retryAfterSeconds": 1} if kind == "429" else {}))
        self.log.append(f"the next adjustment gets {kind} {when} its effect")

    def _reprice(self) -> None:
        self._price += self._chance.randint(1, 300)
        body = {"source": "fixed", "unitPrice": f"{self._price / 100:.2f}"}
        headers = {"Idempotency-Key": str(uuid.UUID(int=self._chance.getrandbits(128)))}
        path = f"{self.subject.path}/mapping/change-price"
        answer = self.world.clients["mapper"].post(path, json=body, headers=headers)
        self.log.append(f"price {body['unitPrice']}: {answer.status_code}")

    def _post(self) -> None:
        body = {"contractServiceId": self.subject.line, "through": self.world.today().replace(day=1).isoformat()}
        self.world.autotask.post("/_control/state/post-periods", json=body).raise_for_status()
        self.log.append(f"posted: {body['through']}")

    def _sync(self) -> None:
        answer = self.world.clients["operator"].post(f"{self.subject.path}/autotask-sync")
        self.log.append(f"autotask sync: {answer.status_code}")

    def _edit(self) -> None:
        self.world.edit_by_hand(self.subject, change := self._chance.randint(1, 3))
        self.log.append(f"by hand: {change:+d}")

    # How it ends

    def decide(self) -> None:
        """People let be pushed what is dead, over a hand edit too, until the manual sync finds nothing to do."""
        for _ in range(DECISIONS):
            operations = eventually(
                lambda: self.world.operations(self.subject),
                lambda seen: all(operation["atRest"] for operation in seen),
                SECONDS,
            )
            dead = [operation["id"] for operation in operations if operation["status"] == "dead"]
            for operation in dead:
                body = {"driftPolicy": "overwrite"}
                self.world.clients["deadletters"].post(f"/dead-letters/{operation}/resubmit", json=body)
                self.log.append(f"re-submit {operation[-3:]}")
            if dead:
                continue
            found = self.world.clients["operator"].post(f"{self.subject.path}/autotask-sync").json()["operations"]
            if not found:
                return
        raise AssertionError("something is always dead or differs")

    def check(self) -> None:
        """The bill is what Microsoft shows, and no date has two adjustments of ours."""
        known = self.world.at_microsoft(self.subject)
        wanted = known["quantity"] if known["status"] == "active" else 0
        assert self.world.bill(self.subject)[-1][1] == wanted, (wanted, self.world.bill(self.subject))
        dates = Counter(day for day, _ in self.world.adjustments(self.subject))
        assert max(dates.values(), default=1) == 1, dates
        assert self.world.subscription(self.subject)["badge"] == "synced"


@pytest.mark.parametrize("seeds", batches(), ids=str)
def test_a_random_schedule_on_the_stack_ends_with_the_right_bill(world: World, seeds: range) -> None:
    schedules = [Schedule(world, seed, world.inside_window()) for seed in seeds]
    with ThreadPoolExecutor(len(schedules)) as pool:
        list(pool.map(Schedule.run, schedules))
    world.autotask.delete("/_control/faults").raise_for_status()
    for schedule in schedules:
        try:
            schedule.decide()
            schedule.check()
        except BaseException as error:
            operations = "\n".join(str(operation) for operation in world.operations(schedule.subject))
            error.add_note(f"replay with CHAOS_SEED={schedule.seed}\n" + "\n".join(schedule.log) + f"\n{operations}")
            raise
