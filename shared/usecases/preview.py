"""Show what an action will do at Microsoft and on the customer's bill, without doing it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta

from shared.domain.actions import Action, Allowed, Difference, NotAllowed
from shared.domain.asks import Ask
from shared.domain.errors import Refused
from shared.domain.jobs import MigrationJob, UpgradeJob
from shared.domain.operation import Leg
from shared.domain.outcomes import Reading
from shared.domain.preview import Preview, preview
from shared.domain.subscription import State, Subscription, known_of
from shared.domain.timeline import Step, Target, Timeline, fold
from shared.partner_center.wire import parse_subscription
from shared.storage import keys
from shared.storage.mappings import SubscriptionMapping
from shared.usecases.act import legs
from shared.usecases.app import App
from shared.usecases.moving import from_day, legs_of, legs_of_newcomer
from shared.usecases.preparing import Prepared, prepare

_ASKS = {Action.UPGRADE, Action.MIGRATE, Action.SCHEDULE_MIGRATION, Action.SCHEDULE_RENEWAL}


@dataclass(frozen=True, slots=True)
class Bill:
    """The units that a line bills from each date on, now and if the action is carried out now.

    `line` is None for one that has still to be found or made; `service` is None where the product is not mapped, which
    would be a dead letter.
    """

    contract: int
    line: int | None
    service: int | None
    product: str
    before: tuple[Step, ...]
    after: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class AddOn:
    """A subscription beside this one; `certain` where Microsoft names this one as its base."""

    id: str
    offer_name: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A preview, its effect on the bill (none: not mapped, or the bill stays as it is), and what would be asked for."""

    preview: Preview
    bill: tuple[Bill, ...] = ()
    add_ons: tuple[AddOn, ...] = ()
    upgrade: UpgradeJob | None = None
    migration: MigrationJob | None = None
    schedule: str = ""


async def show_preview(
    app: App, customer: str, subscription: str, action: Action, quantity: int | None = None, ask: Ask | None = None
) -> Shown:
    """Preview an action. Raises NotFound, RetryLater, Misconfigured, Malformed."""
    head = await app.ledger.head(customer, subscription)
    reading = await app.partner_center.subscription(customer, subscription)
    found = parse_subscription(customer, reading.raw)
    seen = preview(action, found, reading.observed_at, quantity, head.value.memory)
    shown = Shown(seen, add_ons=await _add_ons(app, found, action))
    if not isinstance(seen.decision, Allowed) or (action in _ASKS and ask is None):
        return shown
    try:
        prepared = await prepare(app, action, found, reading, head.value, quantity=quantity, ask=ask)
    except Refused as error:
        return replace(shown, preview=replace(seen, decision=_refused(error)))
    bill = await _bill(app, found, prepared, reading, refunded=seen.decision.in_window)
    return replace(
        shown,
        bill=bill,
        upgrade=prepared.upgrade,
        migration=prepared.migration,
        schedule=prepared.intention.schedule or "",
    )


def _refused(error: Refused) -> NotAllowed:
    """The decision that a refusal of the preparation amounts to."""
    details = error.details.get("differences")
    differences = tuple(each for each in details if isinstance(each, Difference)) if isinstance(details, tuple) else ()
    return NotAllowed(error.code, error.sentence, differences=differences)


async def _add_ons(app: App, found: Subscription, action: Action) -> tuple[AddOn, ...]:
    """What is, or by its name may be, an add-on of a subscription that goes, is suspended, or moves."""
    if action not in {Action.CANCEL, Action.SUSPEND, Action.MIGRATE, Action.SCHEDULE_MIGRATION}:
        return ()
    listing = await app.partner_center.subscriptions(found.customer_id)
    others = (parse_subscription(found.customer_id, raw) for raw in listing.items)
    return tuple(
        AddOn(other.id, other.offer_name, other.parent_id == found.id)
        for other in others
        if other.id != found.id
        and other.state is State.ACTIVE
        and (other.parent_id == found.id or (not other.parent_id and "add-on" in other.offer_name.lower()))
    )


