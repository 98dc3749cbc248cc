"""What a dialog is shown before somebody presses the button: previews and options, against the running stack."""

from __future__ import annotations

from typing import Any

from tests.conftest import Portal

NORTHWIND = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"
FABRIKAM = "2e4d8c11-7a90-4c1c-a1b5-0f6e3b2d7a02"
INSIDE = f"/customers/{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab01"
OUTSIDE = f"/customers/{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab02"
SCHEDULED = f"/customers/{FABRIKAM}/subscriptions/d3b7c9a2-9a4b-40b2-b075-6e442909e305"
LEGACY = f"/customers/{FABRIKAM}/subscriptions/1c2b75c1-74a5-472a-a729-7f8cefc47701"


def shown(api: Portal, path: str) -> dict[str, Any]:
    answer = api.reader.get(path)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_cancel_tells_the_time_remaining_the_seats_of_each_batch_and_an_estimate_of_the_refund(api: Portal) -> None:
    seen = shown(api, f"{INSIDE}/preview/cancel")

    assert seen["allowed"] is True
    assert seen["timeRemaining"].startswith("P2DT")
    assert sorted(batch["quantity"] for batch in seen["refundableSeats"]) == [5, 20]
    assert seen["refund"]["estimate"] is True
    assert 0.9 < seen["refund"]["shareOfTermPrice"] <= 1
    assert [loss["code"] for loss in seen["losses"]] == ["irreversible"]


def test_cancel_after_the_window_tells_why_not_since_when_and_what_remains(api: Portal) -> None:
    seen = shown(api, f"{OUTSIDE}/preview/cancel")

    assert seen["allowed"] is False
    assert seen["code"] == "cancel_window_closed"
    assert seen["until"]
    assert {item["code"] for item in seen["alternatives"]} == {"reduce_at_renewal", "auto_renew_off", "suspend"}
    assert seen["refund"] is None


def test_suspend_tells_that_auto_renew_and_scheduled_changes_are_lost(api: Portal) -> None:
    seen = shown(api, f"{SCHEDULED}/preview/suspend")

    assert {loss["code"] for loss in seen["losses"]} == {"auto_renew", "scheduled_changes"}
    assert "goes on paying" in seen["consequences"][0]


def test_fewer_seats_are_previewed_with_the_lowest_number_that_is_possible(api: Portal) -> None:
    assert shown(api, f"{INSIDE}/preview/change-quantity?quantity=20")["refund"]["seats"] == 5
    assert api.reader.get(f"{INSIDE}/preview/change-quantity?quantity=0").status_code == 422
    assert api.reader.get(f"{INSIDE}/preview/change-quantity").status_code == 422


def test_upgrade_shows_all_targets_now_and_at_renewal_with_the_reasons_of_those_that_are_not_eligible(
    api: Portal,
) -> None:
    seen = shown(api, f"{INSIDE}/upgrade/options")

    assert seen["irreversible"] is True
    assert seen["now"]
    assert seen["atRenewal"]
    ways = [way for option in seen["now"] for way in option["types"]]
    assert any(way["eligible"] for way in ways)
    assert all(way["reasons"] for way in ways if not way["eligible"])


def test_upgrade_of_a_legacy_subscription_shows_the_legacy_offers(api: Portal) -> None:
    seen = shown(api, f"{LEGACY}/upgrade/options")

    assert seen["legacy"]
    assert not seen["now"]


def test_migrate_shows_every_term_and_billing_with_its_reasons_and_the_add_ons_that_go_along(api: Portal) -> None:
    seen = shown(api, f"{LEGACY}/migrate/options")

    assert len(seen["options"]) == 6
    assert any(option["eligible"] for option in seen["options"])


def test_migrate_exists_for_legacy_subscriptions_only(api: Portal) -> None:
    refused = api.reader.get(f"{INSIDE}/migrate/options")

    assert refused.status_code == 409
    assert refused.json()["code"] == "not_for_this_product"


def test_preview_of_an_action_that_does_not_exist_is_404(api: Portal) -> None:
    assert api.reader.get(f"{INSIDE}/preview/explode").status_code == 404
