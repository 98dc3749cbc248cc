"""What becomes of each row of an import of mappings: crashes, outages, repetitions, refusals, several workers."""

from __future__ import annotations

import asyncio
import copy
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from shared.domain.errors import Misconfigured, Refused
from shared.domain.mapping_import import PART, Change, Import, RowStatus
from shared.domain.mapping_sheet import CustomerRow, MappingRow, ProductRow, SubscriptionRow
from shared.domain.operation import CRASH_LIMIT
from shared.domain.pricing import PriceSource, Pricing
from shared.usecases.import_work import wake_imports
from shared.usecases.mapping_import import rows_of_import
from shared.usecases.wake import wake
from tests.crash.import_stories import SHEET, UNKNOWN, import_of, imports_of, items_of, subscription, two_bought
from tests.crash.scenarios import STANDARD, TODAY, ask
from tests.world import checks
from tests.world.steps import Point, Side, Steps
from tests.world.world import CONTRACT, CONTRACT_START, CUSTOMER, PREMIUM, SERVICE, World, line_id, subscription_id


@cache
def _prepared() -> World:
    world = World()
    asyncio.run(two_bought(world))
    return world


def prepared() -> World:
    return copy.deepcopy(_prepared())


def done(world: World, *rows: MappingRow, **how: Any) -> World:
    """Ask for an import and let everything come to rest."""
    asyncio.run(ask(world, import_of(*rows, **how)))
    asyncio.run(checks.everything(world))
    return world


def told(world: World) -> list[tuple[int, str]]:
    """Of each row its number and its code where it was refused, else its status."""
    return sorted((number, item.code or item.status.value) for number, item in items_of(world).items())


def mapped(world: World) -> set[str]:
    return {f"{row.partition}/{row.key}" for row in world.tables.rows("mappings") if row.partition in KINDS}


KINDS = ("customers", "products", "subscriptions")
OUTCOME = [(2, "done"), (3, "done"), (4, "done"), (5, "subscription_not_found"), (6, "done")]


def as_imported(world: World) -> None:
    assert checks.billed(world, line_id(1)) == {CONTRACT_START: 10}
    (made,) = [line for line in asyncio.run(world.autotask.contract_lines(CONTRACT)) if line.id != line_id(1)]
    assert checks.billed(world, made.id)[TODAY] == 20
    assert len(mapped(world)) == 2 + 2 * 2
    (job,) = imports_of(world)
    assert job.finished_at is not None
    assert job.progress[RowStatus.PENDING] == 0


def test_a_sheet_is_worked_off_in_the_order_in_which_its_rows_need_each_other() -> None:
    world = done(prepared(), *SHEET)
    assert told(world) == OUTCOME
    as_imported(world)
    items = items_of(world)
    assert [items[number].change for number in (2, 3, 4, 6)] == [Change.CREATE] * 4
    assert (items[4].units, items[6].units) == ("adopt", "push")
    assert items[5].column == "subscriptionId"


def test_nothing_is_asked_of_a_vendor_before_the_answer() -> None:
    world = prepared()
    asyncio.run(world.run(world.start(), import_of(*SHEET)))
    assert not [step for step in world.started[-1].trace if not step.startswith("tables")]
    assert mapped(world) == set()


@pytest.mark.parametrize("side", Side)
def test_a_kill_at_any_step_loses_and_doubles_nothing(side: Side) -> None:
    async def story(world: World, kill_at: Point | None) -> list[str]:
        process = world.start()
        process.steps.kill_at = kill_at
        await world.run(process, import_of(*SHEET))
        process = await world.run_until_quiet(process)
        if kill_at is not None:
            await world.run(world.start(), import_of(*SHEET))
            await world.run_until_quiet()
        await checks.everything(world)
        return process.steps.trace

    steps = asyncio.run(story(prepared(), None))
    for number, label in enumerate(steps, start=1):
        world = prepared()
        try:
            asyncio.run(story(world, Point(number, side)))
            as_imported(world)
            assert [code.replace("unchanged", "done") for _, code in told(world)] == [code for _, code in OUTCOME]
        except BaseException as error:
            error.add_note(f"killed {side} step {number}, {label}")
            raise


def test_a_dry_run_says_what_would_happen_and_changes_nothing() -> None:
    world = prepared()
    before = {line.id for line in asyncio.run(world.autotask.contract_lines(CONTRACT))}
    done(world, *SHEET, dry_run=True)
    assert told(world) == OUTCOME
    items = items_of(world)
    assert (items[4].line, items[4].units, items[4].creates_line) == (line_id(1), "adopt", False)
    assert (items[6].line, items[6].units, items[6].creates_line) == (None, "push", True)
    assert mapped(world) == set()
    assert world.operations() == []
    assert {line.id for line in asyncio.run(world.autotask.contract_lines(CONTRACT))} == before


