"""What an upgrade or a migration means for the bill and for other subscriptions: legs, and the operations linked to it.

Seats that become another product leave their line and are billed on another one from the same date. Where they become
another subscription, that subscription gets an operation of its own, with its own history and its own dead letter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from shared.domain.billing import billed_units
from shared.domain.known import Intention, Known
from shared.domain.operation import Address, Kind, Leg, Operation, PartnerLeg, PartnerStatus, Place
from shared.domain.subscription import Subscription, known_of
from shared.domain.timeline import Target
from shared.storage import keys
from shared.storage.mappings import SubscriptionMapping
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.microsoft import ended
from shared.usecases.rest import looking
from shared.usecases.settling import Linked


def from_day(units: int, day: date) -> Target:
    """These units from a day on, in either direction."""
    return Target(units, day, day)


async def legs_of(
    app: App, mapped: SubscriptionMapping | None, before: Known, snapshot: Subscription, day: date
) -> tuple[Leg, ...]:
    """The legs of a mapped subscription that is as `snapshot` shows it, from a day on, another product included.

    A product that is billed as the same service stays on its line; for any other a line has still to be found.
    """
    if mapped is None:
        return ()
    now = known_of(snapshot)
    units = billed_units(now, mapped.policy)
    if units is None:
        return ()
    if not before.of_another_product(now):
        return (Leg(mapped.line, mapped.contract, from_day(units, day)),)
    key = keys.mapping_product(snapshot.product_key, snapshot.term_duration, snapshot.billing_cycle)
    product = await app.mappings.product(key)
    if product is not None and product.service == mapped.service:
        return (Leg(mapped.line, mapped.contract, from_day(units, day)),)
    old = Leg(mapped.line, mapped.contract, from_day(0, day))
    return (old, unplaced(mapped, snapshot, units, day)) if units else (old,)


async def legs_of_newcomer(
    app: App, like: SubscriptionMapping | None, snapshot: Subscription, day: date
) -> tuple[Leg, ...]:
    """The leg of a new subscription: on the line that somebody mapped it to already, else on one still to be found."""
    present = await app.mappings.subscription(snapshot.customer_id, snapshot.id)
    mapped = present.value if present else None
    policy = mapped or like
    units = billed_units(known_of(snapshot), policy.policy) if policy else None
    if units is None or policy is None:
        return ()
    if mapped is not None:
        return (Leg(mapped.line, mapped.contract, from_day(units, day)),)
    return (unplaced(policy, snapshot, units, day),)


def unplaced(like: SubscriptionMapping, snapshot: Subscription, units: int, day: date) -> Leg:
    """A leg whose line is to be found on the contract of a mapping, billed by its policy."""
    place = Place(
        contract=like.contract,
        product=snapshot.product_key,
        term=snapshot.term_duration,
        billing=snapshot.billing_cycle,
        like=like.subscription,
    )
    return Leg(0, like.contract, from_day(units, day), place=place)


async def linked(
    app: App,
    source: Operation,
    snapshot: Subscription,
    before: Known,
    legs: tuple[Leg, ...],
    *,
    day: date,
    successor: str | None = None,
    predecessor: str | None = None,
) -> Linked:
    """The operation of another subscription that got its seats, or lost them, by `source`."""
    address = source.address
    head = await app.ledger.head(address.customer, snapshot.id)
    now = app.now()
    operation = Operation(
        address=Address(address.customer, snapshot.id, head.value.next_sequence),
        kind=Kind.MOVED,
        intention=Intention(),
        before=before,
        after=known_of(snapshot),
        requested_at=now,
        requested_by=source.requested_by,
        business_date=day,
        partner_center=PartnerLeg(PartnerStatus.PENDING, app.new_id()),
        legs=legs,
        alarm_due=now + app.times.outbox,
        cause=f"{source.kind.value} of subscription {address.subscription}",
        linked=str(address),
    ).with_partner_center(PartnerStatus.NOT_NEEDED)
    known = head.value.known if head.value.open_sequence is not None else operation.after
    moved = replace(
        head.value,
        next_sequence=operation.address.sequence + 1,
        known=known,
        successor=successor or head.value.successor,
        predecessor=predecessor or head.value.predecessor,
        unplaced=looking(head.value.unplaced, operation),
    )
    return Linked(operation, Stored(moved, head.etag))


async def go_on_with(app: App, others: Iterable[Linked]) -> None:
    """Let the operations that were linked begin; where we die before, their alarms do it."""
    for item in others:
        found = await app.ledger.operation(item.operation.address)
        if found is not None and not found.value.at_rest:
            await ended(app, found, first=True)
