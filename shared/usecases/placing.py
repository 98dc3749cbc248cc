"""Find the line for seats that have become another product or another subscription: mapped, free or newly made.

A leg without a line waits for this step between Microsoft and the push. It may be repeated after a crash: a line that
it made is found by its description, a mapping that it wrote by the operation's sequence number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.domain import explanations as say
from shared.domain.billing import Policy, SuspendBilling, opening_target
from shared.domain.contract import ContractLine
from shared.domain.errors import CspError, OutcomeUnknown, Refused
from shared.domain.line import Line
from shared.domain.operation import Event, Leg, LegStatus, Operation, Place, Reason
from shared.domain.pricing import NOT_OURS, Offer, PriceSource, Pricing, Unpriced
from shared.domain.timeline import Target, Timeline
from shared.storage import keys
from shared.storage.ledger import Changes
from shared.storage.mappings import SubscriptionMapping
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.dead_letters import read_line
from shared.usecases.pricing import PriceBook
from shared.usecases.rest import SYSTEM, come_to_rest, look_again, looked_for, send, send_again, send_notice
from shared.usecases.work import LineKey, buried, new_line

LINES_A_READING = 100


async def go_on(app: App, stored: Stored[Operation], *, first: bool = False) -> None:
    """What comes after Microsoft: a line for what has none, the push, or rest."""
    if stored.value.unplaced is not None:
        stored = await place(app, stored)
    if not stored.value.pushable:
        await come_to_rest(app, stored)  # where it looks for a line still, its alarm stays
    elif first:
        await send(app, stored.value)
    else:
        await send_again(app, stored)


async def place(app: App, stored: Stored[Operation]) -> Stored[Operation]:
    """Give the unplaced leg its line, or put it to sleep, or end it. Raises WriteConflict."""
    leg = stored.value.unplaced
    if leg is None or leg.place is None:
        return stored
    if leg.retry_at is not None and leg.retry_at > app.now():
        return await look_again(app, stored, leg.retry_at)
    try:
        mapping = await _mapping(app, stored.value, leg.place)
        actual = await read_line(app, mapping.contract, mapping.line)
    except Refused as error:
        return await _dead(app, stored, leg, say.no_line(leg.contract, leg.target, error.code, error.sentence))
    except OutcomeUnknown as error:
        return await _asleep(app, stored, leg, error.reason, settle=True)
    except (CspError, ValueError) as error:
        return await _asleep(app, stored, leg, str(error), settle=False)
    await _adopt(app, stored.value, mapping, actual)
    target = await _with_rates(app, mapping, leg.target, leg.place)
    opened = leg.to(LegStatus.OPEN)
    found = replace(opened, line=mapping.line, contract=mapping.contract, target=target, retry_at=None, reason=None)
    event = Event(app.now(), SYSTEM, "placed", stored.value.status, stored.value.status, f"line {mapping.line}")
    moved = _exchanged(stored.value, leg, found)
    return await looked_for(app, Stored(moved, stored.etag), event)


async def _mapping(app: App, operation: Operation, wanted: Place) -> SubscriptionMapping:
    """The mapping that the leg brings about, written; the one of an earlier attempt where there is one."""
    address = operation.address
    present = await app.mappings.subscription(address.customer, address.subscription)
    if present is not None and present.value.since_sequence == address.sequence:
        return present.value
    key = keys.mapping_product(wanted.product, wanted.term, wanted.billing)
    product = await app.mappings.product(key)
    if product is None:
        raise Refused(
            "product_not_mapped", f"The product {key} is not mapped to a service, so nothing says how to bill it."
        )
    contract = (await app.autotask.contracts([wanted.contract])).get(wanted.contract)
    if contract is None:
        raise Refused("contract_not_found", f"Autotask does not show contract {wanted.contract}.")
    if contract.calendar is None:
        raise Refused("contract_period_unknown", f"The billing period of contract {contract.id} is not known here.")
    like = await app.mappings.subscription(address.customer, wanted.like)
    policy, pricing = _inherited(like.value if like else None)
    line = await free_line(app, contract.id, product.service, address.customer, address.subscription, empty=True)
    mapping = SubscriptionMapping(
        customer=address.customer,
        subscription=address.subscription,
        contract=contract.id,
        line=line,
        service=product.service,
        calendar=contract.calendar,
        policy=policy,
        since=operation.business_date,
        since_sequence=address.sequence,
        changed_at=app.now(),
        changed_by=operation.requested_by,
        pricing=pricing,
    )
    await app.mappings.assign(present, mapping)
    return mapping


def _inherited(like: SubscriptionMapping | None) -> tuple[Policy, Pricing]:
    """Policy and pricing of the new mapping: the list prices every product, a fixed price was for the old one."""
    if like is None:
        return Policy(), NOT_OURS
    if like.pricing.source is PriceSource.PRICE_LIST:
        return like.policy, like.pricing
    policy = like.policy
    if policy.suspend is SuspendBilling.PRICE_ZERO:  # a price that is not ours could not be restored
        policy = replace(policy, suspend=SuspendBilling.UNITS_ZERO)
    return policy, NOT_OURS


async def _with_rates(app: App, mapping: SubscriptionMapping, target: Target, wanted: Place) -> Target:
    """The leg's target with price and cost from the list; without them where the list has none for the product."""
    if mapping.pricing.source is not PriceSource.PRICE_LIST or not target.units:
        return target
    offer = Offer(wanted.product, wanted.term, wanted.billing)
    found = await PriceBook(app).schedule(mapping.customer, offer, target.increase_on)
    if isinstance(found, Unpriced):
        return target
    opening = opening_target(target.units, target.increase_on, found, mapping.calendar, mapping.policy)
    return replace(target, price=opening.price, cost=opening.cost)


