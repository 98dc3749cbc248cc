"""What a subscription can become: upgrades of new commerce and of legacy offers, and migrations to new commerce."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.domain.errors import Refused
from shared.domain.migration import AddOnMigration, MigrationOption, MigrationRequest
from shared.domain.subscription import Family, State, Subscription
from shared.domain.upgrade import TransitionOption
from shared.partner_center.wire import parse_subscription
from shared.ports import MigrationsPort, TransitionsPort
from shared.usecases.app import App

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

    add_ons: tuple[str, ...]
    options: tuple[MigrationOption, ...]


async def upgrade_options(app: App, transitions: TransitionsPort, customer: str, subscription: str) -> UpgradeOptions:
    """The eligible upgrade options of a subscription. Raises Refused where its product or state has none."""
    found = await _active(app, customer, subscription, {Family.NCE_LICENSE, Family.LEGACY_LICENSE}, "upgrade")
    if found.family is Family.LEGACY_LICENSE:
        offers = await transitions.upgrade_options(customer, subscription)
        legacy = tuple(
            LegacyUpgrade(offer.offer_id, offer.name, offer.eligible, offer.quantity, offer.reasons) for offer in offers
        )
        return UpgradeOptions(irreversible=True, legacy=legacy)
    now, later = await asyncio.gather(
        transitions.transition_options(customer, subscription, scheduled=False),
        transitions.transition_options(customer, subscription, scheduled=True),
    )
    return UpgradeOptions(irreversible=True, now=now, at_renewal=later)


async def migrate_options(app: App, migrations: MigrationsPort, customer: str, subscription: str) -> MigrateOptions:
    """The ways to migrate a legacy subscription, by Microsoft's validation. Raises Refused where it is not legacy."""
    await _active(app, customer, subscription, {Family.LEGACY_LICENSE}, "migrate")
    add_ons = await _add_ons(app, customer, subscription)

    def request(term: str, billing: str) -> MigrationRequest:
        along = tuple(AddOnMigration(add_on, term=term, billing=billing) for add_on in add_ons)
        return MigrationRequest(subscription, term=term, billing=billing, add_ons=along)

    options = await asyncio.gather(
        *(migrations.validate_migration(customer, request(term, billing)) for term, billing in COMBINATIONS)
    )
    return MigrateOptions(tuple(add_ons), tuple(options))


async def _add_ons(app: App, customer: str, base: str) -> list[str]:
    """The active add-ons of a base, those of its add-ons among them: they migrate as a bundle, as a flat list."""
    listing = await app.partner_center.subscriptions(customer)
    found = [parse_subscription(customer, raw) for raw in listing.items]
    bundle = [base]
    for parent in bundle:  # grows while add-ons of add-ons are found
        children = [item.id for item in found if item.parent_id == parent and item.state is State.ACTIVE]
        bundle += [child for child in children if child not in bundle]
    return bundle[1:]


async def _active(app: App, customer: str, subscription: str, families: set[Family], what: str) -> Subscription:
    reading = await app.partner_center.subscription(customer, subscription)
    found = parse_subscription(customer, reading.raw)
    if found.family not in families:
        sentence = f"The action {what} does not exist for a subscription of this kind."
        raise Refused("not_for_this_product", sentence, status=409)
    if found.state is not State.ACTIVE:
        sentence = f"The subscription is {found.status_raw or 'in an unknown state'}; {what} starts from active."
        raise Refused("not_in_this_state", sentence, status=409)
    return found
