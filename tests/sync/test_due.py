"""What time does: customers are read when their moment has passed, hints are followed once, and nobody else is read."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.detected import Cause
from shared.domain.errors import NotFound, RetryLater
from shared.storage.hints import Hint
from shared.usecases.sync_due import follow_up
from tests.crash.scenarios import ask, map_to
from tests.world import checks
from tests.world.partner_center import nce
from tests.world.sync import customer_id, customers, full_sync, populate, requests, subscription_of, subscriptions
from tests.world.world import CONTRACT_START, CUSTOMER, World, line_id, subscription_id

pytestmark = pytest.mark.anyio
SOON = datetime(2026, 3, 12, 15, 0, tzinfo=UTC)


async def follow(world: World) -> Counter[str]:
    found = await world.run(world.start(), follow_up)
    assert found is not None
    return found


@pytest.fixture
async def world(anyio_backend: str) -> World:
    """Four customers; the window of one closes in two days, the term of another ends, the others have months."""
    world = World()
    populate(world, 4)
    world.partner_center.put(customer_id(2), subscription_of(2, 1), cancellationAllowedUntilDate=SOON.isoformat())
    world.partner_center.put(customer_id(3), subscription_of(3, 1), commitmentEndDateTime=SOON.isoformat())
    await full_sync(world)
    world.listings.log.clear()
    return world


async def test_nobody_is_read_before_a_moment_has_passed(world: World) -> None:
    world.clock.advance(SOON - world.clock.now() - timedelta(minutes=1))
    assert await follow(world) == Counter()
    assert world.listings.log == []


async def test_a_customer_is_read_when_its_window_closes_and_then_left_alone(world: World) -> None:
    world.clock.advance(SOON - world.clock.now() + timedelta(minutes=10))
    assert (await follow(world))["due"] == 1
    assert requests(world, "subscriptions") == {customer_id(2): 1}
    assert await follow(world) == Counter()
    due = customers(world)[customer_id(2)].moments.due
    assert due is not None
    assert due > world.clock.now()


async def test_a_renewal_is_looked_for_until_it_shows(world: World) -> None:
    for hours in (2, 7, 27, 51):
        world.clock.advance(SOON + timedelta(hours=hours) - world.clock.now())
        await follow(world)
    assert requests(world, "subscriptions")[customer_id(3)] == 4
    world.clock.advance(timedelta(days=3))
    await follow(world)
    assert requests(world, "subscriptions")[customer_id(3)] == 4, "then it is left to the nightly sync"


async def test_a_renewal_that_changes_the_seats_is_billed_from_the_new_term(anyio_backend: str) -> None:
    world = World()
    identity = world.subscribe(1, 10)
    schedule = {"product": {"productId": "P"}, "quantity": 8}
    end = "2026-03-12T23:59:59Z"
    world.partner_center.put(CUSTOMER, identity, commitmentEndDateTime=end, scheduledNextTermInstructions=schedule)
    world.add_line(1, 10)
    await full_sync(world)
    await ask(world, map_to(1, 1, "adopt"))
    await full_sync(world)
    world.clock.advance(datetime(2026, 3, 14, 9, 0, tzinfo=UTC) - world.clock.now())
    world.partner_center.put(
        CUSTOMER, identity, commitmentEndDateTime="2027-03-12T23:59:59Z", scheduledNextTermInstructions=None, quantity=8
    )
    assert (await follow(world))["detected"] == 1
    await world.run_until_quiet()
    (detected,) = [one for one in world.operations() if one.kind == "detected"]
    assert detected.cause_kind is Cause.SCHEDULE
    assert detected.business_date.isoformat() == "2026-03-13"
    await checks.everything(world)
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10, detected.business_date: 8}


async def test_dates_that_never_come_are_no_moments(anyio_backend: str) -> None:
    world = World()
    plan = nce(subscription_of(1, 1), 1, until=datetime(9999, 12, 10, tzinfo=UTC))
    plan |= {
        "commitmentEndDate": "9999-12-10T00:00:00Z",
        "offerId": "DZH318Z0BPS6:0001:DZH318Z0BML7",
        "productType": "Azure",
    }
    plan["refundableQuantity"] = None
    world.partner_center.add(customer_id(1), plan)
    await full_sync(world)
    assert subscriptions(world)[subscription_of(1, 1)].snapshot.commitment_end is not None
    assert customers(world)[customer_id(1)].moments.due is None


async def test_a_customer_that_does_not_answer_stays_due(world: World) -> None:
    world.clock.advance(SOON - world.clock.now() + timedelta(minutes=10))
    world.listings.failures[("subscriptions", customer_id(2))] = [RetryLater("503")]
    assert (await follow(world))["due_failed"] == 1
    assert (await follow(world))["due"] == 1


async def test_a_customer_that_is_gone_is_due_no_more(world: World) -> None:
    world.clock.advance(SOON - world.clock.now() + timedelta(minutes=10))
    world.listings.failures[("subscriptions", customer_id(2))] = [NotFound("customer", "c")]
    await follow(world)
    assert customers(world)[customer_id(2)].problem == "no_relationship"
    assert await follow(world) == Counter()


async def test_an_entry_that_no_row_knows_of_is_dropped_without_a_request(world: World) -> None:
    app = world.start().app
    row = await app.views.customer(customer_id(2))
    assert row is not None
    stray = row.value.moments.due
    assert stray is not None
    before = row.value.moments
    moved = type(before)(due=world.clock.now() - timedelta(hours=1))
    await app.sync.indexes.move(customer_id(2), type(before)(), moved)  # somebody died before the row was written
    assert await follow(world) == Counter()
    assert world.listings.log == []


# Hints


def hint(world: World, customer: str, subscription: str, *, ago: timedelta = timedelta()) -> Hint:
    now = world.clock.now()
    return Hint(customer, subscription, "subscription-updated", now - ago, now)


async def test_a_hint_causes_one_reading_of_its_subscription(world: World) -> None:
    app = world.start().app
    world.clock.advance(timedelta(hours=1))
    world.partner_center.put(customer_id(1), subscription_of(1, 1), quantity=70)
    for number in range(3):
        assert await app.sync.hints.add(f"event {number}", hint(world, customer_id(1), subscription_of(1, 1)))
    assert (await follow(world))["hint"] == 1
    assert subscriptions(world)[subscription_of(1, 1)].snapshot.quantity == 70
    assert await follow(world) == Counter()


async def test_an_event_that_comes_again_is_no_new_hint(world: World) -> None:
    app = world.start().app
    told = hint(world, customer_id(1), subscription_of(1, 1))
    assert await app.sync.hints.add("event", told)
    await follow(world)
    assert not await app.sync.hints.add("event", told)
    assert await follow(world) == Counter()


async def test_a_hint_about_what_was_read_after_it_causes_no_reading(world: World) -> None:
    app = world.start().app
    world.clock.advance(timedelta(hours=1))
    await app.sync.hints.add("event", hint(world, customer_id(1), subscription_of(1, 1), ago=timedelta(hours=5)))
    assert await follow(world) == Counter({"hint_known": 1})


async def test_a_hint_about_nobody_of_ours_is_forgotten(world: World) -> None:
    app = world.start().app
    await app.sync.hints.add("event", hint(world, customer_id(99), subscription_of(99, 1)))
    assert await follow(world) == Counter({"hint_unknown": 1})
    assert await follow(world) == Counter()


async def test_a_hint_about_a_customer_reads_the_customer(world: World) -> None:
    app = world.start().app
    await app.sync.hints.add("event", hint(world, customer_id(1), ""))
    assert (await follow(world))["hint"] == 1
    assert requests(world, "subscriptions") == {customer_id(1): 1}


async def test_a_hint_is_tried_again_while_partner_center_is_away_and_given_up_in_the_end(world: World) -> None:
    app = world.start().app
    await app.sync.hints.add("event", hint(world, customer_id(1), ""))
    world.listings.failures[("subscriptions", customer_id(1))] = [RetryLater("503")] * 100
    tries = 0
    while (await follow(world))["hint_failed"]:
        tries += 1
        assert tries < 50
    assert tries == 10


async def test_seen_events_are_forgotten_after_two_weeks(world: World) -> None:
    app = world.start().app
    await app.sync.hints.add("event", hint(world, customer_id(99), subscription_of(99, 1)))
    world.clock.advance(timedelta(days=20))
    await follow(world)
    assert [row for row in world.tables.rows("coordination") if row.partition == "webhooks"] == []


async def test_a_subscription_of_a_customer_that_nobody_has_met_is_read_all_the_same(anyio_backend: str) -> None:
    world = World()
    world.subscribe(1, 10)
    await world.start().app.sync.hints.add("event", hint(world, CUSTOMER, subscription_id(1)))
    assert (await follow(world))["hint"] == 1
    assert subscriptions(world)[subscription_id(1)].snapshot.quantity == 10
