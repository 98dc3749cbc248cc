"""What becomes of each item of a bulk: refusals, waits, outages, poison, several workers, and giving up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.actions import Action
from shared.domain.bulk import ItemStatus, Wish
from shared.domain.errors import Misconfigured, Refused
from shared.domain.long_work import MOST_TRIES
from shared.domain.operation import CRASH_LIMIT, Address
from shared.usecases.app import App
from shared.usecases.bulk import Progress, progress
from shared.usecases.bulk_work import wake_bulks
from shared.usecases.wake import wake
from tests.crash.bulk_stories import UNKNOWN, bulk_of, bulks_of, item, items_of, two_mapped
from tests.crash.scenarios import TODAY, ask, change
from tests.world import checks
from tests.world.partner_center import ChangeFault, Fault
from tests.world.steps import Side, Steps
from tests.world.world import CONTRACT_START, CUSTOMER, World, line_id, subscription_id

MORE_1, MORE_2 = item(1, Action.CHANGE_QUANTITY, 12), item(2, Action.CHANGE_QUANTITY, 25)


def prepared() -> World:
    world = World()
    asyncio.run(two_mapped(world))
    return world


def done(world: World, *wishes: Wish) -> World:
    """Ask for a bulk and let everything come to rest."""
    asyncio.run(ask(world, bulk_of(*wishes)))
    asyncio.run(checks.everything(world))
    return world


def outcomes(world: World) -> list[str]:
    """Of each item its code where it was refused, else its status."""
    return [found.code or found.status.value for found in items_of(world)]


async def taken_in(world: World, *wishes: Wish) -> Progress:
    """Ask for a bulk and do nothing more."""
    found = await world.run(world.start(), bulk_of(*wishes))
    assert found is not None
    return found


def test_a_bulk_is_answered_before_anything_is_asked_of_partner_center() -> None:
    world = prepared()
    taken = asyncio.run(taken_in(world, MORE_1, MORE_2))
    assert [found.status for found in taken.items] == [ItemStatus.PENDING] * 2
    assert not [step for step in world.started[-1].trace if step.startswith("partner_center")]
    assert len(world.alarms()) == 1


def test_one_refused_item_does_not_keep_the_others_from_being_done() -> None:
    stale = Wish(CUSTOMER, subscription_id(2), Action.SUSPEND, expect_quantity=99)
    world = done(prepared(), item(UNKNOWN, Action.CANCEL), stale, MORE_1, item(2, Action.REACTIVATE), MORE_2)
    assert outcomes(world) == ["subscription_not_found", "stale_page", "accepted", "already_done", "accepted"]
    assert [found.status_code for found in items_of(world)][:2] == [404, 409]
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, TODAY: 12}
    assert checks.billed(world, line_id(2)) == {CONTRACT_START: 20, TODAY: 25}


def test_what_partner_center_refuses_names_its_operation() -> None:
    world = prepared()
    world.partner_center.faults.append(Fault(ChangeFault.REFUSED))
    done(world, MORE_1)
    (found,) = items_of(world)
    assert (found.status, found.code) == (ItemStatus.REFUSED, "refused_by_partner_center")
    assert checks.status_of(world, Address.parse(found.operation)) == "refused"


def test_the_actions_on_one_subscription_are_carried_out_in_their_order() -> None:
    world = done(prepared(), MORE_1, item(1, Action.SUSPEND), item(1, Action.REACTIVATE))
    effects = [(effect.after.status, effect.after.quantity) for effect in world.partner_center.effects]
    assert effects[:3] == [("active", 12), ("suspended", 12), ("active", 12)]
    assert outcomes(world) == ["accepted"] * 3


@pytest.mark.parametrize("fault", [Fault(ChangeFault.WORKING, 600), Fault(ChangeFault.LATE, 30)], ids=["202", "late"])
def test_an_action_waits_until_the_one_before_it_is_settled_at_microsoft(fault: Fault) -> None:
    world = prepared()
    world.partner_center.faults.append(fault)
    done(world, MORE_1, item(1, Action.SUSPEND), MORE_2)
    assert outcomes(world) == ["accepted"] * 3
    assert items_of(world)[1].tries > 0
    effects = [effect for effect in world.partner_center.effects if effect.subscription == subscription_id(1)]
    assert [effect.after.status for effect in effects] == ["active", "suspended"]


def test_an_action_that_is_in_the_way_for_too_long_is_refused_and_the_next_one_goes_on() -> None:
    world = prepared()
    world.partner_center.faults.append(Fault(ChangeFault.WORKING, timedelta(hours=23).total_seconds()))
    asyncio.run(taken_in_after(world, change(1, Action.CHANGE_QUANTITY, quantity=11)))
    asyncio.run(ask(world, bulk_of(item(1, Action.SUSPEND), MORE_2)))
    first, second = items_of(world)
    assert (first.code, first.status_code, first.tries) == ("operation_in_progress", 409, MOST_TRIES - 1)
    assert second.status is ItemStatus.ACCEPTED
    assert first.settled_at is not None
    assert second.settled_at is not None
    assert first.settled_at > second.settled_at


async def taken_in_after(world: World, request: Callable[[App], Awaitable[Any]]) -> None:
    await world.run(world.start(), request)


def test_while_partner_center_is_away_nothing_is_hammered_and_afterwards_all_is_done() -> None:
    world = prepared()
    world.partner_center.away_until = world.clock.now() + timedelta(hours=3)
    done(world, *(item(number, Action.CHANGE_QUANTITY, 30 + number) for number in (1, 2)))
    assert outcomes(world) == ["accepted"] * 2
    reads = sum(step.startswith("partner_center.subscription ") for steps in world.started for step in steps.trace)
    assert reads < 60, "two at a time, with the pauses of the back-off"


def test_a_bulk_shows_why_it_pauses() -> None:
    world = prepared()
    world.partner_center.away_until = world.clock.now() + timedelta(hours=3)
    asyncio.run(taken_in_after(world, bulk_of(MORE_1, MORE_2)))
    asyncio.run(taken_in_after(world, wake))
    (bulk,) = bulks_of(world)
    assert bulk.paused_until is not None
    assert bulk.paused_until > world.clock.now()
    assert bulk.paused_because == "Partner Center does not answer"
    assert outcomes(world) == ["unavailable", "unavailable"]


def test_what_could_not_be_asked_for_within_a_day_is_refused() -> None:
    world = prepared()
    world.partner_center.away_until = world.clock.now() + timedelta(days=3)
    began = world.clock.now()
    done(world, MORE_1, MORE_2)
    assert outcomes(world) == ["unavailable", "unavailable"]
    assert [found.status for found in items_of(world)] == [ItemStatus.REFUSED] * 2
    assert timedelta(hours=24) <= world.clock.now() - began < timedelta(hours=25)
    assert not world.partner_center.effects


def when(label: str, what: Callable[[Steps], Awaitable[None]]) -> Callable[[Steps, str, Side], Awaitable[None]]:
    """Something happens to whoever is about to make a call."""

    async def disturb(steps: Steps, found: str, side: Side) -> None:
        if side is Side.BEFORE and found == label:
            await what(steps)

    return disturb


async def _dies(steps: Steps) -> None:
    steps.die()


def test_an_item_that_kills_its_worker_each_time_is_given_up_and_the_others_are_done() -> None:
    world = prepared()
    poison = Wish("c0000000-0000-4000-8000-00000000000f", subscription_id(1), Action.CANCEL)
    world.disturb = when(f"partner_center.subscription {poison.customer}", _dies)
    done(world, poison, MORE_2)
    assert outcomes(world) == ["crash_loop", "accepted"]
    assert sum(steps.dead for steps in world.started) == CRASH_LIMIT


def test_what_is_begun_beside_an_item_that_kills_its_worker_is_not_blamed_for_it() -> None:
    world = prepared()
    poison = Wish("c0000000-0000-4000-8000-00000000000f", subscription_id(1), Action.CANCEL)
    kills = when(f"partner_center.subscription {poison.customer}", _dies)

    async def in_step(steps: Steps, label: str, side: Side) -> None:
        await kills(steps, label, side)
        await asyncio.sleep(0)

    world.disturb = in_step
    asyncio.run(taken_in(world, poison, MORE_2))
    asyncio.run(taken_in_after(world, wake))
    assert [found.begun for found in items_of(world)] == [1, 1], "both were under way when it died"
    asyncio.run(rest(world))
    assert outcomes(world) == ["crash_loop", "accepted"]
    assert sum(steps.dead for steps in world.started) == CRASH_LIMIT


def test_an_error_of_ours_is_tried_again_and_then_told_as_such() -> None:
    world = prepared()
    broken = Wish("c0000000-0000-4000-8000-00000000000f", subscription_id(1), Action.CANCEL)

    async def fails(_: Steps) -> None:
        raise KeyError("a mistake")

    world.disturb = when(f"partner_center.subscription {broken.customer}", fails)
    done(world, broken, MORE_2)
    assert outcomes(world) == ["internal_error", "accepted"]
    assert items_of(world)[0].tries == MOST_TRIES - 1


def test_a_sign_in_that_is_refused_pauses_the_bulk_until_somebody_has_corrected_it() -> None:
    world = prepared()
    corrected_at = world.clock.now() + timedelta(minutes=12)

    async def refused(_: Steps) -> None:
        if world.clock.now() < corrected_at:
            raise Misconfigured("the refresh token has expired")

    world.disturb = when(f"partner_center.subscription {CUSTOMER}", refused)
    asyncio.run(taken_in_after(world, bulk_of(MORE_1, MORE_2)))
    asyncio.run(taken_in_after(world, wake))
    assert [found.code for found in items_of(world)] == ["misconfigured"] * 2
    assert bulks_of(world)[0].paused_because == "the refresh token has expired"
    asyncio.run(rest(world))
    assert outcomes(world) == ["accepted"] * 2


async def rest(world: World) -> None:
    await world.run_until_quiet()
    await checks.everything(world)


def test_two_workers_on_one_bulk_do_each_item_once() -> None:
    async def story(world: World) -> None:
        await world.run(world.start(), bulk_of(MORE_1, MORE_2, item(UNKNOWN, Action.CANCEL)))
        first, second = world.start(), world.start()
        await asyncio.gather(world.run(first, wake_bulks), world.run(second, wake_bulks))
        await rest(world)

    for pauses in range(6):
        world = prepared()

        async def pause(steps: Steps, _label: str, _side: Side, pauses: int = pauses) -> None:
            for _ in range(pauses if steps.name.endswith("1") else 1):
                await asyncio.sleep(0)

        world.disturb = pause
        asyncio.run(story(world))
        assert outcomes(world) == ["accepted", "accepted", "subscription_not_found"]
        assert len(world.partner_center.patches) == 2


def test_a_worker_that_sleeps_beyond_its_claim_doubles_nothing() -> None:
    async def story(world: World, label: str) -> None:
        await world.run(world.start(), bulk_of(MORE_1, item(1, Action.SUSPEND), MORE_2))
        sleeper = world.start()
        asleep: list[str] = []

        async def sleeps(_: Steps) -> None:
            if not asleep:
                asleep.append(label)
                await world.clock.until(world.clock.now() + timedelta(minutes=20))

        sleeper.steps.disturb = when(label, sleeps)
        sleeping = asyncio.create_task(world.run(sleeper, wake))
        for _ in range(200):
            await asyncio.sleep(0)
        assert asleep
        await world.run_until_quiet()
        assert not sleeping.done()
        world.clock.advance(timedelta(minutes=20))
        await sleeping
        await rest(world)

    for label in (
        f"partner_center.subscription {CUSTOMER}",
        f"partner_center.change {CUSTOMER}",
        "tables.write ledger",
    ):
        world = prepared()
        asyncio.run(story(world, label))
        assert outcomes(world) == ["accepted"] * 3
        assert len(world.partner_center.patches) == 3


def test_a_repeated_request_is_the_same_bulk_and_another_body_is_refused() -> None:
    world = prepared()
    first = asyncio.run(taken_in(world, MORE_1))
    asyncio.run(rest(world))
    again = asyncio.run(taken_in(world, MORE_1))
    assert (again.bulk.id, again.bulk.finished_at is not None) == (first.bulk.id, True)
    with pytest.raises(Refused, match="another body"):
        asyncio.run(taken_in(world, MORE_2))
    assert len(bulks_of(world)) == 1


def test_the_same_request_made_twice_at_the_same_moment_is_one_bulk() -> None:
    async def story(world: World) -> list[str]:
        made = await asyncio.gather(*(world.run(world.start(), bulk_of(MORE_1)) for _ in range(2)))
        await rest(world)
        return [found.bulk.id for found in made if found is not None]

    world = prepared()

    async def pause(_steps: Steps, _label: str, _side: Side) -> None:
        await asyncio.sleep(0)

    world.disturb = pause
    first, second = asyncio.run(story(world))
    assert first == second
    assert len(world.partner_center.patches) == 1


def test_a_key_can_be_used_again_after_its_time() -> None:
    world = prepared()
    first = asyncio.run(taken_in(world, MORE_1))
    asyncio.run(rest(world))
    world.clock.advance(timedelta(days=31))
    second = asyncio.run(taken_in(world, MORE_2))
    assert first.bulk.id != second.bulk.id


def test_a_bulk_that_nobody_knows_is_not_found() -> None:
    world = prepared()
    assert asyncio.run(world.run(world.start(), lambda app: progress(app, "none"))) is None
