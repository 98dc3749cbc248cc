"""Show what an action will do at Microsoft and on the customer's bill, without doing it."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.actions import Action, Allowed, intention
from shared.domain.operation import Known
from shared.domain.preview import Preview, preview
from shared.domain.timeline import Step, Target, fold
from shared.partner_center.wire import parse_subscription
from shared.storage.mappings import SubscriptionMapping
from shared.usecases.act import legs
from shared.usecases.app import App
from shared.usecases.microsoft import known_of


@dataclass(frozen=True, slots=True)
class Bill:
    """The units that the customer's line bills from each date on, if the action is carried out now."""

    contract: int
    line: int
    before: tuple[Step, ...]
    after: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A preview and its effect on the bill; None where the subscription is not mapped or the bill stays as it is."""

    preview: Preview
    bill: Bill | None


async def show_preview(app: App, customer: str, subscription: str, action: Action, quantity: int | None) -> Shown:
    """Preview an action. Raises NotFound, RetryLater, Misconfigured, Malformed."""
    reading = await app.partner_center.subscription(customer, subscription)
    found = parse_subscription(customer, reading.raw)
    seen = preview(action, found, reading.observed_at, quantity)
    if not isinstance(seen.decision, Allowed):
        return Shown(seen, None)
    mapping = await app.mappings.subscription(customer, subscription)
    before = known_of(found)
    wanted = intention(action, quantity)
    after = Known(wanted.status or before.status, wanted.quantity or before.quantity)
    day = app.business_date(reading.observed_at)
    effect = legs(before, after, day, mapping.value if mapping else None, refunded=seen.decision.in_window)
    if mapping is None or not effect:
        return Shown(seen, None)
    return Shown(seen, await _bill(app, mapping.value, effect[0].target))


async def _bill(app: App, mapping: SubscriptionMapping, target: Target) -> Bill | None:
    """Fold what is known, what is on its way, and the target, on the line as the ledger holds it."""
    stored = await app.ledger.line(mapping.customer, mapping.line)
    if stored is None:
        return None
    desired = stored.value.desired
    for newer in await app.ledger.operations(mapping.customer, mapping.subscription, after=stored.value.folded):
        for leg in newer.value.legs:
            if leg.line == mapping.line and newer.value.took_effect:
                desired = fold(desired, leg.target)
    first = target.increase_on
    now = Step(first, desired.at(first))
    after = fold(desired, target)
    return Bill(
        mapping.contract,
        mapping.line,
        (now, *(step for step in desired.steps if step.date > first)),
        (Step(first, after.at(first)), *(step for step in after.steps if step.date > first)),
    )
