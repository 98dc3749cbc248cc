"""Autotask is away for as long as it takes: everything is accepted at once, and afterwards the bill is right."""

from __future__ import annotations

import itertools
import time
from datetime import timedelta

import pytest

from tests.spine.world import World, eventually, fault

OPERATIONS = 10
# An answer waits for Partner Center and the ledger, never for Autotask, whose requests time out after two seconds here
AT_ONCE_SECONDS = 2.0


@pytest.mark.parametrize("kind", ["503", "reset", "timeout"])
def test_ten_operations_during_an_outage_end_in_one_adjustment(world: World, kind: str) -> None:
    subject = world.inside_window()
    fault(world.autotask, {"path": ".", "fault": kind, "times": 0})

    changes = itertools.islice(itertools.cycle([+3, -1]), OPERATIONS)
    operations: list[str] = []
    for quantity in itertools.accumulate(changes, initial=subject.quantity):
        if quantity == subject.quantity and not operations:
            continue
        began = time.monotonic()
        operations.append(world.done(subject, "change-quantity", quantity=quantity))
        assert time.monotonic() - began < AT_ONCE_SECONDS
    assert len(operations) == OPERATIONS
    assert world.subscription(subject)["badge"] == "pending"
    assert world.adjustments(subject) == []
    world.autotask.delete("/_control/faults").raise_for_status()

    world.wait_for_badge(subject)
    final = subject.quantity + 3 * 5 - 1 * 5
    assert {world.operation(operation)["status"] for operation in operations} == {"synced"}
    assert world.adjustments(subject) == [(world.today(), final - subject.quantity)]
    assert world.units_before_and_from(subject, world.today()) == [subject.quantity, final, final]


def test_a_decrease_from_the_next_period_costs_one_adjustment_more(world: World) -> None:
    subject = world.mapped(world.unmapped("closed"), suspend="units_zero", suspendFrom="next_period")
    fault(world.autotask, {"path": ".", "fault": "503", "times": 0})

    operations = [
        world.done(subject, "change-quantity", quantity=subject.quantity + more) for more in range(1, OPERATIONS)
    ]
    operations.append(world.done(subject, "suspend"))
    assert world.adjustments(subject) == []
    world.autotask.delete("/_control/faults").raise_for_status()

    world.wait_for_badge(subject)
    assert {world.operation(operation)["status"] for operation in operations} == {"synced"}
    next_period = (world.today().replace(day=28) + timedelta(days=4)).replace(day=1)
    highest = subject.quantity + OPERATIONS - 1
    assert world.adjustments(subject) == [(world.today(), OPERATIONS - 1), (next_period, -highest)]
    assert world.units_before_and_from(subject, world.today(), next_period) == [
        subject.quantity,
        highest,
        highest,
        0,
        0,
    ]


def test_what_is_accepted_while_autotask_is_being_read_is_part_of_the_same_adjustment(world: World) -> None:
    subject = world.outside_window()
    units = {"method": "POST", "path": "ContractServiceUnits/query", "fault": "slow", "delaySeconds": 1.5}
    fault(world.autotask, units)
    first = world.done(subject, "change-quantity", quantity=subject.quantity + 1)
    eventually(lambda: world.autotask.get("/_control/faults").json()["faults"], lambda rules: rules[0]["fired"] == 1)

    second = world.done(subject, "change-quantity", quantity=subject.quantity + 4)

    world.wait_for_rest(first)
    world.wait_for_rest(second)
    assert world.adjustments(subject) == [(world.today(), 4)]


def test_while_autotask_is_away_nobody_hammers_it(world: World) -> None:
    subject, *others = [world.outside_window() for _ in range(4)]
    fault(world.autotask, {"path": ".", "fault": "503", "times": 0, "retryAfterSeconds": 3})
    operation = world.done(subject, "change-quantity", quantity=subject.quantity + 1)
    eventually(lambda: world.operation(operation)["status"], lambda status: status == "waiting")
    asked = world.autotask.get("/_control/requests").json()["requests"][-1]["number"]

    for other in others:
        world.done(other, "change-quantity", quantity=other.quantity + 1)
    time.sleep(1.5)

    assert world.autotask.get("/_control/requests").json()["requests"][-1]["number"] == asked
    world.autotask.delete("/_control/faults").raise_for_status()
    for each in (subject, *others):
        world.wait_for_badge(each)
        assert world.adjustments(each) == [(world.today(), 1)]