async def _bill(
    app: App, found: Subscription, prepared: Prepared, reading: Reading, *, refunded: bool
) -> tuple[Bill, ...]:
    stored = await app.mappings.subscription(found.customer_id, found.id)
    if stored is None:
        return ()
    mapping, day = stored.value, app.business_date(reading.observed_at)
    if prepared.upgrade is not None:
        changes = await _of_upgrade(app, mapping, found, prepared.upgrade, day)
    elif prepared.migration is not None:
        changes = await _of_migration(app, mapping, found, prepared.migration, day)
    elif prepared.intention.schedule:
        changes = await _of_renewal(app, mapping, found, prepared.intention.schedule)
    else:
        end = found.commitment_end
        changes = legs(known_of(found), prepared.after, day, mapping, refunded=refunded, commitment_end=end)
    return tuple([await _of_leg(app, mapping, leg) for leg in changes])


async def _of_upgrade(
    app: App, mapping: SubscriptionMapping, found: Subscription, job: UpgradeJob, day: date
) -> tuple[Leg, ...]:
    target = replace(
        found,
        product_key=job.product,
        offer_id=job.target,
        quantity=job.quantity,
        term_duration=job.term or found.term_duration,
        billing_cycle=job.billing or found.billing_cycle,
    )
    if job.full and not job.legacy and job.to_subscription is None:
        return await legs_of(app, mapping, known_of(found), target, day)
    rest = Leg(mapping.line, mapping.contract, from_day(found.quantity - job.quantity, day))
    if job.to_subscription is None:
        return (rest, *await legs_of_newcomer(app, mapping, replace(target, id=""), day))
    joined = await app.mappings.subscription(found.customer_id, job.to_subscription)
    if joined is None:
        return (rest,)
    return (rest, Leg(joined.value.line, joined.value.contract, from_day(job.joined + job.quantity, day)))


async def _of_migration(
    app: App, mapping: SubscriptionMapping, found: Subscription, job: MigrationJob, day: date
) -> tuple[Leg, ...]:
    """From today, as if Microsoft were done at once."""
    comes = replace(
        found,
        id="",
        product_key=":".join(job.catalog_item.split(":")[:2]),
        quantity=job.quantity or found.quantity,
        term_duration=job.term or found.term_duration,
        billing_cycle=job.billing or found.billing_cycle,
    )
    if job.cancels:
        return ()
    gone = Leg(mapping.line, mapping.contract, from_day(0, day))
    return (gone, *await legs_of_newcomer(app, mapping, comes, day))


async def _of_renewal(app: App, mapping: SubscriptionMapping, found: Subscription, schedule: str) -> tuple[Leg, ...]:
    """From the first day of the next term."""
    if found.commitment_end is None:
        return ()
    wanted = json.loads(schedule)
    product = wanted["product"]
    day = app.business_date(found.commitment_end + timedelta(seconds=1))
    renewed = replace(
        found,
        quantity=wanted["quantity"],
        product_key=f"{product['productId']}:{product['skuId']}",
        term_duration=product["termDuration"],
        billing_cycle=product["billingCycle"],
    )
    return await legs_of(app, mapping, known_of(found), renewed, day)


async def _of_leg(app: App, mapping: SubscriptionMapping, leg: Leg) -> Bill:
    if not leg.line and leg.place is not None:
        place = leg.place
        product = await app.mappings.product(keys.mapping_product(place.product, place.term, place.billing))
        service = product.service if product else None
        return _folded(Timeline(), leg.target, Bill(leg.contract, None, service, place.product, (), ()))
    service = mapping.service if leg.line == mapping.line else None
    desired = await _desired(app, mapping, leg)
    return _folded(desired, leg.target, Bill(leg.contract, leg.line, service, "", (), ()))


def _folded(desired: Timeline, target: Target, bill: Bill) -> Bill:
    first = target.increase_on
    after = fold(desired, target)
    return replace(
        bill,
        before=(Step(first, desired.at(first)), *(step for step in desired.steps if step.date > first)),
        after=(Step(first, after.at(first)), *(step for step in after.steps if step.date > first)),
    )


async def _desired(app: App, mapping: SubscriptionMapping, leg: Leg) -> Timeline:
    """What is known and what is on its way, on the line as the ledger holds it."""
    stored = await app.ledger.line(mapping.customer, leg.line)
    if stored is None:
        return Timeline()
    desired = stored.value.desired
    owner = stored.value.subscription
    for newer in await app.ledger.operations(mapping.customer, owner, after=stored.value.folded):
        for other in newer.value.legs:
            if other.line == leg.line and newer.value.took_effect:
                desired = fold(desired, other.target)
    return desired
