"""Autotask: the fake of the crash tests and the real client against the simulator do the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import httpx
import pytest

from local.stack import Stack
from shared.autotask.client import Autotask
from shared.domain.errors import OutcomeUnknown, Refused, RetryLater
from shared.domain.outcomes import Accepted, AdjustmentRefused, AdjustOutcome, AdjustUnknown, Unsent
from shared.domain.planning import Adjustment
from shared.domain.rates import Rate
from shared.domain.reading import Reading, read
from shared.domain.timeline import Timeline, Window
from shared.ports import AutotaskPort
from shared.transport import Transport
from tests.contract.autotask_tenants import COMPANY, COST, PRICE, SERVICES, FakeTenant, SimulatedTenant, Tenant, window

pytestmark = pytest.mark.anyio

HABITS = {"omittedPrice": "keep", "priceReach": "next", "proration": "days", "costs": "shown"}


def now() -> datetime:
    return datetime.now(UTC)


def client(transport: Transport, settings: dict[str, str]) -> Autotask:
    return Autotask(
        transport,
        user=settings["AUTOTASK_USER"],
        secret=settings["AUTOTASK_SECRET"],
        integration_code=settings["AUTOTASK_INTEGRATION_CODE"],
        now=now,
        timeout=2,
    )


@pytest.fixture(params=["fake", "client"])
async def tenant(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Tenant]:
    if request.param == "fake":
        yield FakeTenant()
        return
    stack: Stack = request.getfixturevalue("stack")
    control: httpx.Client = request.getfixturevalue("autotask")
    transport = Transport(stack.ready["autotask"], now=now)
    settings = stack.ready["settings"]
    simulated = SimulatedTenant(client(transport, settings), control, settings)
    yield simulated
    simulated.lag(timedelta())
    simulated.switch(**HABITS)
    await transport.aclose()


@pytest.fixture(params=["fake", "client"])
async def nobody(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[AutotaskPort]:
    """Autotask, away."""
    if request.param == "fake":
        fake = FakeTenant()
        fake.go_away()
        yield fake.port
        return
    transport = Transport("http://127.0.0.1:1", now=now)
    settings = {"AUTOTASK_USER": "user", "AUTOTASK_SECRET": "secret", "AUTOTASK_INTEGRATION_CODE": "code"}
    yield client(transport, settings)
    await transport.aclose()


async def reading(tenant: Tenant, line: int) -> Reading:
    contract = (await tenant.port.contracts([tenant.contract]))[tenant.contract]
    rows = (await tenant.port.units([line]))[line]
    return read(rows, Window(*window(tenant.today)), contract.calendar)


async def billed(tenant: Tenant, line: int) -> Timeline:
    return (await reading(tenant, line)).shown.without_rates()


async def adjust(
    tenant: Tenant, line: int, change: int, day: date, *, price: str | None = None, cost: str | None = None
) -> AdjustOutcome:
    named = [None if amount is None else Decimal(amount) for amount in (price, cost)]
    return await tenant.port.adjust(
        contract=tenant.contract, line=line, adjustment=Adjustment(day, change, *named), deadline=tenant.deadline()
    )


def started(tenant: Tenant) -> date:
    return window(tenant.today)[0]


async def test_units_are_rows_by_month_without_gaps_cut_at_the_adjustments(tenant: Tenant) -> None:
    line, empty = await tenant.new_line(10), await tenant.new_line(0)
    day = date(tenant.today.year, tenant.today.month, 17)
    assert await adjust(tenant, line, 4, day) == Accepted()

    found = await tenant.port.units([line, empty])
    rows = found[line]
    assert found[empty] == ()
    assert all(later.start == earlier.end + timedelta(days=1) for earlier, later in pairwise(rows))
    cuts = {row.start for row in rows if row.start.day != 1}
    assert cuts == {day}
    assert not any(row.posted for row in rows)
    first = started(tenant)
    assert await billed(tenant, line) == Timeline.of((first, 10), (day, 14))
    assert tenant.adjustments(line) == [Adjustment(day, 4)]


async def test_a_line_that_goes_to_zero_has_no_rows_any_more(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    assert await adjust(tenant, line, -10, tenant.today) == Accepted()
    assert max(row.end for row in (await tenant.port.units([line]))[line]) == tenant.today - timedelta(days=1)
    assert await billed(tenant, line) == Timeline.of((started(tenant), 10), (tenant.today, 0))


async def test_a_second_adjustment_on_a_date_is_refused(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    assert await adjust(tenant, line, 1, tenant.today) == Accepted()
    again = await adjust(tenant, line, 1, tenant.today)
    assert isinstance(again, AdjustmentRefused)
    assert again.kind == "duplicate"
    assert tenant.adjustments(line) == [Adjustment(tenant.today, 1)]


async def test_a_hand_edit_does_not_take_its_date(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    tenant.hand_edit(line, tenant.today, 2)
    assert await adjust(tenant, line, 1, tenant.today) == Accepted()
    assert await billed(tenant, line) == Timeline.of((started(tenant), 10), (tenant.today, 13))


async def test_a_date_outside_the_contract_is_refused(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    refused = await adjust(tenant, line, 1, started(tenant) - timedelta(days=1))
    assert isinstance(refused, AdjustmentRefused)
    assert refused.kind == "window"


async def test_fewer_than_no_units_are_refused_on_any_later_day_too(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    assert await adjust(tenant, line, -8, tenant.today + timedelta(days=20)) == Accepted()
    refused = await adjust(tenant, line, -3, tenant.today)
    assert isinstance(refused, AdjustmentRefused)
    assert refused.kind == "other"
    assert len(tenant.adjustments(line)) == 1


async def test_a_posted_period_is_shown_and_not_changed(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    month = date(tenant.today.year, tenant.today.month, 1)
    tenant.post_through(line, month)
    rows = (await tenant.port.units([line]))[line]
    assert {row.posted for row in rows if row.start <= month} == {True}
    assert {row.posted for row in rows if row.start > month} == {False}
    refused = await adjust(tenant, line, 1, month)
    assert isinstance(refused, AdjustmentRefused)
    assert refused.kind == "posted"
    assert tenant.adjustments(line) == []


async def test_nothing_is_sent_after_the_deadline(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    late = tenant.deadline() - timedelta(minutes=1)
    outcome = await tenant.port.adjust(
        contract=tenant.contract, line=line, adjustment=Adjustment(tenant.today, 1), deadline=late
    )
    assert isinstance(outcome, Unsent)
    assert tenant.adjustments(line) == []


def month_after(tenant: Tenant, months: int) -> date:
    number = tenant.today.year * 12 + tenant.today.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


@pytest.mark.parametrize("proration", ["days", "thirtieths"])
async def test_a_whole_period_tells_the_rates_and_a_part_of_one_does_not(tenant: Tenant, proration: str) -> None:
    tenant.switch(proration=proration)
    line = await tenant.new_line(10)
    month = month_after(tenant, 1)
    middle = month.replace(day=16)
    assert await adjust(tenant, line, 3, middle, price="13.4567", cost="9.5") == Accepted()
    shown = (await reading(tenant, line)).shown

    def rates(day: date) -> list[Decimal | None]:
        return [shown.rate_at(kind, day) for kind in Rate]

    assert rates(tenant.today) == [PRICE, COST]
    assert rates(month) == rates(middle) == [None, None]
    price, cost = rates(month_after(tenant, 2))
    assert cost == Decimal("9.50")
    assert price is not None
    assert abs(price - Decimal("13.4567")) < Decimal("0.0004")  # 13 units come to 174.94


async def test_a_price_of_zero_is_a_price_and_one_that_is_left_out_is_none(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    assert await adjust(tenant, line, 0, month_after(tenant, 1), price="0") == Accepted()
    assert await adjust(tenant, line, 1, month_after(tenant, 2)) == Accepted()
    shown = (await reading(tenant, line)).shown
    assert shown.rate_at(Rate.PRICE, tenant.today) == PRICE
    assert shown.rate_at(Rate.PRICE, month_after(tenant, 2)) == 0
    assert shown.rate_at(Rate.COST, month_after(tenant, 2)) == COST


async def test_a_rate_that_is_left_out_is_kept_or_the_list_rate(tenant: Tenant) -> None:
    tenant.switch(omittedPrice="list")
    line = await tenant.new_line(10)
    assert await adjust(tenant, line, 0, month_after(tenant, 1), price="15", cost="11") == Accepted()
    assert await adjust(tenant, line, 1, month_after(tenant, 2)) == Accepted()
    shown = (await reading(tenant, line)).shown
    assert shown.rate_at(Rate.PRICE, month_after(tenant, 1)) == 15
    assert [shown.rate_at(kind, month_after(tenant, 2)) for kind in Rate] == [PRICE, COST]


@pytest.mark.parametrize(("reach", "last"), [("next", 20), ("onwards", 15)])
async def test_a_named_rate_reaches_to_the_next_one_or_onwards(tenant: Tenant, reach: str, last: int) -> None:
    tenant.switch(priceReach=reach)
    line = await tenant.new_line(10)
    assert await adjust(tenant, line, 0, month_after(tenant, 2), price="20") == Accepted()
    assert await adjust(tenant, line, 0, month_after(tenant, 1), price="15") == Accepted()
    shown = (await reading(tenant, line)).shown
    assert shown.rate_at(Rate.PRICE, month_after(tenant, 1)) == 15
    assert shown.rate_at(Rate.PRICE, month_after(tenant, 2)) == last


async def test_costs_that_are_hidden_are_unknown_and_not_zero(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    tenant.switch(costs="hidden")
    shown = (await reading(tenant, line)).shown
    assert [shown.rate_at(kind, tenant.today) for kind in Rate] == [PRICE, None]


async def test_a_line_in_a_bundle_is_refused(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    tenant.put_into_bundle(line)
    refused = await adjust(tenant, line, 1, tenant.today)
    assert isinstance(refused, AdjustmentRefused)
    assert refused.kind == "bundle"


async def test_a_date_inside_a_posted_period_adds_a_row(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    month = date(tenant.today.year, tenant.today.month, 1)
    tenant.post_through(line, month)
    assert await adjust(tenant, line, 1, month.replace(day=2)) == Accepted()
    rows = {row.start: row for row in (await tenant.port.units([line]))[line]}
    assert (rows[month].posted, rows[month.replace(day=2)].posted) == (True, False)


@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
async def test_a_lost_answer_leaves_the_outcome_unknown(tenant: Tenant, when: str, effects: int) -> None:
    line = await tenant.new_line(10)
    tenant.lose(when=when)
    assert isinstance(await adjust(tenant, line, 1, tenant.today), AdjustUnknown)
    assert len(tenant.adjustments(line)) == effects


async def test_a_lagging_read_does_not_show_what_was_accepted(tenant: Tenant) -> None:
    line = await tenant.new_line(10)
    tenant.lag(timedelta(hours=1))
    assert await adjust(tenant, line, 1, tenant.today) == Accepted()
    hidden = await tenant.port.units([line])
    tenant.lag(timedelta())
    assert {row.units for row in hidden[line]} <= {10}
    assert {row.units for row in (await tenant.port.units([line]))[line]} == {10, 11}


async def test_what_exists_is_found_and_what_does_not_is_left_out(tenant: Tenant) -> None:
    line = await tenant.new_line(0)
    contracts = await tenant.port.contracts([tenant.contract, 1])
    assert set(contracts) == {tenant.contract}
    contract = contracts[tenant.contract]
    assert (contract.start, contract.end) == window(tenant.today)
    assert (contract.company_id, contract.type, contract.period_type) == (COMPANY, 7, 2)
    assert set(await tenant.port.services([SERVICES[0], 1])) == {SERVICES[0]}
    assert set(await tenant.port.companies([COMPANY, 1])) == {COMPANY}
    assert [company.id for company in await tenant.port.companies_by_name("northw")] == [COMPANY]
    assert await tenant.port.companies_by_name("nobody") == []
    assert line in {found.id for found in await tenant.port.contract_lines(tenant.contract)}
    assert tenant.contract in {found.id for found in await tenant.port.contracts_of([COMPANY, 1])}
    assert line in {found.id for found in await tenant.port.lines_of([tenant.contract, 1])}
    assert set(await tenant.port.lines([line, 1])) == {line}
    found = await tenant.port.line(line)
    assert found is not None
    assert (found.id, found.contract_id, found.service_id) == (line, tenant.contract, SERVICES[0])
    assert await tenant.port.line(1) is None
    assert (await tenant.port.threshold()).limit == 10_000


async def test_what_a_mapping_may_name_is_found_by_name_web_address_and_sku(tenant: Tenant) -> None:
    port = tenant.port
    assert [company.id for company in await port.companies_named(["NORTHWIND", "Nobody"])] == [COMPANY]
    assert await port.companies_named([]) == []
    assert COMPANY in {company.id for company in await port.companies_on_web(["northwind.example", "nobody.example"])}
    assert await port.companies_on_web(["nobody.example"]) == []
    (standard,) = await port.services_with_sku(["cfq7ttc0ldpb:0001", "CFQ7TTC0NONE:0001"])
    assert (standard.id, standard.sku) == (SERVICES[0], "CFQ7TTC0LDPB:0001")
    first = await port.services_by_name(standard.name[:9], limit=1)
    second = await port.services_by_name(standard.name[:9], limit=1, after=first[0].id)
    assert [service.id for service in (*first, *second)] == list(SERVICES[:2])
    assert await port.companies_by_name("northw", after=COMPANY) == []


async def test_a_service_is_put_on_a_contract_once_and_without_units(tenant: Tenant) -> None:
    line = await tenant.port.create_line(tenant.contract, SERVICES[2], "csp:one")
    assert line in {found.id for found in await tenant.port.contract_lines(tenant.contract)}
    assert (await tenant.port.units([line]))[line] == ()
    with pytest.raises(Refused):
        await tenant.port.create_line(tenant.contract, SERVICES[2], "csp:two")
    with pytest.raises(Refused):
        await tenant.port.create_line(tenant.contract, 1, "csp:three")


async def test_a_service_is_repeated_on_a_contract_as_a_line_of_its_own(tenant: Tenant) -> None:
    contract = (await tenant.port.contracts([tenant.contract]))[tenant.contract]
    first = await tenant.port.create_line(tenant.contract, SERVICES[2], "csp:one")

    await tenant.port.repeat_line(tenant.contract, SERVICES[2], contract.start)

    lines = [line for line in await tenant.port.contract_lines(tenant.contract) if line.service_id == SERVICES[2]]
    (second,) = [line.id for line in lines if line.id != first]
    assert await tenant.port.units([first, second]) == {first: (), second: ()}
    outcome = await tenant.port.adjust(
        contract=tenant.contract, line=second, adjustment=Adjustment(tenant.today, 3), deadline=tenant.deadline()
    )
    assert outcome == Accepted()
    units = await tenant.port.units([first, second])
    assert (units[first], {row.units for row in units[second]}) == ((), {3})
    for day, service in ((contract.end + timedelta(days=1), SERVICES[2]), (contract.start, 1)):
        with pytest.raises(Refused):
            await tenant.port.repeat_line(tenant.contract, service, day)


@pytest.mark.parametrize(("when", "made"), [("before", 1), ("after", 2)])
async def test_a_repeated_line_without_an_answer_may_have_been_made(tenant: Tenant, when: str, made: int) -> None:
    contract = (await tenant.port.contracts([tenant.contract]))[tenant.contract]
    await tenant.port.create_line(tenant.contract, SERVICES[2], "csp:one")
    tenant.lose(when=when)
    with pytest.raises(OutcomeUnknown):
        await tenant.port.repeat_line(tenant.contract, SERVICES[2], contract.start)
    lines = [line for line in await tenant.port.contract_lines(tenant.contract) if line.service_id == SERVICES[2]]
    assert len(lines) == made


async def test_autotask_that_is_away_asks_to_come_later(nobody: AutotaskPort) -> None:
    with pytest.raises(RetryLater):
        await nobody.units([1])
    with pytest.raises(RetryLater):
        await nobody.contracts([1])
    deadline = now() + timedelta(seconds=5)
    outcome = await nobody.adjust(contract=1, line=1, adjustment=Adjustment(deadline.date(), 1), deadline=deadline)
    assert isinstance(outcome, Unsent)
