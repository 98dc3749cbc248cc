"""What a mapped subscription is billed at: quotes from the price list, and a change of price as an operation.

The first leg of a change of price writes the mapping row, the Autotask leg names the new price and cost from the dates
of the mapping's policy. Nothing happens at Microsoft.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from shared.domain.billing import Policy, SuspendBilling, rate_target
from shared.domain.errors import Conflict, Refused
from shared.domain.operation import Address, Kind, Leg, MappingChange, Operation
from shared.domain.pricing import Offer, PriceRow, PriceRule, PriceSource, Pricing, Schedule, Unpriced, fixed, schedule
from shared.domain.subscription import Subscription
from shared.domain.timeline import Target, Timeline, fold
from shared.partner_center.wire import parse_subscription
from shared.storage import keys
from shared.storage.ledger import Head, Replay
from shared.storage.mappings import SubscriptionMapping
from shared.storage.rows import Stored, document
from shared.usecases.app import App
from shared.usecases.assignment import mapping_operation, refuse_while_open, store_and_carry_out


@dataclass(frozen=True, slots=True)
class PriceRequest:
    """A request to change what a mapped subscription is billed at. `request_hash` covers the body."""

    customer: str
    subscription: str
    caller: str
    idempotency_key: str
    target: str
    request_hash: str
    pricing: Pricing

    @property
    def row_key(self) -> str:
        """The key of its idempotency row."""
        return keys.idempotency(self.caller, self.target, self.idempotency_key)


class PriceBook:
    """The price list as one request reads it: each offer's rows once, all rules once."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._rows: dict[Offer, list[PriceRow]] = {}
        self._rules: list[PriceRule] | None = None

    async def schedule(self, customer: str, offer: Offer, today: date) -> Schedule | Unpriced:
        """What the list says of an offer for a customer from today on."""
        if offer not in self._rows:
            self._rows[offer] = await self._app.mappings.prices.of_offer(offer)
        if self._rules is None:
            self._rules = await self._app.mappings.prices.all_rules()
        return schedule(offer, customer, today, self._rows[offer], self._rules)


def offer_of(subscription: Subscription) -> Offer:
    """What a subscription's price is looked up for."""
    return Offer(subscription.product_key, subscription.term_duration, subscription.billing_cycle)


def refuse_price_zero_without_price(policy: Policy, pricing: Pricing) -> None:
    """A price that is not ours could not be restored after a suspension at the price of 0."""
    if policy.suspend is SuspendBilling.PRICE_ZERO and not pricing.has_price:
        raise Refused(
            "price_needed",
            "The policy price_zero needs a price of ours, which the reactivation restores: give pricing too.",
            status=422,
            errors=[{"field": "policy.suspend", "message": "price_zero needs pricing with a unit price"}],
        )


async def scheduled(app: App, pricing: Pricing, customer: str, subscription: Subscription, today: date) -> Schedule:
    """Price and cost of a mapping from today on. Raises Refused where the price list has none."""
    if pricing.source is not PriceSource.PRICE_LIST:
        return fixed(pricing, today)
    found = await PriceBook(app).schedule(customer, offer_of(subscription), today)
    if isinstance(found, Unpriced):
        raise Refused(found.code, found.sentence, status=409)
    return found


async def change_price(app: App, request: PriceRequest) -> Operation | SubscriptionMapping:
    """Change what a mapped subscription is billed at. Gives the mapping itself where nothing is to be changed.

    Raises Refused (not mapped, no price, another operation is open, key reused), Conflict, NotFound, RetryLater,
    Misconfigured, Malformed.
    """
    used = await app.ledger.replay(request.customer, request.row_key)
    if used is not None and used.value.expires > app.now():
        return await _replayed(app, request, used.value)
    head = await app.ledger.head(request.customer, request.subscription)
    refuse_while_open(request.customer, head.value)
    present = await app.mappings.subscription(request.customer, request.subscription)
    if present is None:
        raise Refused("not_mapped", "The subscription is not mapped to a line, so there is nothing to price.")
    refuse_price_zero_without_price(present.value.policy, request.pricing)
    today = app.business_date(app.now())
    if request.pricing.source is PriceSource.PRICE_LIST:
        reading = await app.partner_center.subscription(request.customer, request.subscription)
        snapshot = parse_subscription(request.customer, reading.raw)
        wanted = await scheduled(app, request.pricing, request.customer, snapshot, today)
    else:
        wanted = fixed(request.pricing, today)
    posted = (await posted_through(app, [present.value.line]))[present.value.line]
    target = rate_target(wanted, today, present.value.calendar, present.value.policy, posted_through=posted)
    desired = await desired_of(app, present.value)
    if fold(desired, target) == desired and present.value.pricing == request.pricing:
        return present.value
    replay = Replay(
        request.request_hash,
        head.value.next_sequence,
        request.subscription,
        expires=app.now() + app.times.idempotency,
    )
    kept = (request.row_key, Stored(replay, used.etag if used else None))
    return await store_price(app, present.value, request.pricing, target, head, request.caller, replay=kept)


async def _replayed(app: App, request: PriceRequest, used: Replay) -> Operation:
    if used.request_hash != request.request_hash:
        raise Refused("idempotency_key_reused", "This Idempotency-Key was used with another body.", status=422)
    stored = await app.ledger.operation(Address(request.customer, used.subscription, used.sequence))
    if stored is None:
        raise Conflict("The operation of this Idempotency-Key cannot be read at the moment.")
    return stored.value


async def store_price(
    app: App,
    present: SubscriptionMapping,
    pricing: Pricing,
    target: Target,
    head: Stored[Head],
    caller: str,
    *,
    replay: tuple[str, Stored[Replay]] | None = None,
) -> Operation:
    """Accept a change of price as an operation of its own and carry it out. Raises Refused."""
    mapping = replace(present, pricing=pricing, changed_at=app.now(), changed_by=caller)
    change = MappingChange(
        mapping.line, mapping.contract, document(mapping), document(present), adopt=True, policy_only=True
    )
    address = Address(mapping.customer, mapping.subscription, head.value.next_sequence)
    leg = Leg(mapping.line, mapping.contract, target)
    operation = mapping_operation(app, address, caller, change, [leg], head.value.known, kind=Kind.CHANGE_PRICE)
    return await store_and_carry_out(app, operation, head, replay)


async def desired_of(app: App, mapping: SubscriptionMapping) -> Timeline:
    """What is desired of a mapped line, with everything that took effect and is not folded yet."""
    stored = await app.ledger.line(mapping.customer, mapping.line)
    if stored is None or stored.value.subscription != mapping.subscription:
        return Timeline()
    desired = stored.value.desired
    for newer in await app.ledger.operations(mapping.customer, mapping.subscription, after=stored.value.folded):
        for leg in newer.value.legs:
            if leg.line == mapping.line and newer.value.took_effect:
                desired = fold(desired, leg.target)
    return desired


async def posted_through(app: App, lines: list[int]) -> dict[int, date | None]:
    """The last day of the last posted row of each of up to 100 lines. Raises RetryLater, Misconfigured."""
    rows = await app.autotask.units(lines)
    return {line: max((row.end for row in rows[line] if row.posted), default=None) for line in lines}
