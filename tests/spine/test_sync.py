"""What is changed at Microsoft directly, or by time alone, on the real stack: it shows with its cause and is billed.

Every test has a customer of its own. Where Microsoft's clock is moved on, only that customer is read meanwhile; the one
test that reads whatever is due comes last, for what time has done to the other customers stays done.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.forking import ForkServer
from local.stack import Stack, StackOptions
from tests.spine.conftest import IMPATIENT, SETTINGS
from tests.spine.conversions import EXCHANGE_SKU, PREMIUM, PREMIUM_SKU, bought, map_product, on_line, plan
from tests.spine.world import Subject, World, eventually, fault

SYNC_SETTINGS = {
    **SETTINGS,
    **IMPATIENT,
    "LEASE_SECONDS": "3",  # for as long the work of a killed host is left alone
    "PARTNER_CENTER_REQUESTS_PER_MINUTE": "60000",
}
SCOPE = "https://api.partnercenter.microsoft.com/.default"


@pytest.fixture(scope="module")
def running(forks: ForkServer) -> Iterator[World]:
    """A stack that has read everything once and knows where the audit records stand."""
    options = StackOptions(
        storage_in_memory=True,
        seed_customers=30,
        subscriptions_per_customer=2,
        first_sync=False,
        settings=SYNC_SETTINGS,
        forks=forks,
    )
    with Stack(options) as stack, World(stack, keep_alive=False) as world:
        read_changes(world)  # there is no cursor yet: it starts a full sync
        eventually(lambda: _ticked(world)["value"][0]["phase"], lambda phase: phase == "ended")
        yield world


@pytest.fixture
def world(running: World) -> Iterator[World]:
    """The stack; whoever uses it leaves faults, switches and clocks as at its start."""
    yield running
    running.calm()


def _ticked(world: World) -> dict[str, Any]:
    world.run_timer("timer_sync_tick")
    return syncs(world)


def syncs(world: World) -> dict[str, Any]:
    """The full syncs and the last incremental one."""
    found: dict[str, Any] = world.clients["reader"].get("/sync/runs").raise_for_status().json()
    return found


def read_changes(world: World) -> None:
    """An incremental sync, to its end."""
    before = syncs(world)["incremental"]
    world.run_timer("timer_sync_changes")
    eventually(
        lambda: syncs(world)["incremental"],
        lambda now: now is not None and not now["running"] and (before is None or now["ranAt"] != before["ranAt"]),
    )


def sync_customer(world: World, subject: Subject) -> dict[str, Any]:
    """Read the customer now, as a portal's button does."""
    answer = world.clients["operator"].post(f"/customers/{subject.customer}/sync", json={})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def directly(world: World, subject: Subject, **properties: Any) -> None:
    """A colleague changes the subscription in Partner Center's own pages."""
    path = f"/_control/state/subscriptions/{subject.subscription}"
    answer = world.partner_center.patch(path, json=properties)
    assert answer.status_code == 200, answer.text


def detected(world: World, subject: Subject) -> dict[str, Any]:
    """The one operation that was detected, at rest."""
    (found,) = eventually(
        lambda: [one for one in world.operations(subject) if one["kind"] == "detected"], lambda seen: len(seen) > 0
    )
    return world.wait_for_rest(found["id"])


def advance(world: World, days: float) -> date:
    """Let Microsoft's clock run on; its day then."""
    moved = world.partner_center.post("/_control/clock", json={"advanceSeconds": days * 86400})
    return datetime.fromisoformat(moved.raise_for_status().json()["now"]).date()


def listed(world: World, subject: Subject) -> dict[str, Any]:
    """The subscription as the list shows it, from the last reading."""
    found = world.clients["reader"].get(f"/customers/{subject.customer}/subscriptions").raise_for_status().json()
    (one,) = [each for each in found["value"] if each["id"] == subject.subscription]
    assert isinstance(one, dict)
    return one


def term_end(world: World, subject: Subject) -> datetime:
    """The first moment after the term."""
    return datetime.fromisoformat(world.at_microsoft(subject)["termEnd"])


def days_to(world: World, moment: datetime) -> float:
    now = datetime.fromisoformat(world.partner_center.get("/_control/clock").json()["now"])
    return (moment - now) / timedelta(days=1)


