"""What must be true of a world at rest, whatever happened on the way."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from shared.domain.bulk import Bulk, Item
from shared.domain.line import Line
from shared.domain.operation import Address, Kind, LegStatus
from shared.domain.timeline import Timeline, Window, first_difference
from shared.messaging.envelope import decode
from shared.storage import keys
from shared.storage.read_models import SubscriptionView
from shared.storage.rows import from_row
from shared.usecases.badges import compute
from tests.world.world import CONTRACT_END, CONTRACT_START, CUSTOMER, World

CONTRACT_WINDOW = Window(CONTRACT_START, CONTRACT_END)


def at_rest(world: World) -> None:
    """Every operation rests, no alarm is left for it, nothing is under way on any line."""
    for operation in world.operations():
        assert operation.at_rest, f"{operation.address} is {operation.status}\n{world.describe()}"
    assert not world.tables.rows("alarms"), f"an alarm is left\n{world.describe()}"
    assert world.broker.waiting() == 0
    found = {row.key for row in world.tables.rows("views") if row.partition == keys.FINDINGS}
    for line in lines(world):
        assert line.intent is None or line.unsettled, f"line {line.line} keeps an intent\n{world.describe()}"
        if not line.unsettled and keys.finding(line.customer, line.line) not in found:  # nobody has decided yet
            shown = world.autotask.shown(line.line)
            assert first_difference(line.verified, shown, owned=shown, window=CONTRACT_WINDOW) is None, world.describe()
    for row in world.tables.rows("ledger"):
        if row.key.startswith("H:"):
            assert '"open_sequence":null' in str(row.values["document"]), "a head waits for an operation that rests"


def lines(world: World) -> list[Line]:
    """The lines of the ledger."""
    return [from_row(Line, row).value for row in world.tables.rows("ledger") if row.key.startswith("L:")]


def events_are_gap_free(world: World) -> None:
    """Invariant 4: events are numbered from 1 without a gap, and the operation knows how many there are."""
    rows = {row.key for row in world.tables.rows("ledger")}
    for operation in world.operations():
        wanted = {keys.event(operation.address, number) for number in range(1, operation.events + 1)}
        prefix, _ = keys.events(operation.address)
        assert {key for key in rows if key.startswith(prefix)} == wanted
        assert operation.events > 0


def no_write_at_microsoft_is_repeated(world: World) -> None:
    """Invariant 3: one effect per MS-RequestId, and none was sent while an earlier one could still take effect."""
    effective: dict[str, str] = {}
    for patch in world.partner_center.patches:
        assert patch.request_id not in effective, f"{patch.request_id} was sent again after its effect"
        if patch.effective_at is not None:
            effective[patch.request_id] = patch.subscription
    effects = Counter(effect.request_id for effect in world.partner_center.effects if effect.request_id)
    assert all(count == 1 for count in effects.values()), effects


def microsoft_agrees_with_the_ledger(world: World) -> None:
    """Each effect of ours belongs to an operation that took effect, and each such operation to one effect."""
    ours = {effect.request_id: effect for effect in world.partner_center.effects if effect.request_id is not None}
    applied = {
        operation.partner_center.request_id: operation
        for operation in world.operations()
        if operation.partner_center.status == "applied"
    }
    assert set(ours) == set(applied), world.describe()
    for request_id, operation in applied.items():
        assert ours[request_id].after == operation.after


def dead_letters_are_listed(world: World) -> None:
    """The index names the dead operations and no others."""
    indexed = {row.key for row in world.tables.rows("views") if row.partition == keys.DEAD_LETTERS}
    dead = {str(operation.address) for operation in world.operations() if operation.dead}
    assert indexed == dead, world.describe()


def dead_letters_are_in_the_broker(world: World) -> None:
    """Each dead operation has a message in the broker's dead-letter queue; not after the broker forgot something."""
    addresses = {decode(body).address for body in world.broker.dead_bodies()}
    dead = {operation.address for operation in world.operations() if operation.dead}
    assert dead <= addresses, world.describe()


def bulks_are_over(world: World) -> None:
    """Every bulk is finished, each item has an outcome, and each of its callers' operations is that of one item."""
    rows = world.tables.rows("ledger")
    bulks = [from_row(Bulk, row).value for row in rows if row.key.startswith("B:")]
    assert all(bulk.finished_at is not None for bulk in bulks), world.describe()
    items = [from_row(Item, row).value for row in rows if row.key.startswith("I:")]
    assert len(items) == sum(bulk.size for bulk in bulks), "items without a bulk, or a bulk without items"
    assert all(item.settled for item in items), items
    named = sorted(item.operation for item in items if item.operation)
    callers = {bulk.requested_by for bulk in bulks}
    asked = [
        operation
        for operation in world.operations()
        if operation.requested_by in callers and operation.kind is not Kind.MOVED and not operation.follows
    ]
    assert named == sorted(str(operation.address) for operation in asked), world.describe()


async def badges_are_right(world: World) -> None:
    """The listed badge is what the ledger says, and so is what it waits for, where the row tells."""
    app = world.start().app
    for row in world.tables.rows("subscriptions"):
        listed = from_row(SubscriptionView, row).value
        word, waiting = await compute(app, CUSTOMER, row.key)
        assert listed.badge == word, world.describe()
        assert listed.waiting in {None, waiting}, world.describe()


def billed(world: World, line: int) -> dict[date, int]:
    """The units of each day of the contract on which they change; the first day included."""
    timeline = world.autotask.timeline(line).without_rates()
    return {CONTRACT_START: timeline.at(CONTRACT_START)} | {step.date: step.units for step in timeline.steps}


def differing_days(left: Timeline, right: Timeline) -> list[date]:
    """The days of the contract on which two timelines differ."""
    days = (CONTRACT_END - CONTRACT_START).days + 1
    window = [CONTRACT_START + timedelta(days=day) for day in range(days)]
    return [day for day in window if left.at(day) != right.at(day)]


def adjustments(world: World, line: int) -> int:
    """How many adjustments of ours took effect on a line."""
    return sum(item.line == line and item.source == "api" for item in world.autotask.log)


async def everything(world: World) -> None:
    """All of it."""
    at_rest(world)
    events_are_gap_free(world)
    no_write_at_microsoft_is_repeated(world)
    microsoft_agrees_with_the_ledger(world)
    dead_letters_are_listed(world)
    bulks_are_over(world)
    await badges_are_right(world)
    if not world.broker.forgot:
        dead_letters_are_in_the_broker(world)


def status_of(world: World, address: Address) -> str:
    """The word of an operation."""
    return next(operation.status for operation in world.operations() if operation.address == address)


def legs_are(world: World, *statuses: LegStatus) -> None:
    """Every leg of every operation is in one of these."""
    for operation in world.operations():
        assert all(leg.status in statuses for leg in operation.legs), world.describe()