def test_a_second_import_of_the_same_changes_nothing_and_asks_no_vendor() -> None:
    rows = tuple(row for row in SHEET if row != subscription(UNKNOWN))
    world = done(prepared(), *rows)
    before, operations = len(world.started), len(world.operations())
    done(world, *rows, key="import-2")
    newest = max(imports_of(world), key=lambda job: job.id)
    assert newest.progress[RowStatus.UNCHANGED] == newest.size == len(rows)
    assert len(world.operations()) == operations
    steps = [step for process in world.started[before:] for step in process.trace]
    assert [step for step in steps if step.startswith(("autotask", "partner_center"))] == []


def test_rows_that_many_rows_need_are_read_once_for_all_of_them() -> None:
    world = World()
    rows: list[MappingRow] = [CustomerRow(CUSTOMER, 1)]
    for number in range(1, 31):
        world.subscribe(number, 10)
        world.add_line(number, 10)
        rows.append(subscription(number, number))
    done(world, *rows)
    assert {code for _, code in told(world)} == {"done"}
    steps = [step for process in world.started for step in process.trace if step.startswith("autotask")]
    units = [step for step in steps if step.startswith("autotask.units")]
    assert len(units) == 1 + 30, "what the lines bill is read once to decide, and each again when it is adopted"
    assert len(steps) - len(units) <= 6, steps