# -- changed by somebody


@pytest.mark.parametrize(
    ("properties", "billed"),
    [
        ({"quantity": 40}, 40),
        ({"quantity": 2}, 2),
        ({"status": "suspended"}, 0),
        ({"status": "deleted"}, 0),
    ],
    ids=["more seats", "fewer seats", "suspended", "cancelled"],
)
def test_a_change_in_partner_center_shows_with_its_cause_and_reaches_the_line(
    world: World, properties: dict[str, Any], billed: int
) -> None:
    subject = world.inside_window()
    directly(world, subject, **properties)
    read_changes(world)
    one = detected(world, subject)
    assert one["causeKind"] == "partner"
    assert one["auditRecord"]
    assert world.bill(subject)[-1] == (world.today(), billed)
    world.wait_for_badge(subject)
    read_changes(world)
    assert len(world.operations(subject)) == 1


@pytest.mark.parametrize("lost", ["nothing", "the answer of Autotask", "the host"])
def test_a_change_is_billed_once_whatever_gets_lost(world: World, lost: str) -> None:
    subject = world.inside_window()
    directly(world, subject, quantity=41)
    if lost == "the answer of Autotask":
        rule = {"method": "POST", "path": subject.adjustments_path, "when": "after", "fault": "reset"}
        fault(world.autotask, rule)
    read_changes(world)
    if lost == "the host":
        world.stack.restart("host")
        read_changes(world)
    detected(world, subject)
    assert world.adjustments(subject) == [(world.today(), 41 - subject.quantity)]


def test_an_upgrade_in_partner_center_moves_the_bill_to_the_line_of_the_new_product(world: World) -> None:
    map_product(world, PREMIUM_SKU)
    subject = world.outside_window()
    plan(world, "transitions")
    body = {
        "toCatalogItemId": PREMIUM,
        "quantity": subject.quantity,
        "transitionType": "transition_only",
        "fromSubscriptionId": subject.subscription,
    }
    as_partner(world, f"/v1/customers/{subject.customer}/subscriptions/{subject.subscription}/transitions", body)
    eventually(lambda: world.at_microsoft(subject)["resource"]["offerId"], lambda offer: offer == PREMIUM)
    eventually(lambda: sync_customer(world, subject)["operations"], bool)  # the mapping is only moments old
    assert detected(world, subject)["causeKind"] == "upgrade"
    moved = on_line(world, subject)
    assert moved.line != subject.line
    assert world.bill(subject)[-1] == (world.today(), 0)
    assert world.bill(moved)[-1] == (world.today(), subject.quantity)


