"""Copies of dead letters that a person sends again with a standard tool: which are honoured, and which are not."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from shared.domain.actions import Action
from shared.domain.operation import Address, Death, Operation
from shared.messaging.envelope import Delivery, Envelope, encode, message_id, notice_id
from shared.usecases.dead_letters import resubmit
from shared.usecases.push import Verdict, verdict
from tests.crash.scenarios import TODAY, ask, change, mapped
from tests.world import checks
from tests.world.autotask import AdjustFault, Fault
from tests.world.world import CONTRACT_START, CUSTOMER, World, line_id, subscription_id

ADDRESS = Address(CUSTOMER, subscription_id(1), 2)
REFUSED = Fault(AdjustFault.REFUSED)


def a_world_with_a_dead_letter() -> World:
    """Autotask refused the adjustment to twelve units."""
    world = World()
    asyncio.run(mapped(world))
    world.autotask.faults.append(REFUSED)
    asyncio.run(ask(world, change(1, Action.CHANGE_QUANTITY, quantity=12)))
    world.clock.advance(timedelta(hours=1))
    return world


def dead(world: World) -> Operation:
    (operation,) = [operation for operation in world.operations() if operation.dead]
    return operation


def judged(world: World, identifier: str, number: int, enqueued_at: datetime | None) -> Verdict:
    operation = dead(world)
    assert operation.death is not None
    body = encode(identifier, ADDRESS, now=world.clock.now())
    delivery = Delivery(body, number, 1, enqueued_at)
    return verdict(operation, operation.death, delivery, Envelope(identifier, ADDRESS))


def test_the_copy_that_died_is_known_by_its_sequence_number_whenever_it_was_enqueued() -> None:
    world = a_world_with_a_dead_letter()
    death = dead(world).death
    assert death is not None
    assert death.sequence_number is not None
    for enqueued_at in (death.at - timedelta(hours=1), world.clock.now(), None):
        assert judged(world, death.message, death.sequence_number, enqueued_at) is Verdict.ITS_OWN


@pytest.mark.parametrize("later", [True, False])
def test_another_copy_is_a_resubmission_if_it_was_enqueued_after_the_death(*, later: bool) -> None:
    world = a_world_with_a_dead_letter()
    operation = dead(world)
    assert operation.death is not None
    enqueued_at = operation.death.at + timedelta(seconds=1 if later else -1)
    expected = Verdict.RESUBMISSION if later else Verdict.LEFTOVER
    earlier_attempt = message_id(ADDRESS, operation.attempt - 1)
    for identifier in (operation.death.message, earlier_attempt, "an-id-that-a-tool-made-up"):
        assert judged(world, identifier, 999_999, enqueued_at) is expected


def test_a_late_message_of_our_own_for_the_present_attempt_opens_nothing() -> None:
    world = a_world_with_a_dead_letter()
    operation = dead(world)
    late = world.clock.now()
    body = encode("x", ADDRESS, now=late)
    own, notice = message_id(ADDRESS, operation.attempt), notice_id(ADDRESS, operation.attempt)
    died_with_another = Death(late - timedelta(minutes=1), message_id(ADDRESS, operation.attempt - 1), 7)
    for identifier in (own, notice):
        found = verdict(operation, died_with_another, Delivery(body, 8, 1, late), Envelope(identifier, ADDRESS))
        assert found is Verdict.LEFTOVER
    unsent = Death(late - timedelta(minutes=1), notice)
    assert verdict(operation, unsent, Delivery(body, 8, 1, late), Envelope(notice, ADDRESS)) is Verdict.NOTICE
    assert verdict(operation, unsent, Delivery(body, 8, 1, late), Envelope(own, ADDRESS)) is Verdict.LEFTOVER


def test_the_copy_of_an_earlier_death_heals_when_it_is_sent_again_by_hand() -> None:
    world = a_world_with_a_dead_letter()
    (first_copy,) = world.broker.dead_bodies()
    world.autotask.faults.append(REFUSED)
    asyncio.run(ask(world, lambda app: resubmit(app, ADDRESS, "ops", why="", policy=None)))
    assert len(world.broker.dead_bodies()) == 2, "each death left its copy"
    world.clock.advance(timedelta(hours=1))

    asyncio.run(ask(world, lambda app: app.queue.send("another-id-of-the-broker", first_copy)))

    asyncio.run(checks.everything(world))
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 12}
    assert checks.adjustments(world, line_id(1)) == 1