def test_a_changed_policy_or_price_is_a_change_and_another_line_a_move() -> None:
    world = done(prepared(), *SHEET)
    world.add_line(3, 0)
    priced = subscription(1, 1, pricing=Pricing(PriceSource.FIXED, Decimal("13.25")))
    done(world, priced, subscription(2, 3), key="import-2")
    later = [item for item in items_of(world).values() if item.change in (Change.CHANGE, Change.MOVE)]
    assert [item.change for item in later] == [Change.CHANGE, Change.MOVE]
    assert checks.billed(world, line_id(3))[TODAY] == 20


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        (CustomerRow(CUSTOMER, 7), "company_not_found", "companyId"),
        (ProductRow("X", "", "", 7), "service_not_found", "serviceId"),
        (ProductRow("X", "", "annual", SERVICE), "service_period_differs", "serviceId"),
        (SubscriptionRow(CUSTOMER, subscription_id(1), 7), "contract_not_found", "contractId"),
        (subscription(1, 8), "line_not_on_contract", "contractServiceId"),
        (subscription(1, 1, service=PREMIUM), "service_not_of_line", "serviceId"),
        (subscription(1), "product_not_mapped", "serviceId"),
        (subscription(1, 1, pricing=Pricing(PriceSource.PRICE_LIST)), "not_in_price_list", "priceSource"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_refused_row_names_its_column_dry_or_not(row: MappingRow, code: str, column: str, dry_run: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    world = done(prepared(), row, dry_run=dry_run)
    item = items_of(world)[2]
    assert (item.status, item.code, item.column) == (RowStatus.REFUSED, code, column)
    assert mapped(world) == set()


@pytest.mark.parametrize("dry_run", [False, True])
def test_another_period_is_taken_where_the_row_says_so(dry_run: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    world = done(prepared(), ProductRow("X", "", "annual", SERVICE, any_period=True), dry_run=dry_run)
    assert told(world) == [(2, "done")]


def test_while_autotask_is_away_everything_waits_and_is_done_afterwards() -> None:
    world = prepared()
    world.autotask.away_until = world.clock.now() + timedelta(hours=2)
    asyncio.run(world.run(world.start(), import_of(*SHEET)))
    asyncio.run(world.run(world.start(), wake))
    (job,) = imports_of(world)
    assert job.paused_until is not None
    assert job.paused_because == "Autotask does not answer"
    asyncio.run(world.run_until_quiet())
    assert told(world) == OUTCOME
    as_imported(world)


def test_what_could_not_be_done_within_a_day_is_refused() -> None:
    world = prepared()
    world.autotask.away_until = world.clock.now() + timedelta(days=3)
    asyncio.run(world.run(world.start(), import_of(*SHEET)))
    began = world.clock.now()
    asyncio.run(world.run_until_quiet())
    assert {item.status for item in items_of(world).values()} == {RowStatus.REFUSED}
    assert timedelta(hours=24) <= world.clock.now() - began < timedelta(hours=25)
    assert mapped(world) == set()


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_row_that_kills_its_worker_each_time_is_given_up_and_the_others_are_done(dry_run: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    world = prepared()
    poison = "c0000000-0000-4000-8000-00000000000f"

    async def in_step(steps: Steps, label: str, side: Side) -> None:
        if side is Side.BEFORE and label == f"partner_center.subscriptions {poison}":
            steps.die()
        await asyncio.sleep(0)

    world.disturb = in_step
    began = world.clock.now()
    done(world, CustomerRow(poison, 1), *SHEET, dry_run=dry_run)
    assert told(world) == [(2, "crash_loop"), *((number + 1, code) for number, code in OUTCOME)]
    assert sum(steps.dead for steps in world.started) == CRASH_LIMIT
    assert world.clock.now() - began < timedelta(hours=6)


def test_two_workers_on_one_import_do_each_row_once() -> None:
    async def story(world: World) -> None:
        await world.run(world.start(), import_of(*SHEET))
        await asyncio.gather(*(world.run(world.start(), wake_imports) for _ in range(2)))
        await world.run_until_quiet()
        await checks.everything(world)

    for pauses in range(5):
        world = prepared()

        async def pause(steps: Steps, _label: str, _side: Side, pauses: int = pauses) -> None:
            for _ in range(pauses if steps.name.endswith("1") else 1):
                await asyncio.sleep(0)

        world.disturb = pause
        asyncio.run(story(world))
        as_imported(world)
        assert len(world.operations()) == 2


def test_the_same_key_is_the_same_import_and_another_sheet_is_refused() -> None:
    world = prepared()
    first = asyncio.run(world.run(world.start(), import_of(*SHEET)))
    asyncio.run(world.run_until_quiet())
    again = asyncio.run(world.run(world.start(), import_of(*SHEET)))
    assert first is not None
    assert again is not None
    assert (again.id, again.finished_at is not None) == (first.id, True)
    with pytest.raises(Refused, match="another body"):
        asyncio.run(world.run(world.start(), import_of(SHEET[0])))


def test_a_sign_in_that_is_refused_pauses_the_import() -> None:
    world = prepared()

    async def refused(steps: Steps, label: str, side: Side) -> None:
        if side is Side.BEFORE and label.startswith("autotask.companies") and world.clock.now() < corrected_at:
            raise Misconfigured("the secret has expired")

    corrected_at = world.clock.now() + timedelta(minutes=12)
    world.disturb = refused
    asyncio.run(world.run(world.start(), import_of(*SHEET)))
    asyncio.run(world.run(world.start(), wake))
    assert imports_of(world)[0].paused_because == "the secret has expired"
    asyncio.run(world.run_until_quiet())
    as_imported(world)


def test_the_rows_are_shown_by_pages_and_by_status_over_many_parts() -> None:
    world = World()
    products = [ProductRow(f"P{number:03d}", "", "", SERVICE if number % 10 else 7) for number in range(2 * PART + 5)]
    done(world, *products)
    (job,) = imports_of(world)

    async def every(status: RowStatus | None, size: int) -> list[int]:
        app = world.start().app
        found: list[int] = []
        after: int | None = 0
        while after is not None:
            items, after = await rows_of_import(app, job, status=status, size=size, after=after)
            found += [item.number for item in items]
        return found

    everything = list(range(2, 2 + job.size))
    assert asyncio.run(every(None, 7)) == asyncio.run(every(None, 200)) == everything
    refused = [number for number in everything if (number - 2) % 10 == 0]
    assert asyncio.run(every(RowStatus.REFUSED, 2)) == asyncio.run(every(RowStatus.REFUSED, 50)) == refused
    assert _counted(job) == (job.size - len(refused), len(refused))


def _counted(job: Import) -> tuple[int, int]:
    return job.progress[RowStatus.DONE], job.progress[RowStatus.REFUSED]


def test_products_of_the_sheet_are_known_to_its_dry_run_across_stints() -> None:
    """The dry run is taken up by another process for each part, and still knows what earlier rows would have mapped."""
    world = prepared()
    filler = [ProductRow(f"P{number:03d}", "", "", SERVICE) for number in range(PART)]
    rows: list[MappingRow] = [CustomerRow(CUSTOMER, 1), ProductRow(STANDARD, "P1Y", "monthly", SERVICE)]
    rows += [*filler, subscription(2)]
    done(world, *rows, dry_run=True)
    assert {code for _, code in told(world)} == {"done"}