def as_partner(world: World, path: str, body: dict[str, Any]) -> None:
    """A call with the partner's credentials by something that is not this application."""
    settings = world.stack.ready["settings"]
    trust = ssl.create_default_context(cafile=world.stack.ready["caFile"])
    form = {
        "grant_type": "client_credentials",
        "client_id": settings["PARTNER_CENTER_CLIENT_ID"],
        "client_secret": settings["PARTNER_CENTER_CLIENT_SECRET"],
        "scope": SCOPE,
    }
    with httpx.Client(base_url=world.stack.ready["entra"], verify=trust, trust_env=False) as entra:
        login = f"/{settings['PARTNER_CENTER_TENANT']}/oauth2/v2.0/token"
        token = entra.post(login, data=form).raise_for_status().json()["access_token"]
    answer = world.partner_center.post(path, json=body, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code < 300, answer.text


def test_a_migration_in_partner_center_moves_the_bill_to_the_new_subscription(world: World) -> None:
    map_product(world, EXCHANGE_SKU)
    free = world.unmapped("closed")  # its line is there and bills its seats
    legacy = replace(bought(world, free, "legacy", free.quantity), line=free.line)
    world.mapped(legacy)
    plan(world, "migrations")
    body = {
        "currentSubscriptionId": legacy.subscription,
        "quantity": legacy.quantity,
        "termDuration": "P1Y",
        "billingCycle": "Monthly",
    }
    as_partner(world, f"/v1/customers/{legacy.customer}/migrations/newcommerce", body)
    made = eventually(lambda: world.at_microsoft(legacy)["migratedTo"], bool)
    fresh = replace(legacy, subscription=made)
    sync_customer(world, legacy)
    assert detected(world, fresh)["causeKind"] == "migration"
    world.wait_for_badge(legacy)
    assert world.subscription(legacy)["migratedTo"] == made
    assert world.bill(legacy)[-1] == (world.today(), 0)
    assert world.bill(on_line(world, fresh))[-1] == (world.today(), legacy.quantity)


def deliveries(world: World) -> list[dict[str, Any]]:
    """What the simulator has delivered."""
    found: list[dict[str, Any]] = world.partner_center.get("/_control/state/webhooks").json()["deliveries"]
    return found


def test_a_webhook_brings_a_change_within_a_tick(world: World) -> None:
    subject = world.inside_window()
    sync_customer(world, subject)
    registration = {
        "WebhookUrl": f"{world.stack.ready['api']}/partner-center/webhook",
        "WebhookEvents": ["subscription-updated"],
        "SignatureTokenToMsSignatureHeader": True,
    }
    as_partner(world, "/webhooks/v1/registration", registration)
    directly(world, subject, quantity=42)
    last = eventually(lambda: deliveries(world), lambda seen: bool(seen) and seen[-1]["status"] is not None)[-1]
    assert last["status"] == 200, last
    world.run_timer("timer_sync_tick")
    assert detected(world, subject)["after"]["quantity"] == 42
    assert world.bill(subject)[-1] == (world.today(), 42)
    forged = world.partner_center.post("/_control/state/webhooks", json={"tampered": True}).json()
    assert forged["status"] == 401


# -- changed by time alone


@pytest.mark.parametrize("lost", ["nothing", "the answer of Autotask", "the host"])
def test_what_was_scheduled_is_billed_when_its_renewal_has_passed(world: World, lost: str) -> None:
    subject = world.outside_window()
    seats = subject.quantity - 2
    scheduled = world.clients["operator"].put(
        f"{subject.path}/renewal", json={"quantity": seats}, headers={"Idempotency-Key": str(uuid.uuid4())}
    )
    assert scheduled.status_code == 200, scheduled.text
    world.wait_for_rest(scheduled.json()["operation"]["id"], "done")
    sync_customer(world, subject)
    end = term_end(world, subject)
    advance(world, days_to(world, end) + 2)
    if lost == "the answer of Autotask":
        rule = {"method": "POST", "path": subject.adjustments_path, "when": "after", "fault": "reset"}
        fault(world.autotask, rule)
    sync_customer(world, subject)
    if lost == "the host":
        world.stack.restart("host")
        sync_customer(world, subject)
    one = detected(world, subject)
    assert one["causeKind"] == "schedule"
    assert world.bill(subject)[-1] == (end.date(), seats)
    assert world.adjustments(subject) == [(end.date(), -2)]


@pytest.mark.parametrize("reasons", ["kept", "removed"])
def test_the_end_of_a_suspension_is_told_from_an_expiry(world: World, reasons: str) -> None:
    world.partner_center.post("/_control/switches", json={"suspensionReasonsWhenDisabled": reasons}).raise_for_status()
    subject = world.outside_window()
    world.wait_for_rest(world.done(subject, "suspend"))
    sync_customer(world, subject)
    advance(world, days_to(world, term_end(world, subject)) + 2)
    sync_customer(world, subject)
    one = detected(world, subject)
    assert one["causeKind"] == "microsoft"
    assert listed(world, subject)["state"] == "disabled_after_suspension"
    assert world.subscription(subject)["state"] == "disabled_after_suspension"


def test_a_renewal_is_read_by_the_tick_when_its_moment_has_passed(world: World) -> None:
    subject = world.outside_window()
    sync_customer(world, subject)
    advance(world, days_to(world, term_end(world, subject)) + 2)
    before = listed(world, subject)["commitmentEndsAt"]
    read_changes(world)  # Microsoft's clock is known by its answers
    world.run_timer("timer_sync_tick")
    renewed = eventually(lambda: listed(world, subject)["commitmentEndsAt"], lambda seen: seen > before)
    assert datetime.fromisoformat(renewed) > datetime.fromisoformat(before) + timedelta(days=300)
    assert world.adjustments(subject) == [], "as many seats as before"
