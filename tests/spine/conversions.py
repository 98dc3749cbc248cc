"""What the tests of upgrades and migrations share: mapped products, further subscriptions, what Microsoft will do."""

from __future__ import annotations

from typing import Any

from tests.spine.world import Subject, World

PREMIUM = "CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2"  # what Business Standard can be upgraded to
PREMIUM_SKU = "CFQ7TTC0LCHC:0002"
EXCHANGE_SKU = "CFQ7TTC0LH16:0001"  # what the legacy Exchange Online becomes in new commerce
LEGACY_ENTERPRISE = "796b6b5f-613c-4e24-a17c-eba730d49c02"
TARGET_SERVICE = 678


def plan(world: World, what: str, **values: Any) -> None:
    """Say how the next transitions or migrations go; a second unless said otherwise."""
    defaults = {"seconds": 1, "outcome": "completed", "ineligible": {}}
    world.partner_center.post(f"/_control/state/{what}", json=defaults | values).raise_for_status()


def map_product(world: World, product: str, service: int = TARGET_SERVICE, term: str = "P1Y") -> None:
    """Bill a product, monthly, as a service."""
    body = {"product": product, "termDuration": term, "billingCycle": "monthly", "serviceId": service}
    assert world.clients["mapper"].put("/mappings/products", json=body).status_code == 200


def unmap_product(world: World, product: str, term: str = "P1Y") -> None:
    """Forget how a product is billed."""
    assert world.clients["mapper"].delete(f"/mappings/products/{product}~{term}~monthly").status_code == 204


def bought(world: World, like: Subject, template: str, quantity: int, **more: Any) -> Subject:
    """A further subscription of a subject's customer, not mapped; `line` is of no meaning."""
    body = {"customerId": like.customer, "template": template, "quantity": quantity, "boughtDaysAgo": 60, **more}
    made = world.partner_center.post("/_control/state/subscriptions", json=body).raise_for_status().json()
    return Subject(like.customer, made["id"].lower(), like.contract, 0, quantity)


def on_line(world: World, subject: Subject) -> Subject:
    """The subject on the line that it is mapped to now."""
    mapping = world.clients["reader"].get(f"{subject.path}/mapping")
    assert mapping.status_code == 200, mapping.text
    found = mapping.json()
    return Subject(
        subject.customer, subject.subscription, found["contractId"], found["contractServiceId"], subject.quantity
    )


def units_today(world: World, subject: Subject) -> int:
    """What the line bills from today on."""
    return world.units_before_and_from(subject, world.today())[1]


def other_subscriptions(world: World, *known: Subject) -> list[dict[str, Any]]:
    """The customer's subscriptions at Microsoft that are none of these."""
    customer = known[0].customer
    listed = world.clients["reader"].get(f"/customers/{customer}/subscriptions").json()["value"]
    fresh = [world.clients["operator"].get(f"/customers/{customer}/subscriptions/{one['id']}").json() for one in listed]
    return [one for one in fresh if one["id"] not in {each.subscription for each in known}]
