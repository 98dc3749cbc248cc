"""A full sync: one instance or two, slow or fast, with failures of every kind at Partner Center."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.errors import CspError, Denied, Misconfigured, NotFound, RetryLater, VendorError
from shared.domain.sync_run import Ending, Phase, Run, progress
from shared.usecases.app import App, SyncPolicy
from shared.usecases.sync_full import begin, go_on
from tests.world.steps import Side, Steps
from tests.world.sync import (
    customer_id,
    customers,
    full_sync,
    populate,
    requests,
    rows_are_what_microsoft_has,
    subscription_of,
    subscriptions,
    writes_of,
)
from tests.world.world import World

pytestmark = pytest.mark.anyio
CUSTOMERS = 7


@pytest.fixture
def world() -> World:
    world = World()
    populate(world, CUSTOMERS)
    return world


async def tick(world: World) -> Run | None:
    return await world.run(world.start(), lambda app: go_on(app, start=("test", "tester")))


async def test_an_unchanged_customer_costs_one_request_and_no_table(world: World) -> None:
    await full_sync(world)
    world.clock.advance(timedelta(days=1))
    world.listings.log.clear()
    process = world.start()
    run, _ = await full_sync(world, process)
    assert (run.counts.unchanged, run.counts.written, run.ending) == (CUSTOMERS, 0, Ending.COMPLETE)
    assert set(requests(world, "subscriptions").values()) == {1}
    tables = [
        step for step in process.steps.trace if step.startswith(("tables.span subscriptions", "tables.span ledger"))
    ]
    assert tables == []
    assert not [step for step in process.steps.trace if step.startswith("tables.write subscriptions")]


async def test_other_bytes_that_say_the_same_are_no_change(world: World) -> None:
    await full_sync(world)
    resources = world.partner_center.resources(customer_id(1))
    for identity in list(resources):
        world.partner_center.put(customer_id(1), identity, links={"self": {"uri": "/new"}}, attributes={"etag": "x"})
        resources[identity] = dict(reversed(resources[identity].items()))
    writes = writes_of(world, "subscriptions")
    run, _ = await full_sync(world)
    assert run.counts.unchanged == CUSTOMERS
    assert writes_of(world, "subscriptions") == writes


async def test_customers_that_move_in_the_list_keep_their_prints(world: World) -> None:
    await full_sync(world)
    resources = world.partner_center.all()
    shifted = {customer_id(99): {}, **{name: resources[name] for name in resources}}
    world.partner_center.replace_all(shifted)
    run, _ = await full_sync(world)
    assert (run.counts.unchanged, run.total) == (CUSTOMERS, CUSTOMERS + 1)


async def test_two_instances_at_once_double_no_request(world: World) -> None:
    async def slowly(steps: Steps, label: str, side: Side) -> None:
        await asyncio.sleep(0)
        world.clock.advance(timedelta(milliseconds=7))

    world.disturb = slowly
    await begin(world.start().app, "test", "tester")
    for _ in range(40):
        await asyncio.gather(*(world.run(world.start(), go_on) for _ in range(2)))
        if (await world.start().app.sync.runs.state()).value.current is None:
            break
        world.clock.advance(timedelta(seconds=10))
    assert set(requests(world, "customers").values()) == {1}
    assert set(requests(world, "subscriptions").values()) == {1}
    rows_are_what_microsoft_has(world)


async def test_a_budget_ends_a_timer_run_and_the_next_goes_on(world: World) -> None:
    world.policy = SyncPolicy(per_minute=60, budget=timedelta(seconds=3))
    run = await tick(world)
    runs = 1
    while run is None or run.ending is None:
        assert runs < 20
        run = await tick(world)
        runs += 1
    assert runs > 2
    assert set(requests(world, "subscriptions").values()) == {1}
    assert set(requests(world, "customers").values()) == {1}
    rows_are_what_microsoft_has(world)


async def test_progress_is_readable_while_it_runs(world: World) -> None:
    world.policy = SyncPolicy(per_minute=60, budget=timedelta(seconds=8))
    run = await tick(world)
    assert run is not None
    assert run.phase is Phase.READING
    seen = progress(run, world.clock.now(), at_most_per_minute=60)
    assert (seen.total, 0 < seen.done < CUSTOMERS) == (CUSTOMERS, True)
    assert seen.per_minute is not None
    assert 20 < seen.per_minute <= 60
    assert seen.ends_at is not None
    assert timedelta() < seen.ends_at - world.clock.now() < timedelta(seconds=20)


async def test_a_second_start_gives_the_run_that_is_open(world: World) -> None:
    first, started = await begin(world.start().app, "request", "a")
    second, again = await begin(world.start().app, "schedule", "b")
    assert (started, again, second.id) == (True, False, first.id)


# What goes wrong


def fail(world: World, what: str, about: str, *errors: CspError) -> None:
    world.listings.failures[(what, about)] = list(errors)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("customer", "c"), "no_relationship"),
        (Denied("Partner Center refuses access, status 403, code 900416: account locked"), "access_denied"),
    ],
    ids=["404", "403"],
)
async def test_one_closed_customer_is_told_on_its_row_and_stops_nobody(
    world: World, error: CspError, code: str
) -> None:
    fail(world, "subscriptions", customer_id(3), error)
    run, _ = await full_sync(world)
    assert (run.ending, run.counts.closed, run.done) == (Ending.COMPLETE, 1, CUSTOMERS)
    row = customers(world)[customer_id(3)]
    assert (row.problem, row.name, row.missing_since) == (code, f"Customer {customer_id(3)[-4:]}", None)
    assert len(subscriptions(world)) == 2 * (CUSTOMERS - 1)

    world.clock.advance(timedelta(days=1))
    await full_sync(world)  # the access is back
    rows_are_what_microsoft_has(world)


async def test_a_complaint_makes_everybody_wait_and_go_more_slowly(world: World) -> None:
    world.policy = SyncPolicy(per_minute=600)
    fail(world, "subscriptions", customer_id(2), RetryLater("throttled", timedelta(seconds=20)))
    run, _ = await full_sync(world)
    assert run.ending is Ending.COMPLETE
    complained = next(asked.at for asked in world.listings.log if asked.about == customer_id(2))
    later = [asked.at for asked in world.listings.log if asked.at > complained]
    assert min(later) - complained >= timedelta(seconds=20)
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(later)]
    assert min(gaps) >= 60 / 300 - 0.001, "half of the rate"
    assert requests(world, "subscriptions")[customer_id(2)] == 2
    rows_are_what_microsoft_has(world)


async def test_a_long_pause_is_left_to_a_later_timer_run(world: World) -> None:
    fail(world, "subscriptions", customer_id(2), RetryLater("throttled", timedelta(minutes=10)))
    run = await tick(world)
    assert run is not None
    assert run.not_before is not None
    assert run.not_before - world.clock.now() > timedelta(minutes=9)
    asked = len(world.listings.log)
    assert await tick(world) is None
    assert len(world.listings.log) == asked
    world.clock.advance(timedelta(minutes=11))
    run, _ = await full_sync(world)
    assert run.ending is Ending.COMPLETE
    rows_are_what_microsoft_has(world)


async def test_credentials_that_are_refused_stop_the_run_for_a_person(world: World) -> None:
    fail(world, "subscriptions", customer_id(2), *[Misconfigured("401, code 900421")] * 2)
    run = await tick(world)
    assert run is not None
    assert (run.stopped, run.problem) == (True, "401, code 900421")
    asked = len(world.listings.log)
    world.clock.advance(timedelta(minutes=1))
    assert await tick(world) is None
    assert len(world.listings.log) == asked, "nobody hammers"
    world.clock.advance(timedelta(minutes=5))
    run = await tick(world)
    assert run is not None
    assert run.stopped
    world.clock.advance(timedelta(minutes=6))
    run, _ = await full_sync(world)
    assert (run.ending, run.stopped, run.problem) == (Ending.COMPLETE, False, "")


async def test_where_every_customer_is_closed_the_permission_is_missing(world: World) -> None:
    world = World()
    world.listings.page_size = 100
    populate(world, 40, each=1)
    for number in range(1, 41):
        fail(world, "subscriptions", customer_id(number), Denied("403"))
    run = await tick(world)
    assert run is not None
    assert run.stopped
    assert len(requests(world, "subscriptions")) < 30


async def test_a_page_that_fails_is_asked_for_again_from_its_token(world: World) -> None:
    fail(world, "customers", "2", RetryLater("502"), RetryLater("502"), VendorError(404, "gone"))
    run, _ = await full_sync(world)
    assert run.ending is Ending.COMPLETE
    assert requests(world, "customers") == {"1": 1, "2": 4, "3": 1, "4": 1}
    rows_are_what_microsoft_has(world)


async def test_a_page_that_never_comes_fails_the_run_and_marks_nothing(world: World) -> None:
    await full_sync(world)
    world.partner_center.remove(customer_id(7))
    fail(world, "customers", "2", *[VendorError(404, "gone")] * 10)
    run, _ = await full_sync(world)
    assert (run.ending, run.problem) == (Ending.FAILED, "unexpected answer, status 404: gone")
    assert all(row.missing_since is None for row in customers(world).values())
    world.listings.failures.clear()
    world.clock.advance(timedelta(hours=1))
    run, _ = await full_sync(world)
    assert (run.ending, run.counts.unchanged) == (Ending.COMPLETE, CUSTOMERS - 1), "the prints of before still count"


async def test_a_customer_that_does_not_answer_is_read_in_a_later_round(world: World) -> None:
    fail(world, "subscriptions", customer_id(2), RetryLater("503"), RetryLater("503"))
    run, _ = await full_sync(world)
    assert (run.ending, run.round, run.counts.unread) == (Ending.COMPLETE, 2, 0)
    assert requests(world, "subscriptions") == {**{customer_id(n): 1 for n in range(1, 8)}, customer_id(2): 3}
    rows_are_what_microsoft_has(world)


async def test_a_run_that_leaves_somebody_unread_is_incomplete_and_marks_nothing(world: World) -> None:
    await full_sync(world)
    world.partner_center.remove(customer_id(7))
    world.partner_center.remove(customer_id(1), subscription_of(1, 1))
    world.clock.advance(timedelta(days=1))
    fail(world, "subscriptions", customer_id(2), *[RetryLater("503")] * 20)
    run, _ = await full_sync(world)
    assert (run.ending, run.counts.unread, run.done) == (Ending.INCOMPLETE, 1, CUSTOMERS - 2)
    assert all(row.missing_since is None for row in subscriptions(world).values())
    assert all(row.missing_since is None for row in customers(world).values())


async def test_an_outage_in_the_middle_is_waited_for_and_nobody_is_given_up(world: World) -> None:
    world = World()
    world.listings.page_size = 100
    populate(world, 40, each=1)
    for number in range(5, 30):
        fail(world, "subscriptions", customer_id(number), RetryLater("no answer"))
    run, _ = await full_sync(world)
    assert (run.ending, run.counts.unread) == (Ending.COMPLETE, 0)
    rows_are_what_microsoft_has(world)


async def test_what_cannot_be_understood_is_kept_raw_and_counted(world: World) -> None:
    await full_sync(world)
    resource = world.partner_center.resources(customer_id(1))[subscription_of(1, 1)]
    resource["quantity"] = "many"
    run, process = await full_sync(world)
    assert (run.ending, run.counts.unreadable) == (Ending.COMPLETE, 1)
    entries, _ = await process.app.sync.indexes.unreadable(None, 10, None)
    assert [(entry.customer, entry.name) for entry in entries] == [(customer_id(1), subscription_of(1, 1))]
    assert '"quantity": "many"' in entries[0].raw
    assert customers(world)[customer_id(1)].unreadable == 1
    assert subscriptions(world)[subscription_of(1, 1)].missing_since is None, "it is listed"

    resource["quantity"] = 7
    await full_sync(world)
    assert (await process.app.sync.indexes.unreadable(None, 10, None))[0] == []
    assert customers(world)[customer_id(1)].unreadable == 0


# What is not there any more


async def test_what_a_complete_run_has_not_seen_is_marked_and_keeps_its_state(world: World) -> None:
    await full_sync(world)
    world.clock.advance(timedelta(days=1))
    world.partner_center.remove(customer_id(7))
    world.partner_center.remove(customer_id(1), subscription_of(1, 1))
    run, _ = await full_sync(world)
    assert (run.counts.missing_customers, run.counts.missing_subscriptions) == (1, 1)
    rows = subscriptions(world)
    assert rows[subscription_of(1, 1)].missing_since is not None
    assert rows[subscription_of(1, 1)].snapshot.status_raw == "active"
    assert rows[subscription_of(7, 2)].missing_since is not None, "with its customer"
    assert [name for name, row in customers(world).items() if row.missing_since] == [customer_id(7)]
    assert rows[subscription_of(1, 2)].missing_since is None

    run, _ = await full_sync(world)
    assert (run.counts.missing_customers, run.counts.missing_subscriptions) == (0, 0), "once"


async def test_what_comes_back_is_marked_no_more(world: World) -> None:
    await full_sync(world)
    world.clock.advance(timedelta(days=1))
    kept = world.partner_center.all()[customer_id(7)]
    one = world.partner_center.resources(customer_id(1))[subscription_of(1, 1)]
    world.partner_center.remove(customer_id(7))
    world.partner_center.remove(customer_id(1), subscription_of(1, 1))
    await full_sync(world)
    for resource in kept.values():
        world.partner_center.add(customer_id(7), resource)
    world.partner_center.add(customer_id(1), one)
    await full_sync(world)
    rows_are_what_microsoft_has(world)
    assert world.operations() == []


async def test_a_new_subscription_that_is_not_listed_yet_is_not_missing(world: World) -> None:
    await full_sync(world)
    world.clock.advance(timedelta(minutes=30))  # the row is young: a list may be a quarter of an hour behind
    world.partner_center.remove(customer_id(1), subscription_of(1, 1))
    run, _ = await full_sync(world)
    assert run.counts.missing_subscriptions == 0
    assert subscriptions(world)[subscription_of(1, 1)].missing_since is None


async def test_where_an_item_of_the_list_has_no_id_no_customer_is_called_missing(world: World) -> None:
    await full_sync(world)
    world.clock.advance(timedelta(days=1))
    world.partner_center.remove(customer_id(7))
    world.listings.unreadable_customers = ['{"companyProfile": {}}']
    run, _ = await full_sync(world)
    assert (run.counts.unreadable, run.counts.missing_customers) == (1, 0)
    assert all(row.missing_since is None for row in customers(world).values())


async def test_the_history_keeps_twenty_runs_and_the_pages_of_one(world: World) -> None:
    app: App = world.start().app
    for _ in range(23):
        await full_sync(world)
        world.clock.advance(timedelta(hours=1))
    assert len(await app.sync.runs.ended()) == 20
    pages: list[Any] = [row.key for row in world.tables.rows("coordination") if row.key.startswith("page:")]
    assert len({key.split(":")[1] for key in pages}) == 1
