"""Apply a changed price list: which mapped lines get another price or cost, from which date, and make it so.

Applying again changes nothing: a line is compared with what is desired of it already. Subscriptions are read from
Partner Center, a customer at a time, because term and billing frequency decide the price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from shared.domain.billing import rate_target
from shared.domain.errors import Malformed, NotFound, Refused
from shared.domain.operation import Address
from shared.domain.pricing import PriceSource, Schedule, Unpriced
from shared.domain.rates import Rate
from shared.domain.subscription import Subscription
from shared.domain.timeline import Target, Timeline, dates_of, fold
from shared.partner_center.wire import parse_subscription
from shared.storage.mappings import SubscriptionMapping
from shared.usecases.app import App
from shared.usecases.assignment import refuse_while_open
from shared.usecases.pricing import PriceBook, desired_of, offer_of, posted_through, store_price


@dataclass(frozen=True, slots=True)
class Rates:
    """Price and cost of a unit; None where it is not ours."""

    price: Decimal | None
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class DatedChange:
    """From a date on a line's rates are others."""

    on: date
    before: Rates
    after: Rates


@dataclass(frozen=True, slots=True)
class LineChange:
    """What the price list changes on a mapped line, and the operation that does it; or what is in the way."""

    customer: str
    subscription: str
    contract: int
    line: int
    changes: tuple[DatedChange, ...] = ()
    operation: Address | None = None
    problem: Unpriced | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Which mappings are looked at: all, or those of a customer or a product ("product:sku")."""

    customer: str | None = None
    product: str | None = None


async def apply_price_list(
    app: App, caller: str, scope: Scope, *, dry_run: bool, size: int, continuation: str | None
) -> tuple[list[LineChange], str | None]:
    """Apply the list to a page of mappings that follow it. A dry run only says what would change.

    Raises RetryLater, Misconfigured where a vendor or storage is away; what was done until then is done.
    """
    if scope.customer is None:
        mappings, following = await app.mappings.subscriptions(size, continuation)
    else:
        mappings, following = await app.mappings.subscriptions_of(scope.customer, size, continuation)
    run = _Run(app, caller, scope, PriceBook(app), _Customers(app), dry_run)
    found = []
    for mapping in mappings:
        follows = mapping.pricing.source is PriceSource.PRICE_LIST
        change = await run.line(mapping) if follows else None
        if change is not None:
            found.append(change)
    return found, following


class _Customers:
    """The subscriptions of the customer that is looked at; mappings come sorted by customer."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._customer = ""
        self._found: dict[str, Subscription] = {}

    async def subscription(self, customer: str, identity: str) -> Subscription | None:
        """One subscription as Partner Center shows it now; None where it does not."""
        if customer != self._customer:
            self._customer, self._found = customer, await self._of(customer)
        return self._found.get(identity)

    async def _of(self, customer: str) -> dict[str, Subscription]:
        found: dict[str, Subscription] = {}
        try:
            listing = await self._app.partner_center.subscriptions(customer)
        except NotFound:
            return found
        for raw in listing.items:
            try:
                snapshot = parse_subscription(customer, raw)
            except Malformed:
                continue  # it shows as one that Partner Center does not have
            found[snapshot.id] = snapshot
        return found


@dataclass(frozen=True, slots=True)
class _Run:
    app: App
    caller: str
    scope: Scope
    book: PriceBook
    customers: _Customers
    dry_run: bool

    async def line(self, mapping: SubscriptionMapping) -> LineChange | None:
        """What changes on one line; None where nothing does."""
        subscription = await self.customers.subscription(mapping.customer, mapping.subscription)
        if subscription is None:
            sentence = "Partner Center does not show the subscription, so its term and price are not known."
            return _problem(mapping, "subscription_not_found", sentence)
        offer = offer_of(subscription)
        if self.scope.product is not None and not offer.matches(self.scope.product, None, None):
            return None
        wanted = await self.book.schedule(mapping.customer, offer, self.app.business_date(self.app.now()))
        if isinstance(wanted, Unpriced):
            return _problem(mapping, wanted.code, wanted.sentence)
        return await self._change(mapping, wanted)

    async def _change(self, mapping: SubscriptionMapping, wanted: Schedule) -> LineChange | None:
        app, today = self.app, self.app.business_date(self.app.now())
        desired = await desired_of(app, mapping)
        if not _changes(desired, _target(mapping, wanted, today, None)):
            return None
        posted = (await posted_through(app, [mapping.line]))[mapping.line]
        target = _target(mapping, wanted, today, posted)
        change = LineChange(*_place(mapping), tuple(_changes(desired, target)))
        if self.dry_run or not change.changes:
            return change if change.changes else None
        head = await app.ledger.head(mapping.customer, mapping.subscription)
        try:
            refuse_while_open(mapping.customer, head.value)
            await self._refuse_changed(mapping)
            operation = await store_price(app, mapping, mapping.pricing, target, head, self.caller)
        except Refused as error:
            return replace(change, problem=Unpriced(error.code, error.sentence))
        return replace(change, operation=operation.address)

    async def _refuse_changed(self, mapping: SubscriptionMapping) -> None:
        """Refuse where the mapping is not as its page showed it; the head was read before."""
        present = await self.app.mappings.subscription(mapping.customer, mapping.subscription)
        if present is None or present.value != mapping:
            raise Refused("changed_meanwhile", "The mapping changed at the same moment; look again.", status=409)


def _target(mapping: SubscriptionMapping, wanted: Schedule, today: date, posted: date | None) -> Target:
    return rate_target(wanted, today, mapping.calendar, mapping.policy, posted_through=posted)


def _changes(desired: Timeline, target: Target) -> list[DatedChange]:
    """The dates from which the line's rates become others than they are desired to be by now."""
    after = fold(desired, target)
    found: list[DatedChange] = []
    previous: tuple[Rates, Rates] | None = None
    for day in dates_of(desired, after):
        old, new = _rates(desired, day), _rates(after, day)
        if old != new and (old, new) != previous:
            found.append(DatedChange(day, old, new))
        previous = old, new
    return found


def _rates(timeline: Timeline, day: date) -> Rates:
    step = timeline.on(day)
    return Rates(step.price, step.rate(Rate.COST))


def _place(mapping: SubscriptionMapping) -> tuple[str, str, int, int]:
    return mapping.customer, mapping.subscription, mapping.contract, mapping.line


def _problem(mapping: SubscriptionMapping, code: str, sentence: str) -> LineChange:
    return LineChange(*_place(mapping), problem=Unpriced(code, sentence))
