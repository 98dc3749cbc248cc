"""The stories of the dead-letter desk whose every I/O step is a place to crash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta

from shared.domain.actions import Action
from shared.domain.desk_jobs import DeadLetterFilter
from shared.domain.operation import Address, LegStatus, Operation
from shared.domain.planning import DriftPolicy
from shared.usecases.app import App
from shared.usecases.findings import Decision, accept, correct
from shared.usecases.reconciling import start
from shared.usecases.resubmitting import ResubmissionRequest, take_in_resubmission
from shared.usecases.undo import UndoRequest, undo
from tests.crash.scenarios import TODAY, TOMORROW, Ask, Story, ask, change, map_to, mapped
from tests.world.autotask import AdjustFault, Fault
from tests.world.world import CONTRACT_START, CUSTOMER, World, line_id, subscription_id

EDITED = TODAY - timedelta(days=3)


async def two_mapped(world: World) -> None:
    """Subscription 1 with ten seats on line 1, subscription 2 with twenty on line 2."""
    await mapped(world)
    world.subscribe(2, 20)
    world.add_line(2, 20)
    await ask(world, map_to(2, 2, "adopt"))


async def two_dead(world: World) -> None:
    """Autotask refused the adjustment of line 1; line 2 was edited by hand before its change."""
    await two_mapped(world)
    world.autotask.faults.append(Fault(AdjustFault.REFUSED))
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=12))
    world.autotask.hand_edit(line_id(2), EDITED, 3)
    await ask(world, change(2, Action.CHANGE_QUANTITY, quantity=22))
    world.clock.advance(timedelta(hours=1))


def resubmit_all(policy: DriftPolicy | None) -> Ask:
    """Re-submit every dead letter."""
    request = ResubmissionRequest(
        caller="ops",
        idempotency_key="again",
        target="resubmit",
        request_hash=str(policy),
        wanted=DeadLetterFilter(),
        policy=policy,
        reason="the month-end is over",
    )
    return lambda app: take_in_resubmission(app, request)


async def with_taken_dates(world: World) -> None:
    """Fourteen units from today, sixteen from tomorrow; two days later it is."""
    await mapped(world)
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=14))
    world.clock.advance(timedelta(days=1))
    await ask(world, change(1, Action.CHANGE_QUANTITY, quantity=16, key="key-2"))
    world.clock.advance(timedelta(days=1))


async def with_two_pushes(world: World) -> None:
    """The same at an Autotask that takes several adjustments on a date."""
    world.autotask.habits.same_date_refused = False
    await with_taken_dates(world)


async def _a_day_passes(app: App) -> None:
    await app.sleep(timedelta(days=1).total_seconds())


def take_back(sequence: int, key: str = "undo-1") -> Ask:
    """Undo an operation of subscription 1."""
    request = UndoRequest(
        address=Address(CUSTOMER, subscription_id(1), sequence),
        caller="ops",
        idempotency_key=key,
        target=f"undo/{sequence}",
        request_hash="",
        confirmed=True,
        reason="a mistake",
    )
    return lambda app: undo(app, request)


async def with_a_finding(world: World) -> None:
    """Somebody added three units by hand, and a reconciliation has found it."""
    await mapped(world)
    world.autotask.hand_edit(line_id(1), EDITED, 3)
    world.clock.advance(timedelta(hours=1))
    await ask(world, lambda app: start(app, "ops"))
    world.clock.advance(timedelta(hours=1))


def decide(how: Callable[[App, Decision], Awaitable[Operation]]) -> Ask:
    """Decide about the finding on line 1; whoever asks again finds nothing left to decide."""

    async def decided(app: App) -> None:
        finding = await app.desk.finding(CUSTOMER, line_id(1))
        if finding is None:
            return
        seen = Decision(
            CUSTOMER, line_id(1), finding.reading, "ops", "decide-1", "decide", how.__name__, reason="looked"
        )
        await how(app, seen)

    return decided


BOTH: dict[int, dict[date, int]] = {
    1: {CONTRACT_START: 10, TODAY: 12},
    2: {CONTRACT_START: 20, TODAY: 22},
}
DESK = (
    Story(
        "re-submit all dead letters",
        two_dead,
        (resubmit_all(DriftPolicy.OVERWRITE),),
        BOTH,
        adjustments=3,
    ),
    Story(
        "undo the last push",
        with_two_pushes,
        (take_back(3),),
        {1: {CONTRACT_START: 10, TODAY: 14}},
        adjustments=3,
    ),
    Story(
        "undo a push whose date is taken",
        with_taken_dates,
        (take_back(3),),
        {1: {CONTRACT_START: 10, TODAY: 14, TOMORROW: 16, TOMORROW + timedelta(days=1): 14}},
        adjustments=3,
    ),
    Story(
        "undo a push with a later one in force",
        with_two_pushes,
        (take_back(2),),
        {1: {CONTRACT_START: 10, TOMORROW: 16}},
        adjustments=4,
    ),
    Story(
        "undo, then undo the undo",
        with_two_pushes,
        (take_back(3), _a_day_passes, take_back(4, "undo-2")),
        {1: {CONTRACT_START: 10, TODAY: 14, TOMORROW: 16}},
        adjustments=4,
    ),
    Story(
        "reconcile, and accept what is found",
        with_a_finding,
        (decide(accept),),
        {1: {CONTRACT_START: 10, EDITED: 13}},
        adjustments=0,
        legs=frozenset({LegStatus.DISMISSED}),
    ),
    Story(
        "reconcile, and correct what is found",
        with_a_finding,
        (decide(correct),),
        {1: {CONTRACT_START: 10}},
        adjustments=1,
    ),
    Story(
        "run a reconciliation",
        two_dead,
        (lambda app: start(app, "ops"), resubmit_all(DriftPolicy.OVERWRITE), lambda app: start(app, "ops")),
        BOTH,
        adjustments=3,
    ),
)
