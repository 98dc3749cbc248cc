"""What a subscription can become: upgrades of new commerce and of legacy offers, and migrations to new commerce."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.domain.actions import Action, NotAllowed, decide
from shared.domain.asks import MigrateAsk
from shared.domain.jobs import MigrationJob
from shared.domain.migration import MigrationOption
from shared.domain.subscription import Family, Subscription
from shared.domain.upgrade import TransitionOption
from shared.partner_center.wire import parse_subscription
from shared.usecases.app import App
from shared.usecases.migrating import request_of
from shared.usecases.preparing import add_ons_of, refusal

# Terms and billing cycles that new commerce sells (partner-center reference 2 and 10.3)
COMBINATIONS = (
    ("P1M", "monthly"),
    ("P1Y", "monthly"),
    ("P1Y", "annual"),
    ("P3Y", "monthly"),
    ("P3Y", "annual"),
    ("P3Y", "triennial"),
)


@dataclass(frozen=True, slots=True)
class LegacyUpgrade:
    """A legacy offer that another one can be upgraded to, all seats at once."""

    offer_id: str
    name: str
    eligible: bool
    quantity: int | None
    reasons: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class UpgradeOptions:
    """Everything that a subscription can be upgraded to. An upgrade cannot be undone."""

    irreversible: bool
    now: tuple[TransitionOption, ...] = ()
    at_renewal: tuple[TransitionOption, ...] = ()
    legacy: tuple[LegacyUpgrade, ...] = ()


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """The ways in which a legacy subscription can be migrated; add-ons go along with their base."""

    irreversible: bool
    add_ons: tuple[str, ...]
    options: tuple[MigrationOption, ...]


async def upgrade_options(app: App, customer: str, subscription: str) -> UpgradeOptions:
    """The eligible upgrade options of a subscription. Raises Refused where its product or state has none."""
    found = await _allowed(app, customer, subscription, Action.UPGRADE)
    if found.family is Family.LEGACY_LICENSE:
        offers = await app.transitions.upgrade_options(customer, subscription)
        legacy = tuple(
            LegacyUpgrade(offer.offer_id, offer.name, offer.eligible, offer.quantity, offer.reasons) for offer in offers
        )
        return UpgradeOptions(irreversible=True, legacy=legacy)
    now, later = await asyncio.gather(
        app.transitions.transition_options(customer, subscription, scheduled=False),
        app.transitions.transition_options(customer, subscription, scheduled=True),
    )
    return UpgradeOptions(irreversible=True, now=now, at_renewal=later)


async def migrate_options(app: App, customer: str, subscription: str, wanted: MigrateAsk) -> MigrateOptions:
    """The ways to migrate a legacy subscription, by Microsoft's validation. Raises Refused where it is not legacy.

    `wanted` chooses seats, a new full term and a custom end; term and billing are the combinations that are validated.
    """
    await _allowed(app, customer, subscription, Action.MIGRATE)
    add_ons = tuple(await add_ons_of(app, customer, subscription))

    def job(term: str, billing: str) -> MigrationJob:
        return MigrationJob(
            reference=app.new_id(),
            term=term,
            billing=billing,
            full_term=wanted.full_term,
            quantity=wanted.quantity,
            custom_end=wanted.custom_end,
            add_ons=add_ons,
        )

    options = await asyncio.gather(
        *(
            app.migrations.validate_migration(customer, request_of(subscription, job(term, billing)))
            for term, billing in COMBINATIONS
        )
    )
    return MigrateOptions(irreversible=True, add_ons=add_ons, options=tuple(options))


async def _allowed(app: App, customer: str, subscription: str, action: Action) -> Subscription:
    reading = await app.partner_center.subscription(customer, subscription)
    found = parse_subscription(customer, reading.raw)
    decision = decide(action, found, reading.observed_at)
    if isinstance(decision, NotAllowed):
        raise refusal(decision)
    return found
