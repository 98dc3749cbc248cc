"""The five actions, each from a portal's request to the bill in Autotask."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.rates import cents
from tests.spine.world import Subject, World, codes, eventually, requests

DAY = 86_400


def test_a_cancel_inside_the_window_ends_the_bill_on_that_day_with_one_adjustment(world: World) -> None:
    subject = world.inside_window()

    operation = world.done(subject, "cancel")
    world.wait_for_rest(operation)

    assert world.at_microsoft(subject)["status"] == "deleted"
    assert world.adjustments(subject) == [(world.today(), -subject.quantity)]
    assert world.units_before_and_from(subject, world.today()) == [subject.quantity, 0, 0]
    assert world.subscription(subject)["badge"] == "synced"


def test_a_cancel_after_the_window_is_refused_with_alternatives_and_changes_nothing(world: World) -> None:
    subject = world.inside_window()
    bill = world.bill(subject)
    closes = datetime.fromisoformat(world.subscription(subject)["cancellationAllowedUntil"])
    world.partner_center.post("/_control/clock", json={"advanceSeconds": 8 * DAY}).raise_for_status()

    refused = world.act(subject, "cancel")

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "cancel_window_closed")
    assert datetime.fromisoformat(problem["until"]) == closes
    assert codes(problem["alternatives"]) == {"reduce_at_renewal", "auto_renew_off", "suspend"}
    assert world.patches(subject) == []
    assert world.at_microsoft(subject)["updates"] == 0
    assert world.operations(subject) == []
    assert world.bill(subject) == bill
    assert requests(world.autotask, "POST", subject.adjustments_path) == []


def test_a_suspended_subscription_is_not_billed_and_a_reactivated_one_is_again(world: World) -> None:
    subject = world.inside_window()
    today, tomorrow = world.today(), world.today() + timedelta(days=1)

    world.wait_for_rest(world.done(subject, "suspend"))
    assert world.at_microsoft(subject)["status"] == "suspended"
    assert world.units_before_and_from(subject, today) == [subject.quantity, 0, 0]

    # Autotask takes one adjustment a day: the bill is right again from tomorrow, and the operation says what remains.
    operation = world.wait_for_rest(world.done(subject, "reactivate"))
    assert world.at_microsoft(subject)["status"] == "active"
    assert world.units_before_and_from(subject, tomorrow) == [0, subject.quantity, subject.quantity]
    (approximation,) = operation["autotask"][0]["approximations"]
    assert approximation == {
        "start": today.isoformat(),
        "end": today.isoformat(),
        "desired": subject.quantity,
        "billed": 0,
        "desiredPrice": "12.50",
        "desiredCost": "10.00",
        "money": f"-{cents(subject.quantity * Decimal('12.50') / monthrange(today.year, today.month)[1])}",
    }


def test_more_seats_are_billed_from_the_same_day(world: World) -> None:
    subject = world.outside_window()

    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 3))

    assert world.at_microsoft(subject)["quantity"] == subject.quantity + 3
    assert world.adjustments(subject) == [(world.today(), 3)]


def test_seats_given_back_inside_their_window_are_not_billed_from_the_same_day(world: World) -> None:
    subject = world.inside_window()

    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity - 2))

    assert world.at_microsoft(subject)["quantity"] == subject.quantity - 2
    assert world.adjustments(subject) == [(world.today(), -2)]


def test_fewer_seats_after_the_window_are_refused(world: World) -> None:
    subject = world.outside_window()

    refused = world.act(subject, "change-quantity", quantity=subject.quantity - 1)

    assert (refused.status_code, refused.json()["code"]) == (409, "seat_window_closed")
    assert codes(refused.json()["alternatives"]) == {"reduce_at_renewal"}
    assert world.patches(subject) == []


def test_what_is_in_the_wanted_state_already_is_answered_without_an_operation(world: World) -> None:
    subject = world.inside_window()

    for answer in (world.act(subject, "reactivate"), world.act(subject, "change-quantity", quantity=subject.quantity)):
        assert (answer.status_code, answer.json()["operation"]) == (200, None)
        assert answer.json()["alreadyDone"] is True

    assert world.operations(subject) == []
    assert world.patches(subject) == []


def test_a_second_action_is_refused_while_microsoft_works_on_the_first(world: World) -> None:
    subject = world.inside_window()
    world.partner_center.post("/_control/state/async", json={"seconds": 2, "times": 1}).raise_for_status()

    first = world.act(subject, "cancel")
    second = world.act(subject, "suspend")

    operation = first.json()["operation"]
    assert first.status_code == 202
    assert int(first.headers["Retry-After"]) > 0
    assert first.headers["Operation-Location"] == operation["links"]["self"]
    assert (second.status_code, second.json()["code"]) == (409, "operation_in_progress")
    assert second.json()["operation"] == operation["id"]
    world.wait_for_rest(operation["id"])
    assert world.at_microsoft(subject)["status"] == "deleted"
    assert len(world.patches(subject)) == 1
    assert world.adjustments(subject) == [(world.today(), -subject.quantity)]


def test_a_sync_stays_allowed_while_microsoft_works(world: World) -> None:
    subject = world.inside_window()
    world.partner_center.post("/_control/state/async", json={"seconds": 1, "times": 1}).raise_for_status()
    operation = world.act(subject, "suspend").json()["operation"]["id"]

    synced = world.clients["operator"].post(f"{subject.path}/sync")

    assert (synced.status_code, synced.json()["operation"]) == (200, None)
    world.wait_for_rest(operation)


def test_a_repeated_request_with_its_key_gets_its_operation_and_acts_once(world: World) -> None:
    subject = world.inside_window()

    first = world.act(subject, "cancel", key="the-same-request")
    again = world.act(subject, "cancel", key="the-same-request")

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["operation"]["id"] == first.json()["operation"]["id"]
    world.wait_for_badge(subject)
    assert len(world.patches(subject)) == 1
    assert len(world.operations(subject)) == 1


@pytest.mark.parametrize("spelling", ["{path}/cancel/", "{upper}/cancel"])
def test_a_key_stands_for_its_request_however_the_url_is_spelled(world: World, spelling: str) -> None:
    subject = world.inside_window()
    first = world.act(subject, "cancel", key="one-request")

    upper = subject.path.replace(subject.customer, subject.customer.upper())
    path = spelling.format(path=subject.path, upper=upper)
    again = world.clients["operator"].post(path, headers={"Idempotency-Key": "one-request"})

    assert (again.status_code, again.json()["operation"]["id"]) == (200, first.json()["operation"]["id"])
    assert len(world.patches(subject)) == 1


def test_a_page_that_is_out_of_date_changes_nothing(world: World) -> None:
    subject = world.inside_window()

    refused = world.act(subject, "cancel", expect={"quantity": subject.quantity + 1})

    assert (refused.status_code, refused.json()["code"]) == (409, "stale_page")
    assert refused.json()["differences"] == [
        {"field": "quantity", "expected": subject.quantity + 1, "actual": subject.quantity}
    ]
    assert world.patches(subject) == []


def test_fields_that_nobody_knows_survive_a_change(world: World) -> None:
    subject = world.outside_window()
    future = {"force": True, "futureField": {"nested": ["kept", 1, None]}}
    world.partner_center.patch(f"/_control/state/subscriptions/{subject.subscription}", json=future).raise_for_status()

    world.done(subject, "change-quantity", quantity=subject.quantity + 1)

    (patch,) = world.patches(subject)
    assert patch["body"]["futureField"] == future["futureField"]
    assert world.at_microsoft(subject)["resource"]["futureField"] == future["futureField"]
    assert world.at_microsoft(subject)["quantity"] == subject.quantity + 1


def test_a_change_made_directly_at_microsoft_is_found_by_sync_and_billed(world: World) -> None:
    subject = world.outside_window()
    change_at_microsoft(world, subject, quantity=subject.quantity + 4)

    synced = world.clients["operator"].post(f"{subject.path}/sync")

    operation = synced.json()["operation"]
    assert (synced.status_code, operation["kind"]) == (200, "detected")
    world.wait_for_rest(operation["id"])
    assert world.adjustments(subject) == [(world.today(), 4)]
    assert world.patches(subject) == []


def test_reading_all_subscriptions_of_a_customer_finds_such_a_change_too(world: World) -> None:
    subject = world.outside_window()
    change_at_microsoft(world, subject, quantity=subject.quantity + 1)

    listed = world.clients["reader"].get(f"/customers/{subject.customer}/subscriptions")

    assert listed.status_code == 200
    (operation,) = eventually(lambda: world.operations(subject), bool)
    world.wait_for_rest(operation["id"])
    assert world.adjustments(subject) == [(world.today(), 1)]


def test_a_decrease_by_the_policy_of_the_next_period_starts_with_it(world: World) -> None:
    subject = world.mapped(world.unmapped("open"), suspend="units_zero", suspendFrom="next_period")

    world.wait_for_rest(world.done(subject, "suspend"))

    first_of_next = _first_of_next_month(world.today())
    assert world.adjustments(subject) == [(first_of_next, -subject.quantity)]
    assert world.units_before_and_from(subject, first_of_next) == [subject.quantity, 0, 0]


def change_at_microsoft(world: World, subject: Subject, **properties: object) -> None:
    """Somebody acts in Microsoft's own portal."""
    path = f"/_control/state/subscriptions/{subject.subscription}"
    world.partner_center.patch(path, json=properties).raise_for_status()


def _first_of_next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def test_a_new_policy_of_a_mapping_hides_no_change_that_nobody_has_billed_yet(world: World) -> None:
    subject = world.outside_window()
    change_at_microsoft(world, subject, quantity=subject.quantity + 2)
    mapper = world.clients["mapper"]
    mapping = mapper.get(f"{subject.path}/mapping").json()
    body = {"contractId": mapping["contractId"], "contractServiceId": subject.line, "policy": {"suspend": "none"}}

    changed = mapper.put(f"{subject.path}/mapping", json=body)
    synced = world.clients["operator"].post(f"{subject.path}/sync")

    assert (changed.status_code, changed.json()["mapping"]["policy"]["suspend"]) == (200, "none")
    world.wait_for_rest(synced.json()["operation"]["id"])
    assert world.adjustments(subject) == [(world.today(), 2)]
