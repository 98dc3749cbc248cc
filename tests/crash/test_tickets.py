"""One ticket for what is dead, whatever crashes or gets lost; closed when it is healed."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from shared.domain.planning import DriftPolicy
from shared.domain.tickets import TicketPolicy, external_id_of
from shared.usecases.app import App
from shared.usecases.dead_letters import resubmit
from shared.usecases.ticketing import about_finding, keep_tickets
from tests.crash.desk_stories import with_a_finding
from tests.crash.scenarios import ask, first_dead, with_a_drift
from tests.world.steps import Point, Side
from tests.world.tickets import TicketFault
from tests.world.world import CUSTOMER, World, line_id

SETTLE = timedelta(minutes=16)


@cache
def _dead() -> World:
    world = World()
    world.ticketing = TicketPolicy(automatic=True, queue=29683482, company=7)
    asyncio.run(with_a_drift(world))
    return world


def a_dead_letter() -> World:
    return copy.deepcopy(_dead())


def kept(world: World, *, kill_at: Point | None = None) -> bool:
    """One run of the timer; says whether the process lived."""
    process = world.start()
    process.steps.kill_at = kill_at
    asyncio.run(world.run(process, keep_tickets))
    return not process.steps.dead


def heal(world: World) -> None:
    asyncio.run(ask(world, first_dead(lambda app, one: resubmit(app, one, "o", why="", policy=DriftPolicy.OVERWRITE))))


def statuses(world: World) -> list[int]:
    return [made.ticket.status for made in world.tickets.made]


def test_a_dead_letter_has_one_ticket_that_says_why_and_what_helps() -> None:
    world = a_dead_letter()
    for _ in range(3):
        kept(world)
        world.clock.advance(SETTLE)
    (made,) = world.tickets.made
    draft = made.draft
    (operation,) = [one for one in world.operations() if one.dead]
    assert draft.external_id == external_id_of(str(operation.address))
    assert (draft.company, draft.queue, draft.status, draft.priority) == (7, 29683482, 1, 2)
    assert draft.due == made.at + timedelta(hours=24)
    assert "drift" in draft.title
    assert "somebody changed it in Autotask" in draft.description
    assert "What helps: Re-submit with the drift policy" in draft.description
    assert str(operation.address) in draft.description


def test_without_the_setting_there_is_none() -> None:
    world = a_dead_letter()
    world.ticketing = TicketPolicy()
    kept(world)
    assert world.tickets.made == []


def test_a_ticket_is_closed_when_its_operation_is_healed_and_opened_again_when_it_dies_again() -> None:
    world = a_dead_letter()
    kept(world)
    heal(world)
    kept(world)
    assert statuses(world) == [5]
    kept(world)
    assert statuses(world) == [5]


def test_a_ticket_is_closed_even_when_no_new_ones_are_opened_any_more() -> None:
    world = a_dead_letter()
    kept(world)
    heal(world)
    world.ticketing = replace(world.ticketing, automatic=False)
    kept(world)
    assert statuses(world) == [5]


@pytest.mark.parametrize("fault", TicketFault)
def test_whatever_happens_to_the_request_there_is_one_ticket_in_the_end(fault: TicketFault) -> None:
    world = a_dead_letter()
    world.tickets.faults.append(fault)
    world.tickets.lag = timedelta(minutes=5)
    for _ in range(8):
        kept(world)
        world.clock.advance(SETTLE)
    assert statuses(world) == [1]
    heal(world)
    kept(world)
    assert statuses(world) == [5]


def test_after_a_lost_answer_nothing_is_opened_before_it_would_have_shown() -> None:
    world = a_dead_letter()
    world.tickets.faults.append(TicketFault.ANSWER_LOST)
    world.tickets.lag = timedelta(minutes=5)
    for _ in range(4):
        kept(world)
        world.clock.advance(timedelta(minutes=1))
    assert len(world.tickets.made) == 1


def test_a_ticket_that_autotask_refuses_is_not_asked_for_again_at_once() -> None:
    world = a_dead_letter()
    world.tickets.faults += [TicketFault.REFUSED] * 2
    for _ in range(3):
        kept(world)
        world.clock.advance(timedelta(minutes=5))
    assert len(world.tickets.faults) == 1


@pytest.mark.parametrize("side", Side)
def test_a_kill_at_any_step_opens_no_second_ticket(side: Side) -> None:
    step = 0
    lived = False
    while not lived:
        step += 1
        world = a_dead_letter()
        world.tickets.lag = timedelta(minutes=2)
        lived = kept(world, kill_at=Point(step, side))
        for _ in range(3):
            world.clock.advance(SETTLE)
            kept(world)
        assert statuses(world) == [1], f"killed {side} step {step}"
        heal(world)
        kept(world)
        assert statuses(world) == [5], f"killed {side} step {step}"
    assert step > 5


def test_two_instances_at_once_open_one_ticket() -> None:
    world = a_dead_letter()

    async def pause(*_: Any) -> None:
        await asyncio.sleep(0)

    world.disturb = pause

    async def both() -> None:
        await asyncio.gather(*(world.run(world.start(), keep_tickets) for _ in range(2)))

    asyncio.run(both())
    assert statuses(world) == [1]


def test_a_finding_gets_a_ticket_on_request_which_is_closed_when_it_is_gone() -> None:
    world = World()
    asyncio.run(with_a_finding(world))

    async def ticket(app: App) -> None:
        finding = await app.desk.finding(CUSTOMER, line_id(1))
        assert finding is not None
        await about_finding(app, finding)

    for _ in range(2):
        asyncio.run(world.run(world.start(), ticket))
    kept(world)
    assert statuses(world) == [1]
    (made,) = world.tickets.made
    assert made.draft.company == 1
    assert "37.50 a month" in made.draft.description

    async def decided(app: App) -> None:
        await app.desk.drop_finding(CUSTOMER, line_id(1))

    asyncio.run(world.run(world.start(), decided))
    kept(world)
    assert statuses(world) == [5]
