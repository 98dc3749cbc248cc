"""The items of a bulk: the members of the single actions' bodies, all of them checked before anything is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.http_actions.bulk_items import BODIES, BulkBody, wishes_of
from functions.http_actions.problems import InvalidBody
from shared.domain.actions import Action
from shared.domain.asks import (
    CancelScheduleAsk,
    MigrateAsk,
    MigrationScheduleAsk,
    RenewalAsk,
    RestoreAsk,
    UpgradeAsk,
)
from shared.domain.bulk import Wish

CUSTOMER = "C0000000-0000-4000-8000-000000000001"
SUBSCRIPTION = "50000001-0000-4000-8000-000000000001"
MOMENT = datetime(2026, 4, 1, tzinfo=UTC)


def item(action: str, **members: Any) -> dict[str, Any]:
    return {"customerId": CUSTOMER, "subscriptionId": SUBSCRIPTION, "action": action, **members}


def wishes(*items: dict[str, Any]) -> tuple[Wish, ...]:
    return wishes_of(BulkBody.model_validate_json(json.dumps({"items": items})))


def wrong(*items: dict[str, Any]) -> dict[str, str]:
    """The fields that are wrong, each with what is wrong with it."""
    with pytest.raises(InvalidBody) as caught:
        wishes(*items)
    return {error["field"]: error["message"] for error in caught.value.errors}


def test_every_action_of_a_portal_can_be_an_item() -> None:
    assert set(BODIES) == set(Action) - {Action.SYNC}


@pytest.mark.parametrize(
    ("asked", "wished"),
    [
        (item("suspend"), {"action": Action.SUSPEND}),
        (item("cancel", confirmLosses=True), {"action": Action.CANCEL, "confirmed": ("confirmLosses",)}),
        (item("reactivate"), {"action": Action.REACTIVATE, "ask": RestoreAsk()}),
        (
            item("reactivate", restore={"autoRenew": False}),
            {"action": Action.REACTIVATE, "ask": RestoreAsk(auto_renew=False)},
        ),
        (item("change-quantity", quantity=7), {"action": Action.CHANGE_QUANTITY, "quantity": 7}),
        (
            item("change-quantity", quantity=7, expect={"status": "active", "quantity": 5}),
            {"action": Action.CHANGE_QUANTITY, "quantity": 7, "expect_status": "active", "expect_quantity": 5},
        ),
        (
            item("upgrade", target="p:s:a", confirm=True, toSubscriptionId=SUBSCRIPTION.upper()),
            {
                "action": Action.UPGRADE,
                "ask": UpgradeAsk("p:s:a", to_subscription=SUBSCRIPTION),
                "confirmed": ("confirm",),
            },
        ),
        (item("migrate", termDuration="P1Y"), {"action": Action.MIGRATE, "ask": MigrateAsk("P1Y")}),
        (
            item("schedule-migration", targetDate="2026-04-01T00:00:00Z", scheduleId=SUBSCRIPTION),
            {"action": Action.SCHEDULE_MIGRATION, "ask": MigrationScheduleAsk(MigrateAsk(), MOMENT, SUBSCRIPTION)},
        ),
        (
            item("cancel-migration-schedule", scheduleId=SUBSCRIPTION),
            {"action": Action.CANCEL_MIGRATION_SCHEDULE, "ask": CancelScheduleAsk(SUBSCRIPTION)},
        ),
        (item("schedule-renewal", quantity=3), {"action": Action.SCHEDULE_RENEWAL, "ask": RenewalAsk(quantity=3)}),
        (item("remove-schedule"), {"action": Action.REMOVE_SCHEDULE}),
        (item("auto-renew-off"), {"action": Action.AUTO_RENEW_OFF}),
    ],
    ids=lambda value: value.get("action") if isinstance(value, dict) else None,
)
def test_an_item_asks_for_what_its_single_action_asks_for(asked: dict[str, Any], wished: dict[str, Any]) -> None:
    assert wishes(asked) == (Wish(CUSTOMER.lower(), SUBSCRIPTION, **wished),)


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        (item("change-quantity"), {"quantity"}),
        (item("change-quantity", quantity=0), {"quantity"}),
        (item("change-quantity", quantity="7"), {"quantity"}),
        (item("suspend", quantity=7), {"quantity"}),
        (item("suspend", expect={"state": "active"}), {"expect.state"}),
        (item("upgrade", quantity=-1), {"target", "quantity"}),
        (item("cancel-migration-schedule", scheduleId="none"), {"scheduleId"}),
        (item("schedule-migration", targetDate="2026-04-01"), {"targetDate"}),
        (item("schedule-renewal"), {""}),
        (item("sync"), {"action"}),
        (item("change_quantity", quantity=7), {"action"}),
        ({"action": "suspend"}, {"customerId", "subscriptionId"}),
        ({"customerId": "x", "subscriptionId": 7, "action": "nothing"}, {"customerId", "subscriptionId", "action"}),
        ({"customerId": CUSTOMER, "subscriptionId": SUBSCRIPTION}, {"action"}),
        ({"customerId": CUSTOMER, "subscriptionId": SUBSCRIPTION, "action": 5}, {"action"}),
        ({}, {"customerId", "subscriptionId", "action"}),
    ],
)
def test_every_wrong_field_is_named_with_its_item(asked: dict[str, Any], fields: set[str]) -> None:
    found = wrong(item("suspend"), asked)
    assert set(found) == {f"items[1].{field}".rstrip(".") for field in fields}
    assert all(found.values())


def test_the_wrong_fields_of_all_items_are_named_together() -> None:
    found = wrong(item("change-quantity"), item("suspend"), item("nonsense"))
    assert set(found) == {"items[0].quantity", "items[2].action"}
    assert "change-quantity" in found["items[2].action"]


def test_the_same_thing_asked_for_twice_is_a_mistake() -> None:
    again = item("upgrade", target="p:s:a", quantity=5, confirm=True)
    other_case = again | {"customerId": CUSTOMER.lower()}
    assert wrong(again, item("suspend"), other_case) == {"items[2]": "is the same as items[0]"}


def test_the_same_action_with_other_members_is_none() -> None:
    assert len(wishes(item("change-quantity", quantity=5), item("change-quantity", quantity=6))) == 2
