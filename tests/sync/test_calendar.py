"""The calendar: what needs a person soon, quiet unless asked, from the rows of those customers alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.deadlines import Kind
from shared.domain.errors import NotFound
from shared.usecases.calendar import Item, Question, calendar
from tests.world.clock import START
from tests.world.partner_center import nce
from tests.world.sync import customer_id, full_sync, subscription_of
from tests.world.world import World

pytestmark = pytest.mark.anyio
FAR = START + timedelta(days=300)


def day(days: float) -> str:
    return (START + timedelta(days=days)).isoformat()


def add(world: World, customer: int, **properties: Any) -> None:
    """One subscription of a customer, whose windows are closed unless said otherwise."""
    resource = nce(subscription_of(customer, 1), 5, until=START - timedelta(days=30))
    resource |= {"commitmentEndDateTime": FAR.isoformat(), "refundableQuantity": None} | properties
    world.partner_center.add(customer_id(customer), resource)


async def asked(world: World, question: Question, size: int = 50) -> list[Item]:
    app = world.start().app
    items: list[Item] = []
    place: tuple[str, str] | None = None
    for _ in range(100):
        page = await calendar(app, question, size, place)
        items += page.items
        place = page.following
        if place is None:
            return items
    raise AssertionError("the pages do not end")


@pytest.fixture
async def world(anyio_backend: str) -> World:
    world = World()
    schedule = {"product": {"productId": "P"}, "quantity": 4}
    batch = {"totalQuantity": 2, "details": [{"quantity": 2, "allowedUntilDateTime": day(3)}]}
    add(world, 1, cancellationAllowedUntilDate=day(2))
    add(world, 2, commitmentEndDateTime=day(10))
    add(world, 3, commitmentEndDateTime=day(10), scheduledNextTermInstructions=schedule)
    add(world, 4, commitmentEndDateTime=day(12), autoRenewEnabled=False)
    add(world, 5, commitmentEndDateTime=day(5), status="suspended", autoRenewEnabled=False)
    add(world, 6, termDuration="P1M", commitmentEndDateTime=day(4), cancellationAllowedUntilDate=day(1))
    add(world, 7, offerId="195416C1-3447-423A-B37B-EE59A99A19C4", productType=None, commitmentEndDateTime=day(200))
    add(world, 8, refundableQuantity=batch)
    add(world, 9, status="deleted", commitmentEndDateTime=day(3), cancellationAllowedUntilDate=day(2))
    add(world, 10, commitmentEndDate="9999-12-10T00:00:00Z", commitmentEndDateTime=None)
    add(world, 11, commitmentEndDateTime=day(40))
    add(world, 12, termDuration="P1M", commitmentEndDateTime=day(6), autoRenewEnabled=False)
    await full_sync(world)
    return world


def lines(items: list[Item]) -> list[tuple[int, str]]:
    return [(int(item.customer[-4:], 16), item.kind.value) for item in items]


async def test_it_tells_what_somebody_can_act_on_in_the_order_of_its_moments(world: World) -> None:
    assert lines(await asked(world, Question(30))) == [
        (1, "cancel_window"),
        (8, "seat_window"),
        (5, "suspended_end"),
        (12, "ending"),
        (2, "renewal"),
        (4, "ending"),
        (7, "legacy"),
    ]


async def test_what_comes_every_month_is_told_only_to_those_who_ask(world: World) -> None:
    routine = lines(await asked(world, Question(30, routine=True)))
    assert (6, "cancel_window") in routine
    assert (6, "renewal") in routine
    assert (12, "ending") in routine


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (Question(30, frozenset({Kind.ENDING})), [(12, "ending"), (4, "ending")]),
        (Question(30, frozenset({Kind.LEGACY})), [(7, "legacy")]),
        (Question(2), [(1, "cancel_window"), (7, "legacy")]),
        (Question(50, frozenset({Kind.RENEWAL})), [(2, "renewal"), (11, "renewal")]),
        (Question(30, customer=customer_id(4)), [(4, "ending")]),
        (Question(30, customer=customer_id(3)), []),
    ],
    ids=["kind", "legacy", "days", "more days", "customer", "nothing"],
)
async def test_it_is_filtered(world: World, question: Question, expected: list[tuple[int, str]]) -> None:
    assert lines(await asked(world, question)) == expected


async def test_its_pages_have_everything_once(world: World) -> None:
    whole = await asked(world, Question(60))
    for size in (1, 2, 3):
        paged = await asked(world, Question(60), size)
        assert sorted(lines(paged)) == sorted(lines(whole))


@pytest.mark.parametrize("routine", [False, True])
async def test_who_may_see_some_customers_gets_their_lines_by_the_same_moments(world: World, *, routine: bool) -> None:
    among = frozenset(customer_id(number) for number in (2, 5, 6, 7, 12, 99))
    whole = await asked(world, Question(30, routine=routine))
    for size in (1, 2, 50):
        found = await asked(world, Question(30, routine=routine, among=among), size)
        assert found == [item for item in whole if item.customer in among]
    assert await asked(world, Question(30, among=frozenset())) == []


async def test_nothing_is_looked_up_of_customers_beyond_reach(world: World) -> None:
    process = world.start()
    await calendar(process.app, Question(30, among=frozenset({customer_id(4)})), 50)
    assert [step for step in process.steps.trace if "tables" in step] == [
        "tables.get customers",
        "tables.span subscriptions",
        "tables.get customers",
        "tables.get customers",
    ]


async def test_it_has_the_names_that_a_person_needs(world: World) -> None:
    (item,) = await asked(world, Question(30, customer=customer_id(1)))
    assert item.customer_name == f"Customer {customer_id(1)[-4:]}"
    assert (item.subscription.offer_name, item.badge) == ("Microsoft 365 Business Standard", "not_mapped")
    assert item.at == datetime.fromisoformat(day(2))


async def test_what_was_decided_is_told_no_more(world: World) -> None:
    schedule = {"product": {"productId": "P"}, "quantity": 4}
    world.partner_center.put(customer_id(2), subscription_of(2, 1), scheduledNextTermInstructions=schedule)
    world.partner_center.remove(customer_id(1))
    world.clock.advance(timedelta(hours=12))
    await full_sync(world)
    found = lines(await asked(world, Question(30)))
    assert (2, "renewal") not in found
    assert (1, "cancel_window") not in found


async def test_only_customers_with_something_to_tell_are_read(world: World) -> None:
    process = world.start()
    await calendar(process.app, Question(5), 50)
    read = [step for step in process.steps.trace if step == "tables.span subscriptions"]
    assert len(read) <= 6, "of twelve customers"


async def test_an_unknown_customer_is_named(world: World) -> None:
    with pytest.raises(NotFound):
        await asked(world, Question(30, customer=customer_id(99)))