async def free_line(
    app: App, contract: int, service: int, customer: str, subscription: str, *, empty: bool = False
) -> int:
    """A line of a service on a contract that nobody else bills: one made for the subscription, a free one, a new one.

    `empty` leaves out lines that bill units: somebody is billed by them, even if nobody is mapped to them. Raises
    Refused, OutcomeUnknown (it may have been made), RetryLater, Misconfigured.
    """
    lines = await _lines_of(app, contract, service)
    found = await _found(app, lines, customer, subscription, empty=empty)
    if found is not None:
        return found
    if not lines:
        return await app.autotask.create_line(contract, service, description_of(subscription))
    return await _repeated(app, contract, service, {line.id for line in lines})


async def found_line(app: App, contract: int, service: int, customer: str, subscription: str) -> int | None:
    """A line of a service on a contract that is there and that nobody else bills; None where one has to be made."""
    return await _found(app, await _lines_of(app, contract, service), customer, subscription, empty=False)


async def _found(
    app: App, lines: Sequence[ContractLine], customer: str, subscription: str, *, empty: bool
) -> int | None:
    free = [line for line in lines if await _is_free(app, line, customer, subscription)]
    billed = await _billed(app, free) if empty else set()
    free = [line for line in free if line.id not in billed or _made_for(line, subscription)]
    return min(free, key=lambda line: not _made_for(line, subscription)).id if free else None


async def _repeated(app: App, contract: int, service: int, present: set[int]) -> int:
    """A further line of a service that is on the contract already; found among the lines, since no answer names it.

    Where it was made and we die, or its answer is lost, it is an empty free line for whoever looks next.
    """
    found = (await app.autotask.contracts([contract])).get(contract)
    if found is None:
        raise Refused("contract_not_found", f"Autotask does not show contract {contract}.")
    await app.autotask.repeat_line(contract, service, found.start)
    new = [line.id for line in await _lines_of(app, contract, service) if line.id not in present]
    if not new:
        raise OutcomeUnknown("a line was made and does not show yet")
    return new[0]


async def _lines_of(app: App, contract: int, service: int) -> list[ContractLine]:
    return [line for line in await app.autotask.contract_lines(contract) if line.service_id == service]


async def _billed(app: App, lines: Sequence[ContractLine]) -> set[int]:
    """Those of the lines that bill units today or later."""
    if not lines:
        return set()
    today = app.business_date(app.now())
    rows = await app.autotask.units([line.id for line in lines[:LINES_A_READING]])
    return {line for line, found in rows.items() if any(row.units and row.end >= today for row in found)}


def _made_for(line: ContractLine, subscription: str) -> bool:
    return line.internal_description == description_of(subscription)


def description_of(subscription: str) -> str:
    """What the internal description of a line that was made for a subscription says."""
    return f"csp:{subscription}"


async def _is_free(app: App, line: ContractLine, customer: str, subscription: str) -> bool:
    if line.internal_description.startswith("csp:") and not _made_for(line, subscription):
        return False
    return await app.mappings.owner(line.id) in {None, (customer, subscription)}


async def _adopt(app: App, operation: Operation, mapping: SubscriptionMapping, actual: Timeline) -> None:
    """The line row: what Autotask shows is taken as it is, and the operation's target is folded on top of it."""
    stored = await app.ledger.line(mapping.customer, mapping.line)
    sequence = operation.address.sequence
    if stored is not None and stored.value.subscription == mapping.subscription and stored.value.folded >= sequence - 1:
        return  # an earlier attempt came as far, and the pusher may have gone on from there
    key = LineKey(mapping.customer, mapping.subscription, mapping.contract, mapping.line)
    line = new_line(key, actual, folded=sequence - 1, policy=mapping.policy)
    if stored is not None:
        line = _with_memory_of(line, stored.value)
    await app.ledger.commit(mapping.customer, Changes(line=Stored(line, stored.etag if stored else None)))


def _with_memory_of(line: Line, former: Line) -> Line:
    """What was learnt about a line stays with it, whoever's it becomes."""
    return replace(line, suspects=former.suspects, refused_dates=former.refused_dates, last_effect=former.last_effect)


def _exchanged(operation: Operation, before: Leg, after: Leg) -> Operation:
    return replace(operation, legs=tuple(after if leg is before else leg for leg in operation.legs))


async def _asleep(app: App, stored: Stored[Operation], leg: Leg, why: str, *, settle: bool) -> Stored[Operation]:
    until = app.now() + (app.times.settle if settle else app.times.backoff(leg.retries))
    reason = Reason("line_not_found_yet", f"The line for the new product could not be found yet: {why}.")
    asleep = replace(leg.to(LegStatus.WAITING), retries=leg.retries + 1, retry_at=until, reason=reason)
    moved = _exchanged(stored.value, leg, asleep)
    event = Event(app.now(), SYSTEM, "waiting", stored.value.status, moved.status, reason.sentence)
    return await look_again(app, Stored(moved, stored.etag), until, events=(event,))


async def _dead(app: App, stored: Stored[Operation], leg: Leg, reason: Reason) -> Stored[Operation]:
    dead = replace(leg.to(LegStatus.DEAD), retry_at=None, reason=reason)
    moved = buried(_exchanged(stored.value, leg, dead), app.now(), None)
    event = Event(app.now(), SYSTEM, "dead", stored.value.status, moved.status, reason.sentence)
    (stored,), _ = await app.ledger.commit(moved.address.customer, Changes([(Stored(moved, stored.etag), [event])]))
    await come_to_rest(app, stored)
    await send_notice(app, stored)
    return stored
